"""The figures on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.results import Case, Line, fastest_peer
from benchmarks.ways import FLOOR, OURS, PLACED

__all__ = ["show", "show_limits", "show_overheads"]

_MB = 1_000_000


def show_limits(console: Console, limited: Mapping[str, str]) -> None:
    """What the rig holds to Lambda's measure, and what it does not."""
    for name, how in limited.items():
        console.print(f"[bold]{name}[/]: {how}", highlight=False)


def show(console: Console, lines: Sequence[Line], mbit: float) -> None:
    """A table a case, and what it says in words. ``mbit``: the link's bandwidth, megabits a second."""
    for case in dict.fromkeys(line.case for line in lines):
        chosen = [line for line in lines if line.case == case]
        console.print(_table(case, chosen))
        console.print(_verdict(chosen, fastest_peer(lines, case), mbit), highlight=False)
        console.print()


def title(case: Case) -> str:
    """A case in words."""
    boost = "on" if case.boost else "off"
    return f"{case.workload}: {case.memory_mb} MB of memory, init boost {boost}, {case.tmp_mb} MB of /tmp"


def _table(case: Case, lines: Sequence[Line]) -> Table:
    table = Table(title=title(case), title_justify="left")
    table.add_column("way", no_wrap=True)
    for name in (
        "total s", "min - max", "until first import s", "import s", "CPU s", "x lambdapack", "x plain",
        "memory MB", "S3 requests", "fetched MB", "written MB", "/tmp peak MB",
    ):  # fmt: skip
        table.add_column(name, justify="right")
    for line in lines:
        table.add_row(*_row(line), style="bold" if line.way in PLACED else "")
    return table


def _row(line: Line) -> list[str]:
    if line.total_s is None:
        times = [line.outcome, "", "", "", "", "", ""]
    else:
        spread = f"{line.lowest_s:.2f} - {line.highest_s:.2f}"
        total = f"{line.total_s:.2f}" + ("" if line.ok == line.runs else f" ({line.ok} of {line.runs})")
        times = [total, spread, _number(line.unpack_s), _number(line.import_s), _number(line.cpu_s)]
        times += [_number(line.ours), _number(line.floor)]
    sizes = [line.fetched_bytes, line.written_bytes, line.tmp_peak_bytes]
    return [
        line.way,
        *times,
        f"{line.peak_bytes / _MB:.0f}",
        str(line.requests),
        *(f"{size / _MB:.1f}" for size in sizes),
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _verdict(lines: Sequence[Line], peer: Line | None, mbit: float) -> str:
    by_way = {line.way: line for line in lines}
    ours, floor = by_way.get(OURS), by_way.get(FLOOR)
    parts = []
    if peer is not None and peer.ours is not None:
        parts.append(f"{peer.ours:.2f} x faster than {peer.way}, the fastest that loads from S3")
    if ours is not None and ours.floor is not None and floor is not None:
        more = (ours.peak_bytes - floor.peak_bytes) / _MB
        parts.append(f"{ours.floor:.2f} x the plain directory, {more:+.0f} MB of memory")
    if ours is not None and ours.total_s is not None:
        parts += _where_time_goes(ours, mbit)
    for line in lines:
        if line.total_s is None:
            parts.append(f"{line.way}: {line.outcome} ({line.detail})")
    return "; ".join(parts)


def _where_time_goes(ours: Line, mbit: float) -> list[str]:
    link = max(ours.fetched_bytes, 1) * 8 / mbit / 1e6
    fetch, wait = ours.shim.get("fetch_ms", 0.0), ours.shim.get("wait_ms", 0.0)
    cpu = (ours.child_cpu_s or 0.0) * 1000
    return [
        f"{(ours.total_s or 0.0) / link:.2f} x the {link:.2f} s that its bytes alone take over the link",
        f"its fetching took {fetch:.0f} ms ({cpu:.0f} ms of CPU) beside the imports, "
        f"which waited {wait:.0f} ms for it",
    ]


def show_overheads(console: Console, overheads: Sequence[Mapping[str, Any]]) -> None:
    """What is left of the shim after the start."""
    for one in overheads:
        console.print(f"[bold]{one['workload']}[/]: {one['what']}: {one['text']}", highlight=False)
