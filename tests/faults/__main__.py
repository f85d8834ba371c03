"""``python -m tests.faults``: inject faults, print one table."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import queue
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from lambdapack.python import interpreter

from . import rows_processes, rows_s3, rows_system
from .case import ROWS, NotHereError, Row, opened
from .model import End, Verdict
from .peers import Tally, run_peers
from .world import World, make_world

__all__ = ["main"]

LOADED = (rows_s3, rows_processes, rows_system)
SHOWN = 3
"""Reasons shown for each row."""


class Run:
    """Cases, some at a time, until all are done or time is up."""

    def __init__(self, world: World, jobs: Sequence[tuple[Row, int]], deadline: float) -> None:
        self.world = world
        self.deadline = deadline
        self.tallies = {row.name: Tally() for row, _ in jobs}
        self.left = 0
        self._done = 0
        self._count = len(jobs)
        self._told = time.monotonic()
        self._jobs: queue.SimpleQueue[tuple[Row, int]] = queue.SimpleQueue()
        for job in jobs:
            self._jobs.put(job)
        self._lock = threading.Lock()

    def work(self, workers: int) -> None:
        """Do them all."""
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _work(self) -> None:
        while True:
            try:
                row, seed = self._jobs.get_nowait()
            except queue.Empty:
                return
            if time.monotonic() > self.deadline:
                with self._lock:
                    self.left += 1
                continue
            self._one(row, seed)

    def _one(self, row: Row, seed: int) -> None:
        began = time.monotonic()
        tally = self.tallies[row.name]
        verdicts: list[Verdict] = []
        try:
            with opened(self.world, row.name, seed) as case:
                verdicts = row.run(case, *row.share)
        except NotHereError as error:
            tally.not_here = str(error)
        except Exception as error:  # a fault of the harness is not to end the others
            verdicts = [Verdict(End.WRONG, f"the harness itself: {type(error).__name__}: {error}")]
        with self._lock:
            self._tell()
            tally.seconds += time.monotonic() - began
            tally.ends.update(verdict.end for verdict in verdicts)
            bad = [one for one in verdicts if one.end in (End.WRONG, End.HUNG)]
            for one in {one.reason: one for one in bad}.values():
                again = f"python -m tests.faults --row {row.name!r} --seed {seed} --count 1"
                tally.bad.append(f"{one.end.value}: {one.reason}\n      again: {again}")

    def _tell(self) -> None:
        """A sign of life each minute."""
        self._done += 1
        if time.monotonic() - self._told > 60:
            self._told = time.monotonic()
            faults = sum(sum(tally.ends.values()) for tally in self.tallies.values())
            print(f"{self._done} of {self._count} cases, {faults} faults", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments ask for; 1 where anything was wrong or hung."""
    options = _options(arguments)
    if options.list:
        print("\n".join(f"{row.count:6} cases  {row.name}" for row in ROWS.values()))
        return 0
    chosen = _chosen(options)
    began = time.monotonic()
    _own_mounts()
    print(f"seed {options.seed}, {options.workers} at a time", flush=True)
    with _world(options) as world:
        run = Run(world, _jobs(chosen, options), began + options.minutes * 60)
        run.work(options.workers)
        tallies = dict(run.tallies)
        if options.peers:
            tallies.update(run_peers(world, options))
    _show(tallies, run.left, time.monotonic() - began, options.verbose)
    ours = run.tallies.values()
    return int(any(tally.ends[End.WRONG] or tally.ends[End.HUNG] for tally in ours))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, help="of the first case of each row; by default a new one")
    parser.add_argument("--count", type=int, help="cases of each row, instead of the row's own number")
    parser.add_argument("--row", action="append", help="only this row, or those whose name begins so")
    parser.add_argument(
        "--minutes", type=float, default=28.0, help="begin no case after so many (%(default)s)"
    )
    parser.add_argument(
        "--bounded",
        type=int,
        nargs="?",
        const=1,
        metavar="TIMES",
        help="a few cases of each row, or TIMES that",
    )
    parser.add_argument("--no-slow", action="store_true", help="leave the slow rows out")
    parser.add_argument("--peers", action="store_true", help="the rows that apply against the peers' loaders")
    parser.add_argument("--workers", type=int, default=3 * (os.cpu_count() or 1), help="cases at a time")
    parser.add_argument("--python", default="{}.{}".format(*sys.version_info), help="the function's Python")
    parser.add_argument("--cache", type=Path, default=_cache(), help="where decoders are kept")
    parser.add_argument("--verbose", action="store_true", help="every reason, not the first three of a row")
    parser.add_argument("--list", action="store_true", help="the rows")
    options = parser.parse_args(arguments)
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1_000_000)
    return options


