"""Tuning: REPORT lines as AWS writes them, costs, and what is recommended of a curve."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdapack.plan import prices
from lambdapack.plan.tuning import (
    CLOSE,
    MEMORIES,
    Measurement,
    Recommendation,
    Sample,
    Setting,
    cost,
    evened,
    knee,
    middle,
    read,
    recommend,
    summarise,
    worst_case,
)

PRICES = prices.of("us-east-1", "x86_64")
REQUEST = "REPORT RequestId: 8f5c6d0e-6a43-4f5b-9f0b-4a2f7b1c2d3e"
COLD = (
    "INIT_START Runtime Version: python:3.12.v36\tRuntime Version ARN: arn:aws:lambda:eu-west-1::runtime:8d\n"
    "START RequestId: 8f5c6d0e-6a43-4f5b-9f0b-4a2f7b1c2d3e Version: $LATEST\nhello\n"
    "END RequestId: 8f5c6d0e-6a43-4f5b-9f0b-4a2f7b1c2d3e\n"
    f"{REQUEST}\tDuration: 32.41 ms\tBilled Duration: 1433 ms\tMemory Size: 1769 MB\t"
    "Max Memory Used: 176 MB\tInit Duration: 1400.12 ms\t\n"
)
WARM = (
    f"{REQUEST}\tDuration: 6.47 ms\tBilled Duration: 7 ms\tMemory Size: 1769 MB\tMax Memory Used: 176 MB\t\n"
)
TIMEOUT = (
    f"2026-11-26T08:00:03.005Z 8f5c6d0e Task timed out after 3.00 seconds\n\nEND RequestId: 8f5c6d0e\n"
    f"{REQUEST}\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\tMemory Size: 128 MB\t"
    "Max Memory Used: 90 MB\tStatus: timeout\n"
    "XRAY TraceId: 1-5bef4de7-ad49b0e87f6ef6c87fc2e700\tSegmentId: 9a6b\tSampled: true\n"
)
KILLED = (
    f"{REQUEST}\tDuration: 812.55 ms\tBilled Duration: 813 ms\tMemory Size: 128 MB\t"
    "Max Memory Used: {} MB\tStatus: error\tError Type: {}\n"
)


def test_a_cold_and_a_warm_line_are_read() -> None:
    """Durations, the bill, memory; Init Duration in a cold start alone."""
    assert read(COLD, b"{}", failed=False) == Measurement(32.41, 1433, 1769, 176, 1400.12)
    assert read(WARM, b"{}", failed=False) == Measurement(6.47, 7, 1769, 176)
    assert read(COLD, b"{}", failed=False).waited_ms == pytest.approx(1432.53)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("log", "payload", "failed", "failure"),
    [
        (TIMEOUT, {"errorMessage": "Task timed out after 3.00 seconds"}, True, "timeout"),
        (KILLED.format(128, "Runtime.OutOfMemory"), {"errorType": "Runtime.OutOfMemory"}, True, "memory"),
        (KILLED.format(128, "Runtime.ExitError"), {"errorType": "Runtime.ExitError"}, True, "memory"),
        (KILLED.format(60, "Runtime.ExitError"), {}, True, "Runtime.ExitError"),
        (WARM, {"errorType": "KeyError", "errorMessage": "'n'"}, True, "KeyError"),
        (WARM, ["no object"], True, "error"),
        (WARM, {"errorType": "an answer of the handler's"}, False, None),
    ],
)
def test_why_an_invocation_failed(log: str, payload: object, failed: bool, failure: str | None) -> None:
    """Time and memory have words of their own; whatever else is called as AWS or the handler calls it."""
    found = read(log, json.dumps(payload).encode(), failed=failed)
    assert found is not None
    assert found.failure == failure


def test_what_the_handler_prints_is_no_report() -> None:
    """The last line that has every figure counts; without one there is nothing to read."""
    forged = f"{REQUEST}\tDuration: 1.00 ms\n"
    assert read(WARM + forged, b"", failed=False) == read(WARM, b"", failed=False)
    assert read(forged + "REPORT: all well\n", b"", failed=False) is None


def test_a_failed_init_is_waited_for() -> None:
    """Its ten seconds are in the bill alone: no Init Duration tells of an init that was killed."""
    assert Measurement(2000.0, 12_000, 128, 100).waited_ms == 12_000


def test_costs_are_those_of_the_bill() -> None:
    """GB-seconds as billed, a request, and /tmp above 512 MB."""
    each = Measurement(900.0, 1000, 2048, 100)
    assert cost(each, 512, PRICES) == pytest.approx(2 * 0.0000166667 + 0.2e-6)
    assert cost(each, 1536, PRICES) - cost(each, 512, PRICES) == pytest.approx(PRICES.tmp_gb_second)


@given(
    st.sampled_from(MEMORIES), st.integers(1, 900), st.integers(512, 10_240), st.floats(0, 1), st.floats(0, 1)
)
def test_no_invocation_costs_more_than_the_bound(
    memory: int, timeout: int, tmp: int, init: float, handler: float
) -> None:
    """Whatever part of init's ten seconds and of the timeout an invocation takes."""
    billed = math.ceil(init * 10_000 + handler * timeout * 1000)
    each = Measurement(handler * timeout * 1000, billed, memory, memory)
    assert cost(each, tmp, PRICES) <= worst_case(memory, timeout, tmp, PRICES) * (1 + 1e-9)


