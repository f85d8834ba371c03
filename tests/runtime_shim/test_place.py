"""Where frames go: what counts as in place, what is written again, and whose folders are trusted."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime_shim import PackError
from runtime_shim._disk import MTIME, Place
from runtime_shim._index import Index
from tests.support.users import needs_root

SIZE = 1000
BIG = 5000
CUT = 4000
"""The second frame begins in the middle of the second file."""
NAMES = ("pkg/sub/data.txt", "pkg/big", "pkg/mod.py")


def make(root: Path) -> Place:
    """The place of a real file, a real file of two frames, and a file of the arena."""
    offsets = [512, 2048, 8192]
    total = 10_240
    index = Index(
        target="any", lock="", tool="", glibc="", hot=2, eager=2, frame_stored=[1, 1],
        frame_size=[CUT, total - CUT], frame_sha256=["", ""], paths=list(NAMES), classes="dds",
        sizes=[SIZE, BIG, SIZE], offsets=offsets, executable=[1], needs={}, native={},
    )  # fmt: skip
    return Place(str(root), "ab" * 32, index, disk=False)


STREAM = bytes(1 + at % 251 for at in range(10_240))


def put(place: Place, *frames: int) -> None:
    for frame in frames:
        start, end = place.index.frame_start[frame : frame + 2]
        place.put(frame, memoryview(STREAM)[start:end])


def content(place: Place, file: int) -> bytes:
    start = place.index.offsets[file]
    return STREAM[start : start + place.index.sizes[file]]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = make(tmp_path / "root")
    yield made
    made._arena.close()
    made.journal.file.close()


def test_frames_become_files_and_bytes_of_the_arena(place: Place) -> None:
    """Files with their mode and time; a file of two frames appears with the second; no part is left."""
    site = Path(place.site)
    assert place.missing(0, 2) == [0, 1]
    put(place, 0)
    # Without a lock nobody can say whose the piece of the second file is.
    assert place.missing(0, 2) == [0, 1]
    assert (site / NAMES[0]).read_bytes() == content(place, 0) and not (site / NAMES[1]).exists()
    put(place, 1)
    assert place.missing(0, 2) == []
    assert (site / NAMES[1]).read_bytes() == content(place, 1)
    assert place.read(2) == content(place, 2) and not (site / NAMES[2]).exists()
    states = [(site / name).stat() for name in NAMES[:2]]
    assert [state.st_mode & 0o777 for state in states] == [0o644, 0o755]
    assert {state.st_mtime for state in states} == {MTIME}
    assert sorted(path.name for path in Path(place.base).iterdir()) == ["arena", "journal", "site"]


def changed(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"x")


@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        changed,
        lambda path: os.truncate(path, SIZE - 1),
        lambda path: (path.rename(f"{path}.real"), path.symlink_to(f"{path}.real")),
    ],
    ids=["removed", "written to", "cut", "a link"],
)
def test_a_real_file_that_was_changed_is_written_again(
    place: Place, damage: Callable[[Path], object]
) -> None:
    """By its frame, which is missing although the journal has it."""
    put(place, 0, 1)
    path = Path(place.site, NAMES[0])
    damage(path)
    assert not place.whole(0) and place.missing(0, 2) == [0]
    put(place, 0)
    assert place.missing(0, 2) == [] and path.read_bytes() == content(place, 0) and not path.is_symlink()


@needs_root
def test_a_real_file_of_another_user_is_not_in_place(place: Place) -> None:
    """Its owner may change what is in it."""
    put(place, 0, 1)
    path = Path(place.site, NAMES[0])
    os.chown(path, 4711, 4711)
    os.utime(path, (MTIME, MTIME))
    assert not place.whole(0)


@pytest.mark.parametrize("grown", [False, True])
def test_zeros_of_a_cut_arena_are_never_read(place: Place, grown: bool) -> None:
    """Its size may be what it was: its stamp is gone."""
    put(place, 0, 1)
    arena = Path(place.base, "arena")
    size = arena.stat().st_size
    os.truncate(arena, 100)
    if grown:
        os.truncate(arena, size)
    assert place.read(2) is None
    assert place.missing(0, 2) == [0, 1], "a new arena has nothing in it"
    put(place, 0, 1)
    assert place.read(2) == content(place, 2)


def test_the_next_holder_of_a_lock_goes_on_with_the_parts(tmp_path: Path) -> None:
    """A piece that a killed process has placed counts, and is not fetched again; others' parts go."""
    first, second = make(tmp_path / "root"), make(tmp_path / "root")
    lock = first.lock("lock")
    assert lock is not None
    first.write_under(lock)
    put(first, 0)
    stale = Path(first.base, "part-1_4194305-dead")
    stale.write_bytes(b"x")
    lock.release()
    lock = second.lock("lock")
    second.write_under(lock)
    assert not stale.exists()
    assert second.missing(0, 2) == [1]
    put(second, 1)
    assert Path(second.site, NAMES[1]).read_bytes() == content(second, 1)
    for place in (first, second):
        place._arena.close()
        place.journal.file.close()


def test_a_part_of_another_lock_file_does_not_count(tmp_path: Path) -> None:
    """Whoever wrote it may still be writing."""
    place = make(tmp_path / "root")
    lock = place.lock("lock")
    place.write_under(lock)
    put(place, 0)
    Path(place.base, "lock").rename(Path(place.base, "old lock"))
    place.lock("lock")
    assert place.missing(0, 2) == [0, 1]


def test_a_link_in_the_place_of_a_folder_is_not_followed(place: Place, tmp_path: Path) -> None:
    """Nor is a file there in the way."""
    outside = tmp_path / "outside"
    outside.mkdir()
    Path(place.site, "pkg").symlink_to(outside)
    put(place, 0)
    Path(place.site, NAMES[0]).unlink()
    Path(place.site, "pkg/sub").rmdir()
    Path(place.site, "pkg/sub").write_bytes(b"a file")
    put(place, 0)
    assert list(outside.iterdir()) == []
    assert Path(place.site, NAMES[0]).read_bytes() == content(place, 0)


@pytest.mark.parametrize("folder", ["", "abababababababab", "abababababababab/site"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda path: path.chmod(0o777), "can be written to by others"),
        (lambda path: (path.rename(f"{path}.real"), path.symlink_to(f"{path}.real")), "is not a folder"),
    ],
    ids=["open to others", "a link"],
)
def test_folders_that_others_may_write_to_are_refused(
    tmp_path: Path, folder: str, change: Callable[[Path], object], said: str
) -> None:
    """What is in them may not be what was fetched."""
    make(tmp_path / "root")
    change(tmp_path / "root" / folder)
    with pytest.raises(PackError, match=said):
        make(tmp_path / "root")
