"""What helps where a function does not fit: steps, what each gains, and what is enough together."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdapack import limits, plan
from lambdapack.errors import ConfigurationError
from lambdapack.model import Need
from lambdapack.plan import AssetFacts, Budget, Facts, Graph, Step, Traffic, apply
from lambdapack.plan.changes import without_distributions, without_files, without_sources
from lambdapack.plan.cold_start import predicted
from tests.plan.test_plan import Built, checks, make_index

MIB = limits.MIB
NAMES = "abcde"
DISTRIBUTIONS = tuple(Built(name, top_level=(name,)) for name in NAMES)
GRAPH = Graph(
    (Need("a"), Need("b")), {"a": (Need("c"),), "b": (Need("d"),), "c": (), "d": (Need("e"),), "e": ()}
)
"""What is asked for: a, which alone needs c, and b, which alone needs d and e."""


def facts_of(sizes: dict[str, int], stored: int = 10_000_000, **more: object) -> Facts:
    """A library of each distribution, of so many bytes, in one frame."""
    index = make_index([(f"{name}/x.so", "x", size) for name, size in sizes.items()], [stored])
    return replace(Facts(index, distributions=DISTRIBUTIONS, graph=GRAPH), **more)  # type: ignore[arg-type]


def settings_of(verdict: plan.Verdict) -> list[object]:
    return [(step.setting, step.value) if step.setting else step.leaves_out for step in verdict.steps]


def test_where_all_is_well_there_is_no_step() -> None:
    """Nothing is said to help."""
    verdict = plan.assess(facts_of(dict.fromkeys(NAMES, 1)))
    assert (verdict.ok, verdict.steps, verdict.together) == (True, (), ())


def test_steps_are_in_order_free_settings_then_paid_ones_then_leaving_out() -> None:
    """Each that helps at all, the largest gain first among what is left out, with all that only it needs."""
    sizes = {"a": 300 * MIB, "b": 100 * MIB, "c": 50 * MIB, "d": 50 * MIB, "e": 90 * MIB}
    verdict = plan.assess(facts_of(sizes, mode="disk"))
    assert [check.name for check in verdict.failed] == ["tmp"]
    assert settings_of(verdict) == [("function.tmp", 610), ("a", "c"), ("b", "e", "d")]
    assert [step.suffices for step in verdict.steps] == [True, True, True]
    assert verdict.steps[1].words == "leave a out, and with it c"
    assert [step.gains.keys() for step in verdict.steps] == [{"tmp"}] * 3


def test_a_free_setting_comes_first() -> None:
    """Disk mode puts every module in a file of its own: to leave it costs nothing."""
    index = make_index([(f"a/{number}.py", "s", 10) for number in range(200_000)], [10])
    verdict = plan.assess(Facts(index, mode="disk"))
    step = verdict.steps[0]
    assert (step.setting, step.value, step.suffices) == (
        "function.environment.LAMBDAPACK_MODE", "stream", True,
    )  # fmt: skip
    assert plan.assess(apply(step, Facts(index, mode="disk"))).ok


@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(st.sampled_from(NAMES), st.integers(1, 400 * MIB), min_size=5),
    st.sampled_from(["s3", "zip", "layer"]),
    st.integers(0, 300_000_000),
    st.sampled_from([None, 1.0, 5.0, 50.0]),
)
def test_a_step_does_what_it_says(sizes: dict[str, int], place: str, stored: int, pack: float | None) -> None:
    """Each step, applied to the facts, brings each check nearer its bound by what it says, exactly, mends
    what it says, breaks nothing, and suffices where it says so."""
    facts = facts_of(sizes, stored, place=place, own_bytes=1_000_000, own_zip_bytes=500_000)
    there = plan.in_files(facts, "zip") + plan.in_files(facts, "layer")
    facts = replace(facts, unzipped_bytes=1_000_000 + there)
    budget = Budget(pack=pack)
    before = plan.assess(facts, budget)
    for step in before.steps:
        after = plan.assess(apply(step, facts), budget)
        was, now = checks(before), checks(after)
        for name, gain in step.gains.items():
            over = now[name].measured - now[name].limit
            assert was[name].measured - was[name].limit - over == pytest.approx(gain)
        assert {check.name for check in after.failed} <= {check.name for check in before.failed}
        assert set(step.mends) == {check.name for check in before.failed if now[check.name].ok}
        assert after.ok is step.suffices


@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(st.sampled_from(NAMES), st.integers(0, 10**8), min_size=5),
    st.sets(st.sampled_from(NAMES)),
)
def test_what_is_left_out_is_gone_to_the_byte(sizes: dict[str, int], names: set[str]) -> None:
    """The index without distributions is that of a pack that never had them; compressed, by their shares."""
    facts = facts_of(sizes)
    left = without_distributions(facts, names)
    kept = {name: size for name, size in sizes.items() if name not in names}
    alone = make_index([(f"{name}/x.so", "x", size) for name, size in kept.items()], [1] if kept else [])
    assert (left.index.paths, left.index.sizes, left.index.offsets, left.index.frame_size) == (
        alone.paths, alone.sizes, alone.offsets, alone.frame_size,
    )  # fmt: skip
    by_name = {row.name: row.stored for row in plan.rows(facts)}
    assert sum(left.index.frame_stored) == sum(by_name[name] for name in kept)
    assert {each.name for each in left.distributions} == set(NAMES) - names


def test_a_long_header_stays_with_its_file() -> None:
    """A path of more than 100 bytes has three blocks before its content, here those of the second file."""
    index = make_index([("a/x", "d", 10), ("b/y", "d", 10), ("c/z", "d", 10)], [30])
    index.offsets[1:] = [index.offsets[1] + 1024, index.offsets[2] + 1024]
    index.frame_size[0] += 1024
    index.__post_init__()
    left = without_files(index, {0})
    assert (left.paths, left.offsets, left.frame_size) == (["b/y", "c/z"], [1536, 2560], [3072])
    assert without_files(index, {1}).offsets == [512, 1536]


def test_the_fewest_steps_that_suffice_together_are_named() -> None:
    """Where none does alone; the first such combination in the order of the steps."""
    sizes = {"a": 6000 * MIB, "b": 100 * MIB, "c": 50 * MIB, "d": 3000 * MIB, "e": 2900 * MIB}
    facts = facts_of(sizes)
    verdict = plan.assess(facts)
    assert not any(step.suffices for step in verdict.steps)
    assert settings_of(verdict) == [("function.tmp", 10_240), ("a", "c"), ("b", "d", "e")]
    assert verdict.together == (0, 1)
    for number in verdict.together:
        facts = apply(verdict.steps[number], facts)
    assert plan.assess(facts).ok


def test_settings_together_come_before_leaving_something_out() -> None:
    """To drop a distribution would do; a mode and a setting of slimming do too, and cost nothing."""
    files = [(f"a/{number}.py", "s", 10) for number in range(70_000)]
    files += [(f"a/__pycache__/{number}.cpython-311.pyc", "c", 5000) for number in range(70_000)]
    index = make_index([*files, ("b/x.so", "x", 10)], [2_000_000, 2_000_000, 2_000_000])
    facts = Facts(index, distributions=DISTRIBUTIONS, graph=GRAPH, mode="disk")
    verdict = plan.assess(facts, Budget(pack=5.5))
    assert [step.leaves_out for step in verdict.steps if step.suffices] == [("a", "c")]
    chosen = [verdict.steps[number].setting for number in verdict.together]
    assert chosen == ["function.environment.LAMBDAPACK_MODE", "slim.sources"]


def test_sources_that_a_start_reads_stay() -> None:
    """A distribution of which the trace read one keeps all; of the others those with bytecode go."""
    pairs = [(f"{name}/x.py", f"{name}/__pycache__/x.cpython-311.pyc") for name in "ab"]
    (read, code), (other, more) = pairs
    files = [(read, "s", 512), (code, "c", 512), (other, "s", 512), (more, "c", 512), ("b/bare.py", "s", 512)]
    index = make_index(files, [10, 10, 10, 10, 10], hot=1)
    left = without_sources(Facts(index, distributions=DISTRIBUTIONS)).index
    assert left.paths == [read, code, more, "b/bare.py"]
    cold = make_index(files, [10, 10, 10, 10, 10], hot=0)
    assert without_sources(Facts(cold, distributions=DISTRIBUTIONS)).index.paths == [code, more, "b/bare.py"]


def test_all_that_was_asked_for_is_not_left_out() -> None:
    """A plan does not advise to have no dependencies."""
    alone = Graph((Need("a"),), {"a": (Need("c"),), "c": ()})
    verdict = plan.assess(facts_of(dict.fromkeys("ac", 400 * MIB), graph=alone))
    assert settings_of(verdict) == [("function.tmp", 830)]


def test_what_a_step_costs_is_told_in_dollars_of_the_traffic() -> None:
    """/tmp above 512 MB costs by the GB and second; without a traffic the price is told."""
    facts = facts_of(dict.fromkeys(NAMES, 200 * MIB))
    told = plan.assess(facts).steps[0]
    # 1,040 MB are 528 more: 528 / 1024 GB at $0.0000000309.
    assert (told.month, told.cost) == (None, "$0.016 for a million seconds in handler and init")
    busy = replace(facts, traffic=Traffic(1_000_000, 1000, cold=0))
    step = plan.assess(busy).steps[0]
    assert step.setting == "function.tmp" and step.value == 1040
    assert step.month == pytest.approx(30e6 * 528 / 1024 * 0.0000000309)
    assert step.cost == "$0.48 a month"


def test_what_is_too_large_for_zip_goes_elsewhere_for_nothing() -> None:
    """The pack, or an asset that has a place of its own."""
    facts = facts_of(dict.fromkeys(NAMES, 1), 300_000_000, place="zip", unzipped_bytes=301_000_000)
    verdict = plan.assess(facts)
    assert (verdict.steps[0].setting, verdict.steps[0].value) == ("function.place", "s3")
    assert verdict.steps[0].gains == {"unzipped": 300_000_000} and verdict.steps[0].suffices
    asset = AssetFacts("model", "start", 300_000_000, 1, 1, 1, "zip", False)
    facts = facts_of(dict.fromkeys(NAMES, 1), 1, assets=(asset,), unzipped_bytes=301_000_000)
    found = {step.setting: step for step in plan.assess(facts).steps}
    assert found["assets.model.place"].value == "s3" and found["assets.model.place"].suffices
    assert found["assets.model"].words == "leave the asset model out"
    assert not apply(found["assets.model"], facts).assets


def test_a_long_fetch_is_mended_by_a_place_without_a_link() -> None:
    """What does not arrive in 10 s from S3 is in zip or layers before init, where that breaks nothing."""
    facts = facts_of(dict.fromkeys(NAMES, 1), 11 * limits.LINK_BYTES_PER_SECOND)
    verdict = plan.assess(facts)
    assert [check.name for check in verdict.failed] == ["init"]
    assert settings_of(verdict)[:2] == [("function.place", "layer"), ("function.place", "zip")]
    # 825 MB fit in neither, which is seen once the function's zip is known.
    verdict = plan.assess(replace(facts, own_bytes=1, own_zip_bytes=1, zip_bytes=1, unzipped_bytes=1))
    assert "function.place" not in {step.setting for step in verdict.steps}
    assert verdict.fastest is None


def test_growth_is_mended_by_leaving_out_what_came() -> None:
    """The comparison is made anew without what is left out."""
    facts = facts_of(dict.fromkeys(NAMES, 1_000_000))
    shares = tuple(
        plan.Share(row.name, row.version, plan.Sizes(0, row.slimmed, row.stored, row.hot))
        for row in plan.rows(facts)
    )
    new = plan.Build("2" * 64, "t", "python3.11/x86_64", "3.11", shares, GRAPH)
    old = replace(new, id="1" * 64, shares=tuple(share for share in shares if share.name in "ac"))
    verdict = plan.assess(facts, Budget(growth=1), plan.compare(old, new))
    step = next(step for step in verdict.steps if step.leaves_out == ("b", "d", "e"))
    assert step.mends == ("budget.growth",) and step.suffices
    assert step.gains["budget.growth"] == pytest.approx(6_000_000, abs=3)


def test_a_bound_of_cost_needs_a_traffic_and_takes_the_start_in_use() -> None:
    """On demand; with a snapshot SnapStart; with environments kept ready, provisioned concurrency."""
    with pytest.raises(ConfigurationError, match=r"no \[traffic\] is stated") as caught:
        plan.budget({"cost": 5.0, "growth": None}, traffic=False)
    assert "[traffic]" in (caught.value.hint or "")
    bound = plan.budget({"cost": 1.0, "pack": None, "growth": "10%"}, traffic=True)
    assert (bound.cost, bound.growth, bound.growth_percent) == (1.0, None, 10.0)
    base = facts_of(dict.fromkeys(NAMES, 1), traffic=Traffic(100_000, 200))
    for changed, kind in (
        (base, "on-demand"),
        (replace(base, snapshot="needed"), "snap-start"),
        (replace(base, traffic=Traffic(100_000, 200, provisioned=2)), "provisioned-concurrency"),
    ):
        verdict = plan.assess(changed, bound)
        found = checks(verdict)["budget.cost"]
        assert verdict.costs is not None
        assert found.measured == next(o.month for o in verdict.costs.options if o.kind == kind)
        assert not found.ok and kind in found.note and found.unit == "dollars"


PLACES = ("s3", "zip", "layer")


@settings(deadline=None, max_examples=60)
@given(
    st.one_of(st.integers(1, 300_000_000), st.integers(1, 1_000_000_000)),
    st.integers(0, 100_000_000),
    st.lists(st.tuples(st.integers(1, 300_000_000), st.sampled_from(["start", "use"])), max_size=3),
)
def test_the_fastest_placement_is_that_of_brute_force(
    stored: int, own: int, assets: list[tuple[int, str]]
) -> None:
    """No limit is broken where any choice breaks none, and no choice that breaks none is faster."""
    found = tuple(AssetFacts(f"m{n}", fetch, size, 1, 1, 1) for n, (size, fetch) in enumerate(assets))
    facts = facts_of(dict.fromkeys(NAMES, 1), stored, own_bytes=own, own_zip_bytes=1, assets=found)
    best: float | None = None
    base = {place: predicted(facts, "s3" if place == "s3" else "zip").total for place in PLACES}
    for choice in itertools.product(PLACES, repeat=1 + len(found)):
        sizes = dict(zip(range(len(choice)), (stored, *(size for size, _ in assets)), strict=True))
        local = own + sum(sizes[n] for n, place in enumerate(choice) if place != "s3")
        layered = sum(sizes[n] for n, place in enumerate(choice) if place == "layer")
        link = stored if choice[0] == "s3" else 0
        if local > limits.UNZIPPED or -(-layered // limits.LAYER_SIZE) > limits.LAYERS:
            continue
        if link > 10 * limits.LINK_BYTES_PER_SECOND:
            continue
        link = sum(
            size for (size, fetch), place in zip(assets, choice[1:], strict=True)
            if fetch == "start" and place == "s3"
        )  # fmt: skip
        seconds = local / 1e6 * limits.CODE_SECONDS_PER_MB + link / limits.LINK_BYTES_PER_SECOND
        seconds += base[choice[0]]
        best = seconds if best is None else min(best, seconds)
    placement = plan.assess(facts).fastest
    assert (placement is None) is (best is None)
    if placement is not None and best is not None:
        assert placement.seconds == pytest.approx(best)
        assert placement.assets.keys() == {asset.name for asset in found}


def test_what_is_on_a_mount_stays_there() -> None:
    """A file system is the user's own choice."""
    asset = AssetFacts("model", "start", 10, 1, 1, 1, "mount", False)
    facts = facts_of(dict.fromkeys(NAMES, 1), assets=(asset,))
    placement = plan.assess(facts).fastest
    assert placement is not None and placement.assets == {"model": "mount"}
    assert plan.assess(replace(facts, place="mount")).fastest is None


