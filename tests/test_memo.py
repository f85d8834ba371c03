"""lambdapack.memo: what decides a key."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields, replace
from datetime import date
from pathlib import Path

import pytest

from lambdapack.memo import facts_of, key_of


@dataclass(frozen=True)
class Inner:
    value: str = "a"
    origin: str = "here"


@dataclass(frozen=True)
class Outer:
    text: str = "a"
    number: float = 1
    flag: bool = False
    nothing: str | None = None
    path: Path = Path("a")
    names: frozenset[str] = frozenset("ab")
    table: dict[str, object] = field(default_factory=lambda: {"a": [1, date(2026, 1, 1)]}, hash=False)
    inner: tuple[Inner, ...] = (Inner(),)
    secret: str = field(default="a", repr=False)


@pytest.mark.parametrize(
    "change",
    [
        {"text": "b"}, {"number": 1.5}, {"flag": True}, {"nothing": ""}, {"path": Path("b")},
        {"names": frozenset("ac")}, {"table": {"a": [1, date(2026, 1, 2)]}}, {"inner": (Inner("b"),)},
        {"inner": ()}, {"secret": "b"},
    ],
)  # fmt: skip
def test_every_field_is_in_the_key(change: dict[str, object]) -> None:
    """A field that is added to a value decides the key from then on, also one that repr does not show."""
    assert key_of(facts_of(Outer())) == key_of(facts_of(Outer()))
    assert key_of(facts_of(replace(Outer(), **change))) != key_of(facts_of(Outer()))  # type: ignore[arg-type]


def test_a_field_that_does_not_count_is_left_out_wherever_it_is() -> None:
    """Where a line came from is for messages alone."""
    other = replace(Outer(), inner=(Inner(origin="there"),))
    without = frozenset(("origin",))
    assert facts_of(other, without) == facts_of(Outer(), without)
    assert facts_of(other) != facts_of(Outer())
    assert set(facts_of(Outer())) == {one.name for one in fields(Outer)}
    assert json.loads(json.dumps(facts_of(Outer())))
