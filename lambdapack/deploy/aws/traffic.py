"""A function's alias and versions in AWS, as a shift of calls sees them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from statistics import fmean
from typing import Any

from lambdapack.deploy.aws.alias import described, move_call
from lambdapack.deploy.aws.asking import ask
from lambdapack.deploy.aws.clients import Clients
from lambdapack.deploy.aws.errors import errors_of_aws
from lambdapack.deploy.aws.executor import execute
from lambdapack.deploy.aws.logs import LogQuery, log_events
from lambdapack.deploy.aws.models import ALIAS, ApiCall
from lambdapack.deploy.aws.naming import log_group
from lambdapack.deploy.log import Report, read
from lambdapack.deploy.shifting import AliasConflictError, AliasState, Health
from lambdapack.errors import ConfigurationError, LambdapackError
from lambdapack.model import Routing
from lambdapack.progress import QUIET, Progress
from lambdapack.store.aws_errors import code_of

LAG = 120.0
"""Seconds after which CloudWatch has Lambda's metrics of a minute."""
_PERIOD = 60
_METRICS = {
    "calls": ("Invocations", "Sum"),
    "errors": ("Errors", "Sum"),
    "milliseconds": ("Duration", "Sum"),
    "timed": ("Duration", "SampleCount"),
}
_LOG_SECONDS = 10.0
"""The longest that reading the log for inits may take, at one look."""
_INITS = '?"Init Duration" ?"initDurationMs"'
_ALARMS_IN_A_CALL = 100
_SHOWN = 300
"""Characters of a failed smoke event's answer that are shown."""


