"""The result of an invocation, and the lines that Lambda writes to its log."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lambdapack import limits


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

    def as_dict(self) -> dict[str, Any]:
        """For JSON; the payload as text."""
        return {**asdict(self), "payload": self.payload.decode("utf-8", "surrogateescape")}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Invocation:
        """From JSON."""
        payload = document["payload"].encode("utf-8", "surrogateescape")
        return cls(**{**document, "payload": payload})


@dataclass(frozen=True)
class Report:
    """The figures of a REPORT line.

    Attributes:
        request_id: A UUID.
        duration_ms: The duration of the invoke phase.
        init_ms: The duration of the init phase if it succeeded and belongs to this invocation.
        spent_init_ms: The duration of an init phase that failed before this invocation: billed, not reported.
        memory_mb: The function's setting.
        peak_bytes: The peak of the processes' memory.
        status: ``""``, ``timeout`` or ``error``.
        error_type: For ``error``.
    """

    request_id: str
    duration_ms: float
    init_ms: float | None
    spent_init_ms: float
    memory_mb: int
    peak_bytes: int
    status: str = ""
    error_type: str = ""

    @property
    def billed_ms(self) -> int:
        """Init is billed since August 2025 (https://aws.amazon.com/blogs/compute/
        aws-lambda-standardizes-billing-for-init-phase/)."""
        return math.ceil(round(self.duration_ms + (self.init_ms or 0.0) + self.spent_init_ms, 2))

    @property
    def max_memory_mb(self) -> int:
        """The peak in MiB, at most the function's setting."""
        return min(self.memory_mb, math.ceil(self.peak_bytes / limits.MIB))

    def lines(self) -> str:
        """END and REPORT."""
        parts = [
            f"REPORT RequestId: {self.request_id}",
            f"Duration: {self.duration_ms:.2f} ms",
            f"Billed Duration: {self.billed_ms} ms",
            f"Memory Size: {self.memory_mb} MB",
            f"Max Memory Used: {self.max_memory_mb} MB",
        ]
        if self.init_ms is not None:
            parts.append(f"Init Duration: {self.init_ms:.2f} ms")
        if self.status:
            parts.append(f"Status: {self.status}")
        if self.error_type:
            parts.append(f"Error Type: {self.error_type}")
        # Lambda ends the line with a tab.
        return f"END RequestId: {self.request_id}\n" + "\t".join(parts) + "\t\n"


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
