"""A shift from its first move to its last, in a cloud in memory and with a clock that the test moves."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdapack.deploy.shifting import (
    AliasConflictError,
    AliasState,
    Note,
    Outcome,
    Shifter,
    ShiftOptions,
    active,
    read,
    script,
    undo,
)
from lambdapack.errors import ConfigurationError, ToolError
from lambdapack.model import Routing, Shift
from tests.support.shifting_world import BAD, START, HandClock, Killed, MemoryTraffic
from tests.support.told import Told

CANARY = Shift.parse("canary:10%,5m")
LINEAR = Shift.parse("linear:20%,1m")
SHIFTS = st.sampled_from(
    [Shift(), CANARY, LINEAR, Shift.parse("linear:33%,1s"), Shift.parse("canary:99%,2h")]
)


def shifted(
    traffic: MemoryTraffic,
    version: str = "2",
    asked: Shift | None = None,
    *,
    lag: float = 0,
    **options: object,
) -> Outcome:
    """One command: ``options`` as of ``ShiftOptions``."""
    chosen = replace(ShiftOptions(asked), **options)  # type: ignore[arg-type]
    return Shifter(traffic, chosen, lag=lag, clock=traffic.clock).shift(version)


def weights(traffic: MemoryTraffic, version: str = "2") -> list[float]:
    """The version's share after each change of the alias."""
    return [state.routing.shares.get(version, 0.0) for state in traffic.history]


def test_a_healthy_version_gets_its_calls_step_by_step() -> None:
    """Each step lasts as long as was asked, the last gives all calls, and the note is a person's again."""
    clock = HandClock()
    traffic = MemoryTraffic.at("1", clock, note="our front door")
    outcome = shifted(traffic, asked=LINEAR)
    assert weights(traffic) == [0.2, 0.4, 0.6, 0.8, 1.0]
    assert traffic.state is not None
    assert (traffic.state.routing, traffic.state.note) == (Routing("2"), "our front door")
    assert clock.seconds == pytest.approx(240)
    assert (outcome.version, outcome.undone) == ("2", None)
    assert [step.weight for step in outcome.steps] == [0.2, 0.4, 0.6, 0.8]
    assert all(step.new.calls for step in outcome.steps)


def test_a_failing_version_loses_its_calls_and_the_note_says_why() -> None:
    """The first look that proves too many errors ends the shift; the reason stays for ``status``."""
    traffic = MemoryTraffic.at("1", HandClock(), note="our front door")
    traffic.failing["2"] = BAD
    outcome = shifted(traffic, asked=CANARY)
    assert weights(traffic) == [0.1, 0.0]
    assert outcome.version == "1"
    assert "of its calls failed" in (outcome.undone or "")
    left = read(traffic.state.note if traffic.state else "")
    assert left is not None
    assert (left.undone, left.others) == (outcome.undone, "our front door")
    assert traffic.clock.seconds < 60


def test_a_deployment_after_an_undone_shift_tries_again_and_tidies_up() -> None:
    """What was undone is no obstacle: the same version may be right now, and people's words come back."""
    traffic = MemoryTraffic.at("1", HandClock(), note="our front door")
    traffic.failing["2"] = BAD
    shifted(traffic, asked=CANARY)
    traffic.failing.clear()
    assert shifted(traffic, asked=CANARY).undone is None
    assert traffic.state is not None
    assert (traffic.state.routing, traffic.state.note) == (Routing("2"), "our front door")


def test_the_first_deployment_has_nothing_to_shift_from() -> None:
    """Without an alias all calls go to the first version at once."""
    traffic = MemoryTraffic(HandClock())
    assert shifted(traffic, "1", CANARY).version == "1"
    assert weights(traffic, "1") == [1.0]


def test_deploying_what_is_live_changes_nothing() -> None:
    """The same deployment again makes no change of the alias."""
    traffic = MemoryTraffic.at("2", HandClock())
    assert shifted(traffic, asked=CANARY) == Outcome("2")
    assert traffic.history == []


def test_a_smoke_event_that_fails_keeps_every_call_away() -> None:
    """The new version is tried before the first call, also where all calls go over at once."""
    for shift in (Shift(), CANARY):
        traffic = MemoryTraffic.at("1", HandClock())
        traffic.smoking["2"] = "KeyError: 'model'"
        outcome = shifted(traffic, asked=shift, smoke=b"{}")
        assert outcome.undone == "the smoke event failed: KeyError: 'model'"
        assert weights(traffic) == [0.0]


