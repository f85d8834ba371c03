"""The shim's own files: what of them is believed after somebody has removed, cut, replaced or closed them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime_shim import _journal, _lock
from runtime_shim._journal import STAMP, Journal, OpenFile, Seal, new_stamp
from tests.support.users import needs_root

OTHER = 4711
"""A user that is not this one."""


@pytest.fixture
def file(tmp_path: Path) -> OpenFile:
    """A file of four bytes and a stamp, open."""
    made = OpenFile(str(tmp_path / "file"), 4)
    made.make(b"\0\1", STAMP_OF_FILE, replace=False)
    assert made.open() == STAMP_OF_FILE
    return made


STAMP_OF_FILE = new_stamp()


def test_a_new_file_has_its_content_zeros_and_the_stamp(file: OpenFile) -> None:
    """Content, zeros up to its size, the stamp; for this user alone, and with nothing left beside it."""
    path = Path(file.path)
    assert path.read_bytes() == b"\0\1\0\0" + STAMP_OF_FILE
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_file_that_is_there_stays_unless_it_is_replaced(file: OpenFile) -> None:
    """Of several processes that make a file the first one wins."""
    other = new_stamp()
    file.make(b"", other, replace=False)
    assert not file.moved() and file.open() == STAMP_OF_FILE
    file.make(b"", other, replace=True)
    assert file.moved() and file.stamp() == STAMP_OF_FILE
    assert file.open() == other and not file.moved()


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: os.truncate(path, 3),
        lambda path: path.write_bytes(path.read_bytes() + b"x"),
        lambda path: path.write_bytes(bytes(4 + STAMP)),
        lambda path: (path.rename(path.with_name("real")), path.symlink_to("real")),
        lambda path: (path.unlink(), path.mkdir()),
    ],
    ids=["removed", "cut", "longer", "without a mark", "a link", "a folder"],
)
def test_what_is_no_longer_the_shims_file_has_no_stamp(
    file: OpenFile, damage: Callable[[Path], object]
) -> None:
    """Opened anew, such a file is like one that is not there."""
    damage(Path(file.path))
    if Path(file.path).is_dir():
        with pytest.raises(IsADirectoryError):
            file.open()
    else:
        assert file.open() == b""


@needs_root
def test_a_file_of_another_user_is_not_believed(file: OpenFile) -> None:
    """Whatever its stamp says."""
    os.chown(file.path, OTHER, OTHER)
    assert file.open() == b""


def test_a_descriptor_that_stands_for_another_file_is_left_open(file: OpenFile, tmp_path: Path) -> None:
    """The function's code has closed the shim's file and opened its own under the same number."""
    number = file.descriptor()
    os.close(number)
    (tmp_path / "own").write_bytes(b"of the function")
    own = os.open(tmp_path / "own", os.O_RDONLY)
    assert own == number
    assert file.stamp() == b""
    file.close()
    assert os.pread(own, 20, 0) == b"of the function"
    os.close(own)


def test_all_is_written_where_the_system_takes_a_part(
    file: OpenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A nearly full disk takes a few bytes at a time."""
    real = os.pwrite
    monkeypatch.setattr("posix.pwrite", lambda fd, data, offset: real(fd, bytes(data)[:1], offset))
    _journal.write(file.descriptor(), memoryview(b"abcd"), 0)
    assert file.read(4, 0) == b"abcd"


@pytest.fixture
def journal(file: OpenFile) -> Journal:
    """A journal of three frames, of which the second is in place; its file has a byte more."""
    made = Journal(file, 3)
    made.begin(STAMP_OF_FILE)
    return made


def test_a_journal_reads_what_other_processes_write(journal: Journal) -> None:
    """A frame is asked for in the file until it is there; from then on this process remembers it."""
    assert [journal[frame] for frame in range(3)] == [0, 1, 0]
    other = Journal(OpenFile(journal.file.path, 4), 3)
    other.file.open()
    other.begin(STAMP_OF_FILE)
    assert other.write(2, 1) and other.write(1, 0)
    assert [journal[frame] for frame in range(3)] == [0, 1, 1]
    assert journal.raw()[:4] == b"\0\0\1\0"
    assert journal.known() == b"\0\1\1"


