"""Cold and warm invocations, in AWS and in the local cloud, in one form."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from benchmarks.aws_check.plan import WARM
from lambdapack.deploy import aws
from lambdapack.deploy.log import ColdStart, LoggedInvocation, Report, Starts, read
from lambdapack.errors import CheckError, ToolError
from lambdapack.local import Invocation, LocalCloud
from lambdapack.progress import QUIET, Progress

__all__ = ["Calls", "Series", "measure_alias", "measure_latest", "measure_local"]

_PATIENCE = 120.0
"""Seconds that a log may take to arrive in CloudWatch."""
_EVENT = b"{}"
# A line of the platform's: REPORT, INIT_START …
_HEAD = re.compile(r"([A-Z][A-Z_]{2,}) ")
_FIELD = re.compile(r"(?:\A|\t)([A-Z][A-Za-z ]+): ")


@dataclass
class Calls:
    """Counts the invocations in AWS; one more than planned is refused."""

    most: int
    made: int = 0

    def take(self) -> None:
        """Count one.

        Raises:
            CheckError: It would be one too many.
        """
        if self.made >= self.most:
            raise CheckError(
                f"the check has made {self.made} invocations, as many as it said it would",
                hint="this is a fault of the check: it is ended here, and what it made is destroyed",
            )
        self.made += 1


@dataclass(frozen=True)
class Series:
    """What one function's invocations took.

    Attributes:
        way: Which function: ``s3``, ``layer`` …
        cloud: ``aws`` or ``local``.
        starts: Its cold starts.
        warm_ms: Durations of its warm invocations.
        answers: Its different answers.
        heads: The platform's kinds of lines in its log, and the fields of REPORT.
    """

    way: str
    cloud: str
    starts: tuple[ColdStart, ...]
    warm_ms: tuple[float, ...]
    answers: tuple[Any, ...]
    heads: frozenset[str] = field(default_factory=frozenset)


def measure_latest(
    way: str, name: str, clients: aws.Clients, starts: int, calls: Calls, *, progress: Progress = QUIET
) -> Series:
    """Cold starts of ``$LATEST``, which is restarted by a changed variable, each with warm invocations.

    Raises:
        LambdapackError: AWS refused, or the function fails.
    """
    latest = aws.read_latest(name, clients)
    begun, answers = _now(), []
    warm: list[float] = []
    with progress.step(f"invoke {name}", total=starts * (1 + WARM), unit="invocations") as advance:
        try:
            for run in range(starts):
                aws.restart(latest, latest.memory_mb, run, clients)
                for number in range(1 + WARM):
                    answer = _call(name, aws.LATEST, clients, calls)
                    answers.append(json.loads(answer.payload))
                    if number:
                        warm.append(_report(answer.log).duration_ms)
                    advance()
        finally:
            aws.restore(latest, clients)
    found, heads = _cold_starts(name, clients, begun, starts)
    return Series(way, "aws", found, tuple(warm), _different(answers), heads)


def measure_alias(
    way: str, name: str, clients: aws.Clients, calls: Calls, *, progress: Progress = QUIET
) -> Series:
    """The first invocation of a new version and some warm ones, through the alias.

    Raises:
        LambdapackError: AWS refused, or the function fails.
    """
    begun, answers = _now(), []
    warm: list[float] = []
    with progress.step(f"invoke {name}", total=1 + WARM, unit="invocations") as advance:
        for number in range(1 + WARM):
            answer = _call(name, aws.ALIAS, clients, calls)
            answers.append(json.loads(answer.payload))
            if number:
                warm.append(_report(answer.log).duration_ms)
            advance()
    found, heads = _cold_starts(name, clients, begun, 1)
    return Series(way, "aws", found, tuple(warm), _different(answers), heads)


def _call(name: str, qualifier: str, clients: aws.Clients, calls: Calls) -> aws.Answer:
    calls.take()
    answer = aws.invoke(name, _EVENT, qualifier=qualifier, clients=clients)
    if answer.error:
        raise CheckError(
            f"{name} failed in AWS: {answer.payload.decode(errors='replace')}", detail=answer.log
        )
    return answer


def _report(log: str) -> Report:
    found = [record for line in log.splitlines() if isinstance(record := read(line), Report)]
    if not found:
        raise ToolError("an invocation's log has no REPORT line", detail=log)
    return found[-1]


def _cold_starts(
    name: str, clients: aws.Clients, begun: datetime, count: int
) -> tuple[tuple[ColdStart, ...], frozenset[str]]:
    """The cold starts that callers waited for, and the kinds of lines, once the log has arrived."""
    until = _now() + timedelta(seconds=_PATIENCE)
    group = aws.group_of(name, clients)
    query = aws.LogQuery(group, begun - timedelta(seconds=30), until, follow=True)
    found: list[ColdStart] = []
    lines: list[str] = []
    fold = Starts()
    for event in aws.log_events(clients, query):
        lines.append(event.message)
        told = fold.add(event)
        if isinstance(told, LoggedInvocation) and told.start is not None:
            found.append(told.start)
        if len(found) == count:
            return tuple(found), _heads(lines)
    raise ToolError(
        f"the log of {name} tells of {len(found)} cold starts instead of {count} after {_PATIENCE:.0f} s",
        hint=f"lambdapack logs {name} --cloud aws --cold",
    )


def measure_local(way: str, name: str, folder: Path, starts: int, *, progress: Progress = QUIET) -> Series:
    """The same in the local cloud: cold starts, each with warm invocations.

    Raises:
        LambdapackError: The function is not there, or fails.
    """
    found: list[ColdStart] = []
    warm: list[float] = []
    answers: list[Any] = []
    lines: list[str] = []
    with (
        LocalCloud(folder) as local,
        progress.step(f"invoke {name} here", total=starts * (1 + WARM), unit="invocations") as advance,
    ):
        for number in range(starts * (1 + WARM)):
            done = local.invoke(name, _EVENT, cold=number % (1 + WARM) == 0)
            if done.error:
                raise CheckError(f"{name} failed in the local cloud", detail=done.log[-2000:])
            answers.append(json.loads(done.payload))
            lines += done.log.splitlines()
            if done.cold:
                found.append(_local_start(done))
            else:
                warm.append(done.duration_ms)
            advance()
    return Series(way, "local", tuple(found), tuple(warm), _different(answers), _heads(lines))


def _local_start(done: Invocation) -> ColdStart:
    shim = done.stats or {}
    if done.restore_ms is not None:
        return ColdStart(_now(), "", None, "restore", done.restore_ms, done.duration_ms, shim=shim)
    return ColdStart(_now(), "", None, "init", done.init_ms, done.duration_ms, shim=shim)


def _different(answers: Iterable[Any]) -> tuple[Any, ...]:
    texts = dict.fromkeys(json.dumps(answer, sort_keys=True) for answer in answers)
    return tuple(json.loads(text) for text in texts)


def _heads(lines: Iterable[str]) -> frozenset[str]:
    """The kinds of lines that the platform writes, and the fields of each."""
    found = set()
    for line in lines:
        match = _HEAD.match(line)
        if match and ":" in line:
            found.add(match[1])
            found |= {f"{match[1]}: {name}" for name in _FIELD.findall(line[match.end() :])}
    return frozenset(found)


def _now() -> datetime:
    return datetime.now(timezone.utc)
