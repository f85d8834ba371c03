"""Shifts calls: reads the alias, asks the machine for the next move, makes the move, and looks meanwhile.

Nothing is kept here that the alias does not say. The command may be killed at any moment; the next one reads
the alias and goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lambdapack.deploy.shifting import machine
from lambdapack.deploy.shifting.note import Note, others_of, read
from lambdapack.deploy.shifting.options import Outcome, ShiftOptions, StepResult
from lambdapack.deploy.shifting.traffic import AliasConflictError, AliasState, Traffic
from lambdapack.deploy.shifting.watching import Checks, Clock, SystemClock, Watch
from lambdapack.errors import ToolError
from lambdapack.model import Routing
from lambdapack.progress import QUIET, Progress

_CONFLICTS = 20
"""How often in a row somebody else may move the alias before a command gives up."""


@dataclass(frozen=True)
class Commands:
    """What a person types when a shift was left where it is.

    Attributes:
        go_on: Goes on with the shift.
        undo: Undoes the shift.
    """

    go_on: str = "lambdapack deploy"
    undo: str = "lambdapack rollback"

    def __str__(self) -> str:
        return f"`{self.go_on}` goes on with the shift, `{self.undo}` undoes it"


class Shifter:
    """Moves one function's alias, step by step.

    Args:
        traffic: The function's alias and versions.
        options: How calls go over, and what is looked at.
        lag: Seconds after which the cloud's figures are complete.
        commands: What to type after an interruption.
        clock: The time; by default this machine's.
        progress: Where to report to.
    """

    def __init__(
        self,
        traffic: Traffic,
        options: ShiftOptions,
        *,
        lag: float = 0,
        commands: Commands | None = None,
        clock: Clock | None = None,
        progress: Progress = QUIET,
    ) -> None:
        self._traffic = traffic
        self._options = options
        self._checks = Checks(traffic, options, lag)
        self._commands = commands or Commands()
        self._clock = clock or SystemClock()
        self._progress = progress
        self._steps: list[StepResult] = []

    def shift(self, version: str) -> Outcome:
        """Give ``version`` all calls, step by step, or take them away again when it is too bad.

        A shift to the same version that is in progress goes on; one to another version is undone first.

        Raises:
            AliasConflictError: Somebody else moved the alias elsewhere meanwhile.
            ToolError: The cloud refused or was not reached. The shift stays where it is.
            KeyboardInterrupt: With a text that says where the shift stays and what goes on with it.
        """
        with self._leaving():
            state, refused = self._begin(self._traffic.alias(), version)
            if state is None or refused is not None:
                return Outcome(state.routing.version if state else None, undone=refused)
            while (note := machine.active(state)) is not None:
                watch = Watch(self._checks, note, state, clock=self._clock, progress=self._progress)
                move = watch.run()
                self._steps.append(watch.result)
                if move is not None and move.undone is None and not watch.result.new.calls:
                    self._progress.warn(f"{note.where}: no call of that version was measured")
                state = self._change(state, move, note)
        said = read(state.note)
        undone = said.undone if said and said.after == version and state.routing.version != version else None
        return Outcome(state.routing.version, tuple(self._steps), undone)

    def _begin(self, state: AliasState | None, version: str) -> tuple[AliasState | None, str | None]:
        """Make the moves that come before the watching; the alias then, and why nothing was begun."""
        options = self._options
        gradual = (options.asked or options.usual).kind != "all"
        for _ in range(_CONFLICTS):
            now = self._clock.now()
            move = machine.begin(state, version, options.asked, options.usual, now)
            if move is None:
                note = None if state is None else machine.active(state)
                if note is not None:
                    self._progress.note(f"shifting calls to version {version}: {note.where}")
                return state, None
            if version in move.routing.shares and (state is None or version not in state.routing.shares):
                reason = self._checks.before(version, gradual=gradual and state is not None, now=now)
                if reason is not None:
                    return self._refuse(state, version, reason), reason
            try:
                state = self._make(state, move)
            except AliasConflictError:
                self._progress.note("the alias was moved meanwhile: looking again")
                state = self._traffic.alias()
        raise AliasConflictError(
            f"shifting calls to version {version}: somebody else keeps moving the alias",
            hint="lambdapack status shows where it points",
        )

    def _refuse(self, state: AliasState | None, version: str, reason: str) -> AliasState | None:
        """Leave all calls where they are, and say why in the note."""
        if state is None:
            self._progress.warn(f"version {version} gets no calls: {reason}")
            return None
        shift = self._options.asked or self._options.usual
        now = self._clock.now()
        note = Note(state.routing.version, version, shift, 0, now, reason, others_of(state.note))
        why = f"version {version} gets no calls: {reason}"
        return self._make(state, machine.Move(state.routing, str(note), why, undone=reason))

    def _change(self, state: AliasState, move: machine.Move | None, note: Note) -> AliasState:
        """Make a move of a shift in progress, and follow where another command has moved the same shift."""
        for _ in range(_CONFLICTS):
            if move is not None:
                try:
                    return self._make(state, move)
                except AliasConflictError:
                    pass
            seen = self._traffic.alias()
            if seen is None or not _same_shift(seen, note):
                raise self._elsewhere(seen, note.after)
            going_on = machine.active(seen)
            if move is None or move.undone is None or going_on is None:
                return seen
            # What was seen of the new version holds at whatever step another command has come to.
            state, move = seen, machine.undo(going_on, move.undone)
        raise self._elsewhere(state, note.after)

    def _make(self, state: AliasState | None, move: machine.Move) -> AliasState:
        made = self._traffic.route(move.routing, move.note, revision=state.revision if state else None)
        (self._progress.note if move.undone is None else self._progress.warn)(move.why)
        return made

    def _elsewhere(self, seen: AliasState | None, version: str) -> AliasConflictError:
        where = "the alias is gone" if seen is None else f"the alias sends calls to {_shares(seen.routing)}"
        return AliasConflictError(
            f"shifting calls to version {version}: somebody else has moved the alias meanwhile, and this "
            f"command moves it no further; {where}",
            hint=f"lambdapack status shows more; `{self._commands.go_on}` begins again from there",
        )

    @contextmanager
    def _leaving(self) -> Iterator[None]:
        """Say, on the way out, where the shift stays."""
        try:
            yield
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"Interrupted. {self._stays()}") from None
        except AliasConflictError:
            raise
        except ToolError as error:
            error.hint = f"{error.hint}. {self._stays()}" if error.hint else self._stays()
            raise

    def _stays(self) -> str:
        try:
            state = self._traffic.alias()
        except ToolError:
            return f"The shift stays where it is: {self._commands}"
        note = None if state is None else machine.active(state)
        if note is None:
            return "No shift is in progress."
        return f"The shift stays where it is ({note.where}): {self._commands}"


def undo(traffic: Traffic, reason: str, *, progress: Progress = QUIET) -> AliasState | None:
    """Undo the shift that is in progress, whatever moves the alias meanwhile; ``None`` where there is none.

    Raises:
        ToolError: The cloud refused or was not reached.
    """
    for _ in range(_CONFLICTS):
        state = traffic.alias()
        note = None if state is None else machine.active(state)
        if state is None or note is None:
            return None
        move = machine.undo(note, reason)
        try:
            made = traffic.route(move.routing, move.note, revision=state.revision)
        except AliasConflictError:
            continue
        progress.note(move.why)
        return made
    raise AliasConflictError("undoing the shift: somebody else keeps moving the alias")


def _same_shift(seen: AliasState, note: Note) -> bool:
    """Whether ``seen`` is what a command made of the shift of ``note``: a step, its end, or undone."""
    other = read(seen.note)
    if other is not None and (other.before, other.after) == (note.before, note.after):
        return other.undone is not None or machine.active(seen) is not None
    return seen.routing == Routing(note.after)


def _shares(routing: Routing) -> str:
    return " and ".join(f"version {version} ({share:.0%})" for version, share in routing.shares.items())
