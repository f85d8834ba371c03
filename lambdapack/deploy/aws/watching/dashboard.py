"""The dashboard's body, whose form is written down at
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lambdapack.deploy.aws.models import ALIAS
from lambdapack.deploy.aws.watching.alarms import alarms
from lambdapack.deploy.aws.watching.models import LAMBDA, NAMESPACE, Watched


def dashboard(watched: Watched) -> dict[str, Any]:
    """What ``put_dashboard`` takes as JSON."""
    timeout_ms, init_ms = watched.timeout * 1000, watched.init_limit * 1000
    rows = [
        [
            _graph(watched, "Calls", _lambda_lines(watched, "Sum", "Invocations", "Errors", "Throttles")),
            _graph(watched, "Duration, ms", _durations(watched), _line("the timeout", timeout_ms)),
            _graph(watched, "Environments at work",
                   _lambda_lines(watched, "Maximum", "ConcurrentExecutions")),
        ],
        [
            _graph(watched, "Calls by version", [_search(watched, "Invocations")]),
            _graph(watched, "Errors by version", [_search(watched, "Errors")]),
        ],
        [
            _graph(watched, "Cold starts, ms: the longest", _shim_lines(watched, "Maximum", "start_ms",
                   "wait_ms", "fetch_ms"), _line("the end of init", init_ms)),
            _graph(watched, "Fetched by cold starts, bytes", _shim_lines(watched, "Sum", "bytes")),
            _graph(watched, "Requests of cold starts, and what went wrong",
                   [*_shim_lines(watched, "Sum", "requests", "retries", "resumed"),
                    [NAMESPACE, watched.failures, {"stat": "Sum"}]]),
        ],
        [_cold_starts(watched)],
        [_alarm_status(watched)],
    ]  # fmt: skip
    return {"widgets": [widget for number, row in enumerate(rows) for widget in _placed(row, number * 6)]}


def _placed(row: Sequence[Mapping[str, Any]], top: int) -> Iterable[dict[str, Any]]:
    """The widgets of a row, side by side on the dashboard's grid of 24 columns."""
    width = 24 // len(row)
    for number, widget in enumerate(row):
        yield {**widget, "x": number * width, "y": top, "width": width, "height": 6}


def _graph(
    watched: Watched, title: str, metrics: Sequence[Any], line: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "title": title, "region": watched.region, "view": "timeSeries", "stacked": False, "period": 60,
        "metrics": list(metrics), "yAxis": {"left": {"min": 0}},
    }  # fmt: skip
    if line is not None:
        properties["annotations"] = {"horizontal": [dict(line)]}
    return {"type": "metric", "properties": properties}


def _line(label: str, value: float) -> dict[str, Any]:
    return {"label": label, "value": value, "color": "#d62728"}


def _lambda_lines(watched: Watched, statistic: str, *metrics: str) -> list[Any]:
    return [[LAMBDA, metric, "FunctionName", watched.name, {"stat": statistic}] for metric in metrics]


def _shim_lines(watched: Watched, statistic: str, *metrics: str) -> list[Any]:
    return [[NAMESPACE, metric, "function", watched.name, {"stat": statistic}] for metric in metrics]


def _durations(watched: Watched) -> list[Any]:
    return [
        [LAMBDA, "Duration", "FunctionName", watched.name, {"stat": statistic, "label": label}]
        for statistic, label in (
            ("p50", "half of the calls"),
            ("p99", "99 of 100"),
            ("Maximum", "the longest"),
        )
    ]


def _search(watched: Watched, metric: str) -> list[Any]:
    """A line for each version that the alias sends calls to, without naming them."""
    schema = f"{{{LAMBDA},ExecutedVersion,FunctionName,Resource}}"
    terms = f'MetricName="{metric}" FunctionName="{watched.name}" Resource="{watched.name}:{ALIAS}"'
    return [{"expression": f"SEARCH('{schema} {terms}', 'Sum', 60)", "id": "versions", "label": ""}]


def _cold_starts(watched: Watched) -> dict[str, Any]:
    # Lambda's log as text has @initDuration, as JSON a field of its record.
    query = (
        f"SOURCE '{watched.group}' | fields coalesce(@initDuration, record.metrics.initDurationMs) as init "
        "| filter ispresent(init) | stats count(*) as starts, pct(init, 50) as median_ms, max(init) as "
        "longest_ms by bin(5m)"
    )
    properties = {
        "title": "Cold starts, by Lambda's Init Duration", "region": watched.region, "view": "table",
        "query": query,
    }  # fmt: skip
    return {"type": "log", "properties": properties}


def _alarm_status(watched: Watched) -> dict[str, Any]:
    partition, _, region, account = watched.arn.split(":")[1:5]
    arns = [
        f"arn:{partition}:cloudwatch:{region}:{account}:alarm:{each['AlarmName']}" for each in alarms(watched)
    ]
    return {"type": "alarm", "properties": {"title": "Alarms", "alarms": arns}}
