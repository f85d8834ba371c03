"""A store that is a folder."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from lambdapack import store
from lambdapack.errors import ConfigurationError, ToolError
from lambdapack.files import disk_errors, part_file

ID = "0f" * 32


def test_a_push_copies_the_pack_once(tmp_path: Path) -> None:
    """The folder holds the pack byte for byte; a second push says that the pack is there."""
    (tmp_path / "pack").write_bytes(b"content" * 999)
    kept = store.open_store(str(tmp_path / "packs"))
    assert not kept.exists(ID)
    assert kept.push(tmp_path / "pack", ID) is True
    assert kept.push(tmp_path / "pack", ID) is False
    assert (tmp_path / "packs" / store.key("", ID)).read_bytes() == b"content" * 999
    assert kept.exists(ID)


def test_a_half_written_file_is_never_a_pack(tmp_path: Path) -> None:
    """What a killed push leaves has another name, and the next push removes it."""
    kept = store.open_store(str(tmp_path / "packs"))
    folder = (tmp_path / "packs" / store.key("", ID)).parent
    folder.mkdir(parents=True)
    (folder / ".lambdapack-dead.part").write_bytes(b"half")
    (tmp_path / "pack").write_bytes(b"whole")
    assert not kept.exists(ID)
    assert kept.push(tmp_path / "pack", ID) is True
    assert [path.name for path in folder.iterdir()] == [f"{ID}.tar.zst"]


def test_a_part_that_is_being_written_is_left_alone(tmp_path: Path) -> None:
    """Only what nobody holds the lock of is swept away."""
    part = tmp_path / ".lambdapack-alive.part"
    with part.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with part_file(tmp_path):
            assert part.exists()
    with part_file(tmp_path):
        assert not part.exists()


def test_a_folder_has_no_location(tmp_path: Path) -> None:
    """A function in AWS cannot fetch from a folder, and is told what to do instead."""
    with pytest.raises(ConfigurationError, match="is a folder") as caught:
        store.open_store(str(tmp_path)).location(ID)
    assert "s3://" in caught.value.hint


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """A file where the folder should be: one message, no traceback."""
    (tmp_path / "packs").write_bytes(b"")
    (tmp_path / "pack").write_bytes(b"whole")
    with pytest.raises(ToolError, match="cannot write"):
        store.open_store(str(tmp_path / "packs")).push(tmp_path / "pack", ID)


def test_a_full_disk_is_its_own_message(tmp_path: Path) -> None:
    """ENOSPC says that space is missing, not "cannot write"."""
    with (
        pytest.raises(ToolError, match="no space left") as caught,
        disk_errors(tmp_path),
        Path("/dev/full").open("wb") as full,
    ):
        full.write(b"x")
    assert "free some" in caught.value.hint
