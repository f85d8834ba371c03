"""``lambdapack logs``, as a user runs it, against moto's server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.support.aws_world import REGION, empty_aws
from tests.support.command_line import Run, shown
from tests.support.logged import STREAM, init_start, report, shim_line

GROUP = "/aws/lambda/hello"
KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": REGION}


def client(url: str) -> Any:
    """A client of the tests' own."""
    return boto3.client(
        "logs", endpoint_url=url, region_name=REGION, aws_access_key_id="a", aws_secret_access_key="b"
    )


def write(logs: Any, *messages: str) -> None:
    """Put messages into the function's stream, now."""
    at = int(time.time() * 1000) - len(messages)
    entries = [{"timestamp": at + number, "message": text} for number, text in enumerate(messages)]
    logs.put_log_events(logGroupName=GROUP, logStreamName=STREAM, logEvents=entries)


@pytest.fixture
def url() -> Iterator[str]:
    """A server with one cold start and one warm invocation in the log."""
    with empty_aws() as url:
        logs = client(url)
        logs.create_log_group(logGroupName=GROUP)
        logs.create_log_stream(logGroupName=GROUP, logStreamName=STREAM)
        write(logs, init_start(), shim_line(retries=2), "hello from the handler", report(12.5, init=843.2))
        write(logs, report(3.0))
        yield url


@pytest.fixture
def environment(url: str) -> tuple[tuple[str, str], ...]:
    """How the command reaches the server."""
    return tuple({**KEYS, "AWS_ENDPOINT_URL": url}.items())


def test_the_log_is_shown_with_time_and_version(
    tmp_path: Path, run_lambdapack: Run, environment: Any
) -> None:
    """A line an event, oldest first; as JSON one document."""
    words = ("logs", "hello", "--cloud", "aws", "--group", GROUP)
    lines = run_lambdapack(*words, cwd=tmp_path, environment=environment).stdout.splitlines()
    assert len(lines) == 5 and "[3] INIT_START" in lines[0] and "[3] hello from the handler" in lines[2]
    document = shown(run_lambdapack(*words, "--json", cwd=tmp_path, environment=environment))
    assert (document["document"], document["version"], document["group"]) == ("lambdapack.logs", 1, GROUP)
    assert [event["version"] for event in document["events"]] == ["3"] * 5
    assert document["events"][2]["message"] == "hello from the handler"


def test_cold_starts_are_a_line_each(tmp_path: Path, run_lambdapack: Run, environment: Any) -> None:
    """Version, milliseconds, bytes and retries, from REPORT and the shim's line."""
    words = ("logs", "hello", "--cloud", "aws", "--group", GROUP, "--cold")
    (line,) = run_lambdapack(*words, cwd=tmp_path, environment=environment).stdout.splitlines()
    assert "[3] init 843.2 ms, then the handler 12.5 ms, pack 41.0 MB in 6 requests" in line
    assert line.endswith("waited 220.1 ms, 2 retries")
    (start,) = shown(run_lambdapack(*words, "--json", cwd=tmp_path, environment=environment))["starts"]
    assert (start["kind"], start["init_ms"], start["shim"]["retries"]) == ("init", 843.2, 2)


def test_another_version_has_no_events(tmp_path: Path, run_lambdapack: Run, environment: Any) -> None:
    """That is said on stderr, and is no error."""
    done = run_lambdapack(
        "logs",
        "hello",
        "--cloud",
        "aws",
        "--group",
        GROUP,
        "--version",
        "4",
        cwd=tmp_path,
        environment=environment,
    )
    assert done.stdout == "" and "no events" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [(("--since", "yesterday"), "'yesterday' is neither a span"), (("--until", "2h"), "lies before")],
)
def test_a_span_that_is_none_is_told(
    tmp_path: Path, run_lambdapack: Run, environment: Any, words: tuple[str, ...], said: str
) -> None:
    """Status 2, with an example."""
    words = ("logs", "hello", "--cloud", "aws", "--group", GROUP, *words)
    done = run_lambdapack(*words, cwd=tmp_path, environment=environment, status=2)
    assert said in done.stderr and "--since" in done.stderr


def test_a_function_that_is_not_there_is_told(tmp_path: Path, run_lambdapack: Run, environment: Any) -> None:
    """Status 2; moto has no such function."""
    done = run_lambdapack("logs", "gone", "--cloud", "aws", cwd=tmp_path, environment=environment, status=2)
    assert "there is no function gone" in done.stderr and "lambdapack deploy" in done.stderr


def test_following_shows_what_comes_in_until_ctrl_c(tmp_path: Path, url: str, environment: Any) -> None:
    """Each event once and at once, as JSON a line each; Ctrl-C is status 130."""
    words = ("logs", "hello", "--cloud", "aws", "--group", GROUP, "--follow", "--json")
    process = subprocess.Popen(
        [sys.executable, "-m", "lambdapack", *words], cwd=tmp_path, text=True,
        env={**os.environ, **dict(environment)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    before = [json.loads(process.stdout.readline()) for _ in range(5)]
    write(client(url), "it goes on")
    after = json.loads(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    rest, told = process.communicate(timeout=30)
    assert before[2]["message"] == "hello from the handler" and after["message"] == "it goes on"
    assert rest == "" and process.returncode == 130 and "Traceback" not in told
