"""Lines as Lambda and the shim write them."""

from __future__ import annotations

import json
from typing import Any

STREAM = "2026/11/26/[3]2f0c"
"""An environment of version 3."""
SHIM: dict[str, Any] = {
    "bytes": 41_000_000, "requests": 6, "retries": 0, "frames": 80, "fetch_ms": 610.4, "source": "s3",
    "role": "fetcher", "resumed": 0, "on_demand": 0, "restores": 0, "on_demand_files": [], "wait_ms": 220.1,
    "prepared_ms": 30.0, "start_ms": 790.3, "lambdapack": "cold_start", "pack": "ab" * 32,
    "function": "hello",
}  # fmt: skip
"""What the shim says of a start, in the order in which it does."""


def init_start() -> str:
    """The first line of an environment."""
    return "INIT_START Runtime Version: python:3.12.v38\tRuntime Version ARN: arn:aws:lambda:x::runtime:y\n"


def report(
    duration: float, *, init: float | None = None, restore: float | None = None, status: str = ""
) -> str:
    """A REPORT line; times in ms."""
    parts = [
        "REPORT RequestId: id-1", f"Duration: {duration:.2f} ms",
        f"Billed Duration: {-int(-duration // 1)} ms", "Memory Size: 512 MB", "Max Memory Used: 90 MB",
    ]  # fmt: skip
    parts += [f"Init Duration: {init:.2f} ms"] if init is not None else []
    parts += [f"Restore Duration: {restore:.2f} ms"] if restore is not None else []
    parts += [f"Status: {status}"] if status else []
    return "\t".join(parts) + "\t"


def json_report(duration: float, *, init: float | None = None, status: str = "success") -> str:
    """The same where the function logs as JSON."""
    metrics = {
        "durationMs": duration, "billedDurationMs": -int(-duration // 1), "memorySizeMB": 512,
        "maxMemoryUsedMB": 90, **({} if init is None else {"initDurationMs": init}),
    }  # fmt: skip
    record = {"requestId": "id-1", "metrics": metrics, "status": status}
    return json.dumps({"time": "2026-11-26T12:00:00Z", "type": "platform.report", "record": record})


def shim_line(**changed: Any) -> str:
    """The shim's line about a cold start."""
    return json.dumps({**SHIM, **changed, "_aws": {"Timestamp": 0, "CloudWatchMetrics": []}})
