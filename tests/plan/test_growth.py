"""Growth since an earlier build: the budget for it, and who is named where a budget is broken."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lambdapack import plan
from lambdapack.errors import CheckError
from lambdapack.model import Need
from lambdapack.plan import Budget, Comparison, Facts, Graph, Sizes, compare
from tests.plan.test_builds import build
from tests.plan.test_plan import checks, make_index

MB = 1_000_000
OLD = build(
    {"a": ("1", Sizes(4 * MB, 3 * MB, 2 * MB, MB)), "(index)": ("", Sizes(0, 0, 1000, 0))}, id_="a" * 64
)
GRAPH = Graph((Need("a"), Need("b")), {"a": (), "b": (Need("c"),), "c": (Need("d"),), "d": ()})
NEW = build(
    {
        "a": ("2", Sizes(4 * MB, 3 * MB, 2 * MB + 100_000, MB)),
        "b": ("1", Sizes(10, 10, 10, 10)),
        "c": ("1.5", Sizes(9 * MB, 8 * MB, 7 * MB, MB)),
        "d": ("3", Sizes(2 * MB, 2 * MB, 2 * MB, 2 * MB)),
        "(index)": ("", Sizes(0, 0, 900, 0)),
    },
    GRAPH,
)
GROWTH = compare(OLD, NEW)
FACTS = Facts(make_index([("a/x", "d", 13_000_010)], [11_100_910], hot=1))


def growth_check(growth: Comparison | None, budget: Budget) -> plan.Check | None:
    return checks(plan.assess(FACTS, budget, growth)).get("budget.growth")


@pytest.mark.parametrize("over", [0, 1])
def test_growth_is_held_to_exactly_what_is_allowed(over: int) -> None:
    """The pack's bytes more than the earlier one's, in megabytes or percent: one byte more is too much."""
    grown = GROWTH.total.packed - over
    old = compare(OLD, replace(NEW, shares=(*NEW.shares, plan.Share("e", "1", Sizes(packed=over)))))
    for budget in (Budget(growth=(grown + over) / MB), Budget(growth_percent=(grown + over) / 20_010)):
        check = growth_check(old, budget)
        assert check is not None
        assert (check.measured, check.ok) == (9_099_910 + over, not over)


def test_a_pack_that_shrank_has_not_grown() -> None:
    """Not even where no growth at all is allowed."""
    check = growth_check(compare(NEW, OLD), Budget(growth=0))
    assert check is not None and check.ok and check.measured < 0


def test_without_an_earlier_build_or_a_bound_nothing_is_held() -> None:
    """A comparison alone breaks nothing."""
    assert growth_check(None, Budget(growth=0)) is None
    assert growth_check(GROWTH, Budget()) is None


def test_a_broken_budget_names_who_grew_and_who_brought_it() -> None:
    """The most first, by the measure that the budget is about, with the chain from what was asked for."""
    found = checks(plan.assess(FACTS, Budget(pack=5, hot=5, slimmed=12, growth=1), GROWTH))
    for name in ("pack", "growth"):
        assert found[f"budget.{name}"].note.endswith(
            "since pack aaaaaaaaaaaa grew: c 1.5 +7.0 MB (new, brought in by b), "
            "d 3 +2.0 MB (new, brought in by b -> c), a 2 +0.1 MB (was 1), 1 more +10 B"
        )
    assert found["budget.hot"].note.endswith(
        "grew: d 3 +2.0 MB (new, brought in by b -> c), c 1.5 +1.0 MB (new, brought in by b), "
        "b 1 +10 B (new, asked for)"
    )
    assert "c 1.5 +8.0 MB" in found["budget.slimmed"].note
    with pytest.raises(CheckError, match=r"c 1\.5 \+7\.0 MB \(new, brought in by b\)"):
        plan.enforce(plan.assess(FACTS, Budget(pack=5), GROWTH))


def test_a_budget_that_is_kept_is_not_explained() -> None:
    """And without an earlier build nothing is made up."""
    assert checks(plan.assess(FACTS, Budget(pack=50), GROWTH))["budget.pack"].note == "[budget] pack"
    assert checks(plan.assess(FACTS, Budget(pack=5)))["budget.pack"].note == "[budget] pack"


def test_what_was_broken_before_is_said_not_to_have_grown() -> None:
    """And a build for another target is named as one."""
    arm = replace(OLD, target="python3.12/arm64")
    found = checks(plan.assess(FACTS, Budget(pack=5), compare(OLD, OLD)))["budget.pack"]
    assert found.note == "[budget] pack; nothing grew since pack aaaaaaaaaaaa"
    found = checks(plan.assess(FACTS, Budget(pack=5), compare(arm, NEW)))["budget.pack"]
    assert "since pack aaaaaaaaaaaa (for python3.12/arm64) grew: " in found.note
