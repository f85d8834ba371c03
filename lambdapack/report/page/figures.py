"""The pictures, as plotly draws them. Colours are the page's own CSS variables, which follow the theme."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import floor, log10
from typing import TYPE_CHECKING, Any

from lambdapack.report.page.cells import UNITS, Source
from lambdapack.report.page.tables import IMPORTS, REMARKS, bill_parts
from lambdapack.report.page.waterfall import Bar, bar_of, bars
from lambdapack.report.units import counted

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["Picture", "cost_picture", "series_picture", "size_picture", "start_picture", "tune_picture"]

_TILES = (
    (0.5, "var(--tile-hot)", "var(--tile-hot-text)"),
    (0.0, "var(--tile-cold)", "var(--tile-cold-text)"),
)
"""From which share of hot bytes on a tile has which colour, and its text."""
_ORIGINS = {
    "function": ("your code", "var(--c4)"),
    "pack": ("the pack", "var(--c1)"),
    "layer": ("layers", "var(--c6)"),
    "python": ("Python's library", "var(--c7)"),
    "loader": ("the loader", "var(--c3)"),
    "runtime": ("Lambda's runtime", "var(--c3)"),
    "other": ("others", "var(--c7)"),
}
_PARTS = ("var(--c1)", "var(--c4)", "var(--c3)", "var(--c5)", "var(--c6)", "var(--c2)")
_NARROW_NAME = 20
_WORDS = 8
"""Words above the bars that have room side by side."""
_SMALL: Mapping[str, Any] = {"font": {"size": 11}}


@dataclass(frozen=True)
class Picture:
    """A picture.

    Attributes:
        name: Of the element that holds the picture.
        label: What it shows, in a sentence, for who does not see it.
        figure: What plotly draws.
        key: What each colour stands for.
        narrow: What of the layout is different on a phone.
        narrow_text: The words at the points of the first trace on a phone.
    """

    name: str
    label: str
    figure: Figure
    key: Sequence[tuple[str, str]] = ()
    narrow: Mapping[str, Any] = field(default_factory=dict)
    narrow_text: Sequence[str] | None = None


def _figure(traces: Sequence[Any], height: int, **layout: Any) -> Figure:
    """A figure in the page's style; ``layout`` comes before that."""
    from plotly import graph_objects as go  # noqa: PLC0415 - an extra, and slow

    line, clear = "var(--line)", "rgba(0,0,0,0)"
    colours = {"gridcolor": line, "linecolor": line, "zerolinecolor": line, "tickcolor": line}
    axis = {**colours, "fixedrange": True, "automargin": True}
    names = {"xaxis", "yaxis"} | {name for name in layout if name.startswith(("xaxis", "yaxis"))}
    axes = {name: {**axis, **layout.pop(name, {})} for name in sorted(names)}
    style: dict[str, Any] = {
        "height": height,
        "margin": {"l": 8, "r": 16, "t": 16, "b": 8, "pad": 4},
        "paper_bgcolor": clear,
        "plot_bgcolor": clear,
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "var(--text)"},
        "hoverlabel": {"bgcolor": "var(--surface)", "bordercolor": line, "font": {"color": "var(--text)"}},
        "showlegend": False,
        "dragmode": False,
        "template": "none",
    }  # fmt: skip
    return go.Figure(traces, {**style, **axes, **layout})


def size_picture(source: Source) -> Picture:
    """A treemap: area is bytes in the pack; dark is what a start fetches first."""
    from plotly import graph_objects as go  # noqa: PLC0415 - an extra, and slow

    places = [at for at in source.places("/plan/rows") if source.get(f"{at}/stored") > 0]
    rows, texts = [source.get(at) for at in places], [source.text(f"{at}/stored", "bytes") for at in places]
    shares = [row["hot"] / row["stored"] for row in rows]
    tiles = [next(tile for tile in _TILES if share >= tile[0]) for share in shares]
    trace = go.Treemap(
        labels=[row["name"] for row in rows],
        parents=[""] * len(rows),
        values=[row["stored"] for row in rows],
        text=texts,
        customdata=[f"{share:.0%} of it hot" for share in shares],
        texttemplate="%{label}<br>%{text}",
        hovertemplate="%{label}<br>%{text} in the pack<br>%{customdata}<extra></extra>",
        marker={
            "colors": [tile[1] for tile in tiles],
            "line": {"width": 1, "color": "var(--bg)"},
            "pad": {"t": 0, "l": 0, "r": 0, "b": 0},
        },
        textfont={"color": [tile[2] for tile in tiles]},
        # Else plotly takes the list of colours above for the one of this font.
        outsidetextfont={"color": "var(--text)", "size": 13},
        tiling={"pad": 1},
        pathbar={"visible": False},
    )
    margin = {"l": 0, "r": 0, "t": 0, "b": 0}
    figure = _figure([trace], 420, uniformtext={"minsize": 10, "mode": "hide"}, margin=margin)
    largest = ", ".join(f"{row['name']} {text}" for row, text in list(zip(rows, texts, strict=True))[:3])
    total = source.text("/plan/stored", "bytes")
    label = f"Treemap of the pack's {total} by distribution; the largest are {largest}."
    key = [("half of it or more is hot: fetched first", _TILES[0][1]), ("less of it is hot", _TILES[1][1])]
    return Picture("sizes", label, figure, key, {"height": 480})


