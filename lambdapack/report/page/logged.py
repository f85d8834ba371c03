"""Invocations in AWS, as a function's log tells of them, as a series of the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lambdapack.deploy.log import LoggedInvocation
from lambdapack.report.page.document import Series, TimedInvocation
from lambdapack.report.units import counted

__all__ = ["SHOWN", "logged_series"]

SHOWN = 300
"""Invocations that the page shows, the newest; the means are of all."""


def logged_series(found: Iterable[LoggedInvocation]) -> tuple[Series | None, list[str]]:
    """The series, and what to know of it: what was left out, and which versions ran.

    Without an invocation that went well there is no series.
    """
    every = list(found)
    well = [each for each in every if not each.report.status]
    notes = []
    if len(well) < len(every):
        notes.append(f"Left out of the durations: {_invocations(len(every) - len(well))} that failed.")
    if not well:
        return None, notes
    memory = well[-1].report.memory_mb
    same = [each for each in well if each.report.memory_mb == memory]
    if len(same) < len(well):
        notes.append(f"Left out: {_invocations(len(well) - len(same))} at other memory settings.")
    versions = sorted({each.event.version or "?" for each in same}, key=lambda name: (len(name), name))
    notes.append(f"The durations are those of {'versions' if len(versions) > 1 else 'version'} "
                 f"{', '.join(versions)} in AWS, {same[0].event.time:%Y-%m-%d %H:%M} to "
                 f"{same[-1].event.time:%Y-%m-%d %H:%M} UTC.")  # fmt: skip
    timed = _timed(same)
    if len(timed) > SHOWN:
        notes.append(
            f"The picture has the newest {SHOWN} of {_invocations(len(timed))}; the means are of all."
        )
    return Series.of_timed(memory, timed, cloud="aws", shown=SHOWN), notes


def _invocations(number: int) -> str:
    return counted(number, "invocation")


def _timed(found: Sequence[LoggedInvocation]) -> list[TimedInvocation]:
    numbers: dict[str, int] = {}
    timed: list[TimedInvocation] = []
    last = 0
    for each in found:
        if each.start is not None or each.event.stream not in numbers:
            last += 1
            numbers[each.event.stream] = last
        timed.append(_one(each, numbers[each.event.stream]))
    return timed


def _one(each: LoggedInvocation, number: int) -> TimedInvocation:
    start, report = each.start, each.report
    init = None if start is None or start.init_ms is None else round(start.init_ms, 3)
    shim = {} if start is None else start.shim
    return TimedInvocation(
        number, start is not None, init, report.duration_ms, round((init or 0.0) + report.duration_ms, 3),
        report.billed_ms, report.used_mb, wait_ms=shim.get("wait_ms"), fetched=shim.get("bytes"),
    )  # fmt: skip
