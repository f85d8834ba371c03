"""A cold start as a picture: the link and the frames above, the importing process below."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import drawing
from benchmarks.waterfall.account import Account
from benchmarks.waterfall.record import Mark, Recording

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["bandwidth", "draw", "flame"]

_INK, _PALE, _WAIT = "#24292f", "#8c959f", "#cf222e"
_RECEIVE, _VERIFY, _DECOMPRESS, _WRITE, _SETUP = "#54aeff", "#8250df", "#2da44e", "#bf8700", "#d0d7de"
# One for each of the packages that take longest; the others share the last.
_FLAME = ("#ffb77c", "#a5d6ff", "#ffdf5d", "#aceebb", "#d8b9ff", "#ffc1d6", "#b4e4e0", "#e6d3b8")
_OTHER = "#d8dee4"
_BIN = 0.02
_DEPTH = 6
# Narrower than this share of the picture nothing is drawn, or nothing is written.
_VISIBLE = 0.0008
_CHARACTER = 0.0062
_SMALL, _SMALL_CHARACTER = 5.0, 0.0031


def draw(found: Account, recording: Recording, title: str, path: Path) -> bool:
    """Draw one start.

    Returns:
        Whether there is a picture: matplotlib is an extra.
    """
    pyplot = drawing.pyplot()
    if pyplot is None:
        return False
    pyplot.rcParams.update({"svg.hashsalt": "waterfall", "font.size": 9, "text.color": _INK})
    rates = bandwidth(recording.link, recording.started)
    figure, (link, fetch, process) = pyplot.subplots(
        3, sharex=True, figsize=(13, 7.4), height_ratios=[1.0, 2.2, 4.4], layout="constrained"
    )
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    _link(link, rates, recording.mbit / 8)
    _fetch(fetch, found, recording)
    _process(process, found, recording)
    _moments((link, fetch, process), found)
    path.parent.mkdir(parents=True, exist_ok=True)
    # No date: the same start gives the same bytes.
    figure.savefig(
        path, dpi=110, facecolor="white", metadata={"Date": None} if path.suffix == ".svg" else None
    )
    pyplot.close(figure)
    return True


def bandwidth(samples: Sequence[tuple[float, int]], zero: float) -> list[tuple[float, float]]:
    """Milliseconds and MB/s in between, from bytes received so far at some times."""
    rates = []
    last, before = samples[0] if samples else (0.0, 0)
    for at, size in samples:
        if at - last >= _BIN:
            rates.append(((at - zero) * 1e3, (size - before) / (at - last) / 1e6))
            last, before = at, size
    return rates


def flame(marks: Iterable[Mark], depth: int) -> list[Mark]:
    """The imports below the handler's module down to ``depth``, outermost first."""
    imports = [mark for mark in marks if mark.kind == "import" and 0 < mark.depth <= depth]
    return sorted(imports, key=lambda mark: (mark.depth, mark.start))


def _link(axis: Axes, rates: Sequence[tuple[float, float]], limit: float) -> None:
    axis.fill_between([at for at, _ in rates], [rate for _, rate in rates], step="pre", color=_RECEIVE, lw=0)
    axis.axhline(limit, color=_PALE, lw=0.8, ls=":")
    axis.set_ylim(0, limit * 1.35)
    axis.set_yticks([0, limit], ["0", f"{limit:.0f} MB/s"])
    _bare(axis, "the link")


def _fetch(axis: Axes, found: Account, recording: Recording) -> None:
    width = found.total_s
    lanes = (
        ("receive", _RECEIVE, 0),
        ("verify", _VERIFY, 1),
        ("decompress", _DECOMPRESS, 1),
        ("write", _WRITE, 2),
    )
    for frame in found.frames:
        for name, colour, lane in lanes:
            start, end = getattr(frame, name)
            light = 1.0 if frame.number % 2 == 0 else 0.72
            _box(axis, start, end, lane, colour, alpha=light)
        start, end = frame.decompress
        if frame.hot and (end - start) / width > _SMALL_CHARACTER * len(str(frame.number)):
            _write(axis, start, end, 1, str(frame.number), colour="white", size=_SMALL)
    zero = recording.started
    for mark in recording.child.marks:
        if (mark.kind == "import" and mark.depth == 0) or mark.kind in ("connect", "decoder", "buffers"):
            _box(axis, mark.start - zero, mark.end - zero, 1, _SETUP)
    axis.set_ylim(2.6, -0.6)
    axis.set_yticks([0, 1, 2], ["receive", "SHA-256, zstd", "write"])
    _bare(axis, "the fetching child, frame by frame (numbers: hot frames)")


