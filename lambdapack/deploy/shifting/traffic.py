"""What a shift needs of a cloud: an alias that moves at once or not at all, and the versions' health."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from lambdapack.errors import ToolError
from lambdapack.model import Routing


class AliasConflictError(ToolError):
    """Somebody else changed the alias between the look at it and the change."""


@dataclass(frozen=True)
class AliasState:
    """The alias as it is.

    Attributes:
        routing: Where it sends calls.
        note: A text of at most 256 characters that is kept with the alias and changes together with the
            routing, in one call: what a shift leaves for the command after it.
        revision: Changes with each change of the alias.
    """

    routing: Routing
    note: str
    revision: str


@dataclass(frozen=True)
class Health:
    """How a version did in a span of time.

    Attributes:
        calls: Calls that ended.
        errors: Those of them that failed.
        duration_ms: Their mean duration; ``None`` without calls.
        init_ms: The mean duration of the inits, ``None`` where there were none or nothing is known.
    """

    calls: int
    errors: int
    duration_ms: float | None = None
    init_ms: float | None = None


class Traffic(Protocol):
    """One function's alias ``live`` and its versions, in AWS or in the local cloud.

    Each method raises ``ToolError`` where the cloud refuses or is not reached.
    """

    def alias(self) -> AliasState | None:
        """The alias; ``None`` before the first deployment."""

    def route(self, routing: Routing, note: str, *, revision: str | None) -> AliasState:
        """Change routing and note in one step.

        ``revision`` is that of the alias as it was seen; ``None`` makes the alias.

        Raises:
            AliasConflictError: Somebody has changed the alias meanwhile; nothing was done.
        """

    def health(self, version: str, since: datetime) -> Health:
        """How the calls of ``version`` through the alias went since then."""

    def smoke(self, version: str, payload: bytes) -> str | None:
        """Call ``version`` by its number; why the call failed, ``None`` where it did not."""

    def alarms(self, names: Sequence[str]) -> list[str]:
        """Those of the named alarms that are in alarm."""
