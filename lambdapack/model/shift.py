"""How calls go over from one version to the next, as ``--shift`` spells that."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from lambdapack.errors import ConfigurationError

_WRITTEN = re.compile(r"(canary|linear):(\d{1,2})%,(\d+)(s|m|h)\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True)
class Shift:
    """How calls go over to a new version.

    Attributes:
        kind: ``all`` at once; ``canary``, one step and then the rest; ``linear``, equal steps.
        percent: The share of a step, 1 to 99; 100 for ``all``.
        seconds: What a step lasts; 0 for ``all``.
    """

    kind: Literal["all", "canary", "linear"] = "all"
    percent: int = 100
    seconds: int = 0

    @classmethod
    def parse(cls, text: str) -> Shift:
        """Read ``all``, ``canary:10%,5m`` or ``linear:10%,1m``.

        Raises:
            ConfigurationError: It is none of these.
        """
        if text == "all":
            return cls()
        match = _WRITTEN.match(text)
        if match is None or not int(match[2]) or not int(match[3]):
            raise ConfigurationError(
                f"--shift {text!r} is no way to shift calls",
                hint="all, canary:10%,5m or linear:10%,1m (1 to 99 percent; s, m or h)",
            )
        kind: Literal["canary", "linear"] = "canary" if match[1] == "canary" else "linear"
        return cls(kind, int(match[2]), int(match[3]) * _SECONDS[match[4]])

    @property
    def weights(self) -> tuple[float, ...]:
        """The new version's share of calls, step by step; the last is 1, for which nobody waits."""
        if self.kind == "all":
            return (1.0,)
        if self.kind == "canary":
            return (self.percent / 100, 1.0)
        steps = range(self.percent, 100, self.percent)
        return (*(step / 100 for step in steps), 1.0)

    def __str__(self) -> str:
        if self.kind == "all":
            return "all"
        size, unit = next((s, u) for u, s in reversed(_SECONDS.items()) if self.seconds % s == 0)
        return f"{self.kind}:{self.percent}%,{self.seconds // size}{unit}"
