"""What a run may end in.

*right*: the process saw exactly what an undisturbed one sees in a plain folder. *clear*: one error of
ours that says what it was doing, within init's ten seconds. Everything else is *wrong*, or *hung*.
"""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from typing import Any

from .world import Start, World

__all__ = ["CLEAR", "EITHER", "RIGHT", "End", "Verdict", "judge"]

IN_TIME = 12.0
"""Init's ten seconds, and two for a machine that does other things too."""

WORDS = ("RESULT", "ERROR", "FOREIGN", "CHILD")
"""Those of a program's lines that a verdict is made of."""


class End(enum.Enum):
    """How a run ended."""

    RIGHT = "right"
    CLEAR = "clear error"
    WRONG = "wrong"
    HUNG = "hung"


RIGHT = frozenset({End.RIGHT})
EITHER = frozenset({End.RIGHT, End.CLEAR})
CLEAR = frozenset({End.CLEAR})


@dataclass(frozen=True)
class Verdict:
    """How one injected fault ended, and why it is wrong where it is."""

    end: End
    reason: str = ""


def judge(
    world: World, began: Start, allowed: frozenset[End], *, results: int, own: tuple[str, ...] = ()
) -> Verdict:
    """Wait for the end of a start and say what it was.

    Args:
        world: What is right.
        began: The start.
        allowed: What the fault may end in.
        results: How many times the process looks at the pack where nothing fails.
        own: Texts of the system's own errors that the fault may show as, where they do not come from
            the shim: ``open`` in user code fails as well where the system has no descriptors left.
    """
    status = began.end()
    if status is None:
        return Verdict(End.HUNG, "; ".join(began.notes))
    return verdict_of(world, began, status, allowed, results=results, own=own)


def verdict_of(
    world: World,
    began: Start,
    status: int,
    allowed: frozenset[End],
    *,
    results: int,
    own: tuple[str, ...] = (),
) -> Verdict:
    """The verdict on a start that has ended."""
    lines = [line.partition(" ") for line in began.out.splitlines()]
    # The shim's own line of metrics stands between them.
    said = [(word, json.loads(rest)) for word, _, rest in lines if word in WORDS]
    seen = [value for word, value in said if word == "RESULT"]
    for value in seen:
        wrong = differences(world, value)
        if wrong:
            return Verdict(End.WRONG, f"silently wrong: {wrong}")
    for word, value in said:
        if word in ("FOREIGN", "CHILD"):
            meaning = {"FOREIGN": "a file of the user's own was written to", "CHILD": "a child ended with"}
            return Verdict(End.WRONG, f"{meaning[word]}: {value}; {_errors(said)}")
    errors = [value for word, value in said if word == "ERROR"]
    if errors:
        return _of_error(errors[0], began.seconds, allowed, own)
    if status != 0:
        return Verdict(End.WRONG, f"ended with status {status}: {began.err[-300:]}")
    if len(seen) != results:
        return Verdict(End.WRONG, f"looked {len(seen)} times instead of {results}")
    return Verdict(End.RIGHT)


def differences(world: World, seen: dict[str, Any]) -> str:
    """What of ``seen`` is not what an undisturbed process sees, in words."""
    found = [
        f"{name} is {value!r}, not {world.expected[name]!r}"
        for name, value in seen.items()
        if world.expected[name] != value
    ]
    return ", ".join(found)[:400]


def _errors(said: list[tuple[str, Any]]) -> str:
    return "; ".join(f"{value['type']}: {value['text'][:300]}" for word, value in said if word == "ERROR")


def _of_error(
    error: dict[str, str], seconds: float, allowed: frozenset[End], own: tuple[str, ...]
) -> Verdict:
    said = f"{error['type']}: {error['text'][:300]} (raised in {error['last'][-60:]})"
    ours = error["type"] == "PackError" and error["text"].startswith("lambdapack: ")
    theirs = error["where"] != "shim" and any(text in error["type"] + error["text"] for text in own)
    if not ours and not theirs:
        return Verdict(End.WRONG, f"not a clear error: {said}")
    if End.CLEAR not in allowed:
        return Verdict(End.WRONG, f"an error where the answer can be had: {said}")
    if seconds > IN_TIME:
        return Verdict(End.WRONG, f"a clear error after {seconds:.1f} s, too late for init: {said}")
    return Verdict(End.CLEAR, said)
