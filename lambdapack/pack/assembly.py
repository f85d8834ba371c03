"""A pack from its stream and its cuts: frames compressed side by side, the index, the seek table."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import zstandard

from lambdapack.errors import ConfigurationError
from lambdapack.files import part_file, write_bytes
from lambdapack.pack import tail
from lambdapack.pack.stream import Stream
from lambdapack.progress import Progress
from runtime_shim import _index
from runtime_shim._index import Index

__all__ = ["Cut", "Pack", "Stored", "assemble", "check_level", "compress"]

Cut = tuple[int, int]
"""Where a frame begins in the stream and where it ends, exclusive."""
Stored = tuple[int, str]
"""Size in bytes and SHA-256, hex, of a compressed frame."""


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


def check_level(level: int) -> None:
    """Refuse a compression level that zstd does not have.

    Raises:
        ConfigurationError: It is not one.
    """
    if not 1 <= level <= zstandard.MAX_COMPRESSION_LEVEL:
        raise ConfigurationError(
            f"compression level {level} is not in 1 to {zstandard.MAX_COMPRESSION_LEVEL}"
        )


def compress(data: bytearray, level: int) -> bytes:
    """One zstd frame; the same bytes for the same data and level."""
    parameters = zstandard.ZstdCompressionParameters.from_level(
        # The digests vouch for the bytes: zstd's own checksum would only cost time.
        level, source_size=len(data), write_content_size=True, write_checksum=False,
        write_dict_id=False, threads=0,
    )  # fmt: skip
    return zstandard.ZstdCompressor(compression_params=parameters).compress(data)


def assemble(
    stream: Stream,
    cuts: Sequence[Cut],
    directory: Path,
    *,
    compressed: Callable[[bytearray], bytes],
    describe: Callable[[Sequence[Stored]], Index],
    jobs: int | None,
    progress: Progress,
    doing: str = "compress",
) -> Pack:
    """Write ``<id>.tar.zst`` and ``<id>.index.json`` into ``directory``.

    Args:
        stream: What is packed.
        cuts: The frames, in order, without gaps.
        directory: Made when it is missing.
        compressed: Makes a frame of its content; called in several threads.
        describe: The index, for what the frames became.
        jobs: Frames compressed side by side, by default one a core; does not change the bytes.
        progress: Told the uncompressed bytes that are done.
        doing: The step's name, for people.

    Raises:
        ToolError: A file cannot be read, the folder cannot be written to, the disk is full.
    """
    stored: list[Stored] = []
    with part_file(directory) as part:
        with progress.step(doing, total=stream.end, unit="B") as advance:
            frames = _in_order(lambda cut: compressed(stream.read(*cut)), cuts, jobs)
            for (start, end), data in zip(cuts, frames, strict=True):
                part.file.write(data)
                stored.append((len(data), hashlib.sha256(data).hexdigest()))
                advance(end - start)
        index = describe(stored)
        encoded = _index.encode(index)
        part.file.write(_tail(index, encoded))
        pack_id = hashlib.sha256(encoded).hexdigest()
        pack = Pack(pack_id, directory / f"{pack_id}.tar.zst", directory / f"{pack_id}.index.json", index)
        write_bytes(pack.index_path, encoded)
        # Last: whoever sees a pack finds its index beside it.
        part.publish(pack.path)
    return pack


def _in_order(work: Callable[[Cut], bytes], cuts: Sequence[Cut], jobs: int | None) -> Iterator[bytes]:
    """``map`` in ``jobs`` threads, in order, with at most twice as many results waiting."""
    jobs = jobs or len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(jobs, thread_name_prefix="compress") as pool:
        waiting: deque[Future[bytes]] = deque()
        try:
            for cut in cuts:
                if len(waiting) >= 2 * jobs:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(work, cut))
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _tail(index: Index, encoded: bytes) -> bytes:
    index_frame = tail.encode_index_frame(encoded)
    sizes = [*zip(index.frame_stored, index.frame_size, strict=True), (len(index_frame), 0)]
    return index_frame + tail.encode_seek_table(sizes)
