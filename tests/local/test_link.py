"""The simulated network: bandwidth, faults, ranges. Counted in bytes, never in time."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdapack.errors import ConfigurationError
from lambdapack.local.link import Fault, Link, LinkSettings, TokenBucket, read_faults
from lambdapack.local.s3.objects import parse_range
from lambdapack.local.s3.sigv4 import RefusedError


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@given(
    st.lists(st.tuples(st.integers(1, 200_000), st.floats(0, 0.01)), min_size=1, max_size=200),
    st.sampled_from([1e6, 75e6, 375e6]),
)
def test_no_period_lets_through_more_than_rate_and_burst(takes: list[tuple[int, float]], rate: float) -> None:
    """From any moment on, at most ``rate * seconds + burst`` bytes pass, whatever is asked when."""
    clock = Clock()
    bucket = TokenBucket(rate, 100_000, clock=clock, sleep=clock.sleep)
    passed = []
    for amount, pause in takes:
        clock.now += pause
        bucket.take(amount)
        passed.append((clock.now, amount))
    for start in range(len(passed)):
        # An amount is let through whole, so the first of a period may have waited before it began.
        for end in range(start + 1, len(passed)):
            seconds = passed[end][0] - passed[start][0]
            sent = sum(amount for _, amount in passed[start + 1 : end + 1])
            assert sent <= rate * seconds + 100_000 + 1


def test_a_busy_link_delivers_its_whole_rate() -> None:
    """Under constant demand the bytes are those of the rate: it is a limit, and no brake."""
    clock = Clock()
    bucket = TokenBucket(75e6, clock=clock, sleep=clock.sleep)
    began, sent = clock.now, 0
    while sent < 150_000_000:
        bucket.take(bucket.quantum)
        sent += bucket.quantum
    assert sent == pytest.approx(75e6 * (clock.now - began), rel=0.001)


def test_a_fault_strikes_the_requests_that_it_names() -> None:
    """``nth`` counts from 1 and ``times`` requests in a row are hit."""
    link = Link(LinkSettings(faults=(Fault(2, "status", times=2), Fault(5, "reset"))))
    struck = [fault.kind if fault else None for fault in (link.next_fault() for _ in range(6))]
    assert struck == [None, "status", "status", None, "reset", None]


def test_a_wrong_fault_script_tells_every_mistake() -> None:
    """All problems are reported at once, by the number of the entry."""
    with pytest.raises(ConfigurationError) as caught:
        read_faults(
            [{"nth": 1, "kind": "explode"}, {"nth": 1, "kind": "reset", "offset": 3}, {"kind": "reset"}]
        )
    assert all(f"fault {number}:" in caught.value.message for number in (1, 2, 3))
    assert read_faults([asdict(Fault(3, "stall"))]) == (Fault(3, "stall"),)


@given(st.integers(0, 50), st.integers(0, 60), st.integers(0, 60))
def test_a_range_is_what_http_says(size: int, first: int, last: int) -> None:
    """``bytes=a-b`` is a slice, cut at the end; one that begins after the end is refused with 416."""
    data = bytes(range(size))
    if first < size and first <= last:
        start, length = parse_range(f"bytes={first}-{last}", size) or (0, 0)
        assert data[start : start + length] == data[first : last + 1]
    elif first <= last:
        with pytest.raises(RefusedError) as caught:
            parse_range(f"bytes={first}-{last}", size)
        assert caught.value.status == 416
    else:
        assert parse_range(f"bytes={first}-{last}", size) is None


def test_open_and_suffix_ranges() -> None:
    """``a-`` reaches to the end, ``-n`` is the last n bytes; what is no range is ignored."""
    assert parse_range("bytes=3-", 10) == (3, 7)
    assert parse_range("bytes=-4", 10) == (6, 4)
    assert parse_range("bytes=-40", 10) == (0, 10)
    assert parse_range("bytes=-", 10) is None
    assert parse_range("lines=1-2", 10) is None
