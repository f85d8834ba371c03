"""The simulated network between a function and S3: bandwidth, latency and faults."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from lambdapack.errors import ConfigurationError

Kind = Literal["status", "reset", "stall", "truncate", "corrupt", "close"]


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong with a request.

    Attributes:
        nth: Which GET or HEAD it strikes, counted from 1 over all connections of the environment.
        kind: ``status`` answers ``status`` instead; ``close`` closes the connection without an answer;
            ``reset`` sends ``after`` bytes of the body, then RST; ``stall`` pauses ``seconds`` after
            ``after`` bytes; ``truncate`` closes cleanly after ``after`` bytes; ``corrupt`` inverts
            the byte at ``after`` in the body.
        times: How many requests in a row it strikes, from ``nth``.
        status: For ``status``: 500 or 503.
        after: Bytes of this response's body.
        seconds: For ``stall``.
    """

    nth: int
    kind: Kind
    times: int = 1
    status: int = 500
    after: int = 0
    seconds: float = 1.0


def read_faults(entries: Iterable[Mapping[str, Any]]) -> tuple[Fault, ...]:
    """Faults from parsed JSON.

    Raises:
        ConfigurationError: Unknown field or kind; every mistake at once.
    """
    known = {field.name for field in fields(Fault)}
    kinds = ", ".join(get_args(Kind))
    problems = []
    faults = []
    for number, entry in enumerate(entries, 1):
        wrong = sorted(set(entry) - known)
        if wrong:
            problems.append(f"fault {number}: unknown {', '.join(wrong)}")
        elif entry.get("kind") not in get_args(Kind) or not isinstance(entry.get("nth"), int):
            problems.append(f"fault {number}: needs an integer 'nth' and a 'kind' of {kinds}")
        else:
            faults.append(Fault(**entry))
    if problems:
        raise ConfigurationError("reading the fault script: " + "; ".join(problems))
    return tuple(faults)


@dataclass(frozen=True)
class LinkSettings:
    """The network between one environment and S3.

    Attributes:
        bandwidth_mbps: Megabits a second for all connections together; ``None``: no limit.
        latency_ms: Before the first byte of each response; ``None``: 0.
        faults: What goes wrong, counted from the request after the link was set.
    """

    bandwidth_mbps: float | None = None
    latency_ms: float | None = None
    faults: tuple[Fault, ...] = ()

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> LinkSettings:
        """From parsed JSON, in which every field may be missing and others are ignored.

        Raises:
            ConfigurationError: A fault is wrong.
        """
        faults = read_faults(document.get("faults", ()))
        return cls(document.get("bandwidth_mbps"), document.get("latency_ms"), faults)


class TokenBucket:
    """A rate that all connections share, first come first served.

    In any period of ``t`` seconds at most ``rate * t + burst`` bytes may pass.

    Args:
        rate: Bytes a second.
        burst: Bytes that may pass at once after a pause.
        clock, sleep: Replaceable, so that a test can count bytes instead of measuring time.
    """

    def __init__(
        self,
        rate: float,
        burst: int = 256 * 1024,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.rate = rate
        self.burst = burst
        # Bytes of about 2 ms: fair between connections, and with so few wake-ups that they cost no CPU.
        self.quantum = max(16 * 1024, min(burst, int(rate * 0.002)))
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._free_at = clock()

    def take(self, amount: int) -> None:
        """Wait until ``amount`` bytes may be sent."""
        with self._lock:
            now = self._clock()
            self._free_at = max(self._free_at, now - self.burst / self.rate) + amount / self.rate
            wait = self._free_at - now
        if wait > 0:
            self._sleep(wait)


class Link:
    """The state of one environment's network: its bucket, its latency, its faults still to come."""

    def __init__(self, settings: LinkSettings | None = None) -> None:
        self._lock = threading.Lock()
        self.bucket: TokenBucket | None = None
        self.set(settings or LinkSettings())

    def set(self, settings: LinkSettings) -> None:
        """Change the link; requests are counted for its faults from 1 again."""
        with self._lock:
            rate = settings.bandwidth_mbps
            self.bucket = TokenBucket(rate * 125_000) if rate else None
            self.latency = (settings.latency_ms or 0.0) / 1000
            self.faults = settings.faults
            self._count = 0

    def next_fault(self) -> Fault | None:
        """Count a request, and return the fault that strikes this request."""
        with self._lock:
            self._count += 1
            hit = (fault for fault in self.faults if fault.nth <= self._count < fault.nth + fault.times)
            return next(hit, None)
