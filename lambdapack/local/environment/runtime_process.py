"""The process of the runtime: starting, waiting for what the runtime does, freezing, killing."""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Mapping, Sequence

from lambdapack.local.environment.runtime_api import Event, Happening, RuntimeApi
from lambdapack.local.environment.sandbox import Sandbox


class RuntimeProcess:
    """The runtime in its sandbox; after a crash it may be started again.

    Attributes:
        alive: Whether the runtime has asked for an event and has not been killed since.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        happenings: queue.Queue[Happening],
        api: RuntimeApi,
        argv: Sequence[str],
        environment: Mapping[str, str],
    ) -> None:
        self.alive = False
        self._frozen = False
        self._sandbox = sandbox
        self._happenings = happenings
        self._api = api
        self._argv = argv
        self._environment = environment

    def start(self) -> float:
        """Start it; the monotonic time at which it was executed."""
        generation = self._api.restart()
        return self._sandbox.start(generation, self._argv, self._environment, self._sandbox.paths.task)

    def offer(self, event: Event) -> None:
        """Give it an event."""
        self._api.offer(event)

    def wait(self, deadline: float) -> Happening | None:
        """What it does next, ``None`` if nothing until ``deadline`` (monotonic)."""
        while True:
            try:
                happening = self._happenings.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return None
            # Earlier runtimes of the environment are ignored.
            if happening.generation == self._api.generation:
                return happening

    def wake(self) -> None:
        """Let it run again, and see whether it has died since the last invocation."""
        if self._frozen:
            self._sandbox.thaw()
            self._frozen = False
        with contextlib.suppress(queue.Empty):
            while True:
                happening = self._happenings.get_nowait()
                if happening.kind == "exit" and happening.generation == self._api.generation:
                    self.kill()

    def rest(self) -> None:
        """Freeze it until the next invocation."""
        if self.alive:
            self._sandbox.freeze()
            self._frozen = True

    def kill(self) -> None:
        """Kill it and all processes that it has started."""
        self.alive = False
        self._frozen = False
        self._sandbox.kill()
