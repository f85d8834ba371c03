"""A cloud of one alias in memory, and a clock that a test moves: a shift is played there in no time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from lambdapack.deploy.shifting import AliasConflictError, AliasState, Health
from lambdapack.errors import ToolError
from lambdapack.model import Routing

START = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
GOOD, BAD = 0.0, 0.3


class Killed(BaseException):
    """The process ends here: nothing that it would have done later happens."""


@dataclass
class HandClock:
    """Time passes while somebody sleeps; ``jumps`` are added to the time of day as the sleeps go on."""

    seconds: float = 0.0
    wall: float = 0.0
    jumps: list[float] = field(default_factory=list)
    during: Callable[[], None] | None = None

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds + self.wall)

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.seconds += seconds
        if self.jumps:
            self.wall += self.jumps.pop()
        if self.during is not None:
            self.during()


@dataclass
class MemoryTraffic:
    """An alias whose calls come evenly, 20 a second; each version fails its share of them.

    ``kill_after`` ends the process after so many changes; ``answers_lost`` are changes that are made while
    their answer never arrives, as a retried call sees it: a conflict.
    """

    clock: HandClock
    state: AliasState | None = None
    failing: dict[str, float] = field(default_factory=dict)
    smoking: dict[str, str] = field(default_factory=dict)
    alarming: list[str] = field(default_factory=list)
    kill_after: int | None = None
    answers_lost: set[int] = field(default_factory=set)
    unreachable: int = 0
    history: list[AliasState] = field(default_factory=list)
    smoked: list[str] = field(default_factory=list)

    @classmethod
    def at(cls, version: str, clock: HandClock, note: str = "") -> MemoryTraffic:
        return cls(clock, AliasState(Routing(version), note, "r0"))

    def alias(self) -> AliasState | None:
        return self.state

    def route(self, routing: Routing, note: str, *, revision: str | None) -> AliasState:
        if revision != (self.state.revision if self.state else None):
            raise AliasConflictError("the alias has changed")
        assert len(note) <= 256
        assert routing.other != routing.version
        self.state = AliasState(routing, note, f"r{len(self.history) + 1}")
        self.history.append(self.state)
        if len(self.history) == self.kill_after:
            raise Killed
        if len(self.history) in self.answers_lost:
            raise AliasConflictError("the alias has changed")
        return self.state

    def health(self, version: str, since: datetime) -> Health:
        if self.unreachable:
            self.unreachable -= 1
            raise ToolError("the cloud does not answer")
        shares = self.state.routing.shares if self.state else {}
        seconds = max(0.0, (self.clock.now() - since).total_seconds())
        calls = int(20 * min(seconds, 3600) * shares.get(version, 0.0))
        return Health(calls, int(calls * self.failing.get(version, GOOD)), 50.0 if calls else None)

    def smoke(self, version: str, payload: bytes) -> str | None:
        self.smoked.append(version)
        return self.smoking.get(version)

    def alarms(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if name in self.alarming]
