"""Where the tar stream of a pack is cut into frames.

Pure arithmetic over sizes. The constants are measured on spaCy and its English model (143 MB slimmed, of
which 120 MB hot): larger frames compress better, smaller ones arrive and can be used earlier.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from lambdapack.limits import MIB
from lambdapack.pack.layout import Band

__all__ = ["Frame", "Span", "cut"]

FIRST_SIZES = (MIB // 2, MIB)
"""The first frames: the first import begins when the first of them is in place."""
HOT_SIZE = 4 * MIB
REST_SIZE = 8 * MIB
LAZY_SIZE = 2 * MIB
"""Fetched on demand, one at a time: a request costs more than its 0.4 MB, and 1 MiB compresses 3 % worse."""
PIECE_MAX = 8 * MIB
"""A large file must come whole before it is of any use, so its frames may be large; not larger than
this, because its frames are decompressed side by side."""


@dataclass(frozen=True)
class Span:
    """One file in the tar stream: header, content and padding, in this order.

    Attributes:
        start: Offset of the header's first byte.
        offset: Offset of the content's first byte; the two are never in different frames.
        end: Offset past the padding.
        band: When the file is needed.
    """

    start: int
    offset: int
    end: int
    band: Band


@dataclass(frozen=True)
class Frame:
    """One frame: offsets into the tar stream, end exclusive."""

    start: int
    end: int
    band: Band


def cut(spans: Sequence[Span], end: int) -> list[Frame]:
    """Cut a tar stream at the bands, at the target sizes, and inside large files.

    Args:
        spans: The files, consecutive from 0, band after band.
        end: Length of the stream; what follows the last span (the end-of-archive blocks) joins the last
            frame.
    """
    frames: list[Frame] = []
    for band, group in groupby(spans, key=lambda span: span.band):
        frames += [Frame(start, stop, band) for start, stop in _cut_band(list(group), band)]
    last = frames.pop()
    return [*frames, Frame(last.start, end, last.band)]


def _cut_band(spans: Sequence[Span], band: Band) -> Iterator[tuple[int, int]]:
    sizes = _sizes(band)
    start = stop = spans[0].start
    size = next(sizes)
    for span in spans:
        large = span.end - span.start > max(size, HOT_SIZE if band.eager else LAZY_SIZE)
        if stop > start and (large or span.end - start > size):
            yield start, stop
            start, size = stop, next(sizes)
        stop = span.end
        if large:
            *pieces, (start, stop) = _pieces(span)
            yield from pieces
    yield start, stop


def _sizes(band: Band) -> Iterator[int]:
    if band is Band.HOT:
        yield from FIRST_SIZES
    while True:
        yield HOT_SIZE if band is Band.HOT else REST_SIZE if band is Band.REST else LAZY_SIZE


def _pieces(span: Span) -> Iterable[tuple[int, int]]:
    """Cut one large file into equal pieces, the first of which holds its header."""
    count = -(-(span.end - span.start) // PIECE_MAX)
    cuts = [span.start + (span.end - span.start) * number // count for number in range(count + 1)]
    return pairwise(cuts)
