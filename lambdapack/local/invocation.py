"""The result of an invocation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Invocation:
    """The result of one invocation.

    Attributes:
        request_id: A UUID.
        payload: The function's answer, JSON. An object with ``errorType`` and ``errorMessage`` where
            ``error`` is set.
        error: Whether the function failed (Lambda's ``FunctionError``).
        log: Everything that was written to stdout and stderr since the invocation before, with
            Lambda's INIT_START, START, END and REPORT lines.
        cold: Whether its environment was made for it.
        duration_ms: The duration of the invoke phase.
        billed_ms: Whole milliseconds, init included.
        init_ms: The duration of the init phase, ``None`` where there was none or it failed.
        max_memory_mb: The peak of the processes' memory.
        restore_ms: The duration of the restore from a snapshot, ``None`` where there was none.
        version: The version that ran.
        stats: The shim's line about the cold start, parsed, if it is in the log.
    """

    request_id: str
    payload: bytes
    error: bool
    log: str
    cold: bool
    duration_ms: float
    billed_ms: int
    init_ms: float | None
    max_memory_mb: int
    stats: Mapping[str, Any] | None = None
    restore_ms: float | None = None
    version: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON; the payload as text."""
        return {**asdict(self), "payload": self.payload.decode("utf-8", "surrogateescape")}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Invocation:
        """From JSON."""
        payload = document["payload"].encode("utf-8", "surrogateescape")
        return cls(**{**document, "payload": payload})


def find_stats(log: str) -> Mapping[str, Any] | None:
    """The shim's last line about a cold start, parsed, ``None`` if there is none."""
    for line in reversed(log.splitlines()):
        if '"lambdapack"' in line and line.startswith("{"):
            try:
                document = json.loads(line)
            except ValueError:
                continue
            if isinstance(document, dict) and document.get("lambdapack") == "cold_start":
                return document
    return None
