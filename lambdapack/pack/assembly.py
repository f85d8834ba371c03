"""A pack from its stream and its frames' extents: frames compressed side by side, index, seek table."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard

from lambdapack.errors import ConfigurationError
from lambdapack.files import Part, part_file, write_bytes
from lambdapack.pack import tail
from lambdapack.pack.stream import Stream
from lambdapack.progress import Progress
from lambdapack.python import machine
from runtime_shim import _index
from runtime_shim._index import Index

Extent = tuple[int, int]
"""Where a frame begins in the stream and where it ends, exclusive."""


@dataclass(frozen=True)
class Pack:
    """A pack on this machine.

    Attributes:
        id: SHA-256 of the index, hex.
        path: ``<id>.tar.zst``.
        index_path: ``<id>.index.json``, the bytes whose digest is the id.
        index: The index, decoded.
    """

    id: str
    path: Path
    index_path: Path
    index: Index


@dataclass(frozen=True)
class Label:
    """What an index says besides the places of frames and files; ``runtime_shim._index`` defines each."""

    target: str
    lock: str
    tool: str
    glibc: str
    hot: int
    eager: int
    classes: str
    needs: dict[int, list[int]] = field(default_factory=dict)
    native: dict[str, list[int]] = field(default_factory=dict)
    stdlib: Sequence[str] = ()


def check_level(level: int) -> None:
    """Refuse a compression level that zstd does not have."""
    if not 1 <= level <= zstandard.MAX_COMPRESSION_LEVEL:
        raise ConfigurationError(
            f"compression level {level} is not in 1 to {zstandard.MAX_COMPRESSION_LEVEL}"
        )


def compress(data: bytearray, level: int, *, far: bool = False) -> bytes:
    """One zstd frame; the same bytes for the same data and level.

    Where ``far`` is set, what repeats is found at any distance: a level's own window may be 2 MiB.
    """
    more: dict[str, Any] = {}
    if far:
        more = {"enable_ldm": True, "window_log": max((len(data) - 1).bit_length(), zstandard.WINDOWLOG_MIN)}
    parameters = zstandard.ZstdCompressionParameters.from_level(
        # The digests vouch for the bytes: zstd's own checksum would only cost time.
        level, source_size=len(data), write_content_size=True, write_checksum=False,
        write_dict_id=False, threads=0, **more,
    )  # fmt: skip
    return zstandard.ZstdCompressor(compression_params=parameters).compress(data)


def assemble(
    stream: Stream,
    extents: Sequence[Extent],
    label: Label,
    directory: Path,
    *,
    compressor: Callable[[bytearray, Extent], bytes],
    jobs: int | None,
    progress: Progress,
    doing: str = "compress",
) -> Pack:
    """Write ``<id>.tar.zst`` and ``<id>.index.json`` into ``directory``, which is made when it is missing.

    Args:
        stream: What is packed.
        extents: The frames, in order, without gaps.
        label: What the index says besides.
        directory, jobs, progress: As for ``lambdapack.pack.write``.
        compressor: Makes a frame of its content and extent; called in several threads.
        doing: The step's name, for people.
    """
    with part_file(directory) as part:
        sizes, digests = [], []
        with progress.step(doing, total=stream.end, unit="B") as advance:
            frames = _in_order(lambda extent: compressor(stream.read(*extent), extent), extents, jobs)
            for (start, end), data in zip(extents, frames, strict=True):
                part.file.write(data)
                sizes.append(len(data))
                digests.append(hashlib.sha256(data).hexdigest())
                advance(end - start)
        return _publish(_index_of(stream, extents, label, sizes, digests), part, directory)


def _publish(index: Index, part: Part, directory: Path) -> Pack:
    """Write what follows the frames, then give the pack and its index their names."""
    encoded = _index.encode(index)
    index_frame = tail.encode_index_frame(encoded)
    sizes = [*zip(index.frame_stored, index.frame_size, strict=True), (len(index_frame), 0)]
    part.file.write(index_frame + tail.encode_seek_table(sizes))
    pack_id = hashlib.sha256(encoded).hexdigest()
    pack = Pack(pack_id, directory / f"{pack_id}.tar.zst", directory / f"{pack_id}.index.json", index)
    write_bytes(pack.index_path, encoded)
    # Last: whoever sees a pack finds its index beside it.
    part.publish(pack.path)
    return pack


def _index_of(
    stream: Stream, extents: Sequence[Extent], label: Label, sizes: list[int], digests: list[str]
) -> Index:
    members = stream.members
    return Index(
        **vars(label),
        frame_stored=sizes,
        frame_size=[end - start for start, end in extents],
        frame_sha256=digests,
        paths=[member.name for member in members],
        sizes=[member.size for member in members],
        offsets=stream.offsets,
        executable=[number for number, member in enumerate(members) if member.executable],
    )


def _in_order(
    work: Callable[[Extent], bytes], extents: Sequence[Extent], jobs: int | None
) -> Iterator[bytes]:
    """``map`` in ``jobs`` threads, in order, with at most twice as many results waiting."""
    jobs = jobs or machine.processors()
    with ThreadPoolExecutor(jobs, thread_name_prefix="compress") as pool:
        waiting: deque[Future[bytes]] = deque()
        try:
            for extent in extents:
                if len(waiting) >= 2 * jobs:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(work, extent))
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
