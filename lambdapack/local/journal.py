"""Files of lines that several processes append to and others read while they grow, bounded in size."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from lambdapack.files import disk_errors

_BEFORE = ".before"


class Journal:
    """Lines in a file and in the file that it has replaced.

    A line is there whole or not at all: each ``append`` is one write. Where the file grows over ``limit``,
    its name ends in ``.before`` from then on, and the file of that name before it is gone.

    Args:
        path: The file; it and its folder are made when needed.
        limit: Bytes from which on a new file begins.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self.path = path
        self._limit = limit

    def append(self, lines: Sequence[bytes]) -> None:
        """Add lines, which hold no line feed; of more than ``limit`` bytes the last are taken.

        Raises:
            ToolError: The disk is full, or cannot be written to.
        """
        data = b"".join(line + b"\n" for line in _last(lines, self._limit))
        with disk_errors(self.path):
            while not self._write(data):
                pass

    def _write(self, data: bytes) -> bool:
        """Append, unless the file was replaced before it could be locked."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab", buffering=0) as file:
            # Who holds the file for itself replaces it, and so cuts nobody's line off from its readers.
            fcntl.flock(file, fcntl.LOCK_SH)
            if not _is(self.path, file):
                return False
            if file.write(data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            large = os.fstat(file.fileno()).st_size > self._limit
        if large:
            self._rotate()
        return True

    def _rotate(self) -> None:
        with contextlib.suppress(FileNotFoundError), self.path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if _is(self.path, file) and os.fstat(file.fileno()).st_size > self._limit:
                self.path.replace(f"{self.path}{_BEFORE}")

    def remove(self) -> None:
        """Remove both files."""
        for path in (self.path, Path(f"{self.path}{_BEFORE}")):
            path.unlink(missing_ok=True)


class JournalReader:
    """Reads a journal, and what has come since at each further call.

    Args:
        path: The journal's file, which need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""

    def read(self) -> list[bytes]:
        """The lines that no call has given so far, without their ends."""
        # Opened before the rest of the last file is read: once there is another, nobody writes to that.
        files = [_opened(Path(f"{self._path}{_BEFORE}")), _opened(self._path)]
        lines = self._lines()
        known = [at for at, file in enumerate(files) if file and self._file and _are_one(file, self._file)]
        for at, file in enumerate(files):
            if file is None:
                continue
            if known and at <= known[-1]:
                file.close()
                continue
            self.close()
            self._file, self._rest = file, b""
            lines += self._lines()
        return lines

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()

    def _lines(self) -> list[bytes]:
        if self._file is None:
            return []
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        return lines


def _last(lines: Sequence[bytes], limit: int) -> Sequence[bytes]:
    """The last lines that have room in so many bytes."""
    room, first = limit, len(lines)
    while first and (room := room - len(lines[first - 1]) - 1) >= 0:
        first -= 1
    return lines[first:]


def _opened(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _are_one(one: BinaryIO, other: BinaryIO) -> bool:
    return os.path.samestat(os.fstat(one.fileno()), os.fstat(other.fileno()))


def _is(path: Path, file: BinaryIO) -> bool:
    """Whether the open ``file`` is the one that is called ``path``."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