def start_picture(source: Source) -> Picture:
    """A waterfall: a row an import, from its beginning to its end, with its waits for the pack."""
    profile = source.get("/profile")
    imports, shown = profile["imports"], bars(profile["imports"], IMPORTS)
    init, *invocations = profile["phases"]
    # Init, its imports, the invocations.
    names = [init["name"], *(imports[bar.number]["name"] for bar in shown)]
    names += [phase["name"] for phase in invocations]
    traces = _start_traces(profile, shown)
    figure = _figure(
        traces, 48 + 24 * len(names), barmode="overlay",
        xaxis={"ticksuffix": " ms", "separatethousands": True, "rangemode": "tozero"},
        yaxis={"tickvals": list(range(len(names))), "ticktext": names, "range": [len(names) - 0.4, -0.6],
               "showgrid": False, "zeroline": False, "ticklabelstandoff": 6},
    )  # fmt: skip
    longest = max((imports[bar.number] for bar in shown), key=lambda each: each["self_ms"], default=None)
    told = f"; {longest['name']} takes the most by itself" if longest else ""
    took = source.text("/profile/init_ms", "ms")
    label = f"Waterfall of a cold start whose init takes {took}: {len(shown)} imports, row by row{told}."
    short = [_shortened(name) for name in names]
    narrow = {"yaxis": {"ticktext": short, "tickfont": {"size": 10}}, "xaxis": {"nticks": 4}, **_SMALL}
    return Picture("start", label, figure, _key(traces), narrow)


def _start_traces(profile: Mapping[str, Any], shown: Sequence[Bar]) -> list[Any]:
    """The phases, the imports by whose they are, and the waits in the rows of who waits."""
    imports, phases = profile["imports"], profile["phases"]
    rows = [0, *range(1 + len(shown), len(shown) + len(phases))]
    spans = [(phase["name"], phase["start_ms"], phase["ms"]) for phase in phases]
    traces = [_bars("phases", "var(--c2)", rows, spans)]
    for words, colour in dict.fromkeys(_ORIGINS.values()):
        own = [
            (row, imports[bar.number])
            for row, bar in enumerate(shown, 1)
            if _ORIGINS.get(imports[bar.number]["origin"], _ORIGINS["other"])[0] == words
        ]
        spans = [(each["name"], each["start_ms"], each["cumulative_ms"]) for _, each in own]
        if own:
            traces.append(_bars(words, colour, [row for row, _ in own], spans))
    waits = [each for each in profile["waits"] if not each["thread"]]
    if waits:
        positions = [bar_of(imports, each["parent"], shown) for each in waits]
        rows = [0 if position is None else position + 1 for position in positions]
        spans = [(f"waits for frame {w['frame']}", w["start_ms"], w["self_ms"]) for w in waits]
        traces.append(_bars("waits for the pack", "var(--c5)", rows, spans))
    return traces


def _key(traces: Iterable[Any]) -> list[tuple[str, str]]:
    """The names and colours of traces."""
    return [(trace.name, trace.marker.color) for trace in traces if trace.type == "bar"]


def _shortened(name: str) -> str:
    return name if len(name) <= _NARROW_NAME else "…" + name[1 - _NARROW_NAME :]


def _bars(name: str, colour: str, rows: Sequence[int], spans: Sequence[tuple[str, float, float]]) -> Any:
    """Bars of rows, each with its name, beginning and length in milliseconds."""
    from plotly import graph_objects as go  # noqa: PLC0415 - an extra, and slow

    return go.Bar(
        name=name, orientation="h", y=list(rows), x=[span[2] for span in spans],
        base=[span[1] for span in spans], width=0.66, customdata=[span[0] for span in spans],
        marker={"color": colour, "line": {"width": 0}},
        hovertemplate="%{customdata}<br>from %{base:,.1f} ms, %{value:,.1f} ms long<extra></extra>",
    )  # fmt: skip


