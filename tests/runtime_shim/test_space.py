"""What a pack takes on disk, counted against the blocks and files that placing it really makes."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime_shim import PackError, _space
from runtime_shim._disk import Place
from runtime_shim._index import ARENA, Index
from runtime_shim._space import BLOCK, ENTRY, MB, SPARE

KB = 1024


def index(*files: tuple[str, str, int], frames: list[int] | None = None) -> Index:
    """An index of files (path, class, size), each behind a header of 512 bytes, in frames of these sizes."""
    offsets, at = [], 0
    for _, _, size in files:
        offsets.append(at + 512)
        at += 512 + -(-size // 512) * 512
    total = at + 1024
    sizes = [*(frames or []), total - sum(frames or [])]
    return Index(
        target="any", lock="", tool="", glibc="", hot=0, eager=len(sizes),
        frame_stored=[1] * len(sizes), frame_size=sizes, frame_sha256=[""] * len(sizes),
        paths=[path for path, _, _ in files], classes="".join(letter for _, letter, _ in files),
        sizes=[size for _, _, size in files], offsets=offsets, executable=[], needs={}, native={},
    )  # fmt: skip


def needed(of: Index, frames: list[int] | None = None, whole: Any = lambda file: False) -> int:
    """What the frames take, without what is spare."""
    chosen = list(range(len(of.frame_size))) if frames is None else frames
    return _space.bytes_on_disk(of, ARENA, chosen, whole) - SPARE * BLOCK


@pytest.mark.parametrize(
    ("files", "blocks", "entries"),
    [
        ([], 0, 0),
        ([("a", "d", 1)], 1 + 1, 1),
        ([("a", "d", 4096)], 1 + 1, 1),
        ([("a", "d", 4097)], 2 + 1, 1),
        ([("a", "d", 0)], 0 + 1, 1),
        ([("a/x", "d", 1), ("a/y", "x", 1), ("b/z", "n", 1)], 3 + 2, 3),
        ([("a.pyc", "c", 1)], 1, 0),
        ([("a.pyc", "c", 3000), ("b.pyc", "c", 3000)], 2, 0),
        ([("a.pyc", "c", 100), ("b", "d", 20_000), ("c.pyc", "c", 100)], 1 + 5 + 1 + 1, 1),
    ],
)
def test_blocks_entries_and_folders_are_counted(
    files: list[tuple[str, str, int]], blocks: int, entries: int
) -> None:
    """A real file takes its own blocks, an entry, and a block for each folder; the arena what is written."""
    assert needed(index(*files)) == blocks * BLOCK + entries * ENTRY


def test_a_file_of_several_frames_has_one_entry() -> None:
    """A folder too, with the frame that has its beginning; a block that two frames share counts in both."""
    whole, cut = index(("big", "d", 10_000)), index(("big", "d", 10_000), frames=[512 + 5000])
    assert needed(whole) == (3 + 1) * BLOCK + ENTRY
    assert needed(cut, [0]) == (2 + 1) * BLOCK + ENTRY
    assert needed(cut, [1]) == 2 * BLOCK
    assert needed(cut) == needed(cut, [0]) + needed(cut, [1])


def test_a_file_that_is_whole_takes_nothing_more() -> None:
    """It is on disk already; its neighbours in the frame are not."""
    two = index(("a/x", "d", 5000), ("b/y", "d", 5000))
    assert needed(two, whole=lambda file: file == 0) == (2 + 1) * BLOCK + ENTRY


FILES = st.lists(
    st.tuples(
        st.sampled_from(["", "a/", "a/b/", "c/"]), st.sampled_from("csmxldn"), st.integers(0, 20_000)
    ),
    max_size=12,
)  # fmt: skip


@given(files=FILES, cuts=st.sets(st.integers(1, 100_000)))
def test_no_pack_takes_more_than_is_counted(
    files: list[tuple[str, str, int]], cuts: set[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The bound of the first look is above the count, and the count above what is really written."""
    named = [(f"{folder}file{number}", letter, size) for number, (folder, letter, size) in enumerate(files)]
    total = index(*named).frame_start[-1]
    edges = sorted(cut for cut in cuts if cut < total)
    of = index(*named, frames=[end - start for start, end in zip([0, *edges], edges, strict=False)])
    frames = list(range(len(of.frame_size)))
    place = Place(str(tmp_path_factory.mktemp("space")), "ab" * 32, of, disk=False)
    try:
        count = _space.bytes_on_disk(of, ARENA, frames)
        assert _space._most(place, frames) >= count
        for frame in frames:
            place.put(frame, memoryview(bytes([1]) * of.frame_size[frame]))
        real = [path.stat() for path in Path(place.base).rglob("*") if path.is_file()]
        assert sum(state.st_blocks * 512 for state in real) <= count
    finally:
        place._arena.close()
        place.journal.file.close()


