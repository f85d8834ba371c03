"""The document -> the page, a single file: plotly.js, style and script included."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from importlib import resources
from string import Template
from typing import Any

from lambdapack.errors import ToolError
from lambdapack.report.page import figures, tables
from lambdapack.report.page.cells import Cell, Source, Table, cell_html, table_html
from lambdapack.report.page.figures import Picture
from lambdapack.report.units import counted

__all__ = ["render", "require_plotly"]

_ONE_BY_ONE = "One invocation after another in the local cloud at {}, with a new environment now and then"
_COMMANDS = {"profile": "lambdapack report", "series": "lambdapack report", "tune": "lambdapack tune"}


def require_plotly() -> None:
    """Say how to get plotly where it is not there.

    Raises:
        ToolError: It is not installed.
    """
    try:
        import plotly  # noqa: F401, PLC0415 - an extra
    except ModuleNotFoundError:
        raise ToolError(
            "drawing a report needs plotly, which is not installed",
            hint="pip install 'lambdapack[report]'",
        ) from None


def render(document: Mapping[str, Any]) -> str:
    """The page of a document ``lambdapack.report``.

    Raises:
        ToolError: plotly is not installed.
    """
    require_plotly()
    from plotly.offline import get_plotlyjs  # noqa: PLC0415 - an extra, and slow

    source = Source(document)
    pictures: list[Picture] = []
    sections = [
        ("bytes", "Where the bytes are", _sizes(source, pictures)),
        ("cold-start", "A cold start", _start(source, pictures)),
        ("durations", "Durations", _series(source, pictures)),
        ("memory", "How much memory", _tune(source, pictures)),
        ("plan", "Limits, places and costs", _plan(source, pictures)),
    ]
    verdict, tone = _verdict(source)
    name = escape(source.get("/name"))
    return Template(_file("page.html")).substitute(
        title=f"{name}: lambdapack report",
        name=name,
        tool=f"lambdapack report for {escape(source.get('/plan/target'))}",
        verdict=verdict,
        tone=tone,
        facts="\n".join(_facts(source)),
        links="".join(f'<li><a href="#{identity}">{title}</a></li>' for identity, title, _ in sections),
        sections="\n".join(_section(*each) for each in sections),
        foot="\n".join(_foot(source)),
        figures="\n".join(_data(picture) for picture in pictures),
        style=_file("page.css"),
        script=_file("page.js"),
        plotly=get_plotlyjs(),
    )


def _file(name: str) -> str:
    return resources.files(__package__ or "").joinpath(name).read_text("utf-8")


def _section(identity: str, title: str, parts: Iterable[str]) -> str:
    inside = "\n".join(parts)
    return f'<section aria-labelledby="{identity}">\n<h2 id="{identity}">{title}</h2>\n{inside}\n</section>'


def _data(picture: Picture) -> str:
    """What plotly draws, as JSON that cannot end its element."""
    figure = json.loads(picture.figure.to_json())
    narrow = {"layout": picture.narrow, "text": picture.narrow_text}
    text = json.dumps({"data": figure["data"], "layout": figure["layout"], "narrow": narrow})
    text = text.replace("<", "\\u003c")
    return f'<script type="application/json" id="{picture.name}-data">{text}</script>'


def _shown(picture: Picture, pictures: list[Picture]) -> str:
    pictures.append(picture)
    height = picture.figure.layout.height
    key = "".join(f'<li style="--key:{colour}">{escape(words)}</li>' for words, colour in picture.key)
    return (
        f'<ul class="key">{key}</ul>\n<div class="figure" id="{picture.name}" role="img" '
        f'aria-label="{escape(picture.label)}" style="min-height:{height}px"></div>'
    )


def _behind(*shown: Table) -> str:
    """Tables that open at a click or a key."""
    rows = counted(sum(len(table.rows) for table in shown), "row")
    inside = "".join(table_html(table) for table in shown)
    what = "The table" if len(shown) == 1 else "The tables"
    return f"<details><summary>{what} ({rows})</summary>{inside}</details>"


def _span(cell: Cell) -> str:
    return cell_html(cell)


def _verdict(source: Source) -> tuple[str, str]:
    if source.get("/plan/ok"):
        return "Fits Lambda's limits and your budgets", "good"
    checks = source.get("/plan/checks") or ()
    failed = [check["name"] for check in checks if not check["ok"] and check["kind"] != "advice"]
    return f"Does not fit: {escape(', '.join(failed))}", "bad"


def _facts(source: Source) -> Iterator[str]:
    """The figures at the head of the page."""
    yield _fact("Pack", _span(source.cell("/plan/stored", "bytes")), _of_installed(source))
    yield _fact(
        "Fetched first", _span(source.cell("/plan/hot", "bytes")), "hot: what a start touched in the trace"
    )
    yield _cold_fact(source)
    yield _cost_fact(source)


def _cold_fact(source: Source) -> str:
    """A cold start as measured, else its init as predicted."""
    predicted = source.cell("/plan/cold/parts/init", "s")
    if source.get("/series/cold_ms") is not None:
        warm, memory = source.cell("/series/warm_ms", "ms"), source.cell("/series/memory_mb", "mb")
        words = f"warm {_span(warm)}, at {_span(memory)}" if warm.at else f"at {_span(memory)}"
        where = "in AWS" if _in_aws(source) else "here"
        return _fact(f"Cold start, measured {where}", _span(source.cell("/series/cold_ms", "ms")), words)
    if predicted.at:
        off = _span(source.cell("/plan/cold/error", "percent"))
        return _fact("Init, as predicted", _span(predicted), f"usually off by {off}")
    return _fact("Cold start", "not measured", '<a href="#durations">what measures it</a>')


def _of_installed(source: Source) -> str:
    slimmed, installed = source.cell("/plan/slimmed", "bytes"), source.cell("/plan/installed", "bytes")
    whole = f" of {_span(installed)} installed" if installed.at else ""
    return f"holds {_span(slimmed)}{whole}"


def _cost_fact(source: Source) -> str:
    options = [at for at in source.places("/plan/costs/options") if not source.get(f"{at}/refused")]
    if not options:
        return _fact("Cost a month", "unknown", "state your [traffic]")
    least = min(options, key=lambda at: source.get(f"{at}/month"))
    million = source.cell(f"{least}/million", "usd")
    words = f"{_span(source.cell(f'{least}/kind'))}, {_span(million)} a million"
    return _fact("Cost a month", _span(source.cell(f"{least}/month", "usd")), words)


def _fact(name: str, value: str, remark: str) -> str:
    return (
        f'<div><dt>{name}</dt><dd><div class="big">{value}</div><div class="small">{remark}</div></dd></div>'
    )


def _sizes(source: Source, pictures: list[Picture]) -> Iterator[str]:
    yield "<p>Each tile is a distribution; its area is its share of the pack, compressed.</p>"
    yield _shown(figures.size_picture(source), pictures)
    yield _behind(tables.size_table(source))


def _start(source: Source, pictures: list[Picture]) -> Iterator[str]:
    if source.get("/profile") is None:
        yield _absent(source, "profile")
    else:
        yield from _profile(source, pictures)
    if source.get("/plan/cold") is not None:
        yield "<h3>As predicted</h3>"
        assumptions = "; ".join(source.get("/plan/cold/assumptions") or ())
        yield f"<p>What <code>lambdapack plan</code> predicts, which assumes: {escape(assumptions)}.</p>"
        yield table_html(tables.cold_table(source))


def _profile(source: Source, pictures: list[Picture]) -> Iterator[str]:
    init, memory = source.cell("/profile/init_ms", "ms"), source.cell("/profile/memory_mb", "mb")
    before = source.cell("/profile/before_ms", "ms")
    yield (
        f"<p>One start in the local cloud at {_span(memory)}, import by import: init took {_span(init)}, "
        f"{_span(before)} of it before the first import, where the picture begins. Timing each import makes "
        "this start slower than those below.</p>"
    )
    yield _shown(figures.start_picture(source), pictures)
    shown = [tables.phase_table(source), tables.import_table(source)]
    if source.get("/profile/waits"):
        shown.append(tables.wait_table(source))
    yield _behind(*shown)


def _series(source: Source, pictures: list[Picture]) -> Iterator[str]:
    if source.get("/series") is None:
        yield _absent(source, "series")
        return
    cold, warm = source.cell("/series/cold_ms", "ms"), source.cell("/series/warm_ms", "ms")
    memory = source.cell("/series/memory_mb", "mb")
    told = [
        f"{words} {_span(cell)}"
        for words, cell in (("cold starts take about", cold), ("warm invocations", warm))
        if cell.at
    ]
    how = "Invocations in AWS at {}, as Lambda's log tells" if _in_aws(source) else _ONE_BY_ONE
    how = how.format(_span(memory))
    yield f"<p>{how}: {', '.join(told)} (the mean of the middle half of each).</p>"
    yield _shown(figures.series_picture(source), pictures)
    yield _behind(tables.series_table(source))


def _in_aws(source: Source) -> bool:
    return bool(source.get("/series/cloud") == "aws")


def _tune(source: Source, pictures: list[Picture]) -> Iterator[str]:
    places = source.places("/tune")
    if not places:
        yield _absent(source, "tune")
    for number, at in enumerate(places):
        cloud = "AWS" if source.get(f"{at}/cloud") == "aws" else "the local cloud"
        cold = source.cell(f"{at}/cold", "share")
        if len(places) > 1:
            yield f"<h3>In {cloud}</h3>"
        prices = source.cell(f"{at}/prices_of")
        yield (
            f"<p>What <code>lambdapack tune</code> measured in {cloud}, with {_span(cold)} of invocations "
            f"cold, at the prices of {_span(prices)}: {_recommended(source, at)}. Down is cheaper, left is "
            "faster.</p>"
        )
        yield _shown(figures.tune_picture(source, at, f"tune-{number}"), pictures)
        yield _behind(tables.tune_table(source, at))


def _recommended(source: Source, at: str) -> str:
    chosen = [
        f"{words} at {_span(source.cell(f'{at}/recommended/{key}', 'mb'))}"
        for key, words in tables.REMARKS.items()
        if source.get(f"{at}/recommended/{key}")
    ]
    return ", ".join(chosen) or "no setting is recommended"


def _plan(source: Source, pictures: list[Picture]) -> Iterator[str]:
    memory, tmp = source.cell("/plan/memory_mb", "mb"), source.cell("/plan/tmp_mb", "mb")
    yield (
        f"<p>What <code>lambdapack plan</code> says of the function with {_span(memory)} of memory and "
        f"{_span(tmp)} of /tmp.</p>"
    )
    yield "<h3>Costs</h3>"
    if source.get("/plan/costs") is None:
        yield _note(
            "No traffic is stated, so there is nothing to price.",
            "write [traffic] invocations and duration into lambdapack.toml",
        )
    else:
        yield from _costs(source, pictures)
    yield "<h3>Checks</h3>"
    yield table_html(tables.check_table(source))
    if source.get("/plan/steps"):
        yield "<h3>What to do</h3>"
        yield table_html(tables.step_table(source))
    yield "<h3>Places</h3>"
    yield table_html(tables.place_table(source))
    if source.get("/plan/assets"):
        yield "<h3>Assets</h3>"
        yield table_html(tables.asset_table(source))


def _costs(source: Source, pictures: list[Picture]) -> Iterator[str]:
    words = source.get("/plan/costs/assumptions") or ()
    region, arch = source.cell("/plan/costs/region"), source.cell("/plan/costs/arch")
    yield f"<p>For {escape('; '.join(words))}. Prices of {_span(region)}, {_span(arch)}, in US dollars.</p>"
    yield _shown(figures.cost_picture(source), pictures)
    yield _behind(tables.cost_table(source))
    more = [
        f"{option['kind']}: {'; '.join(option['assumptions'])}"
        for option in source.get("/plan/costs/options")
        if not option["refused"]
    ]
    more += [f"not verified: {words}" for words in source.get("/plan/costs/unverified")]
    yield f'<ul class="caption">{"".join(f"<li>{escape(line)}</li>" for line in more)}</ul>'


def _absent(source: Source, part: str) -> str:
    for each in source.get("/absent"):
        if each["part"] == part:
            return _note(each["reason"], each["fix"])
    return _note("This was not asked for.", _COMMANDS[part])


def _note(reason: str, fix: str) -> str:
    return f'<div class="note"><p>{escape(reason)}</p><p>What helps: <code>{escape(fix)}</code></p></div>'


def _foot(source: Source) -> Iterator[str]:
    for note in source.get("/notes"):
        yield f"<p>{escape(note)}</p>"
    yield (
        f"<p>Made by {_span(source.cell('/tool'))} at <time>{_span(source.cell('/made'))}</time> for pack "
        f"<code>{_span(source.cell('/pack'))}</code>. Every figure is in the JSON document "
        "beside this page.</p>"
    )
