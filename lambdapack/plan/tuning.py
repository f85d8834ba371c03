"""Invocations measured at several memory settings -> what each setting takes and costs, and which to choose.

The knee is where more memory ceases to buy time. Memory and time are taken as logarithms, so that a doubling
is the same step wherever it is, and scaled so that the first setting is at (0, 1) and the last at (1, 0); the
knee is the setting that lies farthest below the chord between the two.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from lambdapack import limits
from lambdapack.plan.costs import Usage, bill
from lambdapack.plan.prices import Prices

__all__ = [
    "CLOSE", "MEMORIES", "Measurement", "Recommendation", "Sample", "Setting", "cost", "evened", "knee",
    "middle", "read", "recommend", "summarise", "worst_case",
]  # fmt: skip

MEMORIES = (128, 256, 512, 1024, limits.MEMORY_PER_VCPU_MB, 3008, 5307, limits.MEMORY_MAX_MB)
"""The settings to measure where nobody says others: doublings, and one, two, three and the most vCPUs."""
CLOSE = 0.10
"""Two settings that differ by less than this share are equal: measurements scatter by as much."""
_BEND = 0.05
"""How far below the chord the knee lies at least; what is nearer is scatter."""
_MILLION = 1_000_000


@dataclass(frozen=True)
class Measurement:
    """One invocation, as its REPORT line tells of the invocation.

    Attributes:
        duration_ms, billed_ms: Of the handler; as billed, init included.
        memory_mb, used_mb: The setting, and the peak.
        init_ms: Of a cold start; ``None`` in a warm invocation, and where init failed.
        failure: ``timeout``, ``memory`` or the type of the error; ``None`` for an answer.
    """

    duration_ms: float
    billed_ms: int
    memory_mb: int
    used_mb: int
    init_ms: float | None = None
    failure: str | None = None

    @property
    def waited_ms(self) -> float:
        """What a caller waits for the answer of a cold start; an init that failed is in the bill alone."""
        return (
            max(self.duration_ms, self.billed_ms) if self.init_ms is None else self.duration_ms + self.init_ms
        )


@dataclass(frozen=True)
class Sample:
    """One environment at one setting: a cold start, and the warm invocations of the same."""

    memory_mb: int
    invocations: tuple[Measurement, ...]

    @property
    def failure(self) -> str | None:
        """Why an invocation failed; ``None`` where none did."""
        return next((each.failure for each in self.invocations if each.failure), None)


@dataclass(frozen=True)
class Setting:
    """What a memory setting takes and costs.

    Attributes:
        memory_mb: The setting.
        runs: Environments that were started.
        used_mb: The highest peak of memory.
        cold_ms, warm_ms: The ``middle`` of cold starts, init included, and of warm invocations.
        time_ms: Both, in the share in which they occur.
        million: A million invocations in that share, in dollars.
        failure: Why the setting does not do, as in ``Measurement``; the figures before are then ``None``.
    """

    memory_mb: int
    runs: int
    used_mb: int
    cold_ms: float | None = None
    warm_ms: float | None = None
    time_ms: float | None = None
    million: float | None = None
    failure: str | None = None


@dataclass(frozen=True)
class Recommendation:
    """The settings to choose between, in MB; ``None`` where there is none.

    Attributes:
        cost: The cheapest; of those that cost the same, the fastest.
        time: The fastest; of those that are as fast, the cheapest.
        knee: Where more memory ceases to buy time.
    """

    cost: int | None
    time: int | None
    knee: int | None


def read(log: str, payload: bytes, *, failed: bool) -> Measurement | None:
    """What the last REPORT line of ``log`` says of an invocation; ``None`` where there is no such line.

    Args:
        log: Of the invocation, or the end of that.
        payload: The answer, which names the error of a handler that raised one.
        failed: Whether the function failed.
    """
    for line in reversed(log.splitlines()):
        if not line.startswith("REPORT RequestId: "):
            continue
        parts = dict(part.split(": ", 1) for part in line.rstrip().split("\t") if ": " in part)
        try:
            init = parts.get("Init Duration")
            memory, used = int(_number(parts["Memory Size"])), int(_number(parts["Max Memory Used"]))
            return Measurement(
                _number(parts["Duration"]), int(_number(parts["Billed Duration"])), memory, used,
                None if init is None else _number(init), _failure(parts, used >= memory, payload, failed),
            )  # fmt: skip
        except (KeyError, ValueError):
            # A line of the handler's own.
            continue
    return None


def _number(text: str) -> float:
    return float(text.partition(" ")[0])


def _failure(parts: Mapping[str, str], full: bool, payload: bytes, failed: bool) -> str | None:
    if parts.get("Status") == "timeout":
        return "timeout"
    kind = parts.get("Error Type")
    # Lambda kills what takes too much memory, and may call that an exit like any other.
    if kind == "Runtime.OutOfMemory" or (kind == "Runtime.ExitError" and full):
        return "memory"
    if not failed and "Status" not in parts:
        return None
    try:
        told = json.loads(payload)["errorType"]
    except (ValueError, KeyError, TypeError):
        told = None
    return str(kind or told or "error")


def cost(each: Measurement, tmp_mb: int, prices: Prices) -> float:
    """What one invocation costs, in dollars."""
    return _bill(1, each.billed_ms, each.memory_mb, tmp_mb, prices)


def worst_case(memory_mb: int, timeout: int, tmp_mb: int, prices: Prices) -> float:
    """The most that one invocation can cost, in dollars: a whole init phase, and a whole timeout."""
    return _bill(1, (limits.INIT_TIMEOUT + timeout) * 1000, memory_mb, tmp_mb, prices)


def _bill(requests: float, billed_ms: float, memory_mb: int, tmp_mb: int, prices: Prices) -> float:
    seconds = requests * billed_ms / 1000
    tmp = max(0, tmp_mb - limits.TMP_DEFAULT_MB)
    usage = Usage(requests, seconds * memory_mb / 1024, tmp_gb_seconds=seconds * tmp / 1024)
    return bill(usage, prices).total


def summarise(samples: Iterable[Sample], *, cold: float, tmp_mb: int, prices: Prices) -> tuple[Setting, ...]:
    """What each setting takes and costs, by memory.

    Args:
        samples: What was measured. One failure is enough for a setting not to do.
        cold: The share of invocations that begin with a cold start, from 0 to 1.
        tmp_mb: The function's /tmp.
        prices: Of the region and architecture.
    """
    by_memory: dict[int, list[Sample]] = {}
    for sample in samples:
        by_memory.setdefault(sample.memory_mb, []).append(sample)
    return tuple(_setting(m, by_memory[m], cold, tmp_mb, prices) for m in sorted(by_memory))


def _setting(memory_mb: int, samples: Sequence[Sample], cold: float, tmp_mb: int, prices: Prices) -> Setting:
    used = max(each.used_mb for sample in samples for each in sample.invocations)
    failure = next((sample.failure for sample in samples if sample.failure), None)
    first = [sample.invocations[0] for sample in samples]
    later = [each for sample in samples for each in sample.invocations[1:]]
    if failure or not later:
        return Setting(memory_mb, len(samples), used, failure=failure or "no warm invocation")
    cold_ms, warm_ms = middle(each.waited_ms for each in first), middle(each.duration_ms for each in later)
    billed = _mix(middle(each.billed_ms for each in first), middle(each.billed_ms for each in later), cold)
    million = _bill(_MILLION, billed, memory_mb, tmp_mb, prices)
    return Setting(memory_mb, len(samples), used, cold_ms, warm_ms, _mix(cold_ms, warm_ms, cold), million)


def middle(values: Iterable[float]) -> float:
    """The mean of the middle half: of ten values without the two least and the two greatest.

    A bill is a sum, and so is a mean; a median would jump where a handler takes either one slice of processor
    time or two. One invocation that something else held up does not count.
    """
    ordered = sorted(values)
    dropped = len(ordered) // 4
    return fmean(ordered[dropped : len(ordered) - dropped])


def _mix(cold: float, warm: float, share: float) -> float:
    return share * cold + (1 - share) * warm


def recommend(settings: Iterable[Setting]) -> Recommendation:
    """The cheapest, the fastest and the knee of the ``settings`` that answered, by their ``evened`` times."""
    able = sorted((each for each in settings if each.failure is None), key=lambda each: each.memory_mb)
    times = evened([each.time_ms or 0.0 for each in able])
    curve = [(each.memory_mb, time, each.million or 0.0) for each, time in zip(able, times, strict=True)]
    if not curve:
        return Recommendation(None, None, None)
    least_time, least_cost = min(time for _, time, _ in curve), min(usd for _, _, usd in curve)
    cheap = [point for point in curve if point[2] <= least_cost * (1 + CLOSE)]
    fast = [point for point in curve if point[1] <= least_time * (1 + CLOSE)]
    return Recommendation(
        cost=min(cheap, key=lambda point: (point[1], point[0]))[0],
        time=min(fast, key=lambda point: (point[2], point[0]))[0],
        knee=knee([(memory, time) for memory, time, _ in curve]),
    )


def evened(times: Iterable[float]) -> list[float]:
    """Times by memory, none of them greater than the one before.

    More memory makes no function slower: where measured times rise, that is scatter, and the neighbours
    concerned get their mean (isotonic regression, by pooling adjacent violators).
    """
    pools: list[list[float]] = []
    for time in times:
        pools.append([time])
        while len(pools) > 1 and fmean(pools[-2]) < fmean(pools[-1]):
            rising = pools.pop()
            pools[-1] += rising
    return [fmean(pool) for pool in pools for _ in pool]


def knee(curve: Sequence[tuple[int, float]]) -> int | None:
    """The memory at which the curve of (memory, time) bends most, as this module says.

    ``None`` for fewer than three settings, for a time that hardly falls, and for a curve without a bend. Of
    settings that lie equally far below the chord, the smallest.
    """
    if len(curve) < 3 or min(time for _, time in curve) <= 0:
        return None
    (least, slowest), (most, fastest) = curve[0], curve[-1]
    fall = math.log(slowest / fastest)
    if fall < math.log(1 + CLOSE):
        return None
    span = math.log(most / least)

    def below(point: tuple[int, float]) -> float:
        memory, time = point
        return 1 - math.log(memory / least) / span - math.log(time / fastest) / fall

    # Rounded, so that the last digits of a logarithm do not choose between equals.
    found = max(curve[1:-1], key=lambda point: (round(below(point), 9), -point[0]))
    return found[0] if below(found) >= _BEND else None