def test_a_smoke_event_is_sent_before_each_further_step() -> None:
    """A version that breaks while it warms up is undone before it gets more calls."""
    clock = HandClock()
    traffic = MemoryTraffic.at("1", clock)
    clock.during = lambda: traffic.smoking.update({"2": "out of memory"}) if clock.seconds > 100 else None
    outcome = shifted(traffic, asked=LINEAR, smoke=b"{}")
    assert weights(traffic) == [0.2, 0.4, 0.0]
    assert outcome.undone == "the smoke event failed: out of memory"
    assert traffic.smoked == ["2", "2", "2"]


def test_an_alarm_undoes_the_shift() -> None:
    """An alarm that is on before the shift keeps it from beginning, one that goes on meanwhile undoes it."""
    clock = HandClock()
    traffic = MemoryTraffic.at("1", clock)
    clock.during = lambda: traffic.alarming.append("slow-database") if clock.seconds > 30 else None
    assert shifted(traffic, asked=CANARY, alarms=("slow-database", "other")).undone == (
        "the alarm slow-database is in alarm"
    )
    assert weights(traffic) == [0.1, 0.0]
    assert shifted(traffic, asked=CANARY, alarms=("slow-database",)).undone
    assert weights(traffic) == [0.1, 0.0, 0.0]


def test_late_figures_are_waited_for_before_all_calls_go_over() -> None:
    """The last step lasts as much longer as the cloud's figures are late; the steps before it do not."""
    canary, linear = (MemoryTraffic.at("1", HandClock()) for _ in range(2))
    shifted(canary, asked=CANARY, lag=120)
    shifted(linear, asked=LINEAR, lag=120)
    assert canary.clock.seconds == pytest.approx(420)
    assert linear.clock.seconds == pytest.approx(360)


def test_another_version_supersedes_a_shift_in_progress() -> None:
    """Calls go back to the version before, and the new shift begins from there."""
    traffic = MemoryTraffic.at("1", HandClock(), note="mine")
    traffic.kill_after = 1
    with pytest.raises(Killed):
        shifted(traffic, "2", CANARY)
    told = Told()
    outcome = Shifter(traffic, ShiftOptions(CANARY), clock=traffic.clock, progress=told).shift("3")
    assert [state.routing for state in traffic.history] == [
        Routing("1", "2", 0.1), Routing("1"), Routing("1", "3", 0.1), Routing("3"),
    ]  # fmt: skip
    assert outcome.version == "3"
    assert traffic.state is not None
    assert traffic.state.note == "mine"
    assert "version 1 has all calls again: version 3 was deployed meanwhile" in told.said


def test_deploying_the_old_version_undoes_a_shift_in_progress() -> None:
    """The version that still has most calls gets all of them back."""
    traffic = MemoryTraffic.at("1", HandClock())
    traffic.kill_after = 1
    with pytest.raises(Killed):
        shifted(traffic, "2", CANARY)
    assert shifted(traffic, "1", CANARY).version == "1"
    assert weights(traffic) == [0.1, 0.0]


@pytest.mark.parametrize(("asked", "then"), [
    (None, [0.4, 0.6, 0.8, 1.0]),
    (Shift(), [1.0]),
    (Shift.parse("canary:10%,1m"), [1.0]),
    (Shift.parse("canary:50%,1m"), [0.5, 1.0]),
    (Shift.parse("linear:30%,1m"), [0.3, 0.6, 0.9, 1.0]),
])  # fmt: skip
def test_the_next_deployment_goes_on_where_the_shift_is(asked: Shift | None, then: list[float]) -> None:
    """As it began; another way to shift takes no call away from the new version, ``all`` ends the shift."""
    traffic = MemoryTraffic.at("1", HandClock())
    traffic.kill_after = 1
    with pytest.raises(Killed):
        shifted(traffic, asked=LINEAR)
    assert shifted(traffic, asked=asked, usual=CANARY).version == "2"
    assert weights(traffic)[1:] == pytest.approx(then)


def test_a_step_goes_on_with_the_time_that_has_passed_meanwhile() -> None:
    """What another command has waited already is not waited for again."""
    traffic = MemoryTraffic.at("1", HandClock())
    traffic.kill_after = 1
    with pytest.raises(Killed):
        shifted(traffic, asked=CANARY)
    traffic.clock.seconds += 200
    shifted(traffic)
    assert traffic.clock.seconds == pytest.approx(300)


