"""Reading a function's log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from lambdapack.deploy.aws import naming
from lambdapack.deploy.aws.clients import Clients
from lambdapack.deploy.aws.errors import errors_of_aws, explain
from lambdapack.deploy.log import LogEvent
from lambdapack.errors import ConfigurationError, ToolError
from lambdapack.store.aws_errors import code_of

LAMBDAS_LINES = (
    '?INIT_START ?INIT_REPORT ?RESTORE_REPORT ?REPORT ?"cold_start" ?"platform.initStart" '
    '?"platform.initReport" ?"platform.restoreReport" ?"platform.report"'
)
"""CloudWatch's filter for Lambda's own lines about starts and invocations, and the shim's."""
_THROTTLED = frozenset(
    {"LimitExceededException", "RequestLimitExceeded", "Throttling", "ThrottlingException"}
)
_ABSENT = "ResourceNotFoundException"
_PATIENCE = 60.0
"""Seconds for which a page is asked for anew where AWS throttles: the whole account shares one rate."""
_PAUSE, _LONGEST_PAUSE = 1.0, 16.0
_SOON, _LATER = 1.0, 5.0
"""Seconds between two looks while a log is followed: after a look that saw something, and at most."""
_LATE = timedelta(seconds=30)
"""How much later than its time an event may come in and still be seen while the log is followed."""


@dataclass(frozen=True)
class LogQuery:
    """Which events of a group are asked for.

    Attributes:
        group: The log group.
        since, until: From when to when; without an end, to the newest.
        pattern: CloudWatch's filter for messages; ``""`` for all of them.
        version: Of the function, e.g. ``3``; ``None`` for all.
        follow: Go on for ever, or until ``until``, with what comes in.
        seconds: The longest that a look may take; ``None`` for as long as there are pages.
    """

    group: str
    since: datetime
    until: datetime | None = None
    pattern: str = ""
    version: str | None = None
    follow: bool = False
    seconds: float | None = None


@dataclass(frozen=True)
class Clock:
    """The time, and waiting for it to pass."""

    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], datetime] = field(default=lambda: datetime.now(timezone.utc))


def log_lines(clients: Clients, group: str, pattern: str, since: datetime) -> Iterator[str]:
    """The messages of a log group that match CloudWatch's filter ``pattern``, oldest first.

    Raises:
        LambdapackError: There is no such group, or it may not be read.
    """
    for event in log_events(clients, LogQuery(group, since, pattern=pattern)):
        yield event.message


def log_events(clients: Clients, query: LogQuery, *, clock: Clock | None = None) -> Iterator[LogEvent]:
    """The events, each once, oldest first; of those that come in while they are followed, as they come.

    Where AWS throttles, the same page is asked for again, for a minute.

    Raises:
        LambdapackError: There is no such group, it may not be read, AWS throttles for longer, or the look
            took longer than the query allows.
    """
    clock = clock or Clock()
    seen: dict[str, datetime] = {}
    since, pause = query.since, _SOON
    while True:
        looked = clock.now()
        new = 0
        for event in _pages(clients, query, since, clock):
            if event.id and event.id in seen:
                continue
            seen[event.id] = event.time
            new += 1
            if query.version in (None, event.version):
                yield event
        if not query.follow or (query.until is not None and looked >= query.until):
            return
        since = max(since, looked - _LATE)
        seen = {identity: at for identity, at in seen.items() if at >= since}
        pause = _SOON if new else min(pause * 1.5, _LATER)
        clock.sleep(pause)


def _pages(clients: Clients, query: LogQuery, since: datetime, clock: Clock) -> Iterator[LogEvent]:
    parameters: dict[str, Any] = {"logGroupName": query.group, "startTime": _milliseconds(since)}
    if query.until is not None:
        parameters["endTime"] = _milliseconds(query.until)
    if query.pattern:
        parameters["filterPattern"] = query.pattern
    began = clock.now()
    while True:
        answer = _page(clients, parameters, clock)
        yield from map(_event, answer.get("events", ()))
        token = answer.get("nextToken")
        # AWS has been seen to give the same token twice: https://github.com/aws/aws-cli/issues/3022
        if not token or token == parameters.get("nextToken"):
            return
        if query.seconds is not None and (clock.now() - began).total_seconds() >= query.seconds:
            raise ToolError(
                f"reading the log group {query.group} was ended after {query.seconds:.0f} s, before its end",
                hint="lambdapack logs reads on",
            )
        parameters["nextToken"] = token


def _page(clients: Clients, parameters: Mapping[str, Any], clock: Clock) -> Mapping[str, Any]:
    """One page; the client has repeated the call already before a throttled one comes out here."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow

    group = str(parameters["logGroupName"])
    said = {"action": "logs:FilterLogEvents", "resource": group}
    waited, pause = 0.0, _PAUSE
    while True:
        with errors_of_aws(f"reading the log group {group}", **said):
            try:
                answer: Mapping[str, Any] = clients["logs"].filter_log_events(**parameters)
                return answer
            except ClientError as error:
                if code_of(error) == _ABSENT:
                    told = explain(error, f"reading the log group {group}", **said)
                    told.hint = (
                        "Lambda makes the group at the first deployment or invocation: lambdapack status"
                    )
                    raise told from error
                if code_of(error) not in _THROTTLED or waited >= _PATIENCE:
                    raise
        clock.sleep(pause)
        waited += pause
        pause = min(pause * 2, _LONGEST_PAUSE)


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _event(event: Mapping[str, Any]) -> LogEvent:
    at = datetime.fromtimestamp(event["timestamp"] / 1000, timezone.utc)
    message = str(event["message"]).rstrip("\n")
    return LogEvent(at, str(event.get("logStreamName", "")), message, str(event.get("eventId", "")))


def group_of(name: str, clients: Clients) -> str:
    """The log group of a function: the one in its settings, else the one that Lambda makes.

    Raises:
        ConfigurationError: There is no such function.
        LambdapackError: AWS could not be asked. Who may not look at the function gets Lambda's own group.
    """
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow

    doing = {"action": "lambda:GetFunctionConfiguration", "resource": name}
    with errors_of_aws(f"looking at the function {name}", **doing):
        try:
            configuration = clients["lambda"].get_function_configuration(FunctionName=name)
        except ClientError as error:
            if code_of(error) == _ABSENT:
                raise ConfigurationError(
                    f"there is no function {name} in {clients.region}",
                    hint="lambdapack deploy --cloud aws, or name another --region",
                ) from error
            if code_of(error).startswith("AccessDenied"):
                return naming.log_group(name)
            raise
    return str(configuration.get("LoggingConfig", {}).get("LogGroup") or naming.log_group(name))
