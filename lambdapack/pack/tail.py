"""The two skippable frames at the end of a pack: the index, then the seek table.

The seek table is that of https://github.com/facebook/zstd/blob/dev/contrib/seekable_format, so any reader
of seekable zstd files can use it; ``docs/pack-format.md`` specifies both frames byte by byte.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from typing import BinaryIO

INDEX_MAGIC = 0x184D2A50
SEEK_TABLE_MAGIC = 0x184D2A5E
SEEKABLE_MAGIC = 0x8F92EAB1
HEADER = struct.Struct("<II")
"""The header of a skippable frame: magic number, bytes that follow."""
ENTRY = struct.Struct("<II")
"""An entry of a seek table: compressed and decompressed size of a frame."""
FOOTER = struct.Struct("<IBI")
"""The end of a seek table: number of entries, descriptor, magic number."""

INDEX_MAX = 64 * 1024 * 1024
"""No index is larger: a million files take about 40 MB. Bounds what a hostile file can make us read."""
FRAMES_MAX = 1_000_000


class TailError(ValueError):
    """The end of the file is not that of a pack."""


def encode_index_frame(index: bytes) -> bytes:
    """The skippable frame that holds an encoded index."""
    return HEADER.pack(INDEX_MAGIC, len(index)) + index


def encode_seek_table(entries: Sequence[tuple[int, int]]) -> bytes:
    """The skippable frame with (compressed, decompressed) size of each frame before it, in order."""
    body = b"".join(ENTRY.pack(*entry) for entry in entries) + FOOTER.pack(len(entries), 0, SEEKABLE_MAGIC)
    return HEADER.pack(SEEK_TABLE_MAGIC, len(body)) + body


def read_tail(file: BinaryIO) -> tuple[list[tuple[int, int]], bytes]:
    """Seek table and index of a pack: entries of the data frames alone, and the bytes of the index.

    Raises:
        TailError: Truncated, damaged, not a pack, or sizes that do not add up to the file's.
    """
    size = file.seek(0, os.SEEK_END)
    entries, table_start = _read_seek_table(file, size)
    if not entries:
        raise TailError("the seek table is empty")
    if sum(stored for stored, _ in entries) != table_start:
        raise TailError(
            f"the frames of the seek table take {sum(s for s, _ in entries):,} bytes, "
            f"but it begins at byte {table_start:,}"
        )
    *frames, (stored, decompressed) = entries
    if decompressed != 0:
        raise TailError("the last frame of the seek table is not an index")
    return frames, _read_index(file, table_start - stored, stored)


def _read_seek_table(file: BinaryIO, size: int) -> tuple[list[tuple[int, int]], int]:
    if size < HEADER.size + FOOTER.size:
        raise TailError(f"the file is {size} bytes long: too short for a pack")
    count, descriptor, magic = FOOTER.unpack(_read_at(file, size - FOOTER.size, FOOTER.size))
    if magic != SEEKABLE_MAGIC:
        raise TailError("the file does not end in a seek table: truncated, or not a pack")
    if descriptor != 0:
        raise TailError(f"the seek table's descriptor is {descriptor:#04x}, a pack's is 0x00")
    length = count * ENTRY.size + FOOTER.size
    start = size - HEADER.size - length
    if count > FRAMES_MAX or start < 0:
        raise TailError(f"the seek table claims {count:,} frames, more than the file can hold")
    header = HEADER.unpack(_read_at(file, start, HEADER.size))
    if header != (SEEK_TABLE_MAGIC, length):
        raise TailError("the seek table's header does not match its footer")
    return list(ENTRY.iter_unpack(_read_at(file, start + HEADER.size, count * ENTRY.size))), start


def _read_index(file: BinaryIO, start: int, stored: int) -> bytes:
    if not HEADER.size <= stored <= INDEX_MAX:
        raise TailError(f"the index frame takes {stored:,} bytes, allowed are 8 to {INDEX_MAX:,}")
    magic, length = HEADER.unpack(_read_at(file, start, HEADER.size))
    if magic != INDEX_MAGIC or length != stored - HEADER.size:
        raise TailError("there is no index before the seek table")
    return _read_at(file, start + HEADER.size, length)


def _read_at(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    data = file.read(size)
    if len(data) != size:
        raise TailError("the file became shorter while it was read")
    return data
