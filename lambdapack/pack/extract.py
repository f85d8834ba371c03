"""Unpack a pack without ``tar``, verifying every frame before any of its bytes is used."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from lambdapack import atomic
from lambdapack.errors import ConfigurationError
from lambdapack.pack.read import FrameError, UnsoundError, frame, open_pack
from lambdapack.progress import QUIET, Advance, Progress
from runtime_shim._index import Index

__all__ = ["Contents", "extract"]


class Contents:
    """Contents of the files of an open pack; cheap when they are read in the pack's order."""

    def __init__(self, file: BinaryIO, index: Index) -> None:
        self._file = file
        self._index = index
        self._cached: tuple[int, bytes] = (-1, b"")

    def pieces(self, number: int) -> Iterator[memoryview]:
        """The content of file ``number``, a frame's share at a time; raises ``FrameError``."""
        index = self._index
        start, stop = index.offsets[number], index.offsets[number] + index.sizes[number]
        for held in index.frames_of(number):
            if self._cached[0] != held:
                self._cached = (held, frame(self._file, index, held))
            base = index.frame_start[held]
            yield memoryview(self._cached[1])[max(0, start - base) : stop - base]


def extract(path: Path, destination: Path, *, progress: Progress = QUIET) -> None:
    """Unpack the pack at ``path`` into ``destination``, which appears when all of it is there.

    Raises:
        ConfigurationError: ``destination`` exists and is not an empty folder, or there is no such pack.
        CheckError: The pack is not sound.
        ToolError: ``destination`` cannot be written to, or the disk is full.
    """
    with open_pack(path) as (file, _, index), atomic.explained(destination):
        destination.parent.mkdir(parents=True, exist_ok=True)
        unpacked = Path(tempfile.mkdtemp(prefix=".lambdapack-", dir=destination.parent))
        try:
            unpacked.chmod(0o755)
            with progress.step("unpack", total=sum(index.sizes), unit="B") as advance:
                _unpack(Contents(file, index), index, unpacked, advance)
            unpacked.replace(destination)
        except FrameError as error:
            raise UnsoundError(path, [str(error)]) from None
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise ConfigurationError(
                    f"{destination} is there already", hint="name a new folder"
                ) from None
            raise
        finally:
            shutil.rmtree(unpacked, ignore_errors=True)


def _unpack(contents: Contents, index: Index, root: Path, advance: Advance) -> None:
    executable = frozenset(index.executable)
    for number, name in enumerate(index.paths):
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as out:
            for piece in contents.pieces(number):
                out.write(piece)
        target.chmod(0o755 if number in executable else 0o644)
        advance(index.sizes[number])
