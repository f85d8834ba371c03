"""Where the tar stream is cut."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from lambdapack.limits import MIB
from lambdapack.pack.frames import FIRST_SIZES, HOT_SIZE, LAZY_SIZE, PIECE_MAX, REST_SIZE, Span, cut
from lambdapack.pack.layout import Band

SIZES = st.one_of(st.integers(0, 3000), st.integers(0, 3 * MIB), st.integers(0, 50 * MIB))


def spans(files: list[tuple[Band, int]]) -> tuple[list[Span], int]:
    made, position = [], 0
    for band, size in sorted(files, key=lambda file: file[0]):
        end = position + 512 + size + -size % 512
        made.append(Span(position, position + 512, end, band))
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


@given(st.lists(st.tuples(st.sampled_from(Band), st.integers(0, LAZY_SIZE // 2)), min_size=1, max_size=80))
def test_frames_of_small_files_reach_their_target_size(files: list[tuple[Band, int]]) -> None:
    """A frame ends before the file that would make it too large, so each but the last of a band is more
    than half full, and none of small files is larger than its target."""
    made, end = spans(files)
    targets = {Band.HOT: HOT_SIZE, Band.REST: REST_SIZE}
    frames = cut(made, end)
    for frame, following in pairwise(frames):
        target = targets.get(frame.band, LAZY_SIZE)
        assert frame.end - frame.start <= target
        if following.band is frame.band and frame.start >= sum(FIRST_SIZES):
            assert frame.end - frame.start > target // 2 - 1024


def test_the_first_frames_are_small() -> None:
    """The first import begins when the first frame is there."""
    made, end = spans([(Band.HOT, 10_000)] * 2000)
    first, second, third, *_ = (frame.end - frame.start for frame in cut(made, end))
    assert first <= FIRST_SIZES[0] and second <= FIRST_SIZES[1] and third > 3 * MIB


def test_a_large_file_is_cut_into_equal_pieces_of_its_own() -> None:
    """It shares no frame with what comes before or after, and its pieces can be decompressed side by
    side."""
    made, end = spans([(Band.HOT, 100), (Band.HOT, 20 * MIB), (Band.HOT, 100)])
    frames = cut(made, end)
    before, *pieces, after = (frame.end - frame.start for frame in frames)
    assert (before, len(pieces), sum(pieces), after) == (1024, 3, 20 * MIB + 512, 2048)
    assert max(pieces) - min(pieces) <= 1
