"""Events of a log, and the cold starts among them, as lines and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lambdapack.deploy.log import ColdStart, LogEvent
from lambdapack.report.units import counted, megabytes, seconds

__all__ = ["event_document", "event_line", "start_document", "start_line"]

_KINDS = {"init": "init", "restore": "restored from a snapshot", "ahead": "init ahead of any call"}
_FIGURES = (
    "source", "role", "bytes", "requests", "retries", "frames", "resumed", "on_demand", "restores",
    "fetch_ms", "wait_ms", "start_ms", "prepared_ms", "pack", "library_error",
)  # fmt: skip
"""Of the shim's line, what a document of a start has."""


def event_line(event: LogEvent) -> str:
    """One event: when, which version, what."""
    return f"{_when(event)} [{event.version or '-'}] {event.message}"


def event_document(event: LogEvent) -> dict[str, Any]:
    """One event for a machine."""
    return {
        "time": _iso(event),
        "version": event.version,
        "stream": event.stream,
        "message": event.message,
        "id": event.id or None,
    }


def start_line(start: ColdStart) -> str:
    """One cold start in a line: version, milliseconds, bytes, retries."""
    init = "of unknown length" if start.init_ms is None else seconds(start.init_ms)
    parts = [f"{_KINDS[start.kind]} {init}"]
    if start.duration_ms is not None:
        parts.append(f"then the handler {seconds(start.duration_ms)}")
    if start.failed_inits:
        parts.append(f"after {counted(start.failed_inits, 'failed init')}")
    if start.shim:
        parts.append(_pack(start.shim))
    if start.status:
        parts.append(f"ended with {start.status}")
    return f"{_when(start)} [{start.version or '-'}] {', '.join(parts)}"


def _pack(shim: Mapping[str, Any]) -> str:
    words = (
        f"pack {megabytes(shim.get('bytes', 0))} in {counted(shim.get('requests', 0), 'request')} and "
        f"{seconds(shim.get('fetch_ms', 0))}, waited {seconds(shim.get('wait_ms', 0))}"
    )
    retries, resumed, demanded = (shim.get(name, 0) for name in ("retries", "resumed", "on_demand"))
    said = [
        "no retries" if not retries else "1 retry" if retries == 1 else f"{retries} retries",
        *([f"{counted(resumed, 'frame')} resumed"] if resumed else []),
        *([f"{demanded} on demand"] if demanded else []),
    ]
    return f"{words}, {', '.join(said)}"


def start_document(start: ColdStart) -> dict[str, Any]:
    """One cold start for a machine."""
    return {
        "time": _iso(start),
        "version": start.version,
        "stream": start.stream,
        "kind": start.kind,
        "init_ms": start.init_ms,
        "duration_ms": start.duration_ms,
        "failed_inits": start.failed_inits,
        "status": start.status or None,
        "shim": {name: start.shim[name] for name in _FIGURES if name in start.shim} or None,
    }


def _when(of: LogEvent | ColdStart) -> str:
    return of.time.strftime("%Y-%m-%d %H:%M:%S.") + f"{of.time.microsecond // 1000:03d}"


def _iso(of: LogEvent | ColdStart) -> str:
    return of.time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
