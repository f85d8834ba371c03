"""What the invocations of the local cloud took, kept for a while, as CloudWatch keeps Lambda's metrics."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from lambdapack.local.journal import Journal, JournalReader

_LIMIT = 1_000_000
"""Bytes of a function's file; some 8,000 invocations, and as many in the file before that."""
_SUFFIX = ".jsonl"


@dataclass(frozen=True)
class Call:
    """One invocation.

    Attributes:
        version: The version that ran.
        time: When the invocation ended, in seconds since 1970.
        live: Whether it came through the alias.
        error: Whether it failed.
        duration_ms, init_ms, cold: As in ``Invocation``.
    """

    version: str
    time: float
    live: bool
    error: bool
    duration_ms: float
    init_ms: float | None
    cold: bool


class Metrics:
    """A folder with a journal a function. Safe to use from several processes.

    Args:
        root: The folder; made when needed.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def add(self, name: str, call: Call) -> None:
        """Note an invocation of the function ``name``.

        Raises:
            ToolError: The disk is full.
        """
        Journal(self._path(name), _LIMIT).append([json.dumps(asdict(call)).encode()])

    def calls(self, name: str, since: datetime | None = None) -> Iterator[Call]:
        """A function's invocations that ended since then, in the order in which they ended, roughly.

        ``since`` is of this machine's clock, with a time zone; ``None``: all that are kept.
        """
        reader = JournalReader(self._path(name))
        with contextlib.closing(reader):
            lines = reader.read()
        for line in lines:
            # A full disk may have cut a line off.
            with contextlib.suppress(ValueError, TypeError):
                call = Call(**json.loads(line))
                if since is None or call.time >= since.timestamp():
                    yield call

    def keep(self, names: Collection[str]) -> None:
        """Forget the invocations of all other functions."""
        for path in self._root.glob("*"):
            if path.name.partition(_SUFFIX)[0] not in names:
                path.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._root / f"{name}{_SUFFIX}"
