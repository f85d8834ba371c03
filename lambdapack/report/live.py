"""Progress for people: bars on a terminal, one line a step elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from lambdapack.progress import Advance
from lambdapack.report.units import megabytes

__all__ = ["LineProgress", "TerminalProgress"]


def _amount(done: int, total: int | None, unit: str) -> str:
    if unit == "B":
        return megabytes(done) if total is None else f"{megabytes(done)} of {megabytes(total)}"
    return f"{done:,} {unit}" if total is None else f"{done:,} of {total:,} {unit}"


class LineProgress:
    """Writes one line when a step has ended, for logs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @contextmanager
    def step(self, name: str, *, total: int | None = None, unit: str = "") -> Iterator[Advance]:
        """Begin a step."""
        done = 0

        def advance(amount: int = 1, *, note: str | None = None) -> None:
            nonlocal done
            done += amount

        begun = time.perf_counter()
        yield advance
        # A step that is counted in seconds has told them already.
        counted = f", {_amount(done, None, unit)}" if done and unit not in ("", "s") else ""
        self.note(f"{name}: {time.perf_counter() - begun:.1f} s{counted}")

    def note(self, message: str) -> None:
        """Print a line."""
        print(message, file=self._stream, flush=True)

    def warn(self, message: str) -> None:
        """Print a line that says it is a warning."""
        self.note(f"warning: {message}")


class TerminalProgress:
    """Draws a bar a step on stderr and leaves one line of it behind."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._bars: Progress | None = None

    @contextmanager
    def step(self, name: str, *, total: int | None = None, unit: str = "") -> Iterator[Advance]:
        """Begin a step; steps may be nested."""
        outermost = self._bars is None
        if self._bars is None:
            self._bars = Progress(
                SpinnerColumn(finished_text="[green]✓"),
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[amount]}"),
                TimeElapsedColumn(),
                TextColumn("[dim]{task.fields[remark]}"),
                console=self._console,
                transient=True,
            )
            self._bars.start()
        bars = self._bars
        task = bars.add_task(name, total=total, amount="", remark="")
        done = 0

        def advance(amount: int = 1, *, note: str | None = None) -> None:
            nonlocal done
            done += amount
            bars.update(task, advance=amount, amount=_amount(done, total, unit))
            if note is not None:
                bars.update(task, remark=escape(note))

        begun = time.perf_counter()
        try:
            yield advance
            counted = f"  [dim]{_amount(done, None, unit)}" if done and unit else ""
            bars.console.print(f"[green]✓[/] {name} [dim]{time.perf_counter() - begun:.1f} s[/]{counted}")
        finally:
            bars.remove_task(task)
            if outermost:
                bars.stop()
                self._bars = None

    def note(self, message: str) -> None:
        """Print a line above the bars."""
        self._console.print(Text(message, style="dim"))

    def warn(self, message: str) -> None:
        """Print a line above the bars that stands out."""
        self._console.print(Text("warning: ", style="yellow"), Text(message), sep="")