def test_a_rollback_beside_a_running_shift_ends_that_shift() -> None:
    """Whoever watches sees at the next look that somebody has undone the shift, and says so."""
    clock = HandClock()
    traffic = MemoryTraffic.at("1", clock)
    clock.during = lambda: undo(traffic, "lambdapack rollback") and None if clock.seconds > 60 else None
    outcome = shifted(traffic, asked=CANARY)
    assert (outcome.version, outcome.undone) == ("1", "lambdapack rollback")
    assert weights(traffic) == [0.1, 0.0]
    assert undo(traffic, "again") is None


def test_two_commands_for_the_same_shift_do_not_hinder_each_other() -> None:
    """A step that another command has made is gone on with."""
    clock = HandClock()
    traffic = MemoryTraffic.at("1", clock)

    def other_command() -> None:
        if clock.seconds > 90 and len(traffic.history) == 2:
            assert traffic.state is not None
            note = active(traffic.state)
            assert note is not None
            further = replace(note, step=2, since=clock.now())
            traffic.route(further.routing, str(further), revision=traffic.state.revision)

    clock.during = other_command
    assert shifted(traffic, asked=LINEAR).version == "2"
    assert weights(traffic) == [0.2, 0.4, 0.6, 0.8, 1.0]


def test_somebody_who_moves_the_alias_elsewhere_is_not_overruled() -> None:
    """A second mover in between: the command stops, and says where calls go now."""
    clock = HandClock()
    traffic = MemoryTraffic.at("1", clock)

    def other() -> None:
        if clock.seconds > 60 and traffic.state and traffic.state.routing.version == "1":
            traffic.route(Routing("7"), "", revision=traffic.state.revision)

    clock.during = other
    with pytest.raises(AliasConflictError, match=r"somebody else has moved .* version 7 \(100%\)"):
        shifted(traffic, asked=CANARY)
    assert weights(traffic) == [0.1, 0.0]


def test_a_move_of_somebody_else_just_before_the_first_is_seen() -> None:
    """The first change is refused where the alias has changed since the look, and the look is repeated."""
    traffic = MemoryTraffic.at("1", HandClock())

    def smoke(version: str, payload: bytes) -> str | None:
        if not traffic.history and traffic.state:
            traffic.route(Routing("5"), "", revision=traffic.state.revision)
        return None

    traffic.smoke = smoke  # type: ignore[method-assign]
    shifted(traffic, asked=CANARY, smoke=b"{}")
    assert [state.routing.shares for state in traffic.history] == [
        {"5": 1.0}, {"5": 0.9, "2": 0.1}, {"2": 1.0},
    ]  # fmt: skip


def test_an_alias_that_was_moved_by_hand_is_not_taken_for_a_shift() -> None:
    """A note that does not fit the routing counts for nothing but a person's words in it."""
    traffic = MemoryTraffic.at("1", HandClock())
    traffic.kill_after = 1
    with pytest.raises(Killed):
        shifted(traffic, asked=CANARY)
    assert traffic.state is not None
    traffic.state = replace(traffic.state, routing=Routing("4"))
    assert active(traffic.state) is None
    assert shifted(traffic, asked=CANARY).version == "2"
    assert traffic.history[1].routing == Routing("4", "2", 0.1)


def test_calls_are_not_shared_with_what_is_not_published() -> None:
    """An alias on $LATEST has no share to give: refused before anything changes, with what helps."""
    traffic = MemoryTraffic.at("$LATEST", HandClock())
    with pytest.raises(ConfigurationError, match="between published versions") as refused:
        shifted(traffic, asked=CANARY)
    assert "--shift all" in (refused.value.hint or "")
    assert traffic.history == []


def test_a_cloud_that_does_not_answer_for_a_while_does_not_end_the_shift() -> None:
    """A few looks may fail; many in a row end the command, which says where the shift stays."""
    traffic = MemoryTraffic.at("1", HandClock())
    clock = traffic.clock
    clock.during = lambda: setattr(traffic, "unreachable", 3) if 60 < clock.seconds < 75 else None
    assert shifted(traffic, asked=CANARY).version == "2"
    clock.during = lambda: setattr(traffic, "unreachable", 9)
    with pytest.raises(ToolError, match="does not answer") as left:
        shifted(traffic, "3", CANARY)
    assert "step 1 of 2, version 3 has 10 % of the calls" in (left.value.hint or "")
    assert "`lambdapack deploy` goes on" in (left.value.hint or "")
    assert traffic.state is not None
    assert traffic.state.routing == Routing("2", "3", 0.1)