def _process(axis: Axes, found: Account, recording: Recording) -> None:
    width = found.total_s
    for phase in found.phases:
        start, end = phase.start_s, phase.start_s + phase.wall_s
        _box(axis, start, end, 0, "#ddf4ff", edge="#54aeff")
        if phase.wall_s / width > _CHARACTER * len(phase.name):
            _write(axis, start, end, 0, phase.name, colour=_INK)
    for wait in found.waits:
        start, end = wait.start_s, wait.start_s + wait.wall_s
        _box(axis, start, end, 1, _WAIT, edge="white")
        if wait.wall_s / width > _CHARACTER * len(str(wait.frame)) + 0.002:
            _write(axis, start, end, 1, str(wait.frame), colour="white")
    zero = recording.started
    largest = [one.name for one in found.packages if one.name != "standard library"]
    # By name, so that two pictures of one function have the same colours.
    colours = dict(zip(sorted(largest[: len(_FLAME)]), _FLAME, strict=False))
    for mark in flame(recording.main.marks, _DEPTH):
        start, end = mark.start - zero, mark.end - zero
        if (end - start) / width < _VISIBLE:
            continue
        colour = colours.get(mark.name.partition(".")[0], _OTHER)
        _box(axis, start, end, 1 + mark.depth, colour, edge="white")
        name = _name(mark.name, (end - start) / width)
        if name:
            _write(axis, start, end, 1 + mark.depth, name, colour=_INK)
    for wait in found.waits:
        axis.axvspan(
            wait.start_s * 1e3, (wait.start_s + wait.wall_s) * 1e3, 0, 1, color=_WAIT, alpha=0.10, lw=0
        )
    axis.set_ylim(1.55 + _DEPTH, -0.55)
    axis.set_yticks([0, 1, 2], ["phase", "waits for a frame", "imports"])
    axis.get_yticklabels()[1].set_color(_WAIT)
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.set_xlabel("milliseconds from the start of the process")
    _bare(axis, "the importing process")
    axis.set_xlim(0, found.total_s * 1e3 * 1.015)


def _name(name: str, share: float) -> str:
    for text in (name, name.rpartition(".")[2]):
        if share > _CHARACTER * len(text) + 0.002:
            return text
    return ""


def _moments(axes: Sequence[Axes], found: Account) -> None:
    late = found.total_s * 1e3
    moments = ((found.floor_s, "the link's floor", _PALE), (found.ready_s, "handler ready", _INK))
    for at, name, colour in moments:
        # The floor is the link's: farther down it would only cross what is written there.
        for axis in axes if colour == _INK else axes[:2]:
            behind = 0.5 if axis is axes[1] else 2.0
            axis.axvline(at * 1e3, color=colour, lw=1.0, ls="--" if colour == _PALE else "-", zorder=behind)
        left = at * 1e3 > late * 0.85
        text = f"{name}: {at * 1e3:,.0f} ms"
        axes[0].annotate(
            text, (at * 1e3, 1.0), xycoords=("data", "axes fraction"), xytext=(-4 if left else 4, -3),
            textcoords="offset points", ha="right" if left else "left", va="top", fontsize=8, color=colour,
        )  # fmt: skip


def _box(axis: Axes, start: float, end: float, lane: float, colour: str, **how: Any) -> None:
    edge = how.pop("edge", "none")
    axis.barh(
        lane, (end - start) * 1e3, left=start * 1e3, height=0.86, color=colour, edgecolor=edge, lw=0.4, **how
    )


def _write(
    axis: Axes, start: float, end: float, lane: float, text: str, *, colour: str, size: float = 7.0
) -> None:
    middle = (start + end) / 2 * 1e3
    axis.text(middle, lane, text, ha="center", va="center", fontsize=size, color=colour, clip_on=True)


def _bare(axis: Axes, title: str) -> None:
    axis.set_title(title, loc="left", fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(axis="y", length=0)
