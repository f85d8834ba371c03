"""Measuring what is missing, round by round, within a bound of cost."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from lambdapack.pipeline.tuning.clouds import TunableFunction
from lambdapack.pipeline.tuning.record import Record, Subject
from lambdapack.plan import tuning
from lambdapack.progress import QUIET, Progress

WARM = 4
"""Warm invocations after each cold start."""


def missing(record: Record, memories: Collection[int], runs: int) -> list[tuple[int, int]]:
    """The runs that are not there yet, each as memory and number.

    Round by round, so that a machine that becomes slower does so for all settings, and Ctrl-C leaves
    something of each. A setting that failed is not tried again.
    """
    failed = {sample.memory_mb for sample in record.samples if sample.failure}
    made = {memory: sum(sample.memory_mb == memory for sample in record.samples) for memory in memories}
    return [
        (memory, run)
        for run in range(1, runs + 1)
        for memory in sorted(memories)
        if memory not in failed and run > made[memory]
    ]


def bound(subject: Subject, todo: Collection[tuple[int, int]]) -> float:
    """The most that the runs ``todo`` can cost in AWS, in dollars."""
    return sum(_worst(subject, memory) for memory, _ in todo)


def _worst(subject: Subject, memory_mb: int) -> float:
    worst = tuning.worst_case(memory_mb, subject.timeout, subject.tmp_mb, subject.prices)
    return (1 + WARM) * worst


def measure(
    tuned: TunableFunction,
    record: Record,
    todo: Collection[tuple[int, int]],
    *,
    cold: float,
    most: float | None = None,
    progress: Progress = QUIET,
) -> bool:
    """Make the runs ``todo``, and keep each.

    Args:
        tuned: The function.
        record: Where to keep the runs.
        todo: Of ``missing``.
        cold: The share of invocations that begin with a cold start.
        most: What all of it may cost, in dollars; a run that could cost more than is left is not begun.
        progress: Where to report to.

    Returns:
        Whether the money was enough.
    """
    subject, spent = tuned.subject, 0.0
    failed: set[int] = set()
    with progress.step(f"measure {subject.name}", total=len(todo), unit="runs") as advance:
        for memory, run in todo:
            if memory in failed:
                advance()
                continue
            if most is not None and spent + _worst(subject, memory) > most:
                return False
            advance(0, note=f"{memory:,} MB, run {run}")
            sample = tuning.Sample(memory, tuple(_invocations(tuned, memory, run)))
            record.add(sample, cold)
            spent += sum(tuning.cost(each, subject.tmp_mb, subject.prices) for each in sample.invocations)
            if sample.failure:
                failed.add(memory)
            advance()
    return True


def _invocations(tuned: TunableFunction, memory_mb: int, run: int) -> Iterator[tuning.Measurement]:
    """A cold start and the warm invocations after it; the first failure is the last."""
    for number in range(1 + WARM):
        done = tuned.invoke(memory_mb, run, cold=number == 0)
        yield done
        if done.failure:
            return
