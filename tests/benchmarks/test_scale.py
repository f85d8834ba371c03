"""Many cold starts at once against S3's request limit; docs/scale.md has the arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scale_limit import Limit
from benchmarks.scale_loopback import LoopbackOutcome, run
from benchmarks.scale_pack import SPACY, TORCH, Constants
from benchmarks.scale_world import Outcome, Scenario, requests_of_one, simulate
from lambdapack import limits

NEW_PREFIX = limits.S3_GET_PER_SECOND // 5
"""A rate that S3 might hold a prefix to that it has not scaled yet."""


def check(outcome: Outcome, scenario: Scenario) -> None:
    """Every start got every frame once, verified; a request is repeated for each 503 and for nothing else."""
    assert outcome.failed == []
    assert len(outcome.seconds) == scenario.starts
    assert outcome.verified
    expected = requests_of_one(scenario.stored, scenario.constants) * scenario.starts
    assert outcome.admitted == expected
    assert outcome.retries == outcome.refused
    assert outcome.requests == expected + outcome.retries


@given(st.lists(st.floats(0, 0.5), max_size=200), st.integers(1, 20), st.floats(0.05, 2))
def test_limit_counts_any_window(gaps: list[float], room: int, window: float) -> None:
    """In any ``window`` seconds at most ``rate * window`` requests are let through, no fewer needlessly."""
    limit = Limit((room + 0.5) / window, window)
    now, admitted = 0.0, []
    for gap in gaps:
        now += gap
        before = sum(1 for moment in admitted if moment > now - window)
        assert limit.admit(now) == (before < room)
        if before < room:
            admitted.append(now)
    assert (limit.admitted, limit.refused) == (len(admitted), len(gaps) - len(admitted))


def test_limit_does_not_decide_a_thousand_starts() -> None:
    """A thousand spaCy starts in the same instant stay below 5,500 GET/s and are as quick as without it."""
    scenario = Scenario(1000)
    outcome = simulate(scenario)
    check(outcome, scenario)
    assert outcome.refused == 0
    free = simulate(Scenario(100, rate=None))
    assert outcome.percentile(0.5) < 1.05 * free.percentile(0.5)
    assert outcome.percentile(0.99) < 1.15 * free.percentile(0.99)


def test_limit_decides_with_more_requests() -> None:
    """The simulation can tell: a request a frame runs into the limit, and its starts take twice as long."""
    scenario = Scenario(120, rate=NEW_PREFIX, constants=Constants(3, first_request=1, request=1))
    outcome = simulate(scenario)
    check(outcome, scenario)
    assert outcome.refused > outcome.admitted / 4
    assert outcome.percentile(0.5) > 2 * simulate(Scenario(10, rate=None)).percentile(0.5)


@pytest.mark.slow
def test_thousand_starts_of_a_large_pack() -> None:
    """A thousand torch starts in the same instant: none fails, and the link still decides the median."""
    scenario = Scenario(1000, stored=TORCH)
    outcome = simulate(scenario)
    check(outcome, scenario)
    assert outcome.percentile(0.5) < 1.15 * simulate(Scenario(50, rate=None, stored=TORCH)).percentile(0.5)


@pytest.mark.parametrize("window", [1.0, 0.1])
@pytest.mark.parametrize("starts", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_no_start_fails_on_a_slow_prefix(starts: int, window: float) -> None:
    """Four times more starts than pass in a second, in bursts or evenly: they wait, and all succeed."""
    scenario = Scenario(starts, rate=starts / 4, window=window)
    outcome = simulate(scenario)
    check(outcome, scenario)
    assert outcome.refused
    assert outcome.most <= 12 * requests_of_one(SPACY)


def test_same_seed_same_run() -> None:
    """The simulation is determined by its seed, so that a table can be reproduced."""
    scenario = Scenario(60, rate=NEW_PREFIX / 10, window=0.1)
    assert simulate(scenario) == simulate(scenario)


def test_fifty_starts_over_sockets() -> None:
    """Fifty starts over real sockets at a twentieth of the limit: 503s come, no start fails."""
    outcome = run(50, limits.S3_GET_PER_SECOND / 20, window=0.1, processes=2)
    check_sockets(outcome, 50)
    assert outcome.refused


@pytest.mark.slow
@pytest.mark.parametrize("rate", [limits.S3_GET_PER_SECOND, NEW_PREFIX])
def test_thousand_starts_over_sockets(rate: float) -> None:
    """A thousand starts at once over real sockets, at S3's limit and at a fifth of it: none fails."""
    outcome = run(1000, rate, window=0.1)
    check_sockets(outcome, 1000)


def check_sockets(outcome: LoopbackOutcome, starts: int) -> None:
    """Every start got every frame once, verified, with signed requests, and repeated no more than it had to.

    A busy machine may add time-outs of its own, which are retries without a 503.
    """
    assert outcome.failed == []
    assert outcome.succeeded == starts
    assert outcome.unsigned == 0
    assert outcome.requests == requests_of_one(SPACY) * starts + outcome.retries
    assert outcome.retries >= outcome.refused
    assert outcome.admitted >= requests_of_one(SPACY) * starts
    assert outcome.most <= 12 * requests_of_one(SPACY)
