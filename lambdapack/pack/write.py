"""Write a pack: the same bytes for the same tree, on any machine, with any number of cores."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import zstandard

from lambdapack import __version__
from lambdapack.memo import NOTHING, Memo, key_of
from lambdapack.model import Trace, Tree
from lambdapack.pack.assembly import Extent, Label, Pack, assemble, check_level, compress
from lambdapack.pack.frames import Frame, Span, cut
from lambdapack.pack.layout import Band, Layout, arrange
from lambdapack.pack.stream import Member, Stream
from lambdapack.progress import QUIET, Progress

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
    """Write ``<id>.tar.zst`` and ``<id>.index.json`` into ``directory``, which is made when it is missing.

    Args:
        tree: The slimmed tree, with its bytecode.
        trace: The order of first use.
        lock_digest: SHA-256 of the lock, hex; the index carries it.
        directory: Where the two files go.
        level: zstd's, 1 to 22.
        jobs: Frames compressed side by side, by default one a core; does not change the bytes. Each
            takes about 100 MB of memory at level 19, twins up to 250.
        memo: Remembers compressed frames, and which libraries are twins.
        progress: Told the uncompressed bytes that are done.

    Raises:
        ConfigurationError: The tree cannot be packed, or the level does not exist.
        ToolError: A file cannot be read, the folder cannot be written to, the disk is full.
    """
    check_level(level)
    layout = arrange(tree, trace, memo)
    stream = Stream(Member(tree.root / e.path, e.path, e.size, e.executable) for e in layout.entries)
    frames = cut(_spans(layout, stream), stream.end)
    extents = [(frame.start, frame.end) for frame in frames]
    label = replace(_label(tree, lock_digest, layout, frames), stdlib=trace.stdlib)
    far = {(frame.start, frame.end) for frame in frames if frame.twins}
    compressor = partial(_compress, level=level, memo=memo, far=far)
    return assemble(stream, extents, label, directory, compressor=compressor, jobs=jobs, progress=progress)


def _spans(layout: Layout, stream: Stream) -> list[Span]:
    ends = [*stream.starts[1:], stream.files_end]
    befores = ["", *(entry.path for entry in layout.entries)]
    return [
        Span(start, offset, end, entry.band, _rank(entry.path, before), entry.twins)
        for start, offset, end, entry, before in zip(
            stream.starts, stream.offsets, ends, layout.entries, befores, strict=False
        )
    ]


def _rank(path: str, before: str) -> tuple[int, bytes]:
    """A frame begins with ``path`` rather where another package ends: it then changes with one alone."""
    same = path.split("/", 1)[0] == before.split("/", 1)[0]
    return int(same), hashlib.sha256(path.encode()).digest()[:8]


def _compress(data: bytearray, extent: Extent, *, level: int, memo: Memo, far: Container[Extent]) -> bytes:
    library = [zstandard.__version__, zstandard.backend, *zstandard.ZSTD_VERSION]
    digest, is_far = hashlib.sha256(data).hexdigest(), extent in far
    key = key_of(digest, level, library, *(["far"] if is_far else []))
    frame = memo.get("frames", key)
    if frame is None:
        frame = compress(data, level, far=is_far)
        memo.put("frames", key, frame)
    return frame


def _label(tree: Tree, lock_digest: str, layout: Layout, frames: Sequence[Frame]) -> Label:
    return Label(
        target=str(tree.target),
        lock=lock_digest,
        tool=f"lambdapack {__version__}",
        glibc=layout.glibc,
        hot=sum(frame.band is Band.HOT for frame in frames),
        eager=sum(frame.band.eager for frame in frames),
        classes="".join(entry.kind for entry in layout.entries),
        needs=layout.needs,
        native=layout.native,
    )
