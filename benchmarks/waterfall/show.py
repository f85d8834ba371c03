"""An account on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.waterfall.account import Account, Phase, Step

__all__ = ["show"]

_LARGEST = 12


def show(console: Console, found: Account) -> None:
    """Four tables: the importing process, what it imported, what it waited for, the fetching child."""
    console.print(_phases("the importing process", found.phases, total=True))
    console.print(_phases("import runtime_shim", found.shim))
    rest = found.packages[_LARGEST:]
    more = Phase(f"{len(rest)} others", 0.0, _sum(rest, "wall_s"), _sum(rest, "cpu_s"), _sum(rest, "wait_s"))
    packages = (*found.packages[:_LARGEST], more) if rest else found.packages
    console.print(_phases("imports and loading, without what they import", packages))
    console.print(_waits(found))
    console.print(_fetch(found))
    console.print(
        f"{found.eager_bytes / 1e6:.1f} MB could have been here after {found.floor_s * 1e3:.0f} ms, "
        f"were in place after {found.fetch_end_s * 1e3:.0f} ms",
        highlight=False,
    )


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table


def _sum(phases: Sequence[Phase], name: str) -> float:
    return sum(getattr(phase, name) for phase in phases)


def _phases(title: str, phases: Sequence[Phase], *, total: bool = False) -> Table:
    table = _table(title, "", "from ms", "ms", "CPU", "waits", "neither")
    for one in phases:
        seconds = (one.wall_s, one.cpu_s, one.wait_s, one.other_s)
        table.add_row(one.name, f"{one.start_s * 1e3:.0f}", *map(_ms, seconds))
    if total:
        names = ("wall_s", "cpu_s", "wait_s", "other_s")
        table.add_section()
        table.add_row("first answer after", "", *(_ms(_sum(phases, name)) for name in names))
    return table


def _ms(seconds: float) -> str:
    # Plus zero: no "-0.0" where two clocks differ by a microsecond.
    return f"{round(seconds * 1e3, 1) + 0.0:.1f}"


def _waits(found: Account) -> Table:
    table = _table("longest waits for a frame", "wanted by", "file", "frame", "from ms", "ms")
    for wait in sorted(found.waits, key=lambda one: -one.wall_s)[:_LARGEST]:
        cells = (wait.wanted_by, wait.file, str(wait.frame), f"{wait.start_s * 1e3:.0f}", _ms(wait.wall_s))
        table.add_row(*cells)
    return table


def _fetch(found: Account) -> Table:
    table = _table("the fetching child", "", "ms", "CPU", "of its CPU", "MB", "MB/s", "MB/s of CPU")
    for step in found.fetch:
        share = step.cpu_s / found.child_cpu_s if found.child_cpu_s else 0.0
        table.add_row(step.name, _ms(step.wall_s), _ms(step.cpu_s), f"{share:.0%}", *_speeds(step))
    table.add_section()
    table.add_row("all", _ms(sum(step.wall_s for step in found.fetch)), _ms(found.child_cpu_s))
    return table


def _speeds(step: Step) -> list[str]:
    if not step.size:
        return []
    mb = step.size / 1e6
    return [f"{mb:.1f}", *(f"{mb / spent:,.0f}" if spent else "" for spent in (step.wall_s, step.cpu_s))]
