"""A dashboard and alarms: what CloudWatch is told, and that telling it twice changes nothing."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

import runtime_shim
from lambdapack.deploy import aws
from lambdapack.deploy.aws.watching import NAMESPACE, plan_watching
from lambdapack.errors import ConfigurationError
from tests.support.aws_world import REGION
from tests.support.logged import put_function

TOPIC = f"arn:aws:sns:{REGION}:123456789012:ops"


@pytest.fixture
def watched(cloud: aws.Clients) -> aws.Watched:
    """A function with 20 s."""
    put_function(cloud, "hello", Timeout=20)
    return aws.read_watched("hello", cloud, [TOPIC])


def metrics_of(body: dict[str, Any]) -> list[tuple[str, str]]:
    """Namespace and name of each metric that graphs of a dashboard draw; searches are left out."""
    graphs = [widget["properties"]["metrics"] for widget in body["widgets"] if widget["type"] == "metric"]
    return [(line[0], line[1]) for lines in graphs for line in lines if isinstance(line[0], str)]


def test_the_dashboard_has_the_form_that_cloudwatch_takes(watched: aws.Watched) -> None:
    """Widgets lie side by side on 24 columns, and have what their type needs."""
    body = dict(aws.wanted(watched).dashboard or {})
    taken = set()
    for widget in body["widgets"]:
        x, y, width, height = (widget[key] for key in ("x", "y", "width", "height"))
        assert x >= 0 and x + width <= 24 and width >= 1 and 1 <= height <= 1000
        cells = {(column, row) for column in range(x, x + width) for row in range(y, y + height)}
        assert not taken & cells
        taken |= cells
        needed = {
            "metric": {"metrics", "region", "title", "view", "period"},
            "log": {"query", "region", "title"}, "alarm": {"alarms", "title"},
        }[widget["type"]]  # fmt: skip
        assert needed <= widget["properties"].keys()
        for line in widget["properties"].get("metrics", ()):
            *words, options = line
            # Namespace, name, and a name and value for each dimension; or an expression alone.
            assert (
                isinstance(options, dict) and (len(words) % 2 == 0) and all(isinstance(w, str) for w in words)
            )
            assert bool(words) != ("expression" in options)
    assert len(json.dumps(body)) < 100_000


def test_every_metric_of_the_namespace_is_one_that_the_shim_writes(watched: aws.Watched) -> None:
    """Or the one that the filter of the log counts."""
    goal = aws.wanted(watched)
    drawn = {name for namespace, name in metrics_of(dict(goal.dashboard or {})) if namespace == NAMESPACE}
    alarmed = {each["MetricName"] for each in goal.alarms.values() if each.get("Namespace") == NAMESPACE}
    written = {name for name, _ in runtime_shim.METRICS}
    assert (drawn | alarmed) - written == {"pack_errors_hello"}
    (counting,) = goal.filters.values()
    (transformation,) = counting["metricTransformations"]
    assert (transformation["metricNamespace"], transformation["metricName"]) == (
        NAMESPACE,
        "pack_errors_hello",
    )
    assert runtime_shim.PackError.__name__ in counting["filterPattern"]


def test_thresholds_follow_from_the_function(
    watched: aws.Watched, cloud: aws.Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its timeout, and the time that its init has."""
    thresholds = {name: each["Threshold"] for name, each in aws.wanted(watched).alarms.items()}
    assert thresholds["lambdapack-hello-duration"] == 18_000
    assert thresholds["lambdapack-hello-init"] == 8_000
    # Moto forgets SnapStart.
    found = {"SnapStart": {"ApplyOn": "PublishedVersions"}, "Timeout": 200, "FunctionArn": watched.arn}
    monkeypatch.setattr(cloud["lambda"], "get_function_configuration", lambda **_: found)
    again = aws.wanted(aws.read_watched("hello", cloud))
    assert again.alarms["lambdapack-hello-duration"]["Threshold"] == 180_000
    # A snapshot's init has as long as the function's timeout where that is more than 130 s.
    assert again.alarms["lambdapack-hello-init"]["Threshold"] == 160_000


