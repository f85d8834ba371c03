"""Real cold starts: what their lines in a log say, and what the constants are fitted to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lambdapack import limits
from lambdapack.errors import CheckError
from lambdapack.local import find_stats
from lambdapack.pipeline.calibration.record import CalibrationRecord
from lambdapack.plan import cold, tuning

__all__ = ["fitted", "from_log", "link"]


def fitted(calibration: CalibrationRecord, frames: cold.Frames) -> CalibrationRecord:
    """The calibration with a speed that fits its starts, and with the error that is left."""
    known, work = calibration.starts, calibration.work
    constants = cold.fit(calibration.constants, frames, work, known)
    left = cold.error(cold.ratios(constants, frames, work, known))
    return replace(calibration, constants=constants, error=round(left, 4))


def link(lines: Iterable[Mapping[str, Any]], *, linked: bool) -> float:
    """The fastest fetch that the shim's lines tell of, in bytes a second; without any, Lambda's link.

    Of a function whose pack is not ``linked`` the lines tell of its files.
    """
    if not linked:
        return limits.LINK_BYTES_PER_SECOND
    rates = [
        line["bytes"] / line["fetch_ms"] * 1000
        for line in lines
        if line.get("bytes") and line.get("fetch_ms")
    ]
    return max(rates, default=limits.LINK_BYTES_PER_SECOND)


def from_log(lines: Sequence[str], before: CalibrationRecord, frames: cold.Frames) -> CalibrationRecord:
    """A calibration for AWS, out of the REPORT lines and the shim's lines in a log.

    Args:
        lines: Of a log, of one function.
        before: The work to fit to: of a calibration in the local cloud, or an estimate.
        frames: Of the pack.

    Raises:
        CheckError: The log tells of no cold start.
    """
    told = [found for line in lines if (found := find_stats(_behind(line, "{"))) is not None]
    reports = (tuning.read(_behind(line, "REPORT RequestId: "), b"", failed=False) for line in lines)
    seen = [report for report in reports if report is not None]
    starts = tuple(
        cold.Start(each.memory_mb, each.init_ms / 1000, each.duration_ms / 1000)
        for each in seen
        if each.init_ms is not None and each.failure is None
    )
    if not starts:
        raise CheckError(
            f"calibrating from {len(lines):,} lines of a log: none is a REPORT line with an Init Duration",
            hint="AWS writes these where the function logs as text; look further back with --days",
        )
    constants = replace(
        before.constants,
        link=link(told, linked=before.linked),
        where=f"cold starts in AWS: {len(starts)}",
        cpus=None,
    )
    made = replace(
        before,
        cloud="aws",
        constants=constants,
        starts=starts,
        max_memory_mb=max(each.used_mb for each in seen),
    )
    return fitted(made, frames)


def _behind(line: str, head: str) -> str:
    """The line from ``head`` on: tools put times and streams before it; ``""`` where it has none."""
    _, found, rest = line.partition(head)
    return found + rest.rstrip()
