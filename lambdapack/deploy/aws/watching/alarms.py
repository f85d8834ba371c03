"""The alarms, and the filter of the log that counts what no metric has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lambdapack.deploy.aws.watching.models import LAMBDA, NAMESPACE, Watched

_PERIOD = 300
_NEAR = 0.9
"""The share of the timeout from which on a duration counts as near."""
_NEAR_INIT = 0.8
"""The share of the limit of init from which on a start counts as near."""
_ERROR_PERCENT = 5.0


def failure_filter(watched: Watched) -> dict[str, Any]:
    """Counts starts that the shim gave up: there is no metric of these, but a line in the log."""
    transformation = {
        "metricName": watched.failures, "metricNamespace": NAMESPACE, "metricValue": "1", "defaultValue": 0.0,
    }  # fmt: skip
    return {
        "logGroupName": watched.group,
        "filterName": f"{watched.title}-pack-errors",
        "filterPattern": '"PackError"',
        "metricTransformations": [transformation],
    }


def alarms(watched: Watched) -> Iterable[dict[str, Any]]:
    """The arguments of ``put_metric_alarm`` for each alarm."""
    timeout_ms, init_ms = watched.timeout * 1000, watched.init_limit * 1000
    yield _alarm(
        watched, "errors", f"{_ERROR_PERCENT:.0f} % of the calls or more fail, in two of three periods",
        _ERROR_PERCENT, Metrics=_error_rate(watched), EvaluationPeriods=3, DatapointsToAlarm=2,
    )  # fmt: skip
    yield _alarm(watched, "throttles", "calls are refused for want of concurrency", 1.0,
                 **_of_lambda(watched, "Throttles", "Sum"))  # fmt: skip
    yield _alarm(
        watched, "duration", f"a call took {_NEAR:.0%} or more of the timeout of {watched.timeout} s",
        _NEAR * timeout_ms, **_of_lambda(watched, "Duration", "Maximum"),
    )  # fmt: skip
    yield _alarm(
        watched, "init",
        f"a cold start took {_NEAR_INIT:.0%} or more of the {watched.init_limit:g} s after which Lambda ends "
        "init and begins anew",
        _NEAR_INIT * init_ms, **_of_shim(watched, "start_ms", "Maximum"),
    )  # fmt: skip
    yield _alarm(watched, "retries", "cold starts repeat a request to S3 each, in the mean", 1.0,
                 **_of_shim(watched, "retries", "Average"))  # fmt: skip
    yield _alarm(
        watched, "pack-errors", "a start failed because its pack could not be put in place", 1.0,
        Namespace=NAMESPACE, MetricName=watched.failures, Statistic="Sum", Period=_PERIOD,
    )  # fmt: skip


def _alarm(watched: Watched, kind: str, words: str, threshold: float, **metric: Any) -> dict[str, Any]:
    # CloudWatch says itself that an alarm without data is not one: most functions are idle at times.
    actions = {"AlarmActions": list(watched.notify), "OKActions": list(watched.notify)}
    return {
        "AlarmName": f"{watched.title}-{kind}",
        "AlarmDescription": f"{watched.name}: {words}. lambdapack logs {watched.name} --cold shows more.",
        "EvaluationPeriods": 1,
        "DatapointsToAlarm": 1,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "Threshold": threshold,
        "TreatMissingData": "notBreaching",
        **(actions if watched.notify else {}),
        **metric,
    }


def _of_lambda(watched: Watched, metric: str, statistic: str) -> dict[str, Any]:
    return {
        "Namespace": LAMBDA, "MetricName": metric, "Statistic": statistic, "Period": _PERIOD,
        "Dimensions": [{"Name": "FunctionName", "Value": watched.name}],
    }  # fmt: skip


def _of_shim(watched: Watched, metric: str, statistic: str) -> dict[str, Any]:
    return {
        "Namespace": NAMESPACE, "MetricName": metric, "Statistic": statistic, "Period": _PERIOD,
        "Dimensions": [{"Name": "function", "Value": watched.name}],
    }  # fmt: skip


def _error_rate(watched: Watched) -> list[dict[str, Any]]:
    def sum_of(identity: str, metric: str) -> dict[str, Any]:
        given = _of_lambda(watched, metric, "Sum")
        named = {key: given[key] for key in ("Namespace", "MetricName", "Dimensions")}
        stat = {"Metric": named, "Period": _PERIOD, "Stat": "Sum"}
        return {"Id": identity, "MetricStat": stat, "ReturnData": False}

    rate = {
        "Id": "rate", "Expression": "IF(calls > 0, 100 * errors / calls, 0)", "Label": "failed calls in %",
        "ReturnData": True,
    }  # fmt: skip
    return [rate, sum_of("errors", "Errors"), sum_of("calls", "Invocations")]