def test_a_byte_behind_the_frames_is_written_and_not_taken_for_one(journal: Journal) -> None:
    """An asset's journal says there whether somebody waits."""
    assert journal.write(3, 1)
    assert journal.raw()[:4] == b"\0\1\0\1"
    assert bytes(journal.look()) == b"\0\1\0"


@pytest.mark.parametrize("damage", [os.unlink, lambda path: os.truncate(path, 0)], ids=["removed", "cut"])
def test_a_journal_that_is_gone_says_nothing(journal: Journal, damage: Callable[[str], None]) -> None:
    """Neither what the removed file said, nor that anything could be written."""
    other = Journal(OpenFile(journal.file.path, 4), 3)
    other.file.open()
    other.begin(STAMP_OF_FILE)
    damage(journal.file.path)
    if damage is not os.unlink:
        assert journal.raw() == b"" and not journal.write(0, 1)
    Path(journal.file.path).unlink(missing_ok=True)
    journal.file.make(b"\1\1\1", new_stamp(), replace=True)
    os.close(other.file.descriptor())
    assert other.raw() == b"" and bytes(other.look()) == b"\0\0\0"


def test_a_journal_of_another_arena_is_forgotten(journal: Journal) -> None:
    """With a new arena nothing is in place, until its own journal says so; with the same one all stays."""
    assert journal[1] == 1
    journal.begin(STAMP_OF_FILE)
    assert journal.known() == b"\0\1\0"
    journal.begin(new_stamp())
    assert journal.known() == b"\0\0\0" and journal.raw() == b""
    assert bytes(journal.look()) == b"\0\0\0"


def seal(index: Path, at: Path) -> Seal:
    """A seal of the index file, kept at the path."""
    with index.open("rb") as opened:
        return Seal(opened.fileno(), lambda _: str(at))


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """An index file with a seal beside it."""
    path = tmp_path / "index.json"
    path.write_bytes(b"{}")
    seal(path, tmp_path / "seal").put("ab" * 32)
    return path


def test_a_seal_holds_for_the_same_file_and_id(index: Path) -> None:
    """In the next process too; under another id it does not."""
    at = index.with_name("seal")
    assert seal(index, at).holds("ab" * 32)
    assert not seal(index, at).holds("cd" * 32)
    assert not seal(index, index.with_name("none")).holds("ab" * 32)


@pytest.mark.parametrize("times", [True, False], ids=["its times put back", "its times as they are"])
def test_a_seal_breaks_with_any_change_of_the_index(index: Path, times: bool) -> None:
    """Also where size and modification time are what they were: the change time cannot be set."""
    before = index.stat()
    index.write_bytes(b"[]")
    if times:
        os.utime(index, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not seal(index, index.with_name("seal")).holds("ab" * 32)


def test_a_seal_behind_a_link_does_not_hold(index: Path) -> None:
    """Somebody else may have put the link there."""
    at = index.with_name("seal")
    at.rename(at.with_name("real"))
    at.symlink_to("real")
    assert not seal(index, at).holds("ab" * 32)


@needs_root
def test_a_seal_of_another_user_does_not_hold(index: Path) -> None:
    """Only what this user wrote was checked by a process of this function."""
    os.chown(index.with_name("seal"), OTHER, OTHER)
    assert not seal(index, index.with_name("seal")).holds("ab" * 32)


def test_a_word_is_heard_by_those_who_waited_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by whoever begins to wait afterwards, and not from before the system was started."""
    clock = [100.0]
    monkeypatch.setattr(_lock, "monotonic", lambda: clock[0])
    _lock.leave_word(str(tmp_path), "it failed: é")
    assert _lock.word(str(tmp_path), 100.0) == "it failed: é"
    assert _lock.word(str(tmp_path), 100.5) == ""
    clock[0] = 99.0
    assert _lock.word(str(tmp_path), 0.0) == ""
    assert [path.name for path in tmp_path.iterdir()] == ["word"]


@needs_root
def test_a_word_of_another_user_is_not_believed(tmp_path: Path) -> None:
    """It would end this function's start."""
    _lock.leave_word(str(tmp_path), "it failed")
    os.chown(tmp_path / "word", OTHER, OTHER)
    assert _lock.word(str(tmp_path), 0.0) == ""