class Room:
    """A disk of ``total`` bytes, of which ``free`` are free."""

    def __init__(self, free: int, total: int, inodes: int = 1) -> None:
        self.f_bavail, self.f_frsize, self.f_blocks = free // BLOCK, BLOCK, total // BLOCK
        self.f_files, self.f_favail = 10, inodes


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Of a pack that takes 100 blocks, a folder's and what is spare."""
    return Place(str(tmp_path / "root"), "ab" * 32, index(("big", "d", 100 * BLOCK)), disk=False)


NEED = (100 + 1 + SPARE) * BLOCK + ENTRY


@pytest.mark.parametrize("free", [NEED + BLOCK - ENTRY, NEED * 3])
def test_a_pack_that_fits_exactly_is_begun(place: Place, free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The count decides, not the bound of the first look."""
    monkeypatch.setattr(_space, "statvfs", lambda path: Room(free, 512 * MB))
    _space.check(place, [0])


def test_a_pack_that_does_not_fit_says_what_helps(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is needed and free, and a setting that is enough with what is used already."""
    monkeypatch.setattr(_space, "statvfs", lambda path: Room(NEED - BLOCK, 512 * MB))
    with pytest.raises(PackError, match=r"needs 0 MB more in .*, where 0 of 537 MB are free") as caught:
        _space.check(place, [0])
    assert "--tmp 513)" in str(caught.value)


def test_what_is_on_its_way_counts_too(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packs that are being fetched into the same folder need their room as well."""
    other = Place(str(tmp_path / "root"), "cd" * 32, index(("big", "d", 10 * BLOCK)), disk=False)
    place.others = [SimpleNamespace(place=other, eager=1)]
    both = NEED + (10 + 1 + SPARE) * BLOCK + ENTRY
    monkeypatch.setattr(_space, "statvfs", lambda path: Room(both + BLOCK, 512 * MB))
    _space.check(place, [0])
    monkeypatch.setattr(_space, "statvfs", lambda path: Room(both - BLOCK, 512 * MB))
    with pytest.raises(PackError, match="with what else is on its way"):
        _space.check(place, [0])


@pytest.mark.parametrize(
    ("used", "need", "enough"),
    [(0, MB, 512), (600 * MB, 64 * MB, 666), (512 * MB, 320 * MB, 842)],
)
def test_the_setting_has_room_for_what_is_used_and_a_little_more(
    place: Place, used: int, need: int, enough: int
) -> None:
    """A thirty-second on top, because a file system keeps some to itself; never less than Lambda gives."""
    total = used + 10 * MB
    assert f"--tmp {enough})" in _space.too_little(place, need, total - used, total)


@pytest.mark.parametrize(
    ("error", "helps"),
    [
        (OSError(errno.EMFILE, "Too many"), "too many files are open"),
        (ImportError("dlopen: Too many open files"), "too many files are open"),
        (OSError(errno.ENOMEM, "no"), "deploy --memory"),
        (MemoryError(), "MemoryError: : there is no more memory"),
        (OSError(errno.EROFS, "no"), "set LAMBDAPACK_ROOT"),
        (OSError(errno.EIO, "broken"), "broken"),
    ],
)
def test_an_error_says_what_helps(place: Place, error: Exception, helps: str) -> None:
    """Each that has a remedy names it; the others are said as they are."""
    said = str(_space.failure(place, error))
    assert said.startswith(f"lambdapack: putting the pack in place in {place.base}: ") and helps in said


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_not_a_lack_of_inodes(
    place: Place, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are ENOSPC, and only one is cured by more ephemeral storage."""
    monkeypatch.setattr(_space, "statvfs", lambda path: Room(0, 512 * MB))
    assert "--tmp 513)" in str(_space.failure(place, OSError(number, "full")))
    monkeypatch.setattr(_space, "statvfs", lambda path: Room(0, 512 * MB, inodes=0))
    assert "no inode is left" in str(_space.failure(place, OSError(number, "full")))
