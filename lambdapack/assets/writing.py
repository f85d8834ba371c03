"""Write an asset's pack: the same bytes for the same files, wherever they lie.

A thin sibling of ``lambdapack.pack.write``: no classes, no bands, no trace. Frames are of one size, and
what does not become smaller is not squeezed for long.
"""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import zstandard

from lambdapack import atomic
from lambdapack.assets.collect import Content, File
from lambdapack.errors import ConfigurationError, ToolError
from lambdapack.limits import MIB
from lambdapack.pack import Pack, tail, tar
from lambdapack.progress import QUIET, Progress
from runtime_shim import _index
from runtime_shim._index import Index

__all__ = ["TOOL", "write"]

TOOL = "lambdapack asset 1"
"""In the index, and so in the id: a new version of lambdapack does not upload the same model again."""
_FRAME = 8 * MIB
_NO_LOCK = hashlib.sha256().hexdigest()
_PROBE_LEVEL = 1
_WORTH = 0.95
"""A frame that the fastest level leaves above this share of its size is kept as that level made it: weights
are noise, and the best level takes a hundred times as long to save the last per cent of it."""
_T = TypeVar("_T")


def write(
    content: Content,
    directory: Path,
    *,
    level: int,
    jobs: int | None = None,
    progress: Progress = QUIET,
    name: str = "asset",
) -> Pack:
    """Write ``<id>.tar.zst`` and ``<id>.index.json`` into ``directory``.

    Args:
        content: What to pack.
        directory: Made when it is missing.
        level: zstd's, 1 to 22.
        jobs: Frames compressed side by side, by default one a core; does not change the bytes.
        progress: Told the uncompressed bytes that are done.
        name: Of the asset, for people.

    Raises:
        ConfigurationError: The level does not exist.
        ToolError: A file cannot be read or changed meanwhile, the folder cannot be written to.
    """
    if not 1 <= level <= zstandard.MAX_COMPRESSION_LEVEL:
        raise ConfigurationError(
            f"compression level {level} is not in 1 to {zstandard.MAX_COMPRESSION_LEVEL}"
        )
    stream = _Stream(content.files)
    stored = []
    with atomic.part(directory) as part:
        with progress.step(f"compress {name}", total=stream.end, unit="B") as advance:
            compressed = _in_order(lambda frame: _compress(stream.read(*frame), level), stream.frames, jobs)
            for (start, end), data in zip(stream.frames, compressed, strict=True):
                part.file.write(data)
                stored.append((len(data), hashlib.sha256(data).hexdigest()))
                advance(end - start)
        index = _describe(stream, stored)
        encoded = _index.encode(index)
        index_frame = tail.encode_index_frame(encoded)
        sizes = [*zip(index.frame_stored, index.frame_size, strict=True), (len(index_frame), 0)]
        part.file.write(index_frame + tail.encode_seek_table(sizes))
        pack_id = hashlib.sha256(encoded).hexdigest()
        index_path = directory / f"{pack_id}.index.json"
        atomic.write_bytes(index_path, encoded)
        part.publish(directory / f"{pack_id}.tar.zst")
    return Pack(pack_id, directory / f"{pack_id}.tar.zst", index_path, index)


class _Stream:
    """The tar stream of some files, readable at any frame.

    Attributes:
        offsets: Of each file's content.
        end: Length of the stream.
        frames: Start and end of each.
    """

    def __init__(self, files: Sequence[File]) -> None:
        self.files = files
        self.headers = [tar.header(file.name, file.size, file.executable) for file in files]
        self.starts: list[int] = []
        self.offsets: list[int] = []
        position = 0
        for file, header in zip(files, self.headers, strict=True):
            self.starts.append(position)
            self.offsets.append(position + len(header))
            position = self.offsets[-1] + file.size + tar.padding(file.size)
        self.end = position + len(tar.END)
        self.frames = list(pairwise([*_cuts([*self.starts, position]), self.end]))

    def read(self, start: int, end: int) -> bytearray:
        """The bytes of one frame."""
        data = bytearray(end - start)
        number = bisect_right(self.starts, start) - 1
        while number < len(self.starts) and self.starts[number] < end:
            self._place(data, start, end, number)
            number += 1
        return data

    def _place(self, data: bytearray, start: int, end: int, number: int) -> None:
        file, offset = self.files[number], self.offsets[number]
        if self.starts[number] >= start:
            at = self.starts[number] - start
            data[at : at + len(self.headers[number])] = self.headers[number]
        first, stop = max(offset, start), min(offset + file.size, end)
        if stop <= first:
            return
        try:
            with file.path.open("rb") as opened:
                whole = os.fstat(opened.fileno()).st_size == file.size
                opened.seek(first - offset)
                got = opened.readinto(memoryview(data)[first - start : stop - start])
        except OSError as error:
            raise ToolError(f"cannot read {file.path}: {error.strerror}") from None
        if not whole or got != stop - first:
            raise ToolError(f"{file.path} changed while it was packed", hint="run the build again")


def _cuts(starts: Sequence[int]) -> Iterator[int]:
    """Where frames begin: before a header, or inside a large file.

    Args:
        starts: Where each file's header begins; the last is where the files end.
    """
    begin = 0
    yield begin
    for start, stop in pairwise(starts):
        if start > begin and stop - begin > _FRAME:
            begin = start
            yield begin
        pieces = -(-(stop - start) // _FRAME)
        for piece in range(1, pieces):
            begin = start + (stop - start) * piece // pieces
            yield begin


def _compress(data: bytearray, level: int) -> bytes:
    quick = _at(data, min(level, _PROBE_LEVEL))
    return quick if len(quick) > len(data) * _WORTH or level <= _PROBE_LEVEL else _at(data, level)


def _at(data: bytearray, level: int) -> bytes:
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level, source_size=len(data), write_content_size=True, write_checksum=False,
        write_dict_id=False, threads=0,
    )  # fmt: skip
    return zstandard.ZstdCompressor(compression_params=parameters).compress(data)


def _in_order(work: Callable[[_T], bytes], items: Iterable[_T], jobs: int | None) -> Iterator[bytes]:
    """``map`` in ``jobs`` threads, in order, with a bounded number of results waiting."""
    jobs = jobs or len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(jobs, thread_name_prefix="compress") as pool:
        waiting: deque[Future[bytes]] = deque()
        try:
            for item in items:
                if len(waiting) >= 2 * jobs:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(work, item))
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _describe(stream: _Stream, stored: Sequence[tuple[int, str]]) -> Index:
    return Index(
        target=_index.ANY_TARGET,
        lock=_NO_LOCK,
        tool=TOOL,
        glibc="",
        hot=0,
        eager=len(stored),
        frame_stored=[size for size, _ in stored],
        frame_size=[end - start for start, end in stream.frames],
        frame_sha256=[digest for _, digest in stored],
        paths=[file.name for file in stream.files],
        classes=_index.DATA * len(stream.files),
        sizes=[file.size for file in stream.files],
        offsets=stream.offsets,
        executable=[number for number, file in enumerate(stream.files) if file.executable],
        needs={},
        native={},
    )
