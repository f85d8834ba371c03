"""The tar stream of a pack: which bytes stand between the contents of its files."""

from __future__ import annotations

import tarfile

BLOCK = 512
END = bytes(2 * BLOCK)
"""Marks the end of the archive."""


def header(path: str, size: int, executable: bool) -> bytes:
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
