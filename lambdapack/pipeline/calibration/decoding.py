"""What it takes to check and to decode the frames of a pack, measured on those frames."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import zstandard

from lambdapack.progress import Progress
from runtime_shim._index import Index

__all__ = ["Rates", "measure"]


@dataclass(frozen=True)
class Rates:
    """CPU seconds a byte.

    Attributes:
        check: Of a digest, for a compressed byte.
        decode: For a decoded byte.
    """

    check: float
    decode: float


def measure(path: Path, index: Index, progress: Progress) -> Rates:
    """Check and decode what a start fetches of the pack at ``path``, as the shim does."""
    decoder = zstandard.ZstdDecompressor()
    room = memoryview(bytearray(max(index.frame_size[: index.eager], default=0)))
    checked = decoded = 0.0
    with progress.step("decode the pack"), path.open("rb") as pack:
        for stored, size in _sizes(index):
            data, content = pack.read(stored), room[:size]
            checked += _cpu(partial(_digest, data))
            decoded += _cpu(partial(_decode, decoder, data, content))
    stored, size = (max(sum(column), 1) for column in zip(*_sizes(index), strict=True))
    return Rates(checked / stored, decoded / size)


def _sizes(index: Index) -> list[tuple[int, int]]:
    return list(zip(index.frame_stored[: index.eager], index.frame_size[: index.eager], strict=True))


def _digest(data: bytes) -> None:
    sha256(data).digest()


def _decode(decoder: zstandard.ZstdDecompressor, data: bytes, content: memoryview) -> None:
    reader = decoder.stream_reader(data)
    while content:
        content = content[reader.readinto(content) :]


def _cpu(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
