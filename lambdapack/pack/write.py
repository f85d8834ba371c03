"""Write a pack: the same bytes for the same tree, on any machine, with any number of cores."""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

import zstandard

from lambdapack import __version__, atomic
from lambdapack.errors import ConfigurationError, ToolError
from lambdapack.memo import NOTHING, Memo, key_of
from lambdapack.model import Trace, Tree
from lambdapack.pack import tail, tar
from lambdapack.pack.frames import Frame, Span, cut
from lambdapack.pack.layout import Band, Layout, arrange
from lambdapack.progress import QUIET, Advance, Progress
from runtime_shim import _index
from runtime_shim._index import Index

__all__ = ["LEVEL", "Pack", "write"]

LEVEL = 19
_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass(frozen=True)
class Pack:
    """A pack on this machine.

    Attributes:
        id: SHA-256 of the index, hex.
        path: ``<id>.tar.zst``.
        index_path: ``<id>.index.json``, the bytes whose digest is the id.
        index: What it says.
    """

    id: str
    path: Path
    index_path: Path
    index: Index


@dataclass(frozen=True)
class _Stream:
    """The tar stream of a layout, readable at any frame without holding the rest."""

    root: Path
    layout: Layout
    spans: Sequence[Span]
    headers: Sequence[bytes]
    end: int

    def read(self, frame: Frame) -> bytearray:
        """The bytes of one frame."""
        data = bytearray(frame.end - frame.start)
        number = bisect_right(self.spans, frame.start, key=lambda span: span.start) - 1
        while number < len(self.spans) and self.spans[number].start < frame.end:
            self._place(data, frame, number)
            number += 1
        return data

    def _place(self, data: bytearray, frame: Frame, number: int) -> None:
        entry, span = self.layout.entries[number], self.spans[number]
        if span.start >= frame.start:
            at = span.start - frame.start
            data[at : at + span.offset - span.start] = self.headers[number]
        first, stop = max(span.offset, frame.start), min(span.offset + entry.size, frame.end)
        if stop <= first:
            return
        with (self.root / entry.path).open("rb") as file:
            whole = os.fstat(file.fileno()).st_size == entry.size
            file.seek(first - span.offset)
            got = file.readinto(memoryview(data)[first - frame.start : stop - frame.start])
        if not whole or got != stop - first:
            raise ToolError(f"{entry.path} changed while it was packed", hint="run the build again")


def write(
    tree: Tree,
    trace: Trace,
    lock_digest: str,
    directory: Path,
    *,
    level: int = LEVEL,
    jobs: int | None = None,
    memo: Memo = NOTHING,
    progress: Progress = QUIET,
) -> Pack:
    """Write ``<id>.tar.zst`` and ``<id>.index.json`` into ``directory``.

    Args:
        tree: The slimmed tree, with its bytecode.
        trace: The order of first use.
        lock_digest: SHA-256 of the lock, hex; the index carries it.
        directory: Made when it is missing.
        level: zstd's, 1 to 22.
        jobs: Frames compressed side by side, by default one a core; does not change the bytes. Each
            takes about 100 MB of memory at level 19.
        memo: Remembers compressed frames.
        progress: Told the uncompressed bytes that are done.

    Raises:
        ConfigurationError: The tree cannot be packed, or the level does not exist.
        ToolError: A file cannot be read, the folder cannot be written to, the disk is full.
    """
    if not 1 <= level <= zstandard.MAX_COMPRESSION_LEVEL:
        raise ConfigurationError(
            f"compression level {level} is not in 1 to {zstandard.MAX_COMPRESSION_LEVEL}"
        )
    stream = _open_stream(tree.root, arrange(tree, trace))
    frames = cut(stream.spans, stream.end)
    with atomic.part(directory) as part:
        with progress.step("compress", total=stream.end, unit="B") as advance:
            compressed = _in_order(
                lambda frame: _compressed(stream.read(frame), level, memo), frames, jobs or _cores()
            )
            stored = _write_frames(part.file, zip(frames, compressed, strict=True), advance)
        index = _describe(tree, lock_digest, stream, frames=frames, stored=stored)
        encoded = _index.encode(index)
        index_frame = tail.encode_index_frame(encoded)
        part.file.write(index_frame)
        part.file.write(tail.encode_seek_table(_seek_entries(index, index_frame)))
        pack = _pack(directory, hashlib.sha256(encoded).hexdigest(), index)
        atomic.write_bytes(pack.index_path, encoded)
        # Last: whoever sees a pack finds its index beside it.
        part.publish(pack.path)
    return pack


