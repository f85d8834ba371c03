"""The figures as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks import drawing
from benchmarks.results import Case, Line
from benchmarks.show import title

__all__ = ["plot"]

_UNPACK, _IMPORT, _NONE = "#d08c3c", "#3c6ea0", "#999999"


def plot(lines: Sequence[Line], path: Path) -> bool:
    """One group of bars a case: until the first import, and from there to the answer.

    Returns:
        Whether there is a picture: matplotlib is an extra.
    """
    pyplot = drawing.pyplot()
    if pyplot is None:
        return False
    cases = list(dict.fromkeys(line.case for line in lines))
    rows = [[line for line in lines if line.case == case] for case in cases]
    figure, axes = pyplot.subplots(
        len(cases),
        squeeze=False,
        figsize=(10, 0.6 * len(cases) + 0.34 * sum(map(len, rows))),
        height_ratios=[len(row) + 1 for row in rows],
        layout="constrained",
    )
    for axis, case, row in zip(axes[:, 0], cases, rows, strict=True):
        _bars(axis, case, row)
    axes[-1, 0].set_xlabel("seconds from the start of the process to the first answer (median)")
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper right", ncols=2, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
    return True


def _bars(axis: object, case: Case, row: Sequence[Line]) -> None:
    from matplotlib.axes import Axes  # noqa: PLC0415

    assert isinstance(axis, Axes)
    names = [line.way for line in row]
    unpack = [(line.unpack_s or 0.0) if line.total_s else 0.0 for line in row]
    rest = [(line.import_s or 0.0) if line.total_s else 0.0 for line in row]
    places = range(len(row))
    axis.barh(places, unpack, color=_UNPACK, label="until the first import of a dependency")
    axis.barh(places, rest, left=unpack, color=_IMPORT, label="imports, load, first answer")
    for place, line in zip(places, row, strict=True):
        text = f" {line.total_s:.2f} s" if line.total_s is not None else f" {line.outcome}"
        colour = "black" if line.total_s is not None else _NONE
        axis.text(line.total_s or 0.0, place, text, va="center", fontsize=8, color=colour)
    axis.set_yticks(list(places), names, fontsize=8)
    axis.invert_yaxis()
    axis.margins(x=0.12)
    axis.set_title(title(case), loc="left", fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)
