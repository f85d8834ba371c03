"""From runs to figures."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from benchmarks.__main__ import settings
from benchmarks.measure import Measurement
from benchmarks.overhead import calls_between
from benchmarks.results import Case, fastest_peer, summarise
from benchmarks.rig import Setting, _split
from benchmarks.show import show
from benchmarks.ways import FLOOR, OURS
from benchmarks.workloads import WORKLOADS, Workload


def one(way: str, number: int, total: float | None, outcome: str = "ok") -> Measurement:
    return Measurement("w", way, 1769, False, 512, number, outcome, total_s=total, peak_bytes=10**8)


CASE = Case("w", 512, 1769, False)


def test_ratios_are_taken_within_a_round() -> None:
    """A round in which everything is three times slower changes no ratio."""
    runs = [one(OURS, 1, 1.0), one("Zappa", 1, 5.0), one(OURS, 2, 3.0), one("Zappa", 2, 15.0)]
    ours, zappa = summarise(runs)
    assert zappa.ours == 5.0
    assert ours.ours == 1.0
    assert (zappa.total_s, zappa.lowest_s, zappa.highest_s) == (10.0, 5.0, 15.0)
    assert zappa.floor is None


def test_failed_runs_count_but_give_no_time() -> None:
    """Medians are of the right answers alone; the outcome of the others is shown."""
    runs = [one(OURS, 1, 1.0), one("Zappa", 1, None, "no space"), one("Zappa", 2, 4.0), one(OURS, 2, 2.0)]
    zappa = summarise(runs)[1]
    assert (zappa.ok, zappa.runs, zappa.outcome, zappa.total_s, zappa.ours) == (1, 2, "no space", 4.0, 2.0)


def test_the_fastest_peer_is_one_that_loads_from_s3() -> None:
    """serverless-python-requirements has no S3 to load from; a peer that failed is not the fastest."""
    runs = [
        one("serverless-python-requirements", 1, 1.0),
        one("usual recipe", 1, 3.0),
        one("Zappa", 1, None, "no space"),
    ]
    fastest = fastest_peer(summarise(runs), CASE)
    assert fastest is not None
    assert fastest.way == "usual recipe"
    assert fastest_peer(summarise(runs[:1]), CASE) is None


def test_the_table_says_what_failed_and_by_how_much_we_win() -> None:
    """Every way has its row; the sentence below names the peer, the floor and who ran out of space."""
    runs = [
        one(OURS, 1, 1.2),
        one(FLOOR, 1, 1.0),
        one("usual recipe", 1, 6.0),
        one("Zappa", 1, None, "no space"),
    ]
    screen = io.StringIO()
    show(Console(file=screen, width=220), summarise(runs), 600.0)
    text = " ".join(screen.getvalue().split())
    assert "5.00 x faster than usual recipe" in text
    assert "1.20 x the plain directory, +0 MB of memory" in text
    assert "Zappa: no space" in text


def test_system_calls_are_counted_between_the_marks() -> None:
    """Signals, exits and the second halves of interrupted calls are not calls."""
    log = [
        '12 write(1, "\\nBENCH-WARM\\n", 12) = 12',
        "12 getpid() = 12",
        "13 futex(0x7f, FUTEX_WAIT <unfinished ...>",
        "13 <... futex resumed>) = 0",
        "12 --- SIGCHLD {si_signo=SIGCHLD} ---",
        "13 +++ exited with 0 +++",
        '12 write(1, "\\nBENCH-WARM\\n", 12) = 12',
        "12 exit_group(0) = ?",
    ]
    assert calls_between(log, "BENCH-WARM") == 2


def test_the_driver_s_line_is_found_among_what_the_function_prints() -> None:
    """Marks are dropped, prints are kept, the last word is the driver's."""
    document, log = _split(b'\nBENCH-INIT\nhello\n\nBENCH-WARM\n\nBENCH {"answered": 1.5}\n')
    assert document == {"answered": 1.5}
    assert log == "hello"
    assert _split(b"Traceback\n") == (None, "Traceback")


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_every_memory_size_is_measured_with_and_without_boost(workload: Workload) -> None:
    """512, 1,769 and 3,008 MB; the base case once for each size of /tmp, with the most rounds."""
    found = settings(workload, 5, 3)
    roomy = {(one.memory_mb, one.boost) for one, _ in found if one.tmp_mb == workload.tmp_mb[-1]}
    assert roomy == {(memory, boost) for memory in (512, 1769, 3008) for boost in (False, True)}
    assert [one.tmp_mb for one, rounds in found if rounds == 5] == list(workload.tmp_mb)


def test_one_size_of_memory_with_and_without_boost() -> None:
    """What ``--memory`` leaves out is neither prepared for nor measured."""
    assert settings(WORKLOADS[0], 5, 3, (1769,)) == [
        (Setting(1769, False, 512), 5),
        (Setting(1769, True, 512), 3),
    ]