def _pack(directory: Path, pack_id: str, index: Index) -> Pack:
    return Pack(pack_id, directory / f"{pack_id}.tar.zst", directory / f"{pack_id}.index.json", index)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _open_stream(root: Path, layout: Layout) -> _Stream:
    spans, headers, position = [], [], 0
    before = ""
    for entry in layout.entries:
        header = tar.header(entry.path, entry.size, entry.executable)
        offset = position + len(header)
        end = offset + entry.size + tar.padding(entry.size)
        spans.append(Span(position, offset, end, entry.band, _rank(entry.path, before)))
        headers.append(header)
        before, position = entry.path, end
    return _Stream(root, layout, spans, headers, position + len(tar.END))


def _rank(path: str, before: str) -> tuple[int, bytes]:
    """A frame begins with ``path`` rather where another package ends: it then changes with one alone."""
    same = path.split("/", 1)[0] == before.split("/", 1)[0]
    return int(same), hashlib.sha256(path.encode()).digest()[:8]


def _write_frames(
    file: BinaryIO, compressed: Iterable[tuple[Frame, bytes]], advance: Advance
) -> list[tuple[int, str]]:
    """Write the frames; size and SHA-256 of each."""
    stored = []
    for frame, data in compressed:
        file.write(data)
        stored.append((len(data), hashlib.sha256(data).hexdigest()))
        advance(frame.end - frame.start)
    return stored


def _seek_entries(index: Index, index_frame: bytes) -> list[tuple[int, int]]:
    return [*zip(index.frame_stored, index.frame_size, strict=True), (len(index_frame), 0)]


def _compressed(data: bytearray, level: int, memo: Memo) -> bytes:
    library = [zstandard.__version__, zstandard.backend, *zstandard.ZSTD_VERSION]
    key = key_of(hashlib.sha256(data).hexdigest(), level, library)
    kept = memo.get("frames", key)
    if kept is None:
        kept = _compress(data, level)
        memo.put("frames", key, kept)
    return kept


def _compress(data: bytearray, level: int) -> bytes:
    parameters = zstandard.ZstdCompressionParameters.from_level(
        # The digests vouch for the bytes: zstd's own checksum would only cost time.
        level, source_size=len(data), write_content_size=True, write_checksum=False,
        write_dict_id=False, threads=0,
    )  # fmt: skip
    return zstandard.ZstdCompressor(compression_params=parameters).compress(data)


def _in_order(work: Callable[[_T], _R], items: Iterable[_T], jobs: int) -> Iterator[_R]:
    """``map`` in ``jobs`` threads, in order, with at most ``jobs`` results waiting."""
    with ThreadPoolExecutor(jobs, thread_name_prefix="compress") as pool:
        waiting: deque[Future[_R]] = deque()
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


def _describe(
    tree: Tree,
    lock_digest: str,
    stream: _Stream,
    *,
    frames: Sequence[Frame],
    stored: Sequence[tuple[int, str]],
) -> Index:
    entries = stream.layout.entries
    return Index(
        target=str(tree.target),
        lock=lock_digest,
        tool=f"lambdapack {__version__}",
        glibc=stream.layout.glibc,
        hot=sum(frame.band is Band.HOT for frame in frames),
        eager=sum(frame.band.eager for frame in frames),
        frame_stored=[size for size, _ in stored],
        frame_size=[frame.end - frame.start for frame in frames],
        frame_sha256=[digest for _, digest in stored],
        paths=[entry.path for entry in entries],
        classes="".join(entry.kind for entry in entries),
        sizes=[entry.size for entry in entries],
        offsets=[span.offset for span in stream.spans],
        executable=[number for number, entry in enumerate(entries) if entry.executable],
        needs={number: list(needed) for number, needed in stream.layout.needs.items()},
        native={name: list(numbers) for name, numbers in stream.layout.native.items()},
    )
