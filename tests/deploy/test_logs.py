"""Reading a log group in moto's server, and behind a proxy that throttles."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambdapack.deploy import aws
from lambdapack.deploy.aws import Clock, LogQuery, log_events
from lambdapack.errors import ConfigurationError, ToolError
from tests.support.logged import STREAM

GROUP = "/aws/lambda/hello"
OTHER = "2026/11/26/[4]bb"


def now() -> datetime:
    """Moto's time is the machine's."""
    return datetime.now(timezone.utc)


def write(clients: aws.Clients, *messages: str, stream: str = STREAM, age: float = 1.0) -> None:
    """Put messages into a stream, ``age`` seconds ago."""
    logs = clients["logs"]
    with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
        logs.create_log_stream(logGroupName=GROUP, logStreamName=stream)
    at = int((time.time() - age) * 1000)
    entries = [{"timestamp": at + number, "message": text} for number, text in enumerate(messages)]
    logs.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=entries)


@pytest.fixture
def group(cloud: aws.Clients) -> aws.Clients:
    """An account with the function's log group."""
    cloud["logs"].create_log_group(logGroupName=GROUP)
    return cloud


def messages(events: Iterator[Any]) -> list[str]:
    """The texts alone."""
    return [event.message for event in events]


def test_all_pages_come_in_order_and_each_event_once(
    group: aws.Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a page repeats what the page before had."""
    write(group, *(f"line {number}" for number in range(25)))
    client, asked = group["logs"], []
    whole = client.filter_log_events

    def small(**parameters: Any) -> Any:
        asked.append(parameters)
        answer = whole(**parameters, limit=10)
        if len(asked) == 2:
            answer["events"].insert(0, whole(**asked[0], limit=10)["events"][-1])
        return answer

    monkeypatch.setattr(client, "filter_log_events", small)
    query = LogQuery(GROUP, now() - timedelta(minutes=5))
    assert messages(log_events(group, query)) == [f"line {number}" for number in range(25)]
    assert len(asked) == 3


def test_span_pattern_and_version_choose(group: aws.Clients) -> None:
    """A version's events are those of its streams."""
    write(group, "old", age=600)
    write(group, "one ERROR", "two")
    write(group, "three ERROR", stream=OTHER)
    begin = now() - timedelta(minutes=5)
    assert messages(log_events(group, LogQuery(GROUP, begin, pattern="ERROR"))) == [
        "one ERROR",
        "three ERROR",
    ]
    assert messages(log_events(group, LogQuery(GROUP, begin, version="4"))) == ["three ERROR"]
    end = now() - timedelta(minutes=5)
    assert messages(log_events(group, LogQuery(GROUP, begin - timedelta(hours=1), end))) == ["old"]


def test_who_follows_sees_what_comes_in_each_once(group: aws.Clients) -> None:
    """Late events too; looks become rarer while nothing comes, and the end is kept to."""
    write(group, "first")
    pauses: list[float] = []
    script = {
        0: lambda: write(group, "second"),
        1: lambda: write(group, "late", stream=OTHER, age=5),
    }
    start = now()
    passed = [0.0]

    def sleep(seconds: float) -> None:
        script.get(len(pauses), lambda: None)()
        pauses.append(seconds)
        passed[0] += seconds

    clock = Clock(sleep, lambda: start + timedelta(seconds=passed[0]))
    query = LogQuery(GROUP, start - timedelta(minutes=1), start + timedelta(seconds=20), follow=True)
    assert messages(log_events(group, query, clock=clock)) == ["first", "second", "late"]
    assert pauses[:3] == [1.0, 1.0, 1.0]
    assert pauses[3:] == sorted(pauses[3:]) and max(pauses) <= 5
    assert 20 <= passed[0] <= 25


def throttled(times: int, client: Any) -> Any:
    """The client's call, which AWS refuses ``times`` times at the second page."""
    whole, count = client.filter_log_events, [0]

    def call(**parameters: Any) -> Any:
        if "nextToken" in parameters and count[0] < times:
            count[0] += 1
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}, "x")
        return whole(**parameters, limit=10)

    return call


def test_a_throttled_page_is_asked_for_again(group: aws.Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read is not read anew, and nothing is lost."""
    write(group, *(f"line {number}" for number in range(15)))
    monkeypatch.setattr(group["logs"], "filter_log_events", throttled(3, group["logs"]))
    pauses: list[float] = []
    query = LogQuery(GROUP, now() - timedelta(minutes=5))
    found = messages(log_events(group, query, clock=Clock(pauses.append, now)))
    assert found == [f"line {number}" for number in range(15)]
    assert pauses == [1.0, 2.0, 4.0]


def test_throttling_that_does_not_end_is_an_error(
    group: aws.Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After about a minute, with what AWS said."""
    write(group, *(f"line {number}" for number in range(15)))
    monkeypatch.setattr(group["logs"], "filter_log_events", throttled(10**6, group["logs"]))
    pauses: list[float] = []
    query = LogQuery(GROUP, now() - timedelta(minutes=5))
    with pytest.raises(ToolError, match=r"throttles.*Rate exceeded"):
        messages(log_events(group, query, clock=Clock(pauses.append, now)))
    assert 60 <= sum(pauses) <= 80


def test_a_group_that_is_not_there_says_what_makes_it(cloud: aws.Clients) -> None:
    """The error names the group."""
    with pytest.raises(ToolError, match="the log group /aws/lambda/hello") as raised:
        messages(log_events(cloud, LogQuery(GROUP, now())))
    assert "first deployment" in str(raised.value.hint)


def test_a_function_that_is_not_there_is_told(cloud: aws.Clients) -> None:
    """With its region; the log of a function that was removed is read with --group."""
    with pytest.raises(ConfigurationError, match="no function hello in eu-central-1"):
        aws.group_of("hello", cloud)


def test_a_token_that_comes_twice_ends_the_reading(
    group: aws.Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS gives such tokens now and then; to go on would never end."""
    write(group, "one")
    client = group["logs"]
    whole = client.filter_log_events

    def same(**parameters: Any) -> Any:
        return {**whole(**{k: v for k, v in parameters.items() if k != "nextToken"}), "nextToken": "t"}

    monkeypatch.setattr(client, "filter_log_events", same)
    found: list[str] = []
    reading = threading.Thread(
        target=lambda: found.extend(messages(log_events(group, LogQuery(GROUP, now() - timedelta(hours=1))))),
        daemon=True,
    )
    reading.start()
    reading.join(20)
    assert not reading.is_alive() and found == ["one"]
