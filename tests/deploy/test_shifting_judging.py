"""When a new version is too bad."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdapack.deploy.shifting import Health, Tolerance, judge
from lambdapack.deploy.shifting.judging import tail

_ALLOWED = Tolerance(max_errors=0.01, max_slowdown=3.0)


@pytest.mark.parametrize(("new", "old", "undone"), [
    (Health(0, 0), Health(0, 0), False),
    (Health(1, 1), Health(100, 0), False),
    (Health(2, 2), Health(100, 0), True),
    (Health(20, 6), Health(180, 0), True),
    (Health(1000, 10), Health(9000, 0), False),
    (Health(1000, 40), Health(9000, 0), True),
    # As bad as the old one is not worse than the old one.
    (Health(1000, 300), Health(9000, 2700), False),
    (Health(1000, 400), Health(9000, 2700), True),
    # Errors are counted before invocations where an environment could not start.
    (Health(0, 5), Health(100, 0), True),
])  # fmt: skip
def test_errors_undo_where_chance_does_not_explain_them(new: Health, old: Health, undone: bool) -> None:
    """The new version's errors are measured against the old one's and against what is allowed."""
    assert (judge(new, old, _ALLOWED) is not None) == undone


def test_no_error_at_all_may_be_allowed() -> None:
    """With max-errors 0 the first failure undoes the shift, unless the old version fails as well."""
    strict = Tolerance(max_errors=0.0)
    assert judge(Health(500, 1), Health(500, 0), strict)
    assert judge(Health(500, 1), Health(500, 1), strict) is None


def test_the_reason_says_what_was_measured_against_which_limit() -> None:
    """A person reads both versions' figures and the setting's name."""
    assert judge(Health(20, 6), Health(180, 0), _ALLOWED) == (
        "30 % of its calls failed (6 of 20), of the old version's 0 % (0 of 180); max-errors allows 1 %"
    )


@pytest.mark.parametrize(("new", "old", "what"), [
    (Health(50, 0, 700.0), Health(50, 0, 200.0), "its calls take 700 ms on average, 3.5 times"),
    (Health(29, 0, 700.0), Health(50, 0, 200.0), None),
    (Health(50, 0, 700.0), Health(29, 0, 200.0), None),
    (Health(50, 0, 590.0), Health(50, 0, 200.0), None),
    (Health(50, 0, 90.0), Health(50, 0, 2.0), None),
    (Health(2, 0, 50.0, 9000.0), Health(9, 0, 50.0, 2000.0), "its inits take 9000 ms on average, 4.5 times"),
    (Health(2, 0, 50.0, 900.0), Health(9, 0, 50.0, 100.0), None),
    (Health(2, 0, 50.0, 9000.0), Health(9, 0, 50.0), None),
])  # fmt: skip
def test_a_much_slower_version_is_undone(new: Health, old: Health, what: str | None) -> None:
    """Means are compared once there are calls enough, and small differences never count."""
    reason = judge(new, old, _ALLOWED)
    assert (reason is None) == (what is None)
    assert what is None or (reason or "").startswith(what)


@given(st.integers(1, 40), st.integers(0, 40), st.floats(0.01, 0.9))
def test_the_chance_of_so_many_errors_is_the_binomial_one(calls: int, errors: int, rate: float) -> None:
    """The guard for few calls is the exact sum of the binomial distribution."""
    errors = min(errors, calls)
    exact = sum(math.comb(calls, k) * rate**k * (1 - rate) ** (calls - k) for k in range(errors, calls + 1))
    assert tail(errors, calls, rate) == pytest.approx(1.0 if errors <= calls * rate else exact, rel=1e-6)


def test_a_million_calls_are_judged_too() -> None:
    """Large numbers neither overflow nor take long."""
    assert judge(Health(1_000_000, 10_050), Health(9_000_000, 0), _ALLOWED) is None
    assert judge(Health(1_000_000, 10_500), Health(9_000_000, 0), _ALLOWED)
    assert judge(Health(1_000_000, 1_000_000), Health(9_000_000, 0), _ALLOWED)
