"""Which change of the alias comes next. Pure: a shift is what the alias says, and nothing else is kept.

Every change is one move of the alias, routing and note together, so a command that is killed after any of
them leaves a state from which the next one goes on::

    v1  --begin-->  v1 + 10 % v2  --step-->  v1 + 20 % v2  -->  ...  --end-->  v2
                          |                       |
                          `--------- undo --------`-->  v1, with the reason in the note
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from lambdapack.deploy.shifting.note import Note, others_of, read
from lambdapack.deploy.shifting.traffic import AliasState
from lambdapack.errors import ConfigurationError
from lambdapack.model import Routing, Shift

ROLLED_BACK = "lambdapack rollback"
"""Why a shift was undone that a person undid."""
_UNVERSIONED = "$LATEST"
_CLOSE = 1e-6


@dataclass(frozen=True)
class Move:
    """One change of the alias.

    Attributes:
        routing: Where calls go after it.
        note: The alias's note after it.
        why: What it is for, for people.
        seconds: For how long it stays so, at least; 0 where the next move follows, or none.
        undone: Why the shift is undone with it; ``None`` where it is not.
    """

    routing: Routing
    note: str
    why: str
    seconds: float = 0
    undone: str | None = None


@dataclass(frozen=True)
class Wait:
    """Nothing is to be changed for so many ``seconds``."""

    seconds: float


def active(state: AliasState) -> Note | None:
    """The shift that is going on; ``None`` where there is none.

    A note that does not fit the routing is an old one: a person has moved the alias by hand since.
    """
    note = read(state.note)
    if note is None or note.undone is not None:
        return None
    wanted, seen = note.routing, state.routing
    same = (wanted.version, wanted.other) == (seen.version, seen.other)
    return note if same and abs(wanted.weight - seen.weight) < _CLOSE else None


def stable(state: AliasState) -> str:
    """The version to which a shift that is undone goes back; without a shift, the one with most calls."""
    return state.routing.version


def begin(
    state: AliasState | None, version: str, asked: Shift | None, usual: Shift, now: datetime
) -> Move | None:
    """The move with which ``version`` begins to get calls, or with which something else ends before that.

    Called again with the state after each move, until there is none: then ``active`` says whether a shift is
    to be watched.

    Args:
        state: The alias; ``None`` where there is none.
        version: The version that is to have all calls.
        asked: How, for this run; ``None``: as a shift in progress says, else as ``usual`` says.
        usual: How, where nothing else says so.
        now: The time, for the note.

    Raises:
        ConfigurationError: Calls cannot be shared with what the alias points to.
    """
    if state is None:
        return Move(Routing(version), "", f"version {version} has all calls")
    note = active(state)
    if note is not None:
        return _go_on(note, version, asked, now)
    others = others_of(state.note)
    if state.routing == Routing(version):
        return None
    if state.routing.version == version:
        why = f"version {version} has all calls again, version {state.routing.other} none"
        return Move(Routing(version), others, why)
    shift = asked or usual
    if shift.kind == "all":
        return Move(Routing(version), others, f"version {version} has all calls")
    if _UNVERSIONED in (version, stable(state)):
        raise ConfigurationError(
            f"shifting calls to version {version}: the alias points to {stable(state)}, and calls are shared "
            "between published versions only",
            hint="lambdapack deploy --shift all moves all calls at once",
        )
    return _at(Note(stable(state), version, shift, 0, now, others=others))


def step(note: Note, elapsed: float, reason: str | None, *, lag: float, now: datetime) -> Move | Wait:
    """What comes next in a shift.

    Args:
        note: How far the shift is.
        elapsed: Seconds that the step has lasted.
        reason: Why the new version is too bad; ``None`` where it is not.
        lag: Seconds after which the cloud's figures are complete: before all calls go over, so long is waited
            for those of the last step.
        now: The time, for the note.
    """
    if reason is not None:
        return undo(note, reason)
    last = note.step + 1 == len(note.shift.weights) - 1
    remaining = note.shift.seconds + (lag if last else 0) - elapsed
    if remaining > 0:
        return Wait(remaining)
    if last:
        return finish(note)
    return _at(replace(note, step=note.step + 1, since=now))


def finish(note: Note) -> Move:
    """The move that ends a shift: the new version has all calls, and people's own note is back."""
    return Move(Routing(note.after), note.others, f"version {note.after} has all calls")


def undo(note: Note, reason: str) -> Move:
    """The move that takes all calls from the new version, and says why in the note."""
    undone = replace(note, undone=reason)
    why = f"version {note.before} has all calls again: {reason}"
    return Move(Routing(note.before), str(undone), why, undone=reason)


def script(
    state: AliasState | None, version: str, asked: Shift | None, usual: Shift, now: datetime
) -> tuple[Move, ...]:
    """All moves of a shift that nothing disturbs, for a dry run."""
    moves = []
    while (move := begin(state, version, asked, usual, now)) is not None:
        moves.append(move)
        state = AliasState(move.routing, move.note, "")
    while state is not None and (note := active(state)) is not None:
        following = step(note, note.shift.seconds, None, lag=0, now=now)
        assert isinstance(following, Move)
        moves.append(following)
        state = AliasState(following.routing, following.note, "")
    return tuple(moves)


def _go_on(note: Note, version: str, asked: Shift | None, now: datetime) -> Move | None:
    """What a shift in progress needs before it is watched on."""
    if version == note.before:
        return undo(note, f"version {version} was deployed again")
    if version != note.after:
        return undo(note, f"version {version} was deployed meanwhile")
    if asked is None or asked == note.shift:
        return None
    if asked.kind == "all":
        return finish(note)
    # Another way to shift begins with its first step that takes no call away from the new version.
    weight = note.routing.weight
    following = next(number for number, each in enumerate(asked.weights) if each >= weight - _CLOSE)
    if following == len(asked.weights) - 1:
        return finish(note)
    return _at(replace(note, shift=asked, step=following, since=now))


def _at(note: Note) -> Move:
    """The move into a step."""
    return Move(note.routing, str(note), f"{note.where}, version {note.before} the rest", note.shift.seconds)
