"""One distribution to compare in a plain directory and in a pack."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """A distribution and what is done with it.

    Attributes:
        requirement: As pip writes it, ``name==version``.
        imports: Modules to import, the first of them the distribution's own.
        use: Something real, small and repeatable; its result must be fit for JSON.
        not_on: Where the distribution itself does not work, and why: ``3.15``, or ``3.15-lazy`` with all
            imports lazy. ``docs/compatibility.md`` says so too.
    """

    requirement: str
    imports: tuple[str, ...]
    use: Callable[[], Any]
    not_on: Mapping[str, str] = field(default_factory=dict)

    @property
    def distribution(self) -> str:
        """The distribution's name."""
        return self.requirement.partition("==")[0]
