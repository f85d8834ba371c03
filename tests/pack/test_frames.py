"""Where the tar stream is cut."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import groupby, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from lambdapack.limits import MIB
from lambdapack.pack.frames import COLD_SIZES, FIRST_SIZES, HOT_SIZES, PIECE_MAX, Span, cut
from lambdapack.pack.layout import Band

SIZES = st.one_of(st.integers(0, 3000), st.integers(0, 3 * MIB), st.integers(0, 50 * MIB))


def spans(files: list[tuple[Band, int]]) -> tuple[list[Span], int]:
    named = [(band, size, str(number)) for number, (band, size) in enumerate(files)]
    return named_spans(sorted(named, key=lambda file: file[0]))


def named_spans(files: list[tuple[Band, int, str]]) -> tuple[list[Span], int]:
    made, position = [], 0
    for band, size, name in files:
        end = position + 512 + size + -size % 512
        rank = (1, hashlib.sha256(name.encode()).digest())
        made.append(Span(position, position + 512, end, band, rank))
        position = end
    return made, position + 1024


@given(st.lists(st.tuples(st.sampled_from(Band), SIZES), min_size=1, max_size=40))
def test_frames_cover_the_stream_and_never_share_a_band(files: list[tuple[Band, int]]) -> None:
    """Each byte is in exactly one frame, of its own band; a header and the byte after it are in one, and
    no frame is larger than a piece of a large file."""
    made, end = spans(files)
    frames = cut(made, end)
    assert [frame.start for frame in frames] == [0, *[frame.end for frame in frames[:-1]]]
    assert frames[-1].end == end
    assert all(0 < frame.end - frame.start <= PIECE_MAX + 1024 for frame in frames)
    for span in made:
        touching = [frame for frame in frames if frame.start < span.end and span.start < frame.end]
        assert {frame.band for frame in touching} == {span.band}
        assert touching[0].start <= span.start
        assert span.offset < touching[0].end or span.offset == span.end
        # Padding is shorter than a block: the last frame holds all of it.
        assert span.end - touching[-1].start >= min(512, span.end - span.start)


@given(st.lists(st.tuples(st.sampled_from(Band), st.integers(0, 400_000)), min_size=1, max_size=120))
def test_frames_of_small_files_are_neither_crumbs_nor_too_large(files: list[tuple[Band, int]]) -> None:
    """Where files are small, each frame is within the sizes of its band; a smaller one is there only where
    the band is smaller than that, or no file begins where a cut would leave enough on both sides."""
    made, end = spans(files)
    frames = cut(made, end)
    for band, group in groupby(frames, key=lambda frame: frame.band):
        mine = list(group)
        found = [frame.end - frame.start for frame in mine]
        allowed = HOT_SIZES if band is Band.HOT else COLD_SIZES
        assert max(found) <= allowed.most + 1024
        # The first two hot ones are small on purpose.
        later = found[2:] if band is Band.HOT else found
        assert len(found) == 1 or all(size >= allowed.least for size in later[:-1])
        if len(found) > 1 and found[-1] < FIRST_SIZES[0].least:
            first = (*FIRST_SIZES, allowed) if band is Band.HOT else (allowed,)
            size, begin = first[min(len(found) - 2, len(first) - 1)], mine[-2].start
            stop = min(begin + size.most, mine[-1].end - size.least, made[-1].end - size.least)
            assert not any(begin + size.least <= span.start <= stop for span in made)


def test_the_first_frames_are_small() -> None:
    """The first import begins when the first frame is there."""
    made, end = spans([(Band.HOT, 10_000)] * 2000)
    first, second, third, *_ = (frame.end - frame.start for frame in cut(made, end))
    assert first <= FIRST_SIZES[0].most and second <= FIRST_SIZES[1].most and third >= HOT_SIZES.least


def test_twins_share_a_frame_with_nobody_else() -> None:
    """Whatever their sizes; what stands around them is cut as if a band began and ended there."""
    made, end = spans([(Band.HOT, size) for size in (1000, 2 * MIB, 5 * MIB, 300, 2 * MIB, 2 * MIB, 1000)])
    numbers = (0, 1, 1, 1, 2, 2, 0)
    marked = [replace(span, twins=number) for span, number in zip(made, numbers, strict=True)]
    frames = cut(marked, end)
    starts = [span.start for span in made]
    assert [frame.start for frame in frames] == [starts[0], starts[1], starts[4], starts[6]]
    assert [frame.twins for frame in frames] == [False, True, True, False]
    assert frames[-1].end == end


FILES = st.lists(st.integers(0, 120_000), min_size=300, max_size=500)


@given(FILES, st.integers(0, 299), st.lists(st.integers(0, 120_000), max_size=30), st.sampled_from(Band))
@settings(max_examples=60, deadline=None)
def test_a_changed_distribution_moves_the_cuts_near_it_alone(
    before: list[int], at: int, inserted: list[int], band: Band
) -> None:
    """Files that came, went or grew in one place: at most a few frames hold anything but what they held."""
    old = [(band, size, f"pkg/{number}.py") for number, size in enumerate(before)]
    more = [(band, size, f"other/{number}.py") for number, size in enumerate(inserted)]
    new = [*old[:at], *more, *old[at + len(inserted) :]]
    kept, now = contents(old), contents(new)
    assert sum(frame not in kept for frame in now) <= 6


def test_most_frames_stay_when_one_file_in_a_thousand_grows() -> None:
    """Wherever it is: on average one frame in ten or fewer, that file's own and seldom a neighbour."""
    files = [
        (Band.REST, 40_000 + number % 7 * 9_000, f"pkg{number // 40}/{number}.py") for number in range(1000)
    ]
    kept = contents(files)
    changed = 0
    for at in range(0, 1000, 50):
        grown = [*files[:at], (Band.REST, 120_000, files[at][2]), *files[at + 1 :]]
        changed += sum(frame not in kept for frame in contents(grown))
    assert len(kept) >= 9
    assert changed / 20 <= 1.6


