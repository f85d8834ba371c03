"""How a stage tells what it is doing, without knowing who watches.

Stages take a ``Progress`` and call it; the command line passes one that draws, tests and library
users pass none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

__all__ = ["QUIET", "Advance", "Message", "Progress", "ProgressRecorder", "Quiet", "ago", "say"]

Message = tuple[str, str]
"""``note`` or ``warning``, and what is said."""


class Advance(Protocol):
    """Says that ``amount`` more is done, in the unit of the step; ``note`` replaces its remark."""

    def __call__(self, amount: int = 1, *, note: str | None = None) -> None:
        """Report ``amount`` more."""


class Progress(Protocol):
    """Where a stage reports to."""

    def step(self, name: str, *, total: int | None = None, unit: str = "") -> AbstractContextManager[Advance]:
        """Begin a step, e.g. ``with progress.step("compress", total=n, unit="B") as advance:``.

        ``unit`` is ``"B"`` where amounts are bytes, else a noun for people (``"files"``).
        """

    def note(self, message: str) -> None:
        """Tell the user one thing worth a line, e.g. which builder was chosen and why."""

    def warn(self, message: str) -> None:
        """Tell the user one thing to look at."""


class Quiet:
    """A ``Progress`` that shows nothing."""

    @contextmanager
    def step(self, name: str, *, total: int | None = None, unit: str = "") -> Iterator[Advance]:
        """Begin a step that nobody sees."""

        def advance(amount: int = 1, *, note: str | None = None) -> None:
            return None

        yield advance

    def note(self, message: str) -> None:
        """Say nothing."""

    def warn(self, message: str) -> None:
        """Say nothing."""


class ProgressRecorder:
    """Passes everything on to another ``Progress``.

    Attributes:
        said: What was told the user, in order.
    """

    def __init__(self, progress: Progress) -> None:
        self.said: list[Message] = []
        self._progress = progress

    def step(self, name: str, *, total: int | None = None, unit: str = "") -> AbstractContextManager[Advance]:
        """Begin a step."""
        return self._progress.step(name, total=total, unit=unit)

    def note(self, message: str) -> None:
        """Pass a note on, and remember the note."""
        self.said.append(("note", message))
        self._progress.note(message)

    def warn(self, message: str) -> None:
        """Pass a warning on, and remember the warning."""
        self.said.append(("warning", message))
        self._progress.warn(message)


def say(messages: Iterable[Message], progress: Progress) -> None:
    """Say again what was said before."""
    for kind, message in messages:
        (progress.warn if kind == "warning" else progress.note)(message)


QUIET = Quiet()
"""For callers that want no progress."""


def ago(duration: float) -> str:
    """``7300`` seconds -> ``2 hours``."""
    units = (("days", 86400), ("hours", 3600), ("minutes", 60), ("seconds", 1))
    unit, length = next((one for one in units if duration >= one[1]), units[-1])
    count = int(duration // length)
    return f"{count} {unit[:-1] if count == 1 else unit}"
