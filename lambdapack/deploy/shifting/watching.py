"""Looks at a step of a shift until the step is over, or the new version too bad."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Protocol

from lambdapack.deploy.shifting import judging, machine
from lambdapack.deploy.shifting.note import Note
from lambdapack.deploy.shifting.options import ShiftOptions, StepResult
from lambdapack.deploy.shifting.traffic import AliasState, Health, Traffic
from lambdapack.errors import ConfigurationError, ToolError
from lambdapack.progress import Advance, Progress

_LONGEST_PAUSE = 15.0
_SHORTEST_PAUSE = 0.25
_LEAST_PAUSE = 0.01
_LOOKS_IN_A_STEP = 20
_LOOKS_THAT_MAY_FAIL = 5
"""How often in a row the cloud may not answer a look before the command gives up and leaves the shift."""
_TOLD_EVERY = 10.0
"""Seconds between two lines about a step."""


class Clock(Protocol):
    """The time, and waiting."""

    def now(self) -> datetime:
        """The time of day, with its zone."""

    def monotonic(self) -> float:
        """Seconds that no change of the time of day moves."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """This machine's clock."""

    def now(self) -> datetime:
        """The time of day in UTC."""
        return datetime.now(timezone.utc)

    def monotonic(self) -> float:
        """Python's monotonic clock."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


@dataclass(frozen=True)
class Checks:
    """What is looked at, and where.

    Attributes:
        traffic: The function's alias and versions.
        options: What a person asked for.
        lag: Seconds after which the cloud's figures are complete.
    """

    traffic: Traffic
    options: ShiftOptions
    lag: float = 0

    def before(self, version: str, *, gradual: bool, now: datetime) -> str | None:
        """Why ``version`` is to get no call at all; looks at all that a step will look at."""
        if gradual:
            # Whoever may not read the figures learns that while nothing has been moved.
            self.traffic.health(version, now)
        return self.alarms() or self.smoke(version)

    def healths(self, note: Note, elapsed: float, now: datetime) -> tuple[Health, Health]:
        """How both versions did in the step, and in what the figures lacked when the step began.

        A clock that was set back since then would hide the calls: the ``elapsed`` seconds tell.
        """
        since = min(note.since, now - timedelta(seconds=elapsed)) - timedelta(seconds=self.lag)
        return self.traffic.health(note.after, since), self.traffic.health(note.before, since)

    def alarms(self) -> str | None:
        """Which alarms speak against the new version."""
        return judging.in_alarm(self.traffic.alarms(self.options.alarms) if self.options.alarms else [])

    def smoke(self, version: str) -> str | None:
        """Why the smoke event speaks against ``version``."""
        if self.options.smoke is None:
            return None
        failure = self.traffic.smoke(version, self.options.smoke)
        return None if failure is None else f"the smoke event failed: {failure}"


class Watch:
    """One step, as one command sees the step.

    Args:
        checks: What is looked at.
        note: The step.
        state: The alias while the step holds.
        clock: The time.
        progress: Where to report to.
    """

    def __init__(
        self, checks: Checks, note: Note, state: AliasState, *, clock: Clock, progress: Progress
    ) -> None:
        self._checks, self._note, self._state = checks, note, state
        self._clock, self._progress = clock, progress
        self._new = self._old = Health(0, 0)
        self._begun = clock.monotonic()
        # Another command may have begun the step; a clock that was set back shows no negative time.
        self._before = max(0.0, (clock.now() - note.since).total_seconds())
        self._failures = 0
        self._shown, self._told = 0, -_TOLD_EVERY

    def run(self) -> machine.Move | None:
        """Look until there is a next move; ``None`` where the alias is no longer what it was.

        Raises:
            ToolError: The cloud did not answer, several times in a row.
        """
        note = self._note
        label = f"version {note.after} has {note.routing.weight * 100:g} % of the calls"
        with self._progress.step(label, total=round(note.shift.seconds), unit="s") as advance:
            while True:
                if self._checks.traffic.alias() != self._state:
                    return None
                following = self._look()
                if isinstance(following, machine.Move):
                    return following
                self._tell(following.seconds, advance)
                self._clock.sleep(max(min(following.seconds, self._pause), _LEAST_PAUSE))

    @property
    def result(self) -> StepResult:
        """The step so far."""
        watched = round(self._clock.monotonic() - self._begun, 3)
        return StepResult(self._note.routing.weight, watched, self._new, self._old)

    @property
    def _elapsed(self) -> float:
        return self._before + self._clock.monotonic() - self._begun

    @property
    def _pause(self) -> float:
        length = max(self._note.shift.seconds, self._checks.lag)
        return min(max(length / _LOOKS_IN_A_STEP, _SHORTEST_PAUSE), _LONGEST_PAUSE)

    def _look(self) -> machine.Move | machine.Wait:
        try:
            following = self._next()
        except ConfigurationError:
            raise
        except ToolError as error:
            self._failures += 1
            if self._failures >= _LOOKS_THAT_MAY_FAIL:
                raise
            self._progress.warn(f"looking at the shift: {error.message}; looking again")
            return machine.Wait(_LONGEST_PAUSE)
        self._failures = 0
        return following

    def _next(self) -> machine.Move | machine.Wait:
        note, now, elapsed = self._note, self._clock.now(), self._elapsed
        self._new, self._old = self._checks.healths(note, elapsed, now)
        reason = judging.judge(self._new, self._old, self._checks.options.tolerance)
        reason = reason or self._checks.alarms()
        following = machine.step(note, elapsed, reason, lag=self._checks.lag, now=now)
        if isinstance(following, machine.Move) and reason is None:
            smoke = self._checks.smoke(note.after)
            return following if smoke is None else machine.undo(note, smoke)
        return following

    def _tell(self, remaining: float, advance: Advance) -> None:
        new, old, elapsed = self._new, self._old, self._elapsed
        remark = (
            f"new {new.errors} of {new.calls} calls failed, old {old.errors} of {old.calls}; "
            f"{remaining:.0f} s left"
        )
        advance(max(0, round(elapsed) - self._shown), note=remark)
        self._shown = max(self._shown, round(elapsed))
        if elapsed - self._told >= _TOLD_EVERY:
            self._told = elapsed
            self._progress.note(f"{self._note.where}: {remark}")
