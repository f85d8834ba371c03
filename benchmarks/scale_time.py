"""Virtual time: the shim's own blocking code, thousands of threads of it, in one real thread.

Each of the shim's threads is a greenlet; where it would sleep, wait for a lock or for the network, the next
event in virtual time runs instead. Nothing waits in real time, and the same seed gives the same run.
"""

from __future__ import annotations

import heapq
import os
import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from greenlet import getcurrent, greenlet

from runtime_shim import _fetch, _s3

__all__ = ["VirtualTime", "in_virtual_time"]


class VirtualTime:
    """A clock that jumps from event to event.

    Attributes:
        now: Seconds since the beginning.
        random: Every chance of the simulation, what the shim asks of ``os.urandom`` included.
    """

    def __init__(self, seed: int = 0) -> None:
        self.now = 0.0
        self.random = random.Random(seed)
        self._events: list[tuple[float, int, greenlet]] = []
        self._order = 0

    def at(self, when: float, what: greenlet) -> None:
        """Let ``what`` go on at ``when``."""
        self._order += 1
        heapq.heappush(self._events, (when, self._order, what))

    def spawn(self, work: Callable[..., None], arguments: tuple[Any, ...] = (), delay: float = 0.0) -> None:
        """Start a thread; without ``delay`` the signature is ``_thread.start_new_thread``'s."""
        self.at(self.now + delay, greenlet(lambda: work(*arguments), self._hub))

    def sleep(self, seconds: float) -> None:
        """Let virtual time pass for the calling thread."""
        self.at(self.now + seconds, getcurrent())
        self.wait()

    def wait(self) -> None:
        """Leave the calling thread until somebody calls ``at`` for it."""
        self._hub.switch()

    def run(self) -> None:
        """Run until nothing happens any more. An exception that a thread lets out is raised here."""
        while self._events:
            self.now, _, what = heapq.heappop(self._events)
            what.switch()

    @property
    def _hub(self) -> greenlet:
        current = getcurrent()
        return current.parent or current


class _Lock:
    """``_thread.lock`` in virtual time."""

    def __init__(self, clock: VirtualTime) -> None:
        self._clock = clock
        self._held = False
        self._waiting: deque[greenlet] = deque()

    def acquire(self) -> bool:
        if self._held:
            self._waiting.append(getcurrent())
            self._clock.wait()
        self._held = True
        return True

    def release(self) -> None:
        if self._waiting:
            # It stays held: it is handed over, so that nobody slips in between.
            self._clock.at(self._clock.now, self._waiting.popleft())
        else:
            self._held = False

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class _Instead:
    """A module with some names replaced."""

    def __init__(self, module: Any, **names: Any) -> None:
        self._module = module
        self.__dict__.update(names)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


@contextmanager
def in_virtual_time(clock: VirtualTime) -> Iterator[None]:
    """Give the shim's fetching modules this clock, its locks and its chance in place of the system's."""
    virtual = _Instead(time, sleep=clock.sleep, time=lambda: clock.now, monotonic=lambda: clock.now)
    replaced: list[tuple[Any, str, Any]] = [
        (_fetch, "time", virtual),
        (_s3, "time", virtual),
        (_fetch, "os", _Instead(os, urandom=clock.random.randbytes)),
        (_fetch, "allocate_lock", lambda: _Lock(clock)),
    ]
    kept = [(module, name, getattr(module, name)) for module, name, _ in replaced]
    for module, name, value in replaced:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in kept:
            setattr(module, name, value)
