"""Costs: AWS's own examples to the cent, sums, what never falls, and what is said of the prices."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdapack import limits, plan
from lambdapack.plan import Facts, Traffic, costs, prices
from lambdapack.plan.cold_start import predicted
from lambdapack.plan.costs import Bill, Shape, Usage
from tests.plan.test_plan import make_index

X86 = prices.of("us-east-1", "x86_64")
ARM = prices.of("us-east-1", "arm64")
DAY = 24 * 3600


def seconds(invocations: float, milliseconds: float, megabytes: float) -> float:
    """GB-seconds, as AWS's page reckons them."""
    return invocations * milliseconds / 1000 * megabytes / 1024


# https://aws.amazon.com/lambda/pricing/, read on 2026-11-26: what each example uses, whether the free tier is
# taken off, the architecture, and the amounts that the page gives.
EXAMPLES = {
    "mobile application backend": (
        Usage(requests=3e6, gb_seconds=seconds(3e6, 120, 1536)),
        True, X86, {"duration": 2.33, "requests": 0.40}, 2.73,
    ),
    "enriching streaming telemetry": (
        Usage(requests=7.44e6, gb_seconds=seconds(7.44e6, 2000, 1024)),
        False, X86, {"duration": 248.00, "requests": 1.49}, 249.49,
    ),
    "ML on customer support tickets": (
        Usage(
            requests=6e6, gb_seconds=seconds(6e6, 280, 4096), tmp_gb_seconds=seconds(6e6, 280, 2048 - 512)
        ),
        True, X86, {"duration": 105.33, "requests": 1.00, "tmp": 0.08}, 106.41,
    ),
    "mobile application launch, provisioned": (
        Usage(
            requests=3e6, gb_seconds=seconds(2.5e6, 120, 1536),
            reserved_gb_seconds=100 * 1.5 * 8 * 3600, provisioned_gb_seconds=seconds(5e5, 100, 1536),
        ),
        True, X86, {"reserved": 18.00, "requests": 0.40, "provisioned": 0.73, "duration": 0.83}, 19.96,
    ),
    "Cyber Monday, provisioned": (
        Usage(
            requests=2e6, reserved_gb_seconds=7 * 4 * DAY, provisioned_gb_seconds=seconds(2e6, 280, 4096)
        ),
        False, X86, {"reserved": 10.08, "provisioned": 21.78, "requests": 0.40}, 32.26,
    ),
    "enriching streaming telemetry, SnapStart": (
        Usage(
            requests=7.44e6, gb_seconds=seconds(7.44e6, 2000, 1024),
            cached_gb_seconds=31 * DAY, restored_gb=74_400,
        ),
        False, X86, {"requests": 1.49, "duration": 248.00, "cache": 4.03, "restores": 10.40}, 263.92,
    ),
    "durable functions, without what is durable": (
        Usage(requests=2e6, gb_seconds=seconds(1e6, 32_000, 1024)),
        True, ARM, {"duration": 421.34, "requests": 0.20}, 421.54,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_aws_to_the_cent(name: str) -> None:
    """Each line of each worked example, and its sum, is what AWS's page says."""
    usage, free_tier, price, parts, total = EXAMPLES[name]
    made = costs.bill(usage, price, free_tier=free_tier)
    assert {part: round(amount, 2) for part, amount in asdict(made).items() if amount} == parts
    assert round(made.total, 2) == total


def test_a_stated_traffic_is_the_same_example() -> None:
    """From invocations a day to the bill of AWS's SnapStart example, for 30 of its 31 days."""
    traffic = Traffic(240_000, 2000, cold=0.01)
    found = costs.compare(traffic, Shape(1024, 512), X86, asked="us-east-1")
    snap_start = next(option for option in found.options if option.kind == "snap-start")
    days = 30 / 31
    assert snap_start.bill.duration == pytest.approx(248.00 * days, abs=0.01)
    assert snap_start.bill.cache == pytest.approx(4.03 * days, abs=0.01)
    assert snap_start.bill.restores == pytest.approx(10.40 * days, abs=0.01)
    assert snap_start.cold_start == pytest.approx(X86.restored_gb)
    assert snap_start.million == pytest.approx(snap_start.month / 7.2)


TRAFFIC = st.builds(
    Traffic,
    invocations=st.floats(1, 1e9),
    duration_ms=st.floats(1, 900_000),
    cold=st.floats(0, 1),
    init_ms=st.none() | st.floats(1, 10_000),
    provisioned=st.none() | st.integers(1, 1000),
)
SHAPE = st.builds(
    Shape,
    memory_mb=st.integers(128, 10_240),
    tmp_mb=st.integers(512, 10_240),
    init_seconds=st.floats(0, 10),
    gets=st.integers(0, 100),
    s3_bytes=st.integers(0, 10**10),
)
PRICES = st.builds(prices.of, st.sampled_from(sorted(prices.REGIONS)), st.sampled_from(limits.ARCHITECTURES))


@given(TRAFFIC, SHAPE, PRICES, st.floats(1, 10), st.sampled_from(["invocations", "duration_ms", "memory_mb"]))
def test_more_never_costs_less(
    traffic: Traffic, shape: Shape, price: prices.Prices, times: float, what: str
) -> None:
    """Of invocations, duration and memory, whatever the kind of start, region, tier and environments."""
    more, larger = traffic, shape
    if what == "invocations":
        more = replace(traffic, invocations=traffic.invocations * times)
    elif what == "duration_ms":
        more = replace(traffic, duration_ms=traffic.duration_ms * times)
    else:
        larger = replace(shape, memory_mb=int(shape.memory_mb * times))
    before = costs.compare(traffic, shape, price, asked=price.region)
    after = costs.compare(more, larger, price, asked=price.region)
    for one, other in zip(before.options, after.options, strict=True):
        assert other.month >= one.month * (1 - 1e-9)
        assert other.cold_start >= one.cold_start * (1 - 1e-9)


@given(TRAFFIC, SHAPE, PRICES)
def test_parts_add_up_and_none_is_negative(traffic: Traffic, shape: Shape, price: prices.Prices) -> None:
    """The month is the sum of its parts, and so is a bill of several usages below the first tier."""
    for option in costs.compare(traffic, shape, price, asked=price.region).options:
        parts = asdict(option.bill).values()
        assert option.month == pytest.approx(sum(parts))
        assert min(parts) >= -1e-9 * option.month
    usage = costs.on_demand(replace(traffic, invocations=1), shape)
    alone = Bill(*(0.0 for _ in fields(Bill)))
    for field in fields(Usage):
        made = costs.bill(Usage(**{field.name: getattr(usage, field.name)}), price)
        alone = Bill(*(getattr(alone, f.name) + getattr(made, f.name) for f in fields(Bill)))
    assert alone.total == pytest.approx(costs.bill(usage, price).total)


@given(PRICES, st.lists(st.floats(0, 40e9), min_size=2, max_size=2).map(sorted))
def test_a_tier_is_cheaper_only_for_what_is_in_it(price: prices.Prices, quantities: list[float]) -> None:
    """The average price falls from tier to tier, and never below that of the last."""
    low, high = (costs.bill(Usage(gb_seconds=quantity), price).duration for quantity in quantities)
    assert low <= high <= quantities[1] * price.gb_second[0].usd * (1 + 1e-9)
    assert high - low >= (quantities[1] - quantities[0]) * price.gb_second[-1].usd * (1 - 1e-9) - 1e-6


def test_tiers_by_hand() -> None:
    """16 billion GB-seconds on x86_64: 6 at the first price, 9 at the second, 1 at the third."""
    made = costs.bill(Usage(gb_seconds=15e9, init_gb_seconds=1e9), X86)
    assert made.duration == pytest.approx(6e9 * 0.0000166667 + 9e9 * 0.000015)
    assert made.init == pytest.approx(1e9 * 0.0000133334)


def test_provisioned_environments_that_are_too_few_leave_the_rest_to_run_on_demand() -> None:
    """Ten environments are busy, four are provisioned: 60 % is billed as on demand, its cold starts too."""
    traffic = Traffic(864_000, 1000, cold=0.1, init_ms=2000, provisioned=4)
    assert traffic.busy == 10
    used = costs.provisioned(traffic, Shape(1024, 512, gets=1, s3_bytes=2**30))
    plain = costs.on_demand(traffic, Shape(1024, 512, gets=1, s3_bytes=2**30))
    assert used.reserved_gb_seconds == 4 * costs.MONTH
    assert used.provisioned_gb_seconds == pytest.approx(plain.gb_seconds * 0.4)
    assert used.gb_seconds == pytest.approx(plain.gb_seconds * 0.6)
    assert used.init_gb_seconds == pytest.approx(plain.init_gb_seconds * 0.6)
    assert used.requests == pytest.approx(plain.requests)
    assert used.s3_gb_months == plain.s3_gb_months == 1
    enough = costs.provisioned(replace(traffic, provisioned=None), Shape(1024, 512))
    assert enough.reserved_gb_seconds == 10 * costs.MONTH and enough.gb_seconds == 0


def test_every_price_and_every_limit_has_its_page_and_day() -> None:
    """No figure without a source that can be looked at again."""
    figures = {field.name for field in fields(prices.Prices)} - {"region", "arch", "unverified"}
    assert set(prices.SOURCES) == figures
    known = {name for name in vars(limits) if name.isupper() and name not in ("MB", "MIB", "SOURCES")}
    assert set(limits.SOURCES) == {name for name in known if not name.startswith("_")}
    for source in (*prices.SOURCES.values(), *limits.SOURCES.values()):
        assert source.page.startswith("https://") and source.read >= date(2026, 11, 1)


@pytest.mark.parametrize("region", sorted(prices.REGIONS))
def test_a_region_says_which_of_its_prices_are_not_certain(region: str) -> None:
    """us-east-1 has none; elsewhere each field that is named exists, and arm64 costs less than x86_64."""
    x86, arm = (prices.of(region, arch) for arch in limits.ARCHITECTURES)
    assert set(x86.unverified) <= set(prices.SOURCES)
    assert bool(x86.unverified) == bool(arm.unverified) == (region != "us-east-1")
    for name in ("reserved_gb_second", "provisioned_gb_second"):
        assert getattr(arm, name) == pytest.approx(getattr(x86, name) * 0.8, rel=1e-4)
    assert arm.gb_second[0].usd < x86.gb_second[0].usd


def test_prices_of_arm64_that_are_published_are_met_to_the_digit() -> None:
    """The rule for provisioned concurrency on arm64 gives AWS's own figures where those are known."""
    assert (ARM.reserved_gb_second, ARM.provisioned_gb_second) == (0.0000033334, 0.0000077778)
    seoul = prices.of("ap-northeast-2", "arm64")
    assert (seoul.reserved_gb_second, seoul.provisioned_gb_second) == (0.0000041003, 0.0000095674)


def test_what_is_uncertain_is_in_the_plan() -> None:
    """A region without prices is named; SnapStart's are; a tier's only for traffic that comes to it."""
    index = make_index([("a/x", "d", 512)], [300])
    small, large = Traffic(1000, 100), Traffic(1e8, 1e4)
    (words,) = (found.unverified for found in [_costs(index, "eu-west-1", small)])
    assert words == ("SnapStart's prices are us-east-1's",)
    assert any("above 6,000,000,000" in each for each in _costs(index, "eu-west-1", large).unverified)
    elsewhere = _costs(index, "mars-1", small)
    assert elsewhere.region == "us-east-1"
    assert elsewhere.unverified == ("the prices are us-east-1's: lambdapack has none of mars-1",)


def _costs(index: object, region: str, traffic: Traffic, **more: object) -> costs.Costs:
    found = plan.assess(Facts(index, region=region, traffic=traffic, **more)).costs  # type: ignore[arg-type]
    assert found is not None
    return found


def test_the_plan_reckons_with_the_function() -> None:
    """Its memory, /tmp, packs in S3, requests and predicted init; a kind that Lambda refuses says why."""
    index = make_index([("a/x", "d", 4000)], [75_000_000, 75_000_000], hot=0, eager=1)
    traffic = Traffic(1000, 100, cold=1.0)
    found = _costs(index, "us-east-1", traffic, memory_mb=2048, tmp_mb=1536)
    demand, snap, reserved = found.options
    init = predicted(Facts(index, memory_mb=2048, tmp_mb=1536), "s3").init
    assert init > 1, "75 MB at 75 MB/s are a second"
    per_start = init * (2 * X86.gb_second[0].usd + 1 * X86.tmp_gb_second) + X86.s3_get
    assert demand.cold_start == pytest.approx(per_start)
    stored = 150_000_000 / 2**30 * X86.s3_gb_month
    assert demand.bill.s3 == pytest.approx(30_000 * X86.s3_get + stored)
    assert (snap.refused, reserved.refused) == ("needs Python 3.12 or later", None)
    assert found.traffic == traffic
    in_zip = _costs(index, "us-east-1", traffic, place="zip")
    assert in_zip.options[0].bill.s3 == 0
    assert in_zip.options[0].cold_start < demand.cold_start
    several = _costs(index, "us-east-1", traffic, memory_mb=4096, mode="disk").options[0]
    assert several.bill.s3 == pytest.approx(30_000 * 2 * X86.s3_get + stored)
    stated = _costs(index, "us-east-1", replace(traffic, init_ms=500), memory_mb=2048).options[0]
    assert stated.bill.init == pytest.approx(30_000 * 0.5 * 2 * X86.gb_second[0].usd)


def test_without_a_traffic_there_are_no_costs() -> None:
    """The document has the key all the same, and is JSON with and without it."""
    index = make_index([("a/x", "d", 512)], [300])
    assert plan.document(plan.assess(Facts(index)))["costs"] is None
    document = json.loads(json.dumps(plan.document(plan.assess(Facts(index, traffic=Traffic(10, 10))))))
    assert [option["kind"] for option in document["costs"]["options"]] == [
        kind for kind in ("on-demand", "snap-start", "provisioned-concurrency")
        if kind in limits.INITIALIZATION_TYPES
    ]  # fmt: skip


def test_the_prices_of_the_comparison_are_those_of_the_plan() -> None:
    """What docs/choosing.md says that Lambda and S3 cost is made of the same data, and of the same day."""
    page = Path(__file__).parents[2] / "docs" / "choosing.md"
    text = " ".join(page.read_text(encoding="utf-8").split())
    memory, second = 1769 / 1024, X86.gb_second[0].usd
    for said in (
        f"${X86.s3_gb_month} a GB and month, ${X86.s3_get * 1000:.4f} for 1,000 GET requests",
        f"the pack in S3: ${0.0439 * X86.s3_gb_month:.3f}",
        f"one S3 request, ${X86.s3_get:.7f}",
        f"${second:.10f} a GB and second",
        f"0.93 s are ${0.93 * memory * second:.5f}",
        f"0.98 s are ${0.98 * memory * second:.5f}",
        f"${X86.cached_gb_second:.7f} a GB and second that a version is cached, "
        f"${X86.restored_gb:.5f} a GB that is restored",
        f"${memory * X86.cached_gb_second * costs.MONTH:.1f} for each published version of 1,769 MB",
        f"the restore: ${memory * X86.restored_gb:.4f}",
        f"read on {max(source.read for source in prices.SOURCES.values()).isoformat()}",
    ):
        assert said in text