def test_what_is_applied_is_there_and_applying_again_calls_nothing(
    watched: aws.Watched, cloud: aws.Clients
) -> None:
    """The botocore client checks each call against the service's model, and moto takes it."""
    assert len(aws.apply_watching(watched, cloud, dry_run=True)) == 8
    assert cloud["cloudwatch"].list_dashboards()["DashboardEntries"] == []
    calls = aws.apply_watching(watched, cloud)
    assert [call.operation for call in calls] == [
        "put_metric_filter", *["put_metric_alarm"] * 6, "put_dashboard",
    ]  # fmt: skip
    found = cloud["cloudwatch"].describe_alarms()["MetricAlarms"]
    assert {each["AlarmName"].rpartition("hello-")[2] for each in found} == {
        "errors", "throttles", "duration", "init", "retries", "pack-errors",
    }  # fmt: skip
    assert all(each["AlarmActions"] == [TOPIC] for each in found)
    arns = {each["AlarmArn"] for each in found}
    (status,) = [
        widget for widget in (aws.wanted(watched).dashboard or {})["widgets"] if widget["type"] == "alarm"
    ]
    assert set(status["properties"]["alarms"]) == arns
    assert aws.apply_watching(watched, cloud) == ()


def test_a_change_is_put_right_and_whom_alarms_tell_stays(watched: aws.Watched, cloud: aws.Clients) -> None:
    """Where nobody is named, an alarm that is changed keeps its actions."""
    aws.apply_watching(watched, cloud)
    cloud["lambda"].update_function_configuration(FunctionName="hello", Timeout=30)
    now = aws.read_watched("hello", cloud)
    calls = aws.apply_watching(now, cloud)
    assert [call.why for call in calls] == ["alarm lambdapack-hello-duration", "dashboard lambdapack-hello"]
    (alarm,) = cloud["cloudwatch"].describe_alarms(AlarmNames=["lambdapack-hello-duration"])["MetricAlarms"]
    assert (alarm["Threshold"], alarm["AlarmActions"]) == (27_000, [TOPIC])


def test_deleting_takes_all_away_and_nothing_of_others(watched: aws.Watched, cloud: aws.Clients) -> None:
    """A second time there is nothing to delete."""
    put_function(cloud, "other")
    other = aws.read_watched("other", cloud)
    aws.apply_watching(watched, cloud)
    aws.apply_watching(other, cloud)
    calls = aws.apply_watching(watched, cloud, remove=True)
    assert [call.operation for call in calls] == [
        "delete_dashboards",
        "delete_alarms",
        "delete_metric_filter",
    ]
    left = [each["DashboardName"] for each in cloud["cloudwatch"].list_dashboards()["DashboardEntries"]]
    assert left == ["lambdapack-other"]
    assert {
        each["AlarmName"].split("-")[1] for each in cloud["cloudwatch"].describe_alarms()["MetricAlarms"]
    } == {"other"}
    assert aws.apply_watching(watched, cloud, remove=True) == ()
    assert aws.apply_watching(other, cloud) == ()


def test_what_aws_gives_in_another_order_is_the_same(watched: aws.Watched) -> None:
    """Lists of metrics and of dimensions have no order."""
    goal = aws.wanted(watched)
    turned = {
        name: {**each, "Metrics": each["Metrics"][::-1]} if "Metrics" in each else each
        for name, each in goal.alarms.items()
    }
    found = aws.Watching(goal.dashboard, turned, goal.filters)
    assert plan_watching(watched, found) == ()


def test_a_function_that_is_not_there_is_told(cloud: aws.Clients) -> None:
    """With what makes it."""
    with pytest.raises(ConfigurationError, match=re.escape(f"no function gone in {REGION}")):
        aws.read_watched("gone", cloud)