def sample(memory: int, cold: float, *warm: float, failure: str | None = None) -> Sample:
    first = Measurement(cold / 2, math.ceil(cold), memory, 90, cold / 2, failure)
    return Sample(memory, (first, *(Measurement(each, math.ceil(each), memory, 100) for each in warm)))


def test_a_setting_is_the_middle_in_the_share_of_cold_starts() -> None:
    """The middle half, so that one slow start does not count; the highest peak; time and cost mixed alike."""
    samples = [sample(512, cold, 10, 20) for cold in (1000, 9000, 2000, 3000)]
    (found,) = summarise(samples, cold=0.25, tmp_mb=512, prices=PRICES)
    assert (found.runs, found.used_mb, found.cold_ms, found.warm_ms) == (4, 100, 2500, 15)
    assert found.time_ms == 0.25 * 2500 + 0.75 * 15
    billed = 0.25 * 2500 + 0.75 * 15
    assert found.million == pytest.approx((billed * 0.5 / 1000 * 0.0000166667 + 0.2e-6) * 1e6)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=30), st.floats(0, 1e9))
def test_one_outlier_does_not_count(values: list[float], outlier: float) -> None:
    """With four values or more, what is far out moves the middle no further than the others reach."""
    assert min(values) * (1 - 1e-9) <= middle(values) <= max(values) * (1 + 1e-9)
    assert middle(values) == middle(reversed(values))
    if len(values) >= 3:
        assert middle([*values, outlier]) <= max(values) * (1 + 1e-9)


def test_one_failure_is_enough() -> None:
    """A setting that failed once has no figures to choose by, and its reason."""
    samples = [sample(256, 900, 10, 10), sample(128, 1000, 10, 10), sample(128, 1000, failure="memory")]
    low, high = summarise(samples, cold=0.01, tmp_mb=512, prices=PRICES)
    assert (low.memory_mb, low.failure, low.time_ms, low.million) == (128, "memory", None, None)
    assert recommend((low, high)) == Recommendation(256, 256, None)
    assert recommend((low,)) == Recommendation(None, None, None)


def curve_of(**times: float) -> list[tuple[int, float]]:
    return [(int(name[1:]), time) for name, time in times.items()]


def test_the_knee_of_a_handler_with_one_thread() -> None:
    """Time falls with memory as far as one vCPU, and no farther: there is the knee."""
    assert knee([(m, max(100 * 1769 / m, 100)) for m in MEMORIES]) == 1769


@given(corner=st.integers(1, len(MEMORIES) - 2), base=st.floats(0.1, 1e5))
def test_the_knee_is_the_corner(corner: int, base: float) -> None:
    """Wherever the curve stops falling, and in whatever unit times are."""
    at = MEMORIES[corner]
    assert knee([(m, base * max(at / m, 1.0)) for m in MEMORIES]) == at