def _cache() -> Path:
    named = os.environ.get("LAMBDAPACK_CACHE")
    return Path(named) if named else Path(tempfile.gettempdir()) / "lambdapack-faults-cache"


def _chosen(options: argparse.Namespace) -> list[Row]:
    rows = [row for row in ROWS.values() if not (options.no_slow and row.slow)]
    rows = [row for row in rows if not row.hidden or row.name in (options.row or ())]
    if options.row:
        # A whole name is that row alone, anything else the beginning of names.
        prefixes = tuple(name for name in options.row if name not in ROWS)
        rows = [row for row in rows if row.name in options.row or row.name.startswith(prefixes)]
    if not rows:
        sys.exit(f"no row begins with {options.row}: --list shows them")
    return rows


def _jobs(rows: Sequence[Row], options: argparse.Namespace) -> list[tuple[Row, int]]:
    """All cases, mixed: those that wait beside those that compute."""
    jobs = []
    for row in rows:
        count = options.count or (row.bounded * options.bounded if options.bounded else row.count)
        jobs += [(row, options.seed + number) for number in range(count)]
    random.Random(options.seed).shuffle(jobs)
    # The longest first: what begins last is what everybody waits for.
    return sorted(jobs, key=lambda job: not job[0].slow)


def _own_mounts() -> None:
    """Mounts of this process that nobody else sees, and that are gone with it."""
    if os.geteuid() == 0:
        new_namespace = 0x00020000
        if ctypes.CDLL(None).unshare(new_namespace) == 0:
            subprocess.run(["mount", "--make-rprivate", "/"], check=False, capture_output=True)


@contextlib.contextmanager
def _world(options: argparse.Namespace) -> Iterator[World]:
    # The peers get a /tmp of their own, from which the world must be seen.
    where = "/var/tmp" if options.peers else None
    with tempfile.TemporaryDirectory("", "lambdapack-faults-", where, ignore_cleanup_errors=True) as folder:
        world = make_world(Path(folder), interpreter.find(options.python), options.cache)
        try:
            yield world
        finally:
            world.endpoint.close()


def _show(tallies: dict[str, Tally], left: int, seconds: float, verbose: bool) -> None:
    width = max(map(len, tallies))
    heads = ["tried", "right", "clear error", "wrong", "hung"]
    print(f"\n{'fault':{width}}  {'  '.join(heads)}  seconds")
    total: Counter[End] = Counter()
    for name, tally in tallies.items():
        total.update(tally.ends)
        print(_line(name, tally.ends, heads, width), f"  {tally.seconds:7.1f}", tally.not_here)
    print(_line("all", total, heads, width), f"  in {seconds / 60:.1f} min")
    if left:
        print(f"time was up: {left} cases were not begun")
    for name, tally in tallies.items():
        for reason in tally.bad if verbose else tally.bad[:SHOWN]:
            print(f"\n{name}\n  {reason}")
        if len(tally.bad) > SHOWN and not verbose:
            print(f"  ... and {len(tally.bad) - SHOWN} more (--verbose shows all)")


def _line(name: str, ends: Counter[End], heads: Sequence[str], width: int) -> str:
    values = [sum(ends.values()), *(ends[end] for end in End)]
    columns = [f"{value:{len(head)}}" for value, head in zip(values, heads, strict=True)]
    return f"{name:{width}}  {'  '.join(columns)}"


if __name__ == "__main__":
    sys.exit(main())
