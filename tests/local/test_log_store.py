"""The logs of the local cloud: streams of events with times, a version's own, bounded, and followed."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from lambdapack.errors import ConfigurationError
from lambdapack.local import LocalCloud
from lambdapack.local.log_store import LogEvent, LogStore, events_of
from tests.support.local_cloud import answer, call, make_spec

START = datetime(2026, 11, 26, tzinfo=timezone.utc)


def event(seconds: float, message: str, version: str = "1") -> LogEvent:
    return LogEvent(START + timedelta(seconds=seconds), f"2026/11/26/[{version}]abc", message)


def messages(events: list[LogEvent]) -> list[str]:
    return [each.message for each in events]


def test_what_invocations_log_is_kept(tmp_path: Path, lambdapack_cache: Path) -> None:
    """Line by line, in the environment's stream, whoever looks later; a version's alone where asked."""
    begun = datetime.now(timezone.utc)
    with LocalCloud(tmp_path / "state", cache_dir=lambdapack_cache, isolation="none") as cloud:
        cloud.deploy(make_spec(tmp_path), None)
        first = call(cloud, print="hello", env="AWS_LAMBDA_LOG_STREAM_NAME")
        second = call(cloud, fail="what")
        cloud.deploy(make_spec(tmp_path, environment={"COLOUR": "red"}), None)
        third = call(cloud, print="of version 2")
    with LocalCloud(tmp_path / "state", cache_dir=lambdapack_cache) as cloud:
        events = list(cloud.log_events("function", since=begun))
        assert messages(events) == (first.log + second.log + third.log).splitlines()
        ones = list(cloud.log_events("function", since=begun, version="1"))
        assert messages(ones) == (first.log + second.log).splitlines()
        assert {each.stream for each in ones} == {answer(first)["env"]}
        assert [each.version for each in events] == ["1"] * len(ones) + ["2"] * (len(events) - len(ones))
        assert all(begun <= each.time <= datetime.now(timezone.utc) for each in events)
        later = ones[-1].time + timedelta(microseconds=1)
        assert messages(list(cloud.log_events("function", since=later))) == third.log.splitlines()
        with pytest.raises(ConfigurationError, match="no function 'other'"):
            list(cloud.log_events("other", since=begun))


def test_an_init_ahead_of_invocations_is_logged(tmp_path: Path, lambdapack_cache: Path) -> None:
    """What provisioned environments log before any call is in the log, and once."""
    with LocalCloud(tmp_path / "state", cache_dir=lambdapack_cache, isolation="none") as cloud:
        cloud.deploy(make_spec(tmp_path), None)
        (log,) = cloud.prepare("function", start="provisioned-concurrency")
        reader = cloud.log_reader("function", since=START)
        assert messages(reader.read()) == log.splitlines()
        done = call(cloud, start="provisioned-concurrency")
        assert messages(reader.read()) == done.log.splitlines() and not done.log.startswith("INIT_START")
        reader.close()


def test_a_reader_gives_what_has_come_since(tmp_path: Path) -> None:
    """Each event once, by time, from versions that begin to log later too."""
    store = LogStore(tmp_path)
    reader = store.reader("f", START, None)
    assert reader.read() == []
    store.add("f", "1", [event(-1, "old"), event(1, "one")])
    assert messages(reader.read()) == ["one"]
    store.add("f", "2", [event(2, "two", "2"), event(4, "four", "2")])
    store.add("f", "1", [event(3, "three"), event(3, "and three")])
    assert messages(reader.read()) == ["two", "three", "and three", "four"]
    assert reader.read() == []
    assert messages(store.reader("f", START, "2").read()) == ["two", "four"]
    for version in ("*", "../f/1", "$LATEST"):
        assert store.reader("f", START, version).read() == []


def test_a_log_is_bounded_and_followed_over_it(tmp_path: Path) -> None:
    """Far more than is kept is written: the disk holds two files, who follows has seen every line."""
    store, chance = LogStore(tmp_path), random.Random(1)
    reader, seen = store.reader("f", START, None), 0
    for number in range(300):
        text = chance.randbytes(40_000).hex()
        store.add("f", "1", [event(number, f"{number} {text}")])
        seen += len(reader.read())
    assert seen == 300
    assert sum(path.stat().st_size for path in (tmp_path / "f").iterdir()) < 9_000_000
    assert messages(store.reader("f", START, None).read())[-1].startswith("299 ")


def test_lines_have_the_time_of_begin_or_end(tmp_path: Path) -> None:
    """Up to START the call's begin, after it the call's end; a line of any length and content is kept."""
    log = (
        "INIT_START x\nof init\nSTART RequestId: 1 Version: 1\nun\u2028broken \x00 \ud800\n\n" + "y" * 300_000
    )
    events = events_of(log, "2026/11/26/[1]abc", 100.0, 200.0)
    assert [each.time.timestamp() for each in events] == [100, 100, 100, 200, 200, 200]
    assert events[3].message == "un\u2028broken \x00 \ud800" and len(events[5].message) == 256_000
    store = LogStore(tmp_path)
    store.add("f", "1", events)
    assert store.reader("f", datetime.fromtimestamp(0, timezone.utc), None).read() == events
    assert events_of("", "stream", 1.0, 2.0) == []
