"""Lines as Lambda and the shim write them."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Sequence
from typing import Any

STREAM = "2026/11/26/[3]2f0c"
"""An environment of version 3."""
SHIM: dict[str, Any] = {
    "bytes": 41_000_000, "requests": 6, "retries": 0, "frames": 80, "fetch_ms": 610.4, "source": "s3",
    "role": "fetcher", "resumed": 0, "on_demand": 0, "restores": 0, "on_demand_files": [], "wait_ms": 220.1,
    "prepared_ms": 30.0, "start_ms": 790.3, "lambdapack": "cold_start", "pack": "ab" * 32,
    "function": "hello",
}  # fmt: skip
"""What the shim says of a start, in the order in which it does."""


def init_start() -> str:
    """The first line of an environment."""
    return "INIT_START Runtime Version: python:3.12.v38\tRuntime Version ARN: arn:aws:lambda:x::runtime:y\n"


def report(
    duration: float, *, init: float | None = None, restore: float | None = None, status: str = ""
) -> str:
    """A REPORT line; times in ms."""
    parts = [
        "REPORT RequestId: id-1", f"Duration: {duration:.2f} ms",
        f"Billed Duration: {-int(-duration // 1)} ms", "Memory Size: 512 MB", "Max Memory Used: 90 MB",
    ]  # fmt: skip
    parts += [f"Init Duration: {init:.2f} ms"] if init is not None else []
    parts += [f"Restore Duration: {restore:.2f} ms"] if restore is not None else []
    parts += [f"Status: {status}"] if status else []
    return "\t".join(parts) + "\t"


def json_report(duration: float, *, init: float | None = None, status: str = "success") -> str:
    """The same where the function logs as JSON."""
    metrics = {
        "durationMs": duration, "billedDurationMs": -int(-duration // 1), "memorySizeMB": 512,
        "maxMemoryUsedMB": 90, **({} if init is None else {"initDurationMs": init}),
    }  # fmt: skip
    record = {"requestId": "id-1", "metrics": metrics, "status": status}
    return json.dumps({"time": "2026-11-26T12:00:00Z", "type": "platform.report", "record": record})


def shim_line(**changed: Any) -> str:
    """The shim's line about a cold start."""
    return json.dumps({**SHIM, **changed, "_aws": {"Timestamp": 0, "CloudWatchMetrics": []}})


def put_function(clients: Any, name: str, **settings: Any) -> None:
    """Make a function with its log group; ``clients`` gives boto3's clients by name."""
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    role = clients["iam"].create_role(RoleName=f"of-{name}", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("app.py", "def handler(event, context): return event\n")
    clients["lambda"].create_function(
        FunctionName=name, Runtime="python3.12", Role=role, Handler="app.handler",
        Code={"ZipFile": code.getvalue()}, **settings,
    )  # fmt: skip
    clients["logs"].create_log_group(logGroupName=f"/aws/lambda/{name}")


def put_events(clients: Any, name: str, messages: Sequence[str], *, stream: str = STREAM) -> None:
    """Write messages into a stream of the function's log, as of now."""
    group = f"/aws/lambda/{name}"
    found = clients["logs"].describe_log_streams(logGroupName=group, logStreamNamePrefix=stream)
    if not found["logStreams"]:
        clients["logs"].create_log_stream(logGroupName=group, logStreamName=stream)
    at = int(time.time() * 1000) - len(messages)
    entries = [{"timestamp": at + number, "message": text} for number, text in enumerate(messages)]
    clients["logs"].put_log_events(logGroupName=group, logStreamName=stream, logEvents=entries)
