"""What a function costs: usage of a month -> a bill, and a traffic -> on-demand, SnapStart and provisioned.

Dollars are US dollars, a GB is 2**30 bytes and a month has 30 days.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from math import ceil
from typing import Literal

from lambdapack import limits
from lambdapack.plan.prices import SOURCES, Prices, Tier

__all__ = [
    "FREE_GB_SECONDS", "FREE_REQUESTS", "MONTH", "Bill", "CostOption", "Costs", "Shape", "Traffic", "Usage",
    "bill", "compare", "on_demand", "provisioned", "snap_start",
]  # fmt: skip

_DAYS = 30
MONTH = _DAYS * 24 * 3600
"""The seconds of a month."""
FREE_REQUESTS = 1_000_000
FREE_GB_SECONDS = 400_000
"""What an account has for nothing each month, all its functions together
(https://aws.amazon.com/lambda/pricing/, read on 2026-11-26)."""
_MILLION = 1_000_000


@dataclass(frozen=True)
class Traffic:
    """How often a function is called, and how long that takes.

    Attributes:
        invocations: A day.
        duration_ms: What an invocation takes in the handler, on average.
        cold: The share of invocations that begin with a cold start, from 0 to 1.
        init_ms: What the init of a cold start takes; ``None`` for what the plan predicts.
        provisioned: Environments that provisioned concurrency keeps ready; ``None`` for as many as are busy
            on average.
    """

    invocations: float
    duration_ms: float
    cold: float = 0.01
    init_ms: float | None = None
    provisioned: int | None = None

    @property
    def busy(self) -> float:
        """How many environments are busy on average."""
        return self.invocations * _billed(self.duration_ms) / 86_400


@dataclass(frozen=True)
class Shape:
    """What of a function its costs hang on.

    Attributes:
        memory_mb, tmp_mb: The function's settings.
        init_seconds: What the init of a cold start takes where the traffic does not say.
        gets: Requests to S3 of a cold start.
        s3_bytes: What of the function is kept in S3.
        refused: Why SnapStart is not to be had, ``None`` where it is.
    """

    memory_mb: int
    tmp_mb: int
    init_seconds: float = 0.0
    gets: int = 0
    s3_bytes: int = 0
    refused: str | None = None


@dataclass(frozen=True)
class Usage:
    """What AWS counts in a month.

    Attributes:
        requests: Invocations.
        gb_seconds, init_gb_seconds: Memory while the handler runs, and while init does.
        tmp_gb_seconds: /tmp above 512 MB in that time.
        reserved_gb_seconds, provisioned_gb_seconds: Memory that provisioned concurrency keeps ready, and
            memory while the handler runs there.
        cached_gb_seconds, restored_gb: Memory of which SnapStart keeps a snapshot, and that it restored.
        s3_gets, s3_gb_months: Requests to S3, and what is kept there.
    """

    requests: float = 0.0
    gb_seconds: float = 0.0
    init_gb_seconds: float = 0.0
    tmp_gb_seconds: float = 0.0
    reserved_gb_seconds: float = 0.0
    provisioned_gb_seconds: float = 0.0
    cached_gb_seconds: float = 0.0
    restored_gb: float = 0.0
    s3_gets: float = 0.0
    s3_gb_months: float = 0.0


@dataclass(frozen=True)
class Bill:
    """What a month's usage costs, in dollars, by what it is for."""

    requests: float
    duration: float
    init: float
    tmp: float
    reserved: float
    provisioned: float
    cache: float
    restores: float
    s3: float

    @property
    def total(self) -> float:
        """The sum."""
        return float(sum(getattr(self, part.name) for part in fields(self)))


@dataclass(frozen=True)
class CostOption:
    """A kind of start, and what the traffic costs with it, in dollars.

    Attributes:
        kind: As in ``limits.INITIALIZATION_TYPES``.
        month: A month of the traffic.
        million: The same for each million invocations of it.
        cold_start: What one cold start costs beside its invocation.
        bill: What the month is made of.
        assumptions: What was taken for granted, in words.
        refused: Why Lambda would not have it, ``None`` where it would.
    """

    kind: Literal["on-demand", "snap-start", "provisioned-concurrency"]
    month: float
    million: float
    cold_start: float
    bill: Bill
    assumptions: tuple[str, ...]
    refused: str | None = None


@dataclass(frozen=True)
class Costs:
    """The kinds of start side by side.

    Attributes:
        region, arch: Whose prices were taken.
        traffic: For which traffic.
        options: On-demand, SnapStart, provisioned concurrency.
        assumptions: What holds for all of them, in words.
        unverified: What is uncertain about the prices, in words.
        sources: Page -> the day on which its prices were read.
    """

    region: str
    arch: str
    traffic: Traffic
    options: tuple[CostOption, ...]
    assumptions: tuple[str, ...]
    unverified: tuple[str, ...]
    sources: Mapping[str, str]


def bill(usage: Usage, prices: Prices, *, free_tier: bool = False) -> Bill:
    """What AWS asks for a month's ``usage``.

    Args:
        usage: What was used.
        prices: Of the region and architecture.
        free_tier: Whether the account's free requests and GB-seconds are left for this function. Provisioned
            concurrency has none.
    """
    requests, free = usage.requests, 0
    if free_tier:
        requests, free = max(0.0, requests - FREE_REQUESTS), FREE_GB_SECONDS
    # Handler and init are counted together.
    warm, both = usage.gb_seconds, usage.gb_seconds + usage.init_gb_seconds
    duration = _tiered(max(0.0, warm - free), prices.gb_second)
    return Bill(
        requests=requests * prices.request,
        duration=duration,
        init=_tiered(max(0.0, both - free), prices.gb_second) - duration,
        tmp=usage.tmp_gb_seconds * prices.tmp_gb_second,
        reserved=usage.reserved_gb_seconds * prices.reserved_gb_second,
        provisioned=usage.provisioned_gb_seconds * prices.provisioned_gb_second,
        cache=usage.cached_gb_seconds * prices.cached_gb_second,
        restores=usage.restored_gb * prices.restored_gb,
        s3=usage.s3_gets * prices.s3_get + usage.s3_gb_months * prices.s3_gb_month,
    )


def _tiered(quantity: float, tiers: tuple[Tier, ...]) -> float:
    cost = below = 0.0
    for tier in tiers:
        cost += max(0.0, min(quantity, tier.up_to) - below) * tier.usd
        below = tier.up_to
    return cost


def on_demand(traffic: Traffic, shape: Shape) -> Usage:
    """A month's usage where each cold start is an init, which AWS bills since 2025-08-01."""
    cold = traffic.invocations * _DAYS * traffic.cold
    return _plus(_warm(traffic, shape), _cold_start(traffic, shape), cold)


def snap_start(traffic: Traffic, shape: Shape) -> Usage:
    """The same where each cold start is a restore of the snapshot of one version."""
    memory, cold = _gb(shape.memory_mb), traffic.invocations * _DAYS * traffic.cold
    warm = _warm(traffic, shape)
    return replace(warm, cached_gb_seconds=memory * MONTH, restored_gb=memory * cold)


def provisioned(traffic: Traffic, shape: Shape) -> Usage:
    """The same where environments are kept ready; what is more than they take runs on demand."""
    count = environments(traffic)
    spilled = max(0.0, 1 - count / traffic.busy)
    own = _warm(replace(traffic, invocations=traffic.invocations * (1 - spilled)), shape)
    own = replace(
        own,
        gb_seconds=0.0,
        provisioned_gb_seconds=own.gb_seconds,
        reserved_gb_seconds=count * _gb(shape.memory_mb) * MONTH,
        s3_gb_months=0.0,
    )
    return _plus(own, on_demand(replace(traffic, invocations=traffic.invocations * spilled), shape))


def environments(traffic: Traffic) -> int:
    """How many environments provisioned concurrency keeps ready."""
    return max(1, ceil(traffic.busy)) if traffic.provisioned is None else traffic.provisioned


def compare(traffic: Traffic, shape: Shape, prices: Prices, *, asked: str) -> Costs:
    """What ``traffic`` costs with each kind of start.

    Args:
        traffic: As the user states it.
        shape: The function.
        prices: Of a region and an architecture.
        asked: The region that was asked for, which may have no prices of its own.
    """
    start = Usage(restored_gb=_gb(shape.memory_mb))
    options = (
        _option("on-demand", on_demand(traffic, shape), _cold_start(traffic, shape), traffic, prices),
        _option("snap-start", snap_start(traffic, shape), start, traffic, prices),
        _option("provisioned-concurrency", provisioned(traffic, shape), Usage(), traffic, prices),
    )
    words = _words(traffic, shape)
    return Costs(
        region=prices.region,
        arch=prices.arch,
        traffic=traffic,
        options=tuple(
            replace(
                option,
                assumptions=words[option.kind],
                refused=shape.refused if option.kind == "snap-start" else None,
            )
            for option in options
        ),
        assumptions=(
            f"{traffic.invocations:,.0f} invocations a day of {_billed(traffic.duration_ms) * 1000:,.0f} ms "
            f"each, {_DAYS} days a month",
            "no free tier, no Savings Plan; data transfer, logs and what calls the function are not counted",
        ),
        unverified=_unverified(traffic, shape, prices, asked),
        sources={source.page: source.read.isoformat() for source in SOURCES.values()},
    )


def _option(
    kind: Literal["on-demand", "snap-start", "provisioned-concurrency"],
    usage: Usage,
    start: Usage,
    traffic: Traffic,
    prices: Prices,
) -> CostOption:
    made = bill(usage, prices)
    million = made.total / (traffic.invocations * _DAYS) * _MILLION
    return CostOption(kind, made.total, million, bill(start, prices).total, made, ())


def _words(traffic: Traffic, shape: Shape) -> dict[str, tuple[str, ...]]:
    count, seconds = environments(traffic), _init(traffic, shape)
    told = "as stated" if traffic.init_ms is not None else "predicted: [traffic] init states a measured one"
    kept = (
        "as stated" if traffic.provisioned is not None else "[traffic] provisioned states how many peaks need"
    )
    return {
        "on-demand": (
            f"{traffic.cold:.2%} of invocations are cold starts, each with {seconds:.2f} s of billed init "
            f"({told}) and {_counted(shape.gets, 'GET')} to S3",
        ),
        "snap-start": (
            "one published version, all month; each cold start is a restore, and what runs after a restore, "
            "and the init of the snapshot, are not counted",
        ),
        "provisioned-concurrency": (
            f"{_counted(count, 'environment')} all month ({kept}), {traffic.busy:.2f} busy on average; what "
            "is more runs on demand; their inits are not counted",
        ),
    }


def _unverified(traffic: Traffic, shape: Shape, prices: Prices, asked: str) -> tuple[str, ...]:
    found = dict(prices.unverified)
    used = on_demand(traffic, shape)
    if used.gb_seconds + used.init_gb_seconds <= prices.gb_second[0].up_to:
        found.pop("gb_second", None)
    words = dict.fromkeys(found.values())
    if asked != prices.region:
        words = {f"the prices are {prices.region}'s: lambdapack has none of {asked}": None} | words
    return tuple(words)


def _warm(traffic: Traffic, shape: Shape) -> Usage:
    """A month of the traffic without its cold starts."""
    requests = traffic.invocations * _DAYS
    seconds = requests * _billed(traffic.duration_ms)
    return Usage(
        requests=requests,
        gb_seconds=seconds * _gb(shape.memory_mb),
        tmp_gb_seconds=seconds * _tmp(shape),
        s3_gb_months=shape.s3_bytes / 2**30,
    )


def _cold_start(traffic: Traffic, shape: Shape) -> Usage:
    """What one cold start on demand takes beside its invocation."""
    seconds = _init(traffic, shape)
    return Usage(
        init_gb_seconds=seconds * _gb(shape.memory_mb),
        tmp_gb_seconds=seconds * _tmp(shape),
        s3_gets=shape.gets,
    )


def _init(traffic: Traffic, shape: Shape) -> float:
    return shape.init_seconds if traffic.init_ms is None else traffic.init_ms / 1000


def _plus(one: Usage, other: Usage, times: float = 1.0) -> Usage:
    return Usage(*(getattr(one, f.name) + getattr(other, f.name) * times for f in fields(Usage)))


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _gb(megabytes: float) -> float:
    return megabytes / 1024


def _tmp(shape: Shape) -> float:
    """GB of /tmp that cost."""
    return _gb(max(0, shape.tmp_mb - limits.TMP_DEFAULT_MB))


def _billed(milliseconds: float) -> float:
    """Seconds as AWS bills them: rounded up to a whole millisecond."""
    return ceil(milliseconds) / 1000