def series_picture(source: Source) -> Picture:
    """Bars: init and handler of each invocation; below, the handler at its own scale."""
    rows = source.get("/series/invocations")
    traces = _series_traces(source)
    count, most = len(rows), max((row["total_ms"] for row in rows), default=0.0)
    span, milliseconds = [0.4, count + 0.6], {"ticksuffix": " ms", "separatethousands": True}
    named = {"x": 0, "xref": "paper", "yref": "paper", "showarrow": False, "xanchor": "left",
             "yanchor": "bottom", "font": {"color": "var(--muted)"}}  # fmt: skip
    figure = _figure(
        traces, 440, barmode="stack", bargap=0.35, margin={"l": 8, "r": 16, "t": 32, "b": 8, "pad": 4},
        xaxis={"anchor": "y", "showticklabels": False, "range": span, "showgrid": False},
        yaxis={"domain": [0.5, 1], "range": [0, most * 1.18 or 1], "nticks": 5, **milliseconds},
        xaxis2={"anchor": "y2", "range": span, "showgrid": False, "dtick": -(-count // 18), "tick0": 1,
                "title": _title("invocation")},
        yaxis2={"domain": [0, 0.36], "rangemode": "tozero", "nticks": 4, **milliseconds},
        annotations=[{**named, "text": "init and handler", "y": 1.01},
                     {**named, "text": "handler alone", "y": 0.37}],
    )  # fmt: skip
    narrow = {**_SMALL, "xaxis2": {"dtick": -(-count // 6)}}
    return Picture("series", _series_label(source), figure, _key([*traces[:2], *traces[4:]]), narrow)


def _series_label(source: Source) -> str:
    rows = source.get("/series/invocations")
    cold, warm = source.text("/series/cold_ms", "ms"), source.text("/series/warm_ms", "ms")
    starts = sum(row["cold"] for row in rows)
    told = f"{starts} cold starts of about {cold}" if cold else "no cold start"
    between = f", and warm ones of about {warm} between them" if warm else ""
    return f"Durations of {len(rows)} invocations: {told}{between}."


def _series_traces(source: Source) -> list[Any]:
    from plotly import graph_objects as go  # noqa: PLC0415 - an extra, and slow

    rows = source.get("/series/invocations")
    numbers = list(range(1, len(rows) + 1))
    durations, inits = [row["duration_ms"] for row in rows], [row["init_ms"] or 0.0 for row in rows]
    hover = {"hovertemplate": "invocation %{x}<br>%{y:,.1f} ms<extra>%{fullData.name}</extra>"}
    handler = {"x": numbers, "y": durations, "name": "handler", "marker": {"color": "var(--c1)"}, **hover}
    init = {"x": numbers, "y": inits, "name": "init", "marker": {"color": "var(--c5)"}, **hover}
    peaks = _labelled([row["total_ms"] if row["cold"] else None for row in rows])
    places = [f"/series/invocations/{number - 1}/total_ms" for number in peaks]
    marks = go.Scatter(
        x=peaks, y=[source.get(at) for at in places], mode="text", cliponaxis=False, hoverinfo="skip",
        text=[f"<b>cold</b> {source.text(at, 'ms')}" for at in places],
        textposition=["top right" if _right(number, len(rows)) else "top left" for number in peaks],
        textfont={"color": "var(--text)"},
    )  # fmt: skip
    below = go.Bar(**handler, xaxis="x2", yaxis="y2")
    waited = [(number, row) for number, row in zip(numbers, rows, strict=True) if row.get("wait_ms")]
    # A bar with a base is not stacked: it lies over the init that it is a part of.
    waits = go.Bar(
        x=[number for number, _ in waited], y=[row["wait_ms"] for _, row in waited], width=0.3,
        base=[row["duration_ms"] for _, row in waited], name="of init, waiting for the pack",
        marker={"color": "var(--c2)"}, **hover,
    )  # fmt: skip
    return [go.Bar(**handler), go.Bar(**init), marks, below, *([waits] if waited else [])]


def _labelled(peaks: Sequence[float | None]) -> list[int]:
    """The numbers, from 1, of the peaks that have room for words: the highest first, none upon another."""
    apart, chosen = len(peaks) / _WORDS, dict[int, float]()
    high = [(-height, number) for number, height in enumerate(peaks, 1) if height is not None]
    for _, number in sorted(high):
        begins = number if _right(number, len(peaks)) else number - apart
        if all(abs(begins - other) >= apart for other in chosen.values()):
            chosen[number] = begins
    return sorted(chosen)


def _right(number: int, count: int) -> bool:
    """Whether the words of a bar stand to its right: near the edge there is no room."""
    return number <= 0.85 * count


def tune_picture(source: Source, at: str, name: str) -> Picture:
    """A curve: cost against time, a point a memory setting, the recommended ones marked."""
    from plotly import graph_objects as go  # noqa: PLC0415 - an extra, and slow

    rows = [row for row in source.get(f"{at}/settings") if row["time_ms"] is not None]
    chosen = source.get(f"{at}/recommended") or {}
    said = [", ".join(REMARKS[key] for key in REMARKS if chosen.get(key) == row["memory_mb"]) for row in rows]
    sizes = [f"{row['memory_mb']:,} MB" for row in rows]
    short = [f"<b>{size}</b>" if words else size for size, words in zip(sizes, said, strict=True)]
    labels = [f"<b>{size}: {words}</b>" if words else size for size, words in zip(sizes, said, strict=True)]
    times, costs = [row["time_ms"] for row in rows], [row["million"] for row in rows]
    trace = go.Scatter(
        x=times, y=costs, mode="lines+markers+text", text=labels, textposition="top right",
        cliponaxis=False, line={"color": "var(--c0)", "width": 2},
        marker={"opacity": 1, "size": [13 if words else 8 for words in said],
                "color": ["var(--c5)" if words else "var(--c1)" for words in said],
                "line": {"width": 1, "color": "var(--bg)"}},
        hovertemplate="%{text}<br>%{x:,.1f} ms, $%{y:.2f} a million<extra></extra>",
    )  # fmt: skip
    figure = _figure(
        [trace], 400, margin={"l": 8, "r": 110, "t": 16, "b": 8, "pad": 4},
        xaxis={**_steps(times, "ms"), "title": _title("time of an invocation, cold and warm mixed")},
        yaxis={**_steps(costs, "usd"), "title": _title("cost of a million invocations")},
    )  # fmt: skip
    told = "; ".join(f"{REMARKS[key]} at {chosen[key]:,} MB" for key in REMARKS if chosen.get(key))
    label = f"Cost against time at {counted(len(rows), 'memory setting')}: {told or 'none is recommended'}."
    key = [("recommended", "var(--c5)"), ("other settings", "var(--c1)")]
    return Picture(name, label, figure, key, {**_SMALL, "margin": {"r": 60}}, short)


def _title(words: str) -> dict[str, Any]:
    return {"text": words, "font": {"size": 13, "color": "var(--muted)"}}


def _steps(values: Sequence[float], unit: str) -> dict[str, Any]:
    """A logarithmic axis with ticks at 1, 2, 5, 10 … around the values."""
    able = [value for value in values if value > 0] or [1.0]
    low, high = min(able) / 1.25, max(able) * 1.25
    decades = range(floor(log10(low)), floor(log10(high)) + 1)
    ticks = [step * 10.0**power for power in decades for step in (1, 2, 5)]
    ticks = [tick for tick in ticks if low <= tick <= high]
    texts = [UNITS[unit](tick) if unit == "usd" else f"{tick:g} ms" for tick in ticks]
    return {
        "type": "log", "range": [log10(low), log10(high)], "tickvals": ticks, "ticktext": texts,
        "showline": True,
    }  # fmt: skip


def cost_picture(source: Source) -> Picture:
    """Bars: a month by kind of start, and what it is made of."""
    from plotly import graph_objects as go  # noqa: PLC0415 - an extra, and slow

    able = [at for at in source.places("/plan/costs/options") if not source.get(f"{at}/refused")]
    kinds = [source.get(f"{at}/kind") for at in able]
    months, texts = (
        [source.get(f"{at}/month") for at in able],
        [source.text(f"{at}/month", "usd") for at in able],
    )
    traces = [
        go.Bar(
            name=part, orientation="h", y=kinds, x=[source.get(f"{at}/bill/{part}") for at in able],
            marker={"color": _PARTS[number % len(_PARTS)]},
            hovertemplate="%{y}<br>$%{x:,.2f} a month<extra>%{fullData.name}</extra>",
        )
        for number, part in enumerate(bill_parts(source))
    ]  # fmt: skip
    totals = go.Scatter(
        x=months, y=kinds, mode="text", text=[f"\N{NO-BREAK SPACE}{text}" for text in texts],
        textposition="middle right", cliponaxis=False, hoverinfo="skip", textfont={"color": "var(--text)"},
    )  # fmt: skip
    figure = _figure(
        [*traces, totals], 64 + 44 * len(able), barmode="stack", bargap=0.4,
        xaxis={"tickprefix": "$", "range": [0, max(months, default=0.0) * 1.2 or 1], "nticks": 6},
        yaxis={"autorange": "reversed", "showgrid": False, "ticklabelstandoff": 6},
    )  # fmt: skip
    told = ", ".join(f"{kind} {text}" for kind, text in zip(kinds, texts, strict=True))
    label = f"A month's costs by kind of start: {told}."
    return Picture("costs", label, figure, _key(traces), {**_SMALL, "xaxis": {"nticks": 3}})
