"""The model of a cold start: exact where a hand can follow, and monotone everywhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdapack.limits import MEMORY_PER_VCPU_MB
from lambdapack.plan.cold import Constants, Frames, Start, Step, Work, error, fit, predict, ratios

EASY = Constants(
    link=100.0,
    latency=0.5,
    check=0.01,
    decode=0.002,
    write=0.003,
    runtime=1.0,
    measured=date(2026, 1, 1),
    where="nowhere",
)
CLOSE = 1e-6
SIZES = st.integers(1, 1000)
EFFORTS = st.floats(0, 5)


@st.composite
def starts(draw: st.DrawFn) -> dict[str, Any]:
    """Any constants, frames and work that needs them."""
    stored = draw(st.lists(SIZES, max_size=6))
    frames = Frames(stored, [draw(SIZES) for _ in stored], draw(st.booleans()))
    rates = st.floats(0, 0.01)
    constants = replace(
        EASY,
        link=draw(st.floats(10, 1000)),
        latency=draw(st.floats(0, 1)),
        check=draw(rates),
        decode=draw(rates),
        write=draw(rates),
        runtime=draw(EFFORTS),
        speed=draw(st.floats(0.1, 10)),
        cpus=draw(st.none() | st.integers(1, 4)),
    )
    steps = st.builds(Step, st.integers(-1, max(len(stored) - 1, -1)), EFFORTS)
    work = Work(*(tuple(draw(st.lists(steps, max_size=5))) for _ in range(2)))
    return {"constants": constants, "frames": frames, "work": work}


MEMORIES = st.integers(128, 10_240)
SHORT = settings(max_examples=60, deadline=None)


def test_a_start_that_waits_for_its_link() -> None:
    """Runtime 1 s; the frame is asked for, is there 0.5 + 2 s later, and is in place after 4 s of CPU."""
    frames = Frames([200], [400])
    work = Work((Step(-1, 0.25), Step(0, 3.0)), (Step(0, 0.5),))
    found = predict(EASY, frames, work, memory_mb=2 * MEMORY_PER_VCPU_MB)
    assert found.runtime == pytest.approx(1.0)
    assert found.waits == pytest.approx(0.5 + 2.0 + 4.0 - 0.25)
    assert found.imports == pytest.approx(3.25)
    assert (found.call, found.call_waits) == (pytest.approx(0.5), 0.0)
    assert (found.link, found.check, found.decode, found.write) == pytest.approx((2.0, 2.0, 0.8, 1.2))
    assert found.total == pytest.approx(1.0 + 6.25 + 3.25 + 0.5)


def test_both_processes_share_one_processor() -> None:
    """What both compute at the same time takes each twice as long; who is alone has it all."""
    frames = Frames([1], [1], linked=False)
    constants = replace(EASY, runtime=0.0, check=2.0, decode=0.0, write=0.0)
    work = Work((Step(-1, 3.0),), ())
    found = predict(constants, frames, work, memory_mb=MEMORY_PER_VCPU_MB, boost=False)
    assert found.imports == pytest.approx(5.0)
    assert predict(constants, frames, work, memory_mb=MEMORY_PER_VCPU_MB).imports == pytest.approx(3.0)


def test_the_first_invocation_has_no_boost() -> None:
    """Init has two processors at least; what follows has the setting's."""
    work = Work((Step(-1, 1.0),), (Step(-1, 1.0),))
    found = predict(EASY, Frames([], []), work, memory_mb=MEMORY_PER_VCPU_MB // 4)
    assert found.init == pytest.approx(2.0)
    assert found.call == pytest.approx(4.0, rel=0.01)


@SHORT
@given(starts(), MEMORIES, st.booleans())
def test_parts_add_up_and_lie_between_the_bounds(start: dict[str, Any], memory: int, boost: bool) -> None:
    """No less than the imports alone, no more than everything one after the other."""
    found = predict(**start, memory_mb=memory, boost=boost)
    assert found.init == pytest.approx(found.runtime + found.waits + found.imports)
    constants, work = start["constants"], start["work"]
    computed = (constants.runtime + sum(step.seconds for step in (*work.init, *work.call))) / constants.speed
    share = min(memory / MEMORY_PER_VCPU_MB, 1.0)
    fetched = (found.check + found.decode + found.write) / constants.speed
    one_by_one = (computed + fetched) / share + found.link + constants.latency
    assert computed - CLOSE <= found.total <= one_by_one * (1 + CLOSE) + CLOSE


@SHORT
@given(starts(), MEMORIES, MEMORIES, st.booleans())
def test_more_memory_is_never_slower(start: dict[str, Any], one: int, other: int, boost: bool) -> None:
    """Nor is the boost."""
    slow, fast = (predict(**start, memory_mb=memory, boost=boost).total for memory in sorted((one, other)))
    assert fast <= slow * (1 + CLOSE) + CLOSE
    assert predict(**start, memory_mb=one).total <= predict(**start, memory_mb=one, boost=False).total + CLOSE


@SHORT
@given(starts(), MEMORIES, SIZES, SIZES)
def test_more_to_fetch_is_never_faster(start: dict[str, Any], memory: int, stored: int, size: int) -> None:
    """A further frame takes link and processor, though nothing may wait for it."""
    frames = start["frames"]
    more = Frames([*frames.stored, stored], [*frames.size, size], frames.linked)
    assert (
        predict(**start, memory_mb=memory).total
        <= predict(**{**start, "frames": more}, memory_mb=memory).total + CLOSE
    )


@SHORT
@given(starts(), MEMORIES, st.floats(1, 5))
def test_a_faster_link_is_never_slower(start: dict[str, Any], memory: int, times: float) -> None:
    """Nor is a pack that need not come over it, where a processor is there for each process."""
    faster = replace(start["constants"], link=start["constants"].link * times)
    before, after = (
        predict(**{**start, "constants": each}, memory_mb=max(memory, 2 * MEMORY_PER_VCPU_MB)).total
        for each in (replace(start["constants"], cpus=None), replace(faster, cpus=None))
    )
    assert after <= before + CLOSE


@SHORT
@given(starts(), st.floats(0.2, 5))
def test_the_fit_finds_the_speed_that_starts_were_made_with(start: dict[str, Any], speed: float) -> None:
    """Starts that the model itself has made are predicted without an error."""
    constants, frames, work = start["constants"], start["frames"], start["work"]
    work = replace(work, init=(*work.init, Step(-1, 0.5)))
    made = []
    for memory in (512, 1024, 3008):
        found = predict(replace(constants, speed=speed), frames, work, memory_mb=memory)
        made.append(Start(memory, found.init, found.call))
    fitted = fit(constants, frames, work, made)
    assert error(ratios(fitted, frames, work, made)) < 0.001


def test_work_without_some_frames_and_imports_keeps_the_rest() -> None:
    """What needed a frame that is gone needs the last one before; all steps share the seconds that go."""
    work = Work((Step(-1, 1.0), Step(2, 2.0), Step(4, 1.0)), (Step(3, 0.5),))
    less = work.less([0, 3, 4], 1.0)
    assert less.init == (Step(-1, 0.75), Step(0, 1.5), Step(2, 0.75))
    assert less.call == (Step(1, 0.5),), "the first invocation imports nothing"
    assert work.less(range(5), 0.0) == work
    assert [step.seconds for step in work.less([], 9.0).init] == [0.0, 0.0, 0.0]
