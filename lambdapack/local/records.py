"""What invocations leave: lines of the log, and a line of metrics each."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from lambdapack.errors import CheckError
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

    @contextlib.contextmanager
    def invocations(self, name: str, version: str, stream: str, *, live: bool) -> Iterator[list[Invocation]]:
        """Inside the block invocations run and are put into the list; what they took and logged is kept.

        One that has no answer, for its init has failed before the snapshot, counts as failed.

        Args:
            name, version: The function and the version that runs.
            stream: The environment's log stream.
            live: Whether the calls come through the alias.

        Raises:
            ToolError: The disk is full.
        """
        began = time.time()
        ended: list[Invocation] = []
        try:
            yield ended
        except CheckError as error:
            now = time.time()
            self.logs.add(name, version, events_of(error.detail or "", stream, began, now))
            self.metrics.add(name, Call(version, now, live, True, (now - began) * 1000, None, True))
            raise
        now = time.time()
        for done in ended:
            self.logs.add(name, version, events_of(done.log, stream, began, now))
            call = Call(version, now, live, done.error, done.duration_ms, done.init_ms, done.cold)
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