def contents(files: list[tuple[Band, int, str]]) -> set[tuple[tuple[str, int], ...]]:
    """Which files, of which sizes, each frame holds."""
    made, end = named_spans(files)
    by_start = {span.start: (name, size) for span, (_, size, name) in zip(made, files, strict=True)}
    starts = sorted(by_start)
    return {
        tuple(by_start[start] for start in starts if frame.start <= start < frame.end)
        for frame in cut(made, end)
    }


def test_a_large_file_is_cut_into_equal_pieces_of_its_own() -> None:
    """It shares no frame with what comes before or after, and its pieces can be decompressed side by
    side."""
    made, end = spans([(Band.HOT, 100), (Band.HOT, 30 * MIB), (Band.HOT, 100)])
    frames = cut(made, end)
    before, *pieces, after = (frame.end - frame.start for frame in frames)
    assert (before, len(pieces), sum(pieces), after) == (1024, 3, 30 * MIB + 512, 2048)
    assert max(pieces) - min(pieces) <= 1


def cold(*starts: float, ranks: tuple[int, ...] = ()) -> list[tuple[float, float]]:
    """Frames, in MiB, of cold files that begin at ``starts``, in MiB too; the last is where they end."""
    places = [int(start * MIB) for start in starts]
    files = [
        Span(start, start + 512, stop, Band.REST, (rank, b""))
        for (start, stop), rank in zip(pairwise(places), ranks or (1,) * len(places), strict=False)
    ]
    return [(frame.start / MIB, frame.end / MIB) for frame in cut(files, places[-1])]


def test_a_file_of_exactly_the_largest_small_size_shares_its_frame() -> None:
    """4 MiB with header and padding are small; a block more is large."""
    block = 512 / MIB
    assert cold(0, 1, 5, 6) == [(0, 6)]
    assert cold(0, 1, 5 + block, 6) == [(0, 1), (1, 5 + block), (5 + block, 6)]


def test_a_frame_of_exactly_the_largest_size_is_not_cut() -> None:
    """8 MiB of cold files are one frame, a block more are two."""
    assert cold(0, 4, 8) == [(0, 8)]
    assert cold(0, 4, 8 + 512 / MIB) == [(0, 4), (4, 8 + 512 / MIB)]


def test_the_lowest_rank_cuts_where_both_sides_are_large_enough() -> None:
    """From 4 MiB behind the beginning, inclusive, to 4 MiB before the end; lower ranks elsewhere do not."""
    assert cold(0, 4, 5, 9, 10, ranks=(9, 1, 2, 9)) == [(0, 4), (4, 10)]
    assert cold(0, 3, 4.5, 7, 9, ranks=(9, 0, 5, 1)) == [(0, 4.5), (4.5, 9)]
    assert cold(0, 3, 4.5, 6, 10, ranks=(9, 0, 5, 1)) == [(0, 6), (6, 10)]
