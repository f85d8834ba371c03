"""Write an asset's pack: the same bytes for the same files, wherever they lie.

A thin sibling of ``lambdapack.pack.write``: no classes, no bands, no trace. Frames are of one size, and
what does not become smaller is not squeezed for long.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

from lambdapack.limits import MIB
from lambdapack.pack.assembly import Label, Pack, assemble, check_level, compress
from lambdapack.pack.assets.collect import Content
from lambdapack.pack.stream import Member, Stream
from lambdapack.progress import QUIET, Progress
from runtime_shim import _index

TOOL = "lambdapack asset 1"
"""In the index, and so in the id: a new version of lambdapack does not upload the same model again."""
_FRAME = 8 * MIB
_NO_LOCK = hashlib.sha256().hexdigest()
_PROBE_LEVEL = 1
_WORTH = 0.95
"""A frame that the fastest level leaves above this share of its size is kept as that level made it: weights
are noise, and the best level takes a hundred times as long to save the last per cent of it."""


def write(
    content: Content,
    directory: Path,
    *,
    level: int,
    jobs: int | None = None,
    progress: Progress = QUIET,
    name: str = "asset",
) -> Pack:
    """Write ``<id>.tar.zst`` and ``<id>.index.json`` into ``directory``, which is made when it is missing.

    ``name`` is the asset's, for people; all else is as for ``lambdapack.pack.write``.
    """
    check_level(level)
    stream = Stream(Member(file.path, file.name, file.size, file.executable) for file in content.files)
    extents = list(pairwise([*_cuts([*stream.starts, stream.files_end]), stream.end]))
    label = Label(
        target=_index.ANY_TARGET,
        lock=_NO_LOCK,
        tool=TOOL,
        glibc="",
        hot=0,
        eager=len(extents),
        classes=_index.DATA * len(content.files),
    )
    return assemble(
        stream,
        extents,
        label,
        directory,
        compressor=partial(_compress, level=level),
        jobs=jobs,
        progress=progress,
        doing=f"compress {name}",
    )


def _cuts(starts: Sequence[int]) -> Iterator[int]:
    """Where frames begin: before a header, or inside a large file; ``starts`` end where the files do."""
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


def _compress(data: bytearray, *, level: int) -> bytes:
    quick = compress(data, min(level, _PROBE_LEVEL))
    return quick if len(quick) > len(data) * _WORTH or level <= _PROBE_LEVEL else compress(data, level)
