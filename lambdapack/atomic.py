"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lambdapack.errors import ToolError

__all__ = ["Part", "explained", "part", "sweep", "write_bytes"]

_PREFIX = ".lambdapack-"
_SUFFIX = ".part"


@dataclass(frozen=True)
class Part:
    """A file in the making.

    Attributes:
        file: Open for writing and reading.
        path: Its hidden name.
    """

    file: BinaryIO
    path: Path

    def publish(self, path: Path) -> None:
        """Flush it to the disk and give it its name, replacing what had it."""
        self.file.flush()
        # mkstemp's 0600 would make a shared build folder unreadable.
        os.fchmod(self.file.fileno(), 0o644)
        os.fsync(self.file.fileno())
        self.path.replace(path)


@contextlib.contextmanager
def part(folder: Path) -> Iterator[Part]:
    """A hidden file in ``folder`` (made when missing), gone when the block ends unless it was published.

    A killed process leaves its own; the next ``part`` in that folder removes it, since nobody holds its
    lock.

    Raises:
        ToolError: The folder cannot be written to, or the disk is full.
    """
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        descriptor, name = tempfile.mkstemp(prefix=_PREFIX, suffix=_SUFFIX, dir=folder)
        try:
            with os.fdopen(descriptor, "w+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield Part(file, Path(name))
        finally:
            Path(name).unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file at once."""
    with part(path.parent) as made:
        made.file.write(data)
        made.publish(path)


def sweep(folder: Path) -> None:
    """Remove what killed processes left in ``folder``."""
    for part in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
        with contextlib.suppress(OSError), part.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            part.unlink()


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an operating system's error about ``path`` into one for people."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ToolError(
                f"no space left while writing {path}", hint="free some, or name another folder"
            ) from error
        raise ToolError(f"cannot write {path}: {error.strerror or error}") from error
