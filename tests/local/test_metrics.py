"""What invocations took: a line each, from several processes at once, bounded, and the journals below it."""

from __future__ import annotations

import os
import threading
from datetime import datetime, timezone
from pathlib import Path

import pytest

from lambdapack.errors import ToolError
from lambdapack.local import LocalCloud
from lambdapack.local.journal import Journal, JournalReader
from lambdapack.local.metrics import Call, Metrics
from tests.support.local_cloud import call, make_spec


def line(number: int) -> bytes:
    return b"%06d" % number


def test_each_invocation_is_a_line(tmp_path: Path, lambdapack_cache: Path) -> None:
    """Version, end, error, duration, init and cold are those of the results; whoever looks sees them."""
    begun = datetime.now(timezone.utc)
    with LocalCloud(tmp_path / "state", cache_dir=lambdapack_cache, isolation="none") as cloud:
        cloud.deploy(make_spec(tmp_path), None)
        done = [call(cloud), call(cloud, fail="what"), cloud.invoke("function", b"{}", qualifier="1")]
    calls = list(Metrics(cloud.state / "metrics").calls("function", begun))
    assert [(each.version, each.error, each.duration_ms, each.init_ms, each.cold) for each in calls] == [
        (each.version, each.error, each.duration_ms, each.init_ms, each.cold) for each in done
    ]
    assert [each.live for each in calls] == [True, True, False]
    assert calls == sorted(calls, key=lambda each: each.time)
    assert list(cloud.functions.records.metrics.calls("function", datetime.now(timezone.utc))) == []
    cloud.destroy("function")
    assert list(cloud.functions.records.metrics.calls("function")) == []
    assert not list((cloud.state / "metrics").iterdir()) and not list((cloud.state / "logs").iterdir())


def test_a_line_that_was_cut_off_is_passed_over(tmp_path: Path) -> None:
    """What a full disk left of a line spoils no other line that is whole."""
    metrics, one = Metrics(tmp_path), Call("1", 2.0, True, False, 3.0, None, False)
    metrics.add("function", one)
    with (tmp_path / "function.jsonl").open("a") as file:
        file.write('{"version": "1", "ti\n[]\n{"version": "1"}\n')
    metrics.add("function", one)
    assert list(metrics.calls("function")) == [one, one]


def test_processes_that_write_at_once_lose_no_line(tmp_path: Path) -> None:
    """Several processes append while files are replaced: who reads meanwhile sees each line once, whole."""
    journal, each, writers = Journal(tmp_path / "log", 20_000), 800, 4
    reader, seen = JournalReader(tmp_path / "log"), []
    children = []
    for writer in range(writers):
        child = os.fork()
        if not child:
            try:
                for number in range(each):
                    journal.append([line(writer * each + number)])
            finally:
                os._exit(0)
        children.append(child)
    waiting = set(children)
    while waiting:
        seen += reader.read()
        waiting -= {child for child in waiting if os.waitpid(child, os.WNOHANG)[0]}
    seen += reader.read()
    reader.close()
    assert sorted(seen) == [line(number) for number in range(writers * each)]
    for writer in range(writers):
        own = [text for text in seen if int(text) // each == writer]
        assert own == sorted(own), "a process's lines stay in their order"


def test_a_journal_is_bounded(tmp_path: Path) -> None:
    """Two files of about the limit, whatever is written; the newest lines are those that are kept."""
    journal = Journal(tmp_path / "log", 1000)
    for number in range(1000):
        journal.append([line(number)])
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2 * 1007
    kept = JournalReader(tmp_path / "log").read()
    assert kept == [line(number) for number in range(1000 - len(kept), 1000)] and len(kept) > 140
    journal.append([line(number) for number in range(1000)])
    assert JournalReader(tmp_path / "log").read()[-1] == line(999)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 3 * 1000


def test_a_reader_goes_on_where_it_was(tmp_path: Path) -> None:
    """Before the file is there, over its replacement, and after it was removed and made again."""
    path = tmp_path / "log"
    journal, reader = Journal(path, 50), JournalReader(path)
    assert reader.read() == []
    journal.append([b"a"])
    assert reader.read() == [b"a"] and reader.read() == []
    with path.open("ab") as file:
        file.write(b"half")
    assert reader.read() == []
    with path.open("ab") as file:
        file.write(b" and half\n")
    assert reader.read() == [b"half and half"]
    wanted = [line(number) for number in range(10)]
    for text in wanted:
        journal.append([text])
    assert reader.read() == wanted
    journal.append([b"x" * 49])
    assert not path.exists()
    assert reader.read() == [b"x" * 49] and JournalReader(path).read()[-1] == b"x" * 49
    for left in tmp_path.iterdir():
        left.unlink()
    journal.append([b"new"])
    assert reader.read() == [b"new"]


def test_a_disk_that_takes_nothing_is_said(tmp_path: Path) -> None:
    """An error for people, with the path."""
    (tmp_path / "file").touch()
    with pytest.raises(ToolError, match=r"cannot write .*file/log"):
        Journal(tmp_path / "file" / "log", 100).append([b"a"])


def test_threads_count_every_call(tmp_path: Path) -> None:
    """Threads of one process share a file as processes do."""
    metrics, one = Metrics(tmp_path), Call("1", 2.0, True, False, 3.0, None, False)
    threads = [threading.Thread(target=lambda: [metrics.add("f", one) for _ in range(100)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(metrics.calls("f"))) == 400
