"""Who needs what: the edges of a pack's dependencies."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Need:
    """A distribution that another one, or the user, needs.

    Attributes:
        name: Canonical name of what is needed.
        versions: Those that fit, e.g. ``>=1.21,<3``; empty where any does.
        extras: Extras of ``name`` that are asked for.
        when: Extras of the distribution that has this need: any of them brings it; empty where none has to.
    """

    name: str
    versions: str = ""
    extras: tuple[str, ...] = ()
    when: tuple[str, ...] = ()
