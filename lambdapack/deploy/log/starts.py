"""Events of a log -> cold starts and invocations. A stream is one environment, whose events come in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from lambdapack.deploy.log.events import LogEvent
from lambdapack.deploy.log.records import EnvironmentStart, Init, Report, Restore, ShimLine, read

Kind = Literal["init", "restore", "ahead"]


@dataclass(frozen=True)
class ColdStart:
    """A start of an execution environment.

    Attributes:
        time: Of the line that ends the start.
        stream: The environment's log stream.
        version: The version that started, ``None`` where the stream does not say.
        kind: ``init`` for an init phase that an invocation waited for; ``restore`` for one from a snapshot;
            ``ahead`` for an init that no invocation waited for: provisioned concurrency, or a snapshot's.
        init_ms: The init phase, or the restore; ``None`` where Lambda wrote no duration, which is so where
            an init has failed and ran again inside the invocation.
        duration_ms: The first invocation's; ``None`` for ``ahead``.
        failed_inits: Init phases that failed before.
        status: ``""`` where the first invocation went well; else ``timeout``, ``error`` …
        shim: The shim's line about the start; empty without one.
    """

    time: datetime
    stream: str
    version: str | None
    kind: Kind
    init_ms: float | None = None
    duration_ms: float | None = None
    failed_inits: int = 0
    status: str = ""
    shim: Mapping[str, Any] = field(default_factory=dict)

    @property
    def total_ms(self) -> float:
        """What the first caller waited for, as far as it is known: start and invocation, in ms."""
        return (self.init_ms or 0.0) + (self.duration_ms or 0.0)


@dataclass(frozen=True)
class LoggedInvocation:
    """An invocation, as its REPORT line tells.

    Attributes:
        event: The event that holds the line.
        report: What the line says.
        start: The cold start that the invocation began with, ``None`` for a warm one.
    """

    event: LogEvent
    report: Report
    start: ColdStart | None = None


@dataclass(frozen=True)
class _Environment:
    """What a stream has told so far of the start of its environment."""

    starting: bool = False
    ahead: bool = False
    failed_inits: int = 0
    shim: Mapping[str, Any] = field(default_factory=dict)


class Starts:
    """Takes events, each once, and tells the cold starts that they complete."""

    def __init__(self) -> None:
        self._environments: dict[str, _Environment] = {}

    def add(self, event: LogEvent) -> ColdStart | LoggedInvocation | None:
        """What ``event`` completes: a start ahead of any invocation, or an invocation; else ``None``."""
        record = read(event.message)
        if record is None:
            return None
        known = self._environments.get(event.stream, _Environment())
        if isinstance(record, Report):
            # An environment that was thrown away and begins anew says INIT_START in the same stream.
            self._environments.pop(event.stream, None)
            return LoggedInvocation(event, record, _started(event, record, known))
        if isinstance(record, Init) and not record.failed:
            self._environments[event.stream] = replace(known, ahead=True)
            return _start(event, "ahead", known, init_ms=record.milliseconds)
        self._environments[event.stream] = _with(known, record)
        return None


def _with(known: _Environment, record: EnvironmentStart | Init | Restore | ShimLine) -> _Environment:
    if isinstance(record, EnvironmentStart):
        # What failed before the first invocation is part of the same start.
        return replace(known, starting=True, ahead=False)
    if isinstance(record, ShimLine):
        return replace(known, shim=dict(record.values))
    if isinstance(record, Init):
        return replace(known, starting=True, failed_inits=known.failed_inits + 1)
    return replace(known, starting=True)


def _started(event: LogEvent, report: Report, known: _Environment) -> ColdStart | None:
    """The cold start that an invocation began with."""
    if report.restore_ms is not None:
        return _start(event, "restore", known, report, report.restore_ms)
    if known.ahead or (report.init_ms is None and not known.starting):
        # Warm, or its init was told when that ended, before there was an invocation.
        return None
    return _start(event, "init", known, report, report.init_ms)


def _start(
    event: LogEvent,
    kind: Kind,
    known: _Environment,
    report: Report | None = None,
    init_ms: float | None = None,
) -> ColdStart:
    return ColdStart(
        event.time, event.stream, event.version, kind, init_ms,
        None if report is None else report.duration_ms, known.failed_inits,
        "" if report is None else report.status, known.shim,
    )  # fmt: skip


def invocations(events: Iterable[LogEvent]) -> Iterator[LoggedInvocation]:
    """The invocations that the events tell of, in the order in which they ended."""
    starts = Starts()
    for event in events:
        told = starts.add(event)
        if isinstance(told, LoggedInvocation):
            yield told
