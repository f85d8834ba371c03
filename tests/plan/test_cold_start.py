"""The predicted cold start of a plan: which place, mode and setting it is for, and what it rests on."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdapack import plan
from lambdapack.model import Need
from lambdapack.plan import Budget, Calibration, Facts, Graph, apply, cold, typical
from lambdapack.plan.cold_start import predicted
from tests.plan.test_plan import FILES, STORED, Built, make_index

WORK = cold.Work((cold.Step(-1, 0.2), cold.Step(0, 1.0)), (cold.Step(-1, 0.1),))
CALIBRATED = Calibration(
    cold.Constants(1000.0, 0.0, 1e-5, 1e-5, 1e-5, 0.1, date(2026, 5, 4), "a test"), WORK, 0.07,
    {"a": 250.0}, 470,
)  # fmt: skip
INDEX = make_index([("a/x.so", "x", 3000)], [2000], hot=1)


@settings(deadline=None)
@given(FILES, STORED, st.integers(128, 10_240), st.sampled_from(["stream", "disk"]))
def test_the_link_and_waiting_for_the_whole_pack_only_cost(
    files: list[tuple[str, str, int]], stored: list[int], memory: int, mode: str
) -> None:
    """A pack in the function's files is not slower than in S3, nor stream mode than disk mode."""
    index = make_index(files, stored, hot=len(stored), eager=len(stored))
    facts = {
        each: Facts(index=index, memory_mb=memory, mode=each, calibrated=None)  # type: ignore[arg-type]
        for each in ("stream", "disk")
    }
    linked, near = predicted(facts[mode], "s3").init, predicted(facts[mode], "layer").init
    assert near <= linked + 1e-6, "in init each process has a processor"
    assert linked >= predicted(facts[mode], "s3").link
    assert predicted(facts["stream"], "s3").init <= predicted(facts["disk"], "s3").init + 1e-6


def test_what_was_calibrated_is_what_the_plan_says() -> None:
    """Prediction, error, peak of memory and the share of imports are the calibration's."""
    facts = Facts(index=INDEX, calibrated=CALIBRATED, memory_mb=512)
    verdict = plan.assess(facts)
    assert verdict.cold is not None and verdict.cold.error == 0.07
    frames = cold.Frames([2000], [sum(INDEX.frame_size[:1])])
    assert verdict.cold.parts == cold.predict(CALIBRATED.constants, frames, WORK, memory_mb=512)
    assert any("2026-05-04" in each and "a test" in each for each in verdict.cold.assumptions)
    assert [row.import_ms for row in verdict.rows if row.name == "a"] == [250.0]
    checks = {check.name: check for check in verdict.checks}
    assert not checks["memory"].ok and "576 MB" in str(checks["memory"].fix), (
        "470 MB are over nine tenths of 512"
    )
    assert checks["init.predicted"].measured == verdict.cold.parts.init
    assert verdict.ok, "a prediction is advice"
    for bounds in (plan.Budget(memory=470, cold_start=60), plan.Budget(memory=469, cold_start=0.5)):
        broken = {check.name for check in plan.assess(facts, bounds).failed}
        assert broken == (set() if bounds.memory == 470 else {"budget.memory", "budget.cold_start"})


def test_without_a_calibration_figures_are_typical_and_said_to_be() -> None:
    """The work is told from the bytes that the trace touched, and nothing is known of memory."""
    verdict = plan.assess(Facts(index=INDEX))
    assert verdict.cold is not None and verdict.cold.error == typical.ERROR
    assert any("lambdapack calibrate" in each for each in verdict.cold.assumptions)
    assert all(row.import_ms is None for row in verdict.rows)
    assert "memory" not in {check.name for check in verdict.checks}
    work = typical.work(INDEX)
    assert not work.measured and sum(step.seconds for step in work.init) > 0


def test_costs_take_the_predicted_init() -> None:
    """Where the traffic does not say how long init takes, it is what the model predicts."""
    facts = Facts(index=INDEX, calibrated=CALIBRATED, traffic=plan.Traffic(1000, 10, 1.0, None, None))
    slow = Facts(index=INDEX, traffic=plan.Traffic(1000, 10, 1.0, 60_000, None))
    costs = [plan.assess(each).costs for each in (facts, slow)]
    assert costs[0] is not None and costs[1] is not None
    assert costs[0].options[0].month < costs[1].options[0].month
    init = plan.assess(facts).cold
    assert init is not None
    again = Facts(index=INDEX, traffic=plan.Traffic(1000, 10, 1.0, init.parts.init * 1000, None))
    told = plan.assess(again).costs
    assert told is not None and told.options[0].month == pytest.approx(costs[0].options[0].month)


def test_what_is_left_out_takes_its_imports_along() -> None:
    """A step towards [budget] cold-start gains the distribution's imports as well as its frames."""
    index = make_index([("a/x.so", "x", 512), ("b/y.so", "x", 512)], [2000, 2000], hot=2)
    work = cold.Work((cold.Step(0, 1.0), cold.Step(1, 1.0)), ())
    fast = replace(CALIBRATED.constants, link=1e12, check=0.0, decode=0.0, write=0.0)
    known = replace(CALIBRATED, constants=fast, work=work, imports={"a": 1500.0, "b": 500.0})
    need = dict.fromkeys(("a", "b"), ())
    facts = Facts(
        index=index, calibrated=known, memory_mb=1769, graph=Graph((Need("a"), Need("b")), need),
        distributions=(Built("a", top_level=("a",)), Built("b", top_level=("b",))),
    )  # fmt: skip
    verdict = plan.assess(facts, Budget(cold_start=2))
    found = {step.leaves_out: step.gains["budget.cold_start"] for step in verdict.steps if step.leaves_out}
    assert found == {("a",): pytest.approx(1.5), ("b",): pytest.approx(0.5)}
    left = apply(next(step for step in verdict.steps if step.leaves_out == ("a",)), facts)
    assert left.calibrated is not None and left.calibrated.imports == {"b": 500.0}


def test_everything_in_the_snapshot_is_fetched_before_it() -> None:
    """Frames that a first invocation does not need are in the init of such a function all the same."""
    index = make_index([("a/x.so", "x", 512), ("b/y.so", "x", 512)], [2000, 2_000_000], hot=1, eager=1)
    needed, whole = (
        predicted(Facts(index=index, calibrated=CALIBRATED, snapshot=each), "s3")
        for each in ("needed", "all")
    )
    assert whole.link > 100 * needed.link and whole.init > needed.init
