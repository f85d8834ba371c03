"""The document behind the page: every figure on the page is in the document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lambdapack import __version__
from lambdapack.local import Invocation
from lambdapack.plan import tuning

__all__ = ["VERSION", "Absent", "Series", "TimedInvocation", "document"]

VERSION = 1
"""Rises when a key of the document changes its meaning or goes."""


@dataclass(frozen=True)
class TimedInvocation:
    """One invocation of the series.

    Attributes:
        start: Which cold start the environment had, counted from 1.
        cold: Whether this was the invocation that began with the cold start.
        init_ms: Lambda's Init Duration, or the Restore Duration of a start from a snapshot; ``None`` in a
            warm invocation, and where AWS wrote neither.
        duration_ms: Lambda's Duration: of the handler.
        total_ms: Both.
        billed_ms: Whole milliseconds, init included.
        max_memory_mb: The peak so far.
        wait_ms, fetched: In AWS, how long imports waited for the pack, and how many bytes of it were fetched;
            ``None`` where the shim wrote no line.
    """

    start: int
    cold: bool
    init_ms: float | None
    duration_ms: float
    total_ms: float
    billed_ms: int
    max_memory_mb: int
    wait_ms: float | None = None
    fetched: int | None = None


@dataclass(frozen=True)
class Series:
    """Cold starts, each with the warm invocations that follow: in the local cloud, or out of a log of AWS's.

    Attributes:
        memory_mb: The function's setting.
        invocations: In the order in which they were made.
        cold_ms, warm_ms: The mean of the middle half of what cold starts take, init included, and of what
            warm invocations take; ``None`` where there is none.
        cloud: ``local`` or ``aws``.
    """

    memory_mb: int
    invocations: tuple[TimedInvocation, ...]
    cold_ms: float | None
    warm_ms: float | None
    cloud: str = "local"

    @classmethod
    def of(cls, memory_mb: int, results: Iterable[Invocation]) -> Series:
        """The series that results of the local cloud make up."""
        invocations: list[TimedInvocation] = []
        for each in results:
            start = (invocations[-1].start if invocations else 0) + each.cold
            init = None if each.init_ms is None else round(each.init_ms, 3)
            duration = round(each.duration_ms, 3)
            total = round((init or 0.0) + duration, 3)
            invocations.append(
                TimedInvocation(start, each.cold, init, duration, total, each.billed_ms, each.max_memory_mb)
            )
        return cls.of_timed(memory_mb, invocations)

    @classmethod
    def of_timed(
        cls, memory_mb: int, timed: Sequence[TimedInvocation], *, cloud: str = "local", shown: int = 0
    ) -> Series:
        """The series of what was timed; with the last ``shown`` alone, the means are still of all."""
        middle = ([each.total_ms for each in timed if each.cold is cold] for cold in (True, False))
        cold_ms, warm_ms = (round(tuning.middle(times), 3) if times else None for times in middle)
        return cls(memory_mb, tuple(timed[-shown:]), cold_ms, warm_ms, cloud)


@dataclass(frozen=True)
class Absent:
    """A part of the page that is not to be had.

    Attributes:
        part: ``profile``, ``series`` or ``tune``.
        reason: Why the part is not there, in words.
        fix: What makes it: a command, or a change.
    """

    part: str
    reason: str
    fix: str


def document(
    *,
    name: str,
    made: str,
    pack: str,
    plan: Mapping[str, Any],
    profile: Mapping[str, Any] | None = None,
    series: Series | None = None,
    tune: Iterable[Mapping[str, Any]] = (),
    absent: Iterable[Absent] = (),
    notes: Iterable[str] = (),
) -> dict[str, Any]:
    """The document ``lambdapack.report``.

    Args:
        name: The function.
        made: When, as ISO 8601 writes a time in UTC.
        pack: The pack's id.
        plan: The document ``lambdapack.plan``.
        profile: The document ``lambdapack.profile``.
        series: Invocations, in the local cloud or in AWS.
        tune: The documents ``lambdapack.tune`` that were kept.
        absent: Which of these parts are missing, and why.
        notes: What else to know, a sentence each.
    """
    return {
        "document": "lambdapack.report",
        "version": VERSION,
        "name": name,
        "tool": f"lambdapack {__version__}",
        "made": made,
        "pack": pack,
        "plan": plan,
        "profile": profile,
        "series": None if series is None else asdict(series),
        "tune": list(tune),
        "absent": [asdict(each) for each in absent],
        "notes": list(notes),
    }
