"""The tar stream of a pack: which bytes stand between its files; readable at any frame without the rest."""

from __future__ import annotations

import os
import tarfile
from bisect import bisect_right
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from lambdapack.errors import ToolError

BLOCK = 512
END = bytes(2 * BLOCK)
"""Marks the end of the archive."""


def tar_header(path: str, size: int, executable: bool) -> bytes:
    """The header of a regular file: POSIX ustar, with a pax header before it for what does not fit.

    Everything that depends on a machine (times, owners, the umask) is zero.
    """
    info = tarfile.TarInfo(path)
    info.size = size
    info.mode = 0o755 if executable else 0o644
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


def padding(size: int) -> int:
    """Zero bytes that follow a content of ``size`` bytes."""
    return -size % BLOCK


class Member(NamedTuple):
    """A file: where it lies, its name in the archive, its size in bytes, and whether it is executable."""

    path: Path
    name: str
    size: int
    executable: bool


class Stream:
    """What the archive of some files looks like.

    Attributes:
        members: The files, in order.
        starts: Offset of each file's header.
        offsets: Offset of each file's content.
        files_end: Where the last file ends, with its padding.
        end: Length of the stream.
    """

    def __init__(self, members: Iterable[Member]) -> None:
        self.members = list(members)
        self._headers = [tar_header(member.name, member.size, member.executable) for member in self.members]
        self.starts: list[int] = []
        self.offsets: list[int] = []
        position = 0
        for member, header in zip(self.members, self._headers, strict=True):
            self.starts.append(position)
            self.offsets.append(position + len(header))
            position += len(header) + member.size + padding(member.size)
        self.files_end = position
        self.end = position + len(END)

    def read(self, start: int, end: int) -> bytearray:
        """The bytes from ``start`` up to ``end``; no header of a file is cut by either.

        Raises:
            ToolError: A file cannot be read, or has another size now.
        """
        data = bytearray(end - start)
        number = max(bisect_right(self.starts, start) - 1, 0)
        while number < len(self.starts) and self.starts[number] < end:
            self._place(data, start, end, number)
            number += 1
        return data

    def _place(self, data: bytearray, start: int, end: int, number: int) -> None:
        member, offset = self.members[number], self.offsets[number]
        if self.starts[number] >= start:
            at = self.starts[number] - start
            data[at : at + len(self._headers[number])] = self._headers[number]
        first, stop = max(offset, start), min(offset + member.size, end)
        if stop <= first:
            return
        try:
            with member.path.open("rb") as file:
                whole = os.fstat(file.fileno()).st_size == member.size
                file.seek(first - offset)
                got = file.readinto(memoryview(data)[first - start : stop - start])
        except OSError as error:
            raise ToolError(f"cannot read {member.path}: {error.strerror}") from None
        if not whole or got != stop - first:
            raise ToolError(f"{member.path} changed while it was packed", hint="run the build again")
