"""Where the tar stream of a pack is cut into frames.

Pure arithmetic over sizes. The constants are measured on spaCy and its English model (143 MB slimmed, of
which 120 MB hot): larger frames compress better, smaller ones arrive and can be used earlier.

A cut depends on what is near it and not on how much came before, so that a distribution that changes its
size does not move every later cut, and the frames without any of its files keep their bytes: a build takes
them from its cache. Between large files, which have frames of their own, the next cut is the file with the
lowest **rank** among those at which a frame of allowed size could end; ranks are those of hashes, so two
builds that began a frame at different places soon cut at the same file again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

from lambdapack.limits import MIB
from lambdapack.pack.layout import Band


@dataclass(frozen=True)
class Sizes:
    """How large a frame of small files may be; at least twice as large as it must be."""

    least: int
    most: int


FIRST_SIZES = (Sizes(MIB // 4, MIB // 2), Sizes(MIB // 2, MIB))
"""The first frames: the first import begins when the first of them is in place."""
HOT_SIZES = Sizes(2 * MIB, 5 * MIB)
COLD_SIZES = Sizes(4 * MIB, 8 * MIB)
"""What is needed only later. Lazy frames are fetched one at a time: a request waits some 20 ms for its first
byte, in which the 1.2 MB of such a frame could arrive, and frames of a quarter of the size compress sources 4
to 15 % worse (sympy, transformers)."""
LARGE = 4 * MIB
"""A file above this has frames of its own."""
PIECE_MAX = 12 * MIB
"""A large file must come whole before it is of any use, so its frames may be large: 12 MiB make OpenBLAS 3 %
and torch 1 % smaller than 8 do. Not larger than this, because the shim holds a frame in memory for each
connection, and frames are decompressed side by side."""


@dataclass(frozen=True)
class Span:
    """One file in the tar stream: header, content and padding, in this order.

    Attributes:
        start: Offset of the header's first byte.
        offset: Offset of the content's first byte; the two are never in different frames.
        end: Offset past the padding.
        band: When the file is needed.
        rank: How readily a frame begins with this file, the lowest first; of its path alone.
        twins: The same number, not 0, for consecutive files that share a frame (``lambdapack.pack.twins``).
    """

    start: int
    offset: int
    end: int
    band: Band
    rank: tuple[int, bytes] = (0, b"")
    twins: int = 0


@dataclass(frozen=True)
class Frame:
    """One frame: offsets into the tar stream, end exclusive; its band; whether it is that of twins."""

    start: int
    end: int
    band: Band
    twins: bool = False


def cut(spans: Sequence[Span], end: int) -> list[Frame]:
    """Cut a tar stream at the bands, inside large files, and between runs of small ones.

    Args:
        spans: The files, consecutive from 0, band after band.
        end: Length of the stream; what follows the last span (the end-of-archive blocks) joins the last
            frame. Without any span it is a frame of its own, which is never fetched.
    """
    if not spans:
        return [Frame(0, end, Band.LAZY_SOURCE)]
    frames: list[Frame] = []
    for band, group in groupby(spans, key=lambda span: span.band):
        frames += _cut_band(list(group), band)
    last = frames.pop()
    return [*frames, replace(last, end=end)]


def _cut_band(spans: Sequence[Span], band: Band) -> Iterator[Frame]:
    sizes = _sizes(band)
    for twins, group in groupby(spans, key=lambda span: span.twins):
        members = list(group)
        if twins:
            yield Frame(members[0].start, members[-1].end, band, twins=True)
        else:
            yield from (Frame(start, end, band) for start, end in _cut_files(members, sizes))


def _cut_files(spans: Sequence[Span], sizes: Iterator[Sizes]) -> Iterator[tuple[int, int]]:
    for is_large, group in groupby(spans, key=lambda span: span.end - span.start > LARGE):
        if is_large:
            for span in group:
                # Equal pieces, the first of which holds the file's header.
                size = span.end - span.start
                count = -(-size // PIECE_MAX)
                yield from pairwise(span.start + size * number // count for number in range(count + 1))
        else:
            yield from _runs(list(group), sizes)


def _sizes(band: Band) -> Iterator[Sizes]:
    if band is Band.HOT:
        yield from FIRST_SIZES
    while True:
        yield HOT_SIZES if band is Band.HOT else COLD_SIZES


def _runs(spans: Sequence[Span], sizes: Iterator[Sizes]) -> Iterator[tuple[int, int]]:
    """Cut consecutive small files at the ranks."""
    first, end = 0, spans[-1].end
    for size in sizes:
        start = spans[first].start
        if end - start <= size.most or first == len(spans) - 1:
            yield start, end
            return
        first = _next_cut(spans, first, size)
        yield start, spans[first].start


def _next_cut(spans: Sequence[Span], first: int, size: Sizes) -> int:
    """Number of the file that the next frame begins with; what is left is no crumb either."""
    start, end = spans[first].start, spans[-1].end
    lowest, highest = start + size.least, min(start + size.most, end - size.least)
    after = range(first + 1, len(spans))
    inside = [number for number in after if lowest <= spans[number].start <= highest]
    if inside:
        return min(inside, key=lambda number: (spans[number].rank, number))
    # No file begins in there: so the frame ends early rather than get too large.
    fitting = [number for number in after if spans[number].start <= start + size.most]
    return fitting[-1] if fitting else first + 1
