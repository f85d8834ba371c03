"""What a shift leaves in an alias's note."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdapack.deploy.shifting import NOTE_MAX, Note, others_of, read
from lambdapack.model import Shift

SHIFTS = st.builds(
    Shift,
    st.sampled_from(["canary", "linear"]),
    st.integers(1, 99),
    st.integers(1, 10_000_000),
) | st.just(Shift())
REASONS = st.none() | st.text(
    st.characters(exclude_characters="|", exclude_categories=["Z", "C"]), min_size=1, max_size=60
)


@st.composite
def notes(draw: st.DrawFn, others: st.SearchStrategy[str]) -> Note:
    shift = draw(SHIFTS)
    seconds = draw(st.integers(0, 4_000_000_000))
    return Note(
        str(draw(st.integers(1, 10**9))), str(draw(st.integers(1, 10**9))), shift,
        draw(st.integers(0, len(shift.weights) - 1)),
        datetime.fromtimestamp(seconds, timezone.utc), draw(REASONS), draw(others),
    )  # fmt: skip


@given(notes(st.text(max_size=60)))
def test_a_note_reads_back_as_itself(note: Note) -> None:
    """All that a shift leaves is read again by the next command, and a person's own words with it."""
    assert read(str(note)) == note


@given(notes(st.text(max_size=300)))
def test_a_note_fits_its_place_and_cuts_other_peoples_words_first(note: Note) -> None:
    """A description has 256 characters: the shift's own part is whole, the rest as long as there is room."""
    text = str(note)
    assert len(text) <= NOTE_MAX
    back = read(text)
    assert back is not None
    assert (back.before, back.after, back.shift, back.step, back.since, back.undone) == (
        note.before, note.after, note.shift, note.step, note.since, note.undone,
    )  # fmt: skip
    assert note.others.startswith(back.others.removesuffix("…"))


@given(st.text(max_size=256))
def test_what_a_person_wrote_is_not_taken_for_a_shift(text: str) -> None:
    """A description of somebody's own is kept as it is."""
    assert read(text) is None
    assert others_of(text) == text


@pytest.mark.parametrize("text", [
    "lambdapack: 1 > 2, canary:10%,5m, step 2, 2026-03-01T12:00:00Z",
    "lambdapack: 1 > 2, canary:0%,5m, step 0, 2026-03-01T12:00:00Z",
    "lambdapack: 1 > 2, canary:10%,5m, step 0, 2026-13-01T12:00:00Z",
    "lambdapack: 1 > 2, canary:10%,5m, step 0, 2026-03-01T12:00:00Z and more",
])  # fmt: skip
def test_a_note_that_cannot_be_is_nobodys(text: str) -> None:
    """A step that the shift does not have, a share or a time that there is not: no command acts on such."""
    assert read(text) is None


def test_a_long_reason_is_cut_and_stays_on_one_line() -> None:
    """A reason may be what a function printed: the note still ends where the person's words begin."""
    note = Note(
        "1", "2", Shift(), 0, datetime(2026, 3, 1, tzinfo=timezone.utc), "a | b\n" + "c" * 300, "mine"
    )
    back = read(str(note))
    assert back is not None
    assert back.others == "mine"
    assert back.undone is not None
    assert back.undone.startswith("a / b ccc")
