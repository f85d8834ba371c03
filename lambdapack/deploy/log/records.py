"""The lines that Lambda and the shim write about starts and invocations, as text and as JSON.

Text: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-view.html
JSON: https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_OK = ("", "success")


@dataclass(frozen=True)
class EnvironmentStart:
    """INIT_START: an environment begins its init phase."""


@dataclass(frozen=True)
class Init:
    """INIT_REPORT: an init phase that has failed, or that ran ahead of any invocation.

    Attributes:
        milliseconds: Its duration.
        phase: ``init``, or ``invoke`` where the init ran again inside an invocation.
        status: ``success``, ``timeout``, ``error`` …
    """

    milliseconds: float
    phase: str
    status: str

    @property
    def failed(self) -> bool:
        """Whether the runtime did not come up."""
        return self.status not in _OK


@dataclass(frozen=True)
class Restore:
    """RESTORE_REPORT: an environment came out of a snapshot."""

    milliseconds: float


@dataclass(frozen=True)
class Report:
    """REPORT: an invocation has ended.

    Attributes:
        request_id: Of the invocation.
        duration_ms, billed_ms: As Lambda measured the handler, and what is paid for.
        memory_mb, used_mb: The function's setting, and the environment's peak so far.
        init_ms: The init phase before it, ``None`` where there was none.
        restore_ms: The restore from a snapshot before it, ``None`` where there was none.
        status: ``""`` where the invocation went well; else ``timeout``, ``error`` …
        error_type: Lambda's name for the failure, ``""`` without one.
    """

    request_id: str
    duration_ms: float
    billed_ms: int
    memory_mb: int
    used_mb: int
    init_ms: float | None = None
    restore_ms: float | None = None
    status: str = ""
    error_type: str = ""


@dataclass(frozen=True)
class ShimLine:
    """The shim's line about a cold start; see docs/metrics.md for what ``values`` holds."""

    values: Mapping[str, Any]


Record = EnvironmentStart | Init | Restore | Report | ShimLine


def read(message: str) -> Record | None:
    """What a message of a log tells; ``None`` for the function's own lines."""
    text = message.strip()
    try:
        return _from_json(text) if text.startswith("{") else _from_text(text)
    except (KeyError, ValueError, TypeError, AttributeError):
        # A line of the function's own that begins like one of Lambda's.
        return None


def _from_text(text: str) -> Record | None:
    head, _, rest = text.partition(" ")
    if head == "INIT_START":
        return EnvironmentStart()
    if head == "REPORT":
        return _report(_parts(rest))
    if head == "INIT_REPORT":
        parts = _parts(rest)
        return Init(
            _number(parts["Init Duration"]), parts.get("Phase", "init"), parts.get("Status", "success")
        )
    if head == "RESTORE_REPORT":
        return Restore(_number(_parts(rest)["Restore Duration"]))
    return None


def _parts(text: str) -> dict[str, str]:
    return dict(part.split(": ", 1) for part in text.split("\t") if ": " in part)


def _number(text: str) -> float:
    return float(text.partition(" ")[0])


def _report(parts: Mapping[str, str]) -> Report:
    def maybe(name: str) -> float | None:
        return _number(parts[name]) if name in parts else None

    return Report(
        parts["RequestId"].strip(), _number(parts["Duration"]), int(_number(parts["Billed Duration"])),
        int(_number(parts["Memory Size"])), int(_number(parts["Max Memory Used"])), maybe("Init Duration"),
        maybe("Restore Duration"), _status(parts.get("Status", "")), parts.get("Error Type", ""),
    )  # fmt: skip


def _status(text: str) -> str:
    return "" if text in _OK else text


def _from_json(text: str) -> Record | None:
    document = json.loads(text)
    if document.get("lambdapack") == "cold_start":
        return ShimLine(document)
    record = document.get("record")
    if isinstance(record, dict):
        return _platform(str(document.get("type")), record)
    # A logger in JSON wraps what is printed.
    inner = document.get("message")
    return read(inner) if isinstance(inner, str) and "cold_start" in inner else None


def _platform(kind: str, record: Mapping[str, Any]) -> Record | None:
    metrics = record.get("metrics") or {}
    if kind == "platform.initStart":
        return EnvironmentStart()
    if kind == "platform.initReport":
        status = str(record.get("status", "success"))
        return Init(float(metrics["durationMs"]), str(record.get("phase", "init")), status)
    if kind == "platform.restoreReport":
        return Restore(float(metrics["durationMs"]))
    if kind != "platform.report":
        return None
    init, restore = metrics.get("initDurationMs"), metrics.get("restoreDurationMs")
    return Report(
        str(record["requestId"]), float(metrics["durationMs"]), int(metrics["billedDurationMs"]),
        int(metrics["memorySizeMB"]), int(metrics["maxMemoryUsedMB"]), None if init is None else float(init),
        None if restore is None else float(restore), _status(str(record.get("status", ""))),
        str(record.get("errorType") or ""),
    )  # fmt: skip