@given(
    corner=st.integers(1, len(MEMORIES) - 2), scatter=st.lists(st.floats(-0.02, 0.02), min_size=8, max_size=8)
)
def test_scatter_does_not_move_the_knee(corner: int, scatter: list[float]) -> None:
    """Two measurements of one function agree though each time differs by two in a hundred."""
    at = MEMORIES[corner]
    times = [max(at / m, 1.0) * (1 + part) for m, part in zip(MEMORIES, scatter, strict=True)]
    curve = list(zip(MEMORIES, times, strict=True))
    if times[0] / times[-1] > 2.5:
        assert knee(curve) == at


@pytest.mark.parametrize(
    "curve",
    [
        curve_of(m128=10, m256=5),
        curve_of(m128=10, m256=10, m512=10),
        curve_of(m128=10, m256=10.1, m512=9.9),
        curve_of(m128=8, m256=4, m512=2, m1024=1),
        curve_of(m128=10, m256=9.9, m512=9.8, m1024=1),
    ],
    ids=["two points", "flat", "scatter", "straight", "bends the other way"],
)
def test_no_bend_is_no_knee(curve: list[tuple[int, float]]) -> None:
    """None is named where memory buys time evenly, late or not at all."""
    assert knee(curve) is None


TIMES = st.lists(st.floats(0.01, 1e6), min_size=1, max_size=len(MEMORIES))


@given(TIMES)
def test_evened_times_never_rise(times: list[float]) -> None:
    """What falls already stays as it is; the rest stays within what was measured, and in sum the same."""
    even = evened(times)
    assert all(later <= earlier * (1 + 1e-9) for earlier, later in pairwise(even))
    assert evened(sorted(times, reverse=True)) == sorted(times, reverse=True)
    assert sum(even) == pytest.approx(sum(times))
    assert min(times) * (1 - 1e-9) <= min(even) and max(even) <= max(times) * (1 + 1e-9)


def test_a_rise_is_scatter() -> None:
    """One setting that was measured too fast, among slower ones with more memory, is not the fastest."""
    times = (140.0, 70.0, 24.4, 20.8, 24.9, 23.0)
    chosen = recommend(
        Setting(m, 5, 90, time, time, time, m * time)
        for m, time in zip((128, 256, 1769, 3008, 5307, 10240), times, strict=True)
    )
    assert (chosen.time, chosen.knee) == (1769, 1769)


@given(TIMES)
def test_recommendations_keep_their_word(times: list[float]) -> None:
    """Nothing is cheaper or faster by more than scatter; the knee lies between the ends."""
    settings = [
        Setting(m, 3, 100, time, time, time, time * m, None) for m, time in zip(MEMORIES, times, strict=False)
    ]
    chosen, by_memory = recommend(settings), {each.memory_mb: each for each in settings}
    even = dict(zip(by_memory, evened(times), strict=True))
    least_cost = by_memory[chosen.cost or 0].million or 0
    assert all(least_cost <= (each.million or 0) * (1 + CLOSE) for each in settings)
    assert all(even[chosen.time or 0] <= time * (1 + CLOSE) * (1 + 1e-9) for time in even.values())
    assert chosen.knee is None or MEMORIES[0] < chosen.knee < MEMORIES[len(times) - 1]
    assert recommend(reversed(settings)) == chosen


@given(TIMES, st.integers(0, len(MEMORIES)))
def test_a_setting_that_failed_changes_nothing(times: list[float], where: int) -> None:
    """It is as if it had not been measured."""
    settings = [
        Setting(m, 3, 100, time, time, time, time * m, None) for m, time in zip(MEMORIES, times, strict=False)
    ]
    failed = replace(settings[0], memory_mb=99, time_ms=None, million=None, failure="timeout")
    assert recommend([*settings[:where], failed, *settings[where:]]) == recommend(settings)


def test_of_equals_the_better_is_named() -> None:
    """Of what costs the same the fastest, of what is as fast the cheapest."""
    rows = [(128, 800.0, 1.00), (256, 400.0, 1.02), (1769, 50.0, 1.50), (3008, 49.0, 2.50)]
    chosen = recommend([Setting(m, 3, 90, time, time, time, usd) for m, time, usd in rows])
    assert (chosen.cost, chosen.time) == (256, 1769)
