"""Write a pack: the same bytes for the same tree, on any machine, with any number of cores."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import zstandard

from lambdapack import __version__
from lambdapack.memo import NOTHING, Memo, key_of
from lambdapack.model import Trace, Tree
from lambdapack.pack.assembly import Pack, Stored, assemble, check_level, compress
from lambdapack.pack.frames import Frame, Span, cut
from lambdapack.pack.layout import Band, Layout, arrange
from lambdapack.pack.stream import Member, Stream
from lambdapack.progress import QUIET, Progress
from runtime_shim._index import Index

__all__ = ["LEVEL", "Pack", "write"]

LEVEL = 19


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
    check_level(level)
    layout = arrange(tree, trace)
    stream = Stream(
        Member(tree.root / one.path, one.path, one.size, one.executable) for one in layout.entries
    )
    frames = cut(_spans(layout, stream), stream.end)
    return assemble(
        stream,
        [(frame.start, frame.end) for frame in frames],
        directory,
        compressed=lambda data: _compressed(data, level, memo),
        describe=lambda stored: _describe(tree, lock_digest, layout, stream, frames=frames, stored=stored),
        jobs=jobs,
        progress=progress,
    )


def _spans(layout: Layout, stream: Stream) -> list[Span]:
    ends = [*stream.starts[1:], stream.files_end]
    befores = ["", *(entry.path for entry in layout.entries)]
    return [
        Span(start, offset, end, entry.band, _rank(entry.path, before))
        for start, offset, end, entry, before in zip(
            stream.starts, stream.offsets, ends, layout.entries, befores, strict=False
        )
    ]


def _rank(path: str, before: str) -> tuple[int, bytes]:
    """A frame begins with ``path`` rather where another package ends: it then changes with one alone."""
    same = path.split("/", 1)[0] == before.split("/", 1)[0]
    return int(same), hashlib.sha256(path.encode()).digest()[:8]


def _compressed(data: bytearray, level: int, memo: Memo) -> bytes:
    library = [zstandard.__version__, zstandard.backend, *zstandard.ZSTD_VERSION]
    key = key_of(hashlib.sha256(data).hexdigest(), level, library)
    kept = memo.get("frames", key)
    if kept is None:
        kept = compress(data, level)
        memo.put("frames", key, kept)
    return kept


def _describe(
    tree: Tree,
    lock_digest: str,
    layout: Layout,
    stream: Stream,
    *,
    frames: Sequence[Frame],
    stored: Sequence[Stored],
) -> Index:
    entries = layout.entries
    return Index(
        target=str(tree.target),
        lock=lock_digest,
        tool=f"lambdapack {__version__}",
        glibc=layout.glibc,
        hot=sum(frame.band is Band.HOT for frame in frames),
        eager=sum(frame.band.eager for frame in frames),
        frame_stored=[size for size, _ in stored],
        frame_size=[frame.end - frame.start for frame in frames],
        frame_sha256=[digest for _, digest in stored],
        paths=[entry.path for entry in entries],
        classes="".join(entry.kind for entry in entries),
        sizes=[entry.size for entry in entries],
        offsets=stream.offsets,
        executable=[number for number, entry in enumerate(entries) if entry.executable],
        needs={number: list(needed) for number, needed in layout.needs.items()},
        native={name: list(numbers) for name, numbers in layout.native.items()},
    )
