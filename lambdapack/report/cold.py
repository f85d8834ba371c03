"""A predicted cold start and its calibration, as tables."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from lambdapack.pipeline.calibration import CalibrationRecord
from lambdapack.plan import ColdStart, cold
from lambdapack.report.tables import table

__all__ = ["calibration_tables", "cold_start_table"]


def calibration_tables(found: CalibrationRecord, frames: cold.Frames) -> RenderableType:
    """Each cold start beside its prediction, then the constants; ``frames`` are the pack's."""
    starts = table("memory", "init", "first call", "cold start", "predicted", "off by")
    for start in sorted(found.starts, key=lambda start: start.memory_mb):
        predicted = cold.predict(found.constants, frames, found.work, memory_mb=start.memory_mb).total
        starts.add_row(
            f"{start.memory_mb:,} MB", seconds(start.init), seconds(start.call), seconds(start.total),
            seconds(predicted), f"{predicted / start.total - 1:+.0%}",
        )  # fmt: skip
    constants = found.constants
    lines = (
        f"measured on {constants.measured} in {constants.where}",
        f"link {constants.link / 1e6:,.0f} MB/s; decoding {1 / constants.decode / 1e6:,.0f} MB/s, writing "
        f"{1 / constants.write / 1e6:,.0f} MB/s; imports "
        f"{sum(step.seconds for step in found.work.init):.2f} s of CPU time, at a speed of "
        f"{constants.speed:.2f}",
    )
    head = Text(f"the model is off by {found.error:.0%} in the median of {len(found.starts)} cold starts")
    return Group(starts, "", *(Text(line, style="dim") for line in lines), head)


def cold_start_table(start: ColdStart) -> RenderableType:
    """The parts of a predicted cold start, what lies beside them, and on what they rest."""
    parts = start.parts
    rows = table("predicted cold start", "init", "runtime", "waiting", "imports", "first call")
    rows.add_row(
        f"{seconds(parts.total)} (off by {start.error:.0%} in the median)", seconds(parts.init),
        seconds(parts.runtime), seconds(parts.waits), seconds(parts.imports), seconds(parts.call),
    )  # fmt: skip
    beside = (
        f"meanwhile: link {seconds(parts.link)}; CPU time of checking {seconds(parts.check)}, decoding "
        f"{seconds(parts.decode)}, receiving and writing {seconds(parts.write)}"
    )
    said = (beside, f"assumed: {'; '.join(start.assumptions)}")
    return Group(rows, *(Text(line, style="dim") for line in said))


def seconds(value: float) -> str:
    """``1.23 s``"""
    return f"{value:.2f} s"
