"""One invocation for people: its log, and where the time went."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from lambdapack.report.units import counted, megabytes, seconds

if TYPE_CHECKING:
    from lambdapack.local import Invocation

__all__ = ["log_lines", "timing"]


def log_lines(invocation: Invocation) -> Iterator[str]:
    """The log without the shim's line for CloudWatch, which ``timing`` says in words."""
    for line in invocation.log.splitlines():
        if not _is_metric(line):
            yield line


def _is_metric(line: str) -> bool:
    if not line.startswith("{") or '"_aws"' not in line:
        return False
    try:
        return bool(json.loads(line).get("lambdapack") == "cold_start")
    except (ValueError, AttributeError):
        return False


def timing(invocation: Invocation) -> str:
    """One line: cold or warm, init and its parts, the duration."""
    if not invocation.cold:
        return f"warm: {seconds(invocation.duration_ms)}, {invocation.max_memory_mb} MB used"
    parts = []
    if invocation.restore_ms is not None:
        parts.append(f"restored from a snapshot in {seconds(invocation.restore_ms)}")
    if invocation.init_ms is not None:
        parts.append(f"init {seconds(invocation.init_ms)}")
    if invocation.stats:
        before = "of it" if invocation.restore_ms is None else "before the snapshot"
        parts.append(f"{before} {_stats(invocation.stats)}")
    parts.append(f"then the handler {seconds(invocation.duration_ms)}")
    return f"cold: {', '.join(parts)}, {invocation.max_memory_mb} MB used"


def _stats(stats: Mapping[str, Any]) -> str:
    asked = "read" if stats.get("source") == "file" else "request"
    said = (
        f"waiting for the pack {seconds(stats.get('wait_ms', 0))} "
        f"({megabytes(stats.get('bytes', 0))} in {counted(stats.get('frames', 0), 'frame')} and "
        f"{counted(stats.get('requests', 0), asked)}, "
        f"{seconds(stats.get('fetch_ms', 0))} beside the imports"
    )
    for key, what in (("retries", "retries"), ("resumed", "frames resumed"), ("on_demand", "on demand")):
        if stats.get(key):
            said += f", {stats[key]} {what}"
    return said + ")"
