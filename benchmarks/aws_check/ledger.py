"""What a check has made in AWS, on disk before it is made: a check that was killed is cleaned by the next."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from lambdapack.errors import ToolError
from lambdapack.files import disk_errors

__all__ = ["Entry", "Ledger", "left_behind"]


@dataclass(frozen=True)
class Entry:
    """A resource.

    Attributes:
        kind: ``function`` (with its versions, role and log), ``layer`` or ``bucket``.
        name: The resource's.
        region: Where it is.
    """

    kind: str
    name: str
    region: str


class Ledger:
    """A file of what is there, a line an entry; a line that is crossed out says that it is gone.

    Args:
        path: The file.
        file: The same, open and locked: who holds the lock is running.
    """

    def __init__(self, path: Path, file: TextIO) -> None:
        self.path = path
        self._file = file

    @classmethod
    @contextmanager
    def open(cls, folder: Path, run: str) -> Iterator[Ledger]:
        """The ledger of a run, held while the run lasts; an empty one is removed at the end.

        Raises:
            ToolError: Another process holds the ledger, or the disk does not take it.
        """
        path = folder / f"{run}.jsonl"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with path.open("a+", encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                ledger = cls(path, file)
                try:
                    yield ledger
                finally:
                    if not ledger.entries():
                        path.unlink()
        except BlockingIOError:
            raise ToolError(f"the check {run} is still running", hint="wait for its end") from None

    def made(self, entry: Entry) -> None:
        """Write down what is about to be made; on return it is on the disk."""
        self._write({"made": asdict(entry)})

    def gone(self, entry: Entry) -> None:
        """Cross out what was destroyed."""
        self._write({"gone": asdict(entry)})

    def entries(self) -> list[Entry]:
        """What is there, in the order in which it was made."""
        there: dict[Entry, None] = {}
        for line in self.path.read_text("utf-8").splitlines():
            try:
                ((word, given),) = json.loads(line).items()
                entry = Entry(**given)
            except (ValueError, TypeError, AttributeError):
                # Empty, or torn off by a kill: what was to be made then was not.
                continue
            if word == "made":
                there[entry] = None
            else:
                there.pop(entry, None)
        return list(there)

    def _write(self, line: object) -> None:
        with disk_errors(self.path):
            # A line that was torn off would swallow this one.
            self._file.write(f"\n{json.dumps(line)}\n")
            self._file.flush()
            os.fsync(self._file.fileno())


def left_behind(folder: Path) -> list[str]:
    """The runs that have a ledger, running ones among them."""
    return sorted(path.stem for path in folder.glob("*.jsonl"))
