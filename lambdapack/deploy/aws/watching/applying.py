"""Compares what CloudWatch has with what it is to have, and makes the calls between the two."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from lambdapack import limits
from lambdapack.deploy.aws import naming
from lambdapack.deploy.aws.clients import Clients
from lambdapack.deploy.aws.errors import errors_of_aws
from lambdapack.deploy.aws.executor import execute
from lambdapack.deploy.aws.models import ApiCall
from lambdapack.deploy.aws.watching.alarms import alarms, failure_filter
from lambdapack.deploy.aws.watching.dashboard import dashboard
from lambdapack.deploy.aws.watching.models import Watched, Watching
from lambdapack.errors import ConfigurationError
from lambdapack.progress import QUIET, Progress
from lambdapack.store.aws_errors import code_of

_ACTIONS = ("AlarmActions", "OKActions", "InsufficientDataActions")
_ABSENT = frozenset({"ResourceNotFound", "DashboardNotFoundError", "ResourceNotFoundException"})


def read_watched(name: str, clients: Clients, notify: Iterable[str] = ()) -> Watched:
    """Look at the function that is to be watched.

    Raises:
        ConfigurationError: There is no such function.
        LambdapackError: AWS could not be asked.
    """
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow

    doing = {"action": "lambda:GetFunctionConfiguration", "resource": name}
    with errors_of_aws(f"looking at the function {name}", **doing):
        try:
            found = clients["lambda"].get_function_configuration(FunctionName=name)
        except ClientError as error:
            if code_of(error) in _ABSENT:
                raise ConfigurationError(
                    f"there is no function {name} in {clients.region} to watch",
                    hint="lambdapack deploy --cloud aws, or name another --region",
                ) from error
            raise
    timeout = int(found["Timeout"])
    snapshots = found.get("SnapStart", {}).get("ApplyOn") == "PublishedVersions"
    # Provisioned concurrency has more time too, but what spills over it has not.
    init_limit = max(limits.INIT_TIMEOUT_LONG, timeout) if snapshots else limits.INIT_TIMEOUT
    group = found.get("LoggingConfig", {}).get("LogGroup") or naming.log_group(name)
    return Watched(name, str(found["FunctionArn"]), str(group), timeout, init_limit, tuple(notify))


def wanted(watched: Watched) -> Watching:
    """The dashboard, the alarms and the log's filter that a function is to have."""
    counting = failure_filter(watched)
    every = {each["AlarmName"]: each for each in alarms(watched)}
    return Watching(dashboard(watched), every, {counting["filterName"]: counting})


def observe_watching(watched: Watched, clients: Clients) -> Watching:
    """What CloudWatch has of what the function is to have.

    Raises:
        LambdapackError: AWS could not be asked.
    """
    goal = wanted(watched)
    names = list(goal.alarms)
    with errors_of_aws("looking at the alarms", action="cloudwatch:DescribeAlarms"):
        answer = clients["cloudwatch"].describe_alarms(AlarmNames=names)
    alarms = {each["AlarmName"]: each for each in answer["MetricAlarms"]}
    return Watching(_existing_dashboard(watched, clients), alarms, _existing_filters(watched, clients))


def _existing_dashboard(watched: Watched, clients: Clients) -> Mapping[str, Any] | None:
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow

    doing = {"action": "cloudwatch:GetDashboard", "resource": watched.title}
    with errors_of_aws(f"looking at the dashboard {watched.title}", **doing):
        try:
            answer = clients["cloudwatch"].get_dashboard(DashboardName=watched.title)
        except ClientError as error:
            if code_of(error) in _ABSENT:
                return None
            raise
    try:
        body = json.loads(answer["DashboardBody"])
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _existing_filters(watched: Watched, clients: Clients) -> Mapping[str, Mapping[str, Any]]:
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow

    doing = {"action": "logs:DescribeMetricFilters", "resource": watched.group}
    with errors_of_aws(f"looking at the filters of {watched.group}", **doing):
        try:
            answer = clients["logs"].describe_metric_filters(
                logGroupName=watched.group, filterNamePrefix=watched.title
            )
        except ClientError as error:
            if code_of(error) in _ABSENT:
                return {}
            raise
    return {each["filterName"]: each for each in answer["metricFilters"]}


def plan_watching(watched: Watched, found: Watching) -> tuple[ApiCall, ...]:
    """The calls between what is ``found`` and what is wanted; none where it is the same.

    Whom an alarm tells stays as it is where nobody is named.
    """
    goal = wanted(watched)
    calls = [
        ApiCall("logs", "put_metric_filter", parameters, f"count failed starts: {name}")
        for name, parameters in goal.filters.items()
        if _differs(parameters, found.filters.get(name))
    ]
    for name, parameters in goal.alarms.items():
        there = found.alarms.get(name)
        if _differs(parameters, there):
            kept = {key: there[key] for key in _ACTIONS if there and there.get(key)}
            calls.append(ApiCall("cloudwatch", "put_metric_alarm", {**kept, **parameters}, f"alarm {name}"))
    if found.dashboard != goal.dashboard:
        body = {"DashboardName": watched.title, "DashboardBody": json.dumps(goal.dashboard)}
        calls.append(ApiCall("cloudwatch", "put_dashboard", body, f"dashboard {watched.title}"))
    return tuple(calls)


def _differs(wish: Mapping[str, Any], found: Mapping[str, Any] | None) -> bool:
    return found is None or any(_plain(found.get(key)) != _plain(value) for key, value in wish.items())


def _plain(value: Any) -> Any:
    """A value that can be compared: AWS gives lists of metrics in an order of its own."""
    if isinstance(value, list):
        return sorted(json.dumps(_plain(each), sort_keys=True) for each in value)
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return value


def plan_removal(watched: Watched, found: Watching) -> tuple[ApiCall, ...]:
    """The calls that take away what is ``found``."""
    calls = []
    if found.dashboard is not None:
        parameters: dict[str, Any] = {"DashboardNames": [watched.title]}
        calls.append(ApiCall("cloudwatch", "delete_dashboards", parameters, f"dashboard {watched.title}"))
    if found.alarms:
        names = sorted(found.alarms)
        calls.append(ApiCall("cloudwatch", "delete_alarms", {"AlarmNames": names}, ", ".join(names)))
    for name in found.filters:
        parameters = {"logGroupName": watched.group, "filterName": name}
        calls.append(ApiCall("logs", "delete_metric_filter", parameters, f"filter {name}"))
    return tuple(calls)


def apply_watching(
    watched: Watched, clients: Clients, *, remove: bool = False, dry_run: bool = False,
    progress: Progress = QUIET,
) -> tuple[ApiCall, ...]:  # fmt: skip
    """Make dashboard, alarms and filter what they are to be, or ``remove`` them.

    Returns:
        The calls that were made, or in a dry run would be made.

    Raises:
        LambdapackError: AWS refused one; the next run goes on from there.
    """
    found = observe_watching(watched, clients)
    calls = plan_removal(watched, found) if remove else plan_watching(watched, found)
    if not dry_run:
        execute(calls, clients, progress=progress)
    return calls
