"""What a check will do, make and cost at most; arithmetic alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lambdapack import limits
from lambdapack.plan import prices

__all__ = ["STEPS", "WARM", "Cost", "Settings", "costs", "total"]

STEPS = {
    "s3": "a function whose pack is in S3: cold and warm",
    "layer": "the same with the pack in layers",
    "snapstart": "the same with SnapStart: a restore, and warm",
    "shifting": "a healthy version takes over step by step; one that fails is rolled back by itself",
    "local": "the same functions in the local cloud, to compare with",
}
"""What can be checked; the bucket, the push and the destruction belong to all."""
WARM = 5
"""Warm invocations after each cold start."""
_SECONDS = limits.INIT_TIMEOUT
"""The longest that a cold invocation is expected to take: the limit of init."""
_WARM_SECONDS = 1.0
_CALLS = 400
"""Calls while calls are shifted, at most: two shifts, a call a second."""
_PACK_GB = 0.2
_METRICS = 7
# https://aws.amazon.com/cloudwatch/pricing/: a metric is billed by the hour in which it was written.
_METRIC_HOUR = 0.30 / 730
# https://aws.amazon.com/s3/pricing/: of PUT, of which a push makes a few dozen.
_PUT = 0.005 / 1000
_PUTS = 100
# https://aws.amazon.com/lambda/pricing/: a snapshot is billed for three hours at least.
_SNAPSHOT_SECONDS = 3 * 3600


@dataclass(frozen=True)
class Settings:
    """How a check is made.

    Attributes:
        run: Eight hexadecimal digits, in the name of everything that is made.
        region: Where.
        steps: Of ``STEPS``, in their order.
        starts: Cold starts a function.
        memory_mb, python, arch: Of the functions.
        requirements: What the pack has.
        shift: How calls are shifted.
    """

    run: str
    region: str
    steps: tuple[str, ...]
    starts: int = 3
    memory_mb: int = 1769
    python: str = "3.12"
    arch: str = "x86_64"
    requirements: tuple[str, ...] = ()
    shift: str = "canary:50%,2m"

    @property
    def prefix(self) -> str:
        """What each name begins with."""
        return f"lambdapack-check-{self.run}"

    @property
    def functions(self) -> tuple[str, ...]:
        """The functions that are made in AWS: shifting takes that of ``s3``, or makes it."""
        kinds = [step for step in ("s3", "layer", "snapstart") if step in self.steps]
        if "shifting" in self.steps and "s3" not in kinds:
            kinds.insert(0, "s3")
        return tuple(f"{self.prefix}-{kind}" for kind in kinds)

    @property
    def invocations(self) -> int:
        """The invocations in AWS that the check makes at most."""
        each = {"s3": self.starts * (1 + WARM), "layer": self.starts * (1 + WARM), "snapstart": 1 + WARM,
                "shifting": _CALLS}  # fmt: skip
        return sum(each.get(step, 0) for step in self.steps)


@dataclass(frozen=True)
class Cost:
    """A part of the bill.

    Attributes:
        what: For people.
        usd: At most, in US dollars.
    """

    what: str
    usd: float


def costs(settings: Settings) -> Iterator[Cost]:
    """What a check costs at most, by the prices of its region, without the free tier."""
    price = prices.of(settings.region, settings.arch)
    memory = settings.memory_mb / 1024
    cold = sum(settings.starts for step in ("s3", "layer") if step in settings.steps) + 4
    seconds = cold * _SECONDS + (settings.invocations - min(cold, settings.invocations)) * _WARM_SECONDS
    yield Cost(
        f"{settings.invocations} invocations of {settings.memory_mb:,} MB, {seconds:.0f} s in all",
        settings.invocations * price.request + seconds * memory * price.gb_second[0].usd,
    )
    if "snapstart" in settings.steps:
        kept = _SNAPSHOT_SECONDS * memory * price.cached_gb_second
        yield Cost("a snapshot, three hours of it as AWS bills, and its restores",
                   kept + (1 + WARM) * memory * price.restored_gb)  # fmt: skip
    stored = _PACK_GB * price.s3_gb_month / 30 + _PUTS * _PUT + cold * 20 * price.s3_get
    yield Cost("a bucket with one pack for a day, and its requests", stored)
    metrics = _METRICS * max(1, len(settings.functions)) * 2 * _METRIC_HOUR
    yield Cost(f"{_METRICS} metrics a function, for two hours; its log", metrics + 0.001)


def total(settings: Settings) -> float:
    """All of that, in US dollars."""
    return sum(cost.usd for cost in costs(settings))