@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 10**8), min_size=4),
    st.integers(0, 10**8),
    st.integers(0, 10**7),
)
def test_another_distribution_never_lowers_a_size(sizes: dict[str, int], more: int, stored: int) -> None:
    """Rows, totals and /tmp of a pack with one more, in a frame of its own, are at least what they were."""
    files = [(f"{name}/x.so", "x", size) for name, size in sizes.items()]
    less, full = make_index(files, [1000]), make_index([*files, ("e/x.so", "x", more)], [1000, stored])
    full.frame_size[:] = [less.frame_size[0], 512 + -(-more // 512) * 512]
    full.__post_init__()
    before, after = (plan.assess(Facts(index, distributions=DISTRIBUTIONS)) for index in (less, full))
    was, now = ({row.name: row for row in verdict.rows} for verdict in (before, after))
    for name, row in was.items():
        assert now[name].slimmed >= row.slimmed and now[name].stored >= row.stored
    for size in ("slimmed", "stored", "hot", "eager", "tmp_stream", "tmp_disk", "tmp_all"):
        assert getattr(after, size) >= getattr(before, size)


def test_a_step_is_data() -> None:
    """A machine finds in the document what to set, and to what."""
    document = plan.document(plan.assess(facts_of(dict.fromkeys(NAMES, 200 * MIB))))
    step = document["steps"][0]
    assert (step["setting"], step["value"], step["suffices"]) == ("function.tmp", 1040, True)
    assert apply(Step(step["words"], step["setting"], step["value"]), facts_of({"a": 1})).tmp_mb == 1040


def test_snap_start_gives_a_long_init_its_time_for_money() -> None:
    """Where the runtime has SnapStart, and only there; the price is a version's and a restore's."""
    facts = facts_of(dict.fromkeys(NAMES, 1), 11 * limits.LINK_BYTES_PER_SECOND)
    assert "function.snap-start" not in {step.setting for step in plan.assess(facts).steps}
    facts.index.target = "python3.12/x86_64"
    step = next(step for step in plan.assess(facts).steps if step.setting == "function.snap-start")
    assert step.mends == ("init",) and step.value is True
    assert step.cost == "$6.74 a month for each version, $0.000242 a restore"
    whole = replace(facts, snapshot="all", timeout=5)
    assert apply(Step("", "function.snapshot", "needed"), whole).snapshot == "needed"
