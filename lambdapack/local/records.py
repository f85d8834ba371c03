"""What invocations leave: lines of the log, and a line of metrics each."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from pathlib import Path

from lambdapack.local.invocation import Invocation
from lambdapack.local.log_store import LogStore, events_of
from lambdapack.local.metrics import Call, Metrics


class Records:
    """The logs and metrics of a state folder. Safe to use from several processes.

    Attributes:
        logs, metrics: Where they are kept.
    """

    def __init__(self, state: Path) -> None:
        self.logs = LogStore(state / "logs")
        self.metrics = Metrics(state / "metrics")

    def add(self, name: str, stream: str, ended: Sequence[Invocation], *, began: float, live: bool) -> None:
        """Keep what invocations took and logged.

        Args:
            name: The function's name.
            stream: The environment's log stream.
            ended: The invocations.
            began: When they began, in seconds since 1970; they end now.
            live: Whether they came through the alias.

        Raises:
            ToolError: The disk is full.
        """
        now = time.time()
        for done in ended:
            self.logs.add(name, done.version, events_of(done.log, stream, began, now))
            call = Call(done.version, now, live, done.error, done.duration_ms, done.init_ms, done.cold)
            self.metrics.add(name, call)

    def add_init(self, name: str, version: str, stream: str, log: str) -> None:
        """Keep what an init has logged that ran ahead of invocations.

        Raises:
            ToolError: The disk is full.
        """
        now = time.time()
        self.logs.add(name, version, events_of(log, stream, now, now))

    def keep(self, names: Collection[str]) -> None:
        """Forget all other functions'."""
        self.logs.keep(names)
        self.metrics.keep(names)
