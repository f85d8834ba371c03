"""A function's log: what its lines tell of cold starts and invocations, as text and as JSON."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from lambdapack.deploy.log import (
    ColdStart,
    EnvironmentStart,
    Init,
    LogEvent,
    LoggedInvocation,
    Report,
    Restore,
    ShimLine,
    Starts,
    invocations,
    read,
)
from tests.support.logged import SHIM, STREAM, init_start, json_report, report, shim_line

BEGAN = datetime(2026, 11, 26, 12, tzinfo=timezone.utc)


def events(*messages: str, stream: str = STREAM) -> list[LogEvent]:
    """Events of one environment, a second apart."""
    return [
        LogEvent(BEGAN + timedelta(seconds=number), stream, message, f"{stream}{number}")
        for number, message in enumerate(messages)
    ]


def starts(given: list[LogEvent]) -> list[ColdStart]:
    """The cold starts that events tell of."""
    fold, told = Starts(), []
    for event in given:
        each = fold.add(event)
        told.append(each.start if isinstance(each, LoggedInvocation) else each)
    return [start for start in told if start is not None]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (report(12.5, init=843.21), Report("id-1", 12.5, 13, 512, 90, 843.21)),
        (report(3000, status="timeout"), Report("id-1", 3000, 3000, 512, 90, status="timeout")),
        (
            report(8.0, restore=310.5) + "Billed Restore Duration: 311 ms\t",
            Report("id-1", 8.0, 8, 512, 90, restore_ms=310.5),
        ),
        (json_report(12.5, init=843.21), Report("id-1", 12.5, 13, 512, 90, 843.21)),
        (json_report(3.0, status="error"), Report("id-1", 3.0, 3, 512, 90, status="error")),
        ("INIT_START Runtime Version: python:3.12.v38\tRuntime Version ARN: arn:x\n", EnvironmentStart()),
        ('{"time":"2026-11-26T12:00:00Z","type":"platform.initStart","record":{}}', EnvironmentStart()),
        (
            "INIT_REPORT Init Duration: 9999.98 ms\tPhase: init\tStatus: timeout\n",
            Init(9999.98, "init", "timeout"),
        ),
        ("INIT_REPORT Init Duration: 800.00 ms\tPhase: init\n", Init(800.0, "init", "success")),
        (
            '{"type":"platform.initReport","record":{"phase":"init","status":"error","metrics":'
            '{"durationMs":7.5}}}',
            Init(7.5, "init", "error"),
        ),
        ("RESTORE_REPORT Restore Duration: 310.50 ms\n", Restore(310.5)),
        ('{"type":"platform.restoreReport","record":{"metrics":{"durationMs":310.5}}}', Restore(310.5)),
    ],
)
def test_lambdas_lines_are_read(message: str, expected: object) -> None:
    """Text and JSON tell the same."""
    assert read(message) == expected


@pytest.mark.parametrize(
    "message",
    ["", "hello", "REPORT of mine", "REPORT RequestId: x\tDuration: none", "{", "[1]", "{}", '{"record": 3}',
     '{"type":"platform.report","record":{"metrics":{}}}', '{"message": 3}', "INIT_REPORT x",
     '{"type":"platform.start","record":{"requestId":"x"}}', "null", '{"message": "cold_start"}'],
)  # fmt: skip
def test_what_the_function_writes_is_no_record(message: str) -> None:
    """Lines that look like Lambda's, or like JSON, break nothing."""
    assert read(message) is None


def test_the_shims_line_is_read_even_inside_a_logger_in_json() -> None:
    """Its values are those that were printed."""
    for message in (shim_line(), json.dumps({"level": "INFO", "message": shim_line()})):
        found = read(message)
        assert isinstance(found, ShimLine) and found.values["bytes"] == SHIM["bytes"]


def test_a_cold_start_has_its_init_its_first_call_and_the_shims_figures() -> None:
    """The next invocation of the environment is warm."""
    given = events(init_start(), shim_line(retries=2), "hello", report(12.5, init=843.2), report(3.0))
    (start,) = starts(given)
    assert (start.kind, start.version, start.init_ms, start.duration_ms) == ("init", "3", 843.2, 12.5)
    assert (start.shim["retries"], start.failed_inits, start.total_ms) == (2, 0, 855.7)
    cold, warm = invocations(given)
    assert cold.start == start and warm.start is None


def test_environments_that_start_at_the_same_time_are_kept_apart() -> None:
    """The shim's line goes to the start of its own stream."""
    first = events(init_start(), shim_line(bytes=1), report(1.0, init=10.0))
    second = events(init_start(), shim_line(bytes=2), report(2.0, init=20.0), stream="2026/11/26/[4]bb")
    mixed = [event for pair in zip(first, second, strict=True) for event in pair]
    assert [(start.version, start.shim["bytes"]) for start in starts(mixed)] == [("3", 1), ("4", 2)]


def test_an_init_that_failed_belongs_to_the_start_that_came_up() -> None:
    """Lambda writes no Init Duration then: the init ran again inside the invocation."""
    failed = "INIT_REPORT Init Duration: 10000.00 ms\tPhase: init\tStatus: timeout\n"
    (start,) = starts(events(init_start(), failed, init_start(), shim_line(resumed=40), report(4000.0)))
    assert (start.failed_inits, start.init_ms, start.shim["resumed"]) == (1, None, 40)


def test_an_init_ahead_of_any_call_counts_once() -> None:
    """With provisioned concurrency the first REPORT repeats the Init Duration."""
    ahead = "INIT_REPORT Init Duration: 800.00 ms\tPhase: init\n"
    (start,) = starts(events(init_start(), shim_line(), ahead, report(5.0, init=800.0), report(4.0)))
    assert (start.kind, start.init_ms, start.duration_ms) == ("ahead", 800.0, None)
    assert start.shim["bytes"] == SHIM["bytes"]


def test_a_restore_is_a_start_of_its_own() -> None:
    """From its REPORT line, whether or not the log has RESTORE_REPORT."""
    (start,) = starts(events("RESTORE_START Runtime Version: x", report(8.0, restore=310.5), report(4.0)))
    assert (start.kind, start.init_ms, start.duration_ms) == ("restore", 310.5, 8.0)


def test_an_environment_that_died_starts_anew_in_its_stream() -> None:
    """After an exit Lambda runs the init again, without an Init Duration in REPORT."""
    given = events(
        init_start(), report(1.0, init=10.0), report(2.0, status="error"), init_start(), report(30.0)
    )
    assert [(start.init_ms, start.status) for start in starts(given)] == [(10.0, ""), (None, "")]


def test_a_log_that_begins_in_the_middle_tells_of_no_start() -> None:
    """What ran before is not taken for a cold start."""
    assert starts(events("hello", report(3.0), report(4.0))) == []


@pytest.mark.parametrize(
    ("stream", "version"),
    [("2026/11/26/[3]2f", "3"), ("2026/11/26/[$LATEST]2f", "$LATEST"), ("2026/11/26/hello[12][2f]", "12"),
     ("mine", None)],
)  # fmt: skip
def test_a_stream_names_its_version(stream: str, version: str | None) -> None:
    """In the function's own group and in a shared one."""
    assert LogEvent(BEGAN, stream, "").version == version