class AwsTraffic:
    """The alias ``live`` of a function: a ``Traffic`` of ``lambdapack.deploy.shifting``.

    Args:
        name: The function's name.
        clients: Whom to call.
        progress: Told once what cannot be looked at.
    """

    def __init__(self, name: str, clients: Clients, progress: Progress = QUIET) -> None:
        self._name = name
        self._clients = clients
        self._progress = progress
        self._reads_logs = True
        self.made: list[ApiCall] = []
        """The changes that were made, in order."""

    def alias(self) -> AliasState | None:
        """The alias; ``None`` where there is none."""
        answer = ask(
            self._clients["lambda"].get_alias, "lambda:GetAlias", f"the alias {self._name}:{ALIAS}",
            FunctionName=self._name, Name=ALIAS,
        )  # fmt: skip
        return None if answer is None else described(answer)

    def route(self, routing: Routing, note: str, *, revision: str | None) -> AliasState:
        """Change routing and note in one call, if the alias is as it was seen.

        Raises:
            AliasConflictError: It was changed meanwhile; nothing was done.
            LambdapackError: AWS refused or was not reached.
        """
        shares = ", ".join(f"version {version} {share:.0%}" for version, share in routing.shares.items())
        why = f"{ALIAS} is {shares}"
        call = move_call(self._name, routing, note, why, revision=revision, new=revision is None)
        try:
            answer = execute((call,), self._clients)[call.key]
        except LambdapackError as error:
            if _is_conflict(error, call):
                raise AliasConflictError(
                    f"moving {self._name}:{ALIAS}: somebody else has moved it since it was looked at",
                    hint="lambdapack status --cloud aws shows where it points",
                ) from error
            raise
        self.made.append(call)
        return described(answer)

    def health(self, version: str, since: datetime) -> Health:
        """How the calls of ``version`` through the alias went, by CloudWatch's metrics of whole minutes.

        The minute in which ``since`` lies is counted whole.
        """
        start = since.astimezone(timezone.utc).replace(second=0, microsecond=0)
        now = datetime.now(timezone.utc)
        figures = self._figures(version, start, max(now, start) + timedelta(seconds=_PERIOD))
        timed = figures["timed"]
        return Health(
            int(figures["calls"]),
            int(figures["errors"]),
            figures["milliseconds"] / timed if timed else None,
            self._init(version, since),
        )

    def smoke(self, version: str, payload: bytes) -> str | None:
        """Call ``version`` by its number; why the call failed, ``None`` where it did not."""
        name = f"{self._name}:{version}"
        with errors_of_aws(
            f"sending the smoke event to {name}", action="lambda:InvokeFunction", resource=name
        ):
            answer = self._clients["lambda"].invoke(
                FunctionName=self._name, Qualifier=version, Payload=payload
            )
            body: bytes = answer["Payload"].read()
        return _failure(body) if "FunctionError" in answer else None

    def alarms(self, names: Sequence[str]) -> list[str]:
        """Those of the named CloudWatch alarms that are in alarm, composite ones among them.

        Raises:
            ConfigurationError: There is no such alarm.
        """
        states: dict[str, str] = {}
        for first in range(0, len(names), _ALARMS_IN_A_CALL):
            part = list(names[first : first + _ALARMS_IN_A_CALL])
            with errors_of_aws("looking at alarms", action="cloudwatch:DescribeAlarms"):
                answer = self._clients["cloudwatch"].describe_alarms(
                    AlarmNames=part, AlarmTypes=["MetricAlarm", "CompositeAlarm"], MaxRecords=len(part)
                )
            for alarm in (*answer.get("MetricAlarms", ()), *answer.get("CompositeAlarms", ())):
                states[alarm["AlarmName"]] = alarm["StateValue"]
        if missing := [name for name in names if name not in states]:
            raise ConfigurationError(
                f"looking at alarms: there is no alarm {missing[0]!r} in {self._clients.region}",
                hint="aws cloudwatch describe-alarms lists them; alarms in [deploy] names those to look at",
            )
        return [name for name in names if states[name] == "ALARM"]

    def _figures(self, version: str, start: datetime, end: datetime) -> dict[str, float]:
        dimensions = [
            {"Name": "FunctionName", "Value": self._name},
            {"Name": "Resource", "Value": f"{self._name}:{ALIAS}"},
            {"Name": "ExecutedVersion", "Value": version},
        ]
        queries = [
            {
                "Id": key,
                "MetricStat": {
                    "Metric": {"Namespace": "AWS/Lambda", "MetricName": metric, "Dimensions": dimensions},
                    "Period": _PERIOD,
                    "Stat": stat,
                },
            }
            for key, (metric, stat) in _METRICS.items()
        ]
        doing = f"reading the metrics of version {version} of {self._name}"
        with errors_of_aws(doing, action="cloudwatch:GetMetricData"):
            pages = self._clients["cloudwatch"].get_paginator("get_metric_data")
            sums = dict.fromkeys(_METRICS, 0.0)
            for page in pages.paginate(MetricDataQueries=queries, StartTime=start, EndTime=end):
                for result in page["MetricDataResults"]:
                    sums[result["Id"]] += sum(result["Values"])
        return sums

    def _init(self, version: str, since: datetime) -> float | None:
        """The mean init of the version's environments, by the REPORT lines in its log.

        ``None`` where there are none; a log that may not be read does not end the shift, and is said once.
        """
        if not self._reads_logs:
            return None
        query = LogQuery(log_group(self._name), since, pattern=_INITS, version=version, seconds=_LOG_SECONDS)
        try:
            records = [read(event.message) for event in log_events(self._clients, query)]
        except LambdapackError as error:
            self._reads_logs = False
            self._progress.warn(f"inits are not compared: {error.message}")
            return None
        return _mean(record.init_ms for record in records if isinstance(record, Report))


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _is_conflict(error: LambdapackError, call: ApiCall) -> bool:
    """Whether AWS refused a move because the alias is not what it was."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow

    cause = error.__cause__
    if not isinstance(cause, ClientError):
        return False
    code = code_of(cause)
    made_meanwhile = call.operation == "create_alias" and code == "ResourceConflictException"
    return code == "PreconditionFailedException" or made_meanwhile


def _failure(body: bytes) -> str:
    """What a failed invocation answered, in one line."""
    try:
        answer: Mapping[str, Any] = json.loads(body)
        return f"{answer['errorType']}: {answer['errorMessage']}"[:_SHOWN]
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")[:_SHOWN]
