"""Which imports of a profile the waterfall shows: the longest, none that is the row above once more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Bar", "bar_of", "bars"]

_SAME = 0.8
"""An import that takes at least this share of the import around it shows nothing that that one does not."""


@dataclass(frozen=True)
class Bar:
    """A row of the waterfall.

    Attributes:
        number: Of the import, in the profile.
        depth: In so many of the imports that are shown.
    """

    number: int
    depth: int


def bars(imports: Sequence[Mapping[str, Any]], most: int) -> list[Bar]:
    """The ``most`` longest imports of the first thread, in the order in which they began."""
    shown: set[int] = set()
    main = [number for number, each in enumerate(imports) if not each["thread"]]
    # An import comes before those in it: of two that take the same time the outer one is taken first.
    for number in sorted(main, key=lambda number: (-imports[number]["cumulative_ms"], number)):
        if len(shown) == most:
            break
        around = _around(imports, number, shown)
        outer = imports[around[0]]["cumulative_ms"] if around else None
        if outer is None or imports[number]["cumulative_ms"] < outer * _SAME:
            shown.add(number)
    return [Bar(number, len(_around(imports, number, shown))) for number in sorted(shown)]


def bar_of(imports: Sequence[Mapping[str, Any]], parent: int | None, shown: Sequence[Bar]) -> int | None:
    """The position in ``shown`` of the nearest import around what ``parent`` waits for or imports."""
    positions = {bar.number: position for position, bar in enumerate(shown)}
    while parent is not None and parent not in positions:
        parent = imports[parent]["parent"]
    return None if parent is None else positions[parent]


def _around(imports: Sequence[Mapping[str, Any]], number: int, shown: set[int]) -> list[int]:
    """The imports in ``shown`` around an import, the nearest first."""
    found = []
    parent = imports[number]["parent"]
    while parent is not None:
        if parent in shown:
            found.append(parent)
        parent = imports[parent]["parent"]
    return found