def test_figures_that_cannot_be_read_are_noticed_before_anything_moves() -> None:
    """Whoever may not read the metrics learns that while all calls still go where they went."""
    traffic = MemoryTraffic.at("1", HandClock(), note="mine")
    traffic.unreachable = 1
    with pytest.raises(ToolError) as refused:
        shifted(traffic, asked=CANARY)
    assert "No shift is in progress" in (refused.value.hint or "")
    assert traffic.history == []


def test_an_interruption_leaves_the_shift_and_says_what_to_type() -> None:
    """Ctrl-C moves nothing: the text names the step and both commands."""
    traffic = MemoryTraffic.at("1", HandClock())

    def interrupt() -> None:
        raise KeyboardInterrupt

    traffic.clock.during = interrupt
    with pytest.raises(KeyboardInterrupt) as left:
        shifted(traffic, asked=CANARY)
    assert str(left.value) == (
        "Interrupted. The shift stays where it is (step 1 of 2, version 2 has 10 % of the calls): "
        "`lambdapack deploy` goes on with the shift, `lambdapack rollback` undoes it"
    )
    assert weights(traffic) == [0.1]


def test_a_script_is_what_an_undisturbed_shift_does() -> None:
    """A dry run shows the moves that are then made."""
    for shift in (Shift(), CANARY, LINEAR):
        traffic = MemoryTraffic.at("1", HandClock(), note="mine")
        planned = script(traffic.state, "2", shift, Shift(), START)
        shifted(traffic, asked=shift)
        assert [move.routing for move in planned] == [state.routing for state in traffic.history]


@dataclass(frozen=True)
class Disturbance:
    """What goes wrong in a run of commands."""

    kills: tuple[int, ...]
    lost: frozenset[int]
    jumps: tuple[float, ...]


DISTURBANCES = st.builds(
    Disturbance,
    st.lists(st.integers(1, 3), max_size=3).map(tuple),
    st.frozensets(st.integers(1, 8), max_size=2),
    st.lists(st.floats(-4000, 4000), max_size=6).map(tuple),
)


def played(shift: Shift, failing: float, disturbance: Disturbance) -> MemoryTraffic:
    """Deployments of version 2, each killed after some changes but for the last."""
    traffic = MemoryTraffic.at("1", HandClock(jumps=list(disturbance.jumps)), note="mine")
    traffic.failing["2"] = failing
    traffic.answers_lost = set(disturbance.lost)
    for kill in disturbance.kills:
        traffic.kill_after = len(traffic.history) + kill
        try:
            shifted(traffic, asked=None, usual=shift)
        except Killed:
            continue
    traffic.kill_after = None
    shifted(traffic, asked=None, usual=shift)
    return traffic


@settings(max_examples=150, deadline=None)
@given(SHIFTS, st.sampled_from([0.0, BAD, 1.0]), DISTURBANCES)
def test_whatever_disturbs_a_shift_the_end_is_that_of_an_undisturbed_one(
    shift: Shift, failing: float, disturbance: Disturbance
) -> None:
    """Killed commands, lost answers and clocks that jump: the next deployment comes to the same end."""
    calm = played(shift, failing, Disturbance((), frozenset(), ()))
    rough = played(shift, failing, disturbance)
    assert calm.state is not None
    assert rough.state is not None
    assert rough.state.routing == calm.state.routing
    assert bool(_undone(rough.state)) == bool(_undone(calm.state))
    assert (_undone(rough.state) is not None) or rough.state.note == "mine"


@settings(max_examples=150, deadline=None)
@given(SHIFTS, st.sampled_from([0.0, BAD, 1.0]), DISTURBANCES)
def test_a_weight_only_rises_until_the_shift_is_undone(
    shift: Shift, failing: float, disturbance: Disturbance
) -> None:
    """No disturbance takes calls away from the new version but an undoing, and that takes them all."""
    seen = 0.0
    for state in played(shift, failing, disturbance).history:
        share = state.routing.shares.get("2", 0.0)
        assert set(state.routing.shares) <= {"1", "2"}
        assert share >= seen or (share == 0.0 and _undone(state))
        seen = share


def _undone(state: AliasState) -> Note | None:
    note = read(state.note)
    return note if note is not None and note.undone is not None else None
