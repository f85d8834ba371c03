"""lambdapack.files: what appears does so whole, and what a killed process left goes with the next."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lambdapack.errors import ToolError
from lambdapack.files import link, new_folder, sha256_of, walk

KILLED = """
import os, signal, sys
from pathlib import Path
from lambdapack.files import new_folder
with new_folder(Path(sys.argv[1])) as made:
    (made.path / "half").write_text("x")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_new_folder_appears_with_all_that_is_in_it(tmp_path: Path) -> None:
    """Nothing has the name while the block runs; then the folder has it, and the work folder is gone."""
    destination = tmp_path / "deep" / "tree"
    with new_folder(destination) as made:
        (made.path / "file").write_text("x")
        (made.work / "scratch").write_text("y")
        assert not destination.exists()
    assert [path.name for path in destination.iterdir()] == ["file"]
    assert [path.name for path in destination.parent.iterdir()] == ["tree"]


def test_a_block_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """Neither the folder nor its parts."""
    with pytest.raises(KeyboardInterrupt), new_folder(tmp_path / "tree") as made:
        (made.path / "file").write_text("x")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_another_process_made_meanwhile_stays(tmp_path: Path) -> None:
    """Both are made from the same inputs; the first one may be in use."""
    with new_folder(tmp_path / "tree") as made:
        (made.path / "late").write_text("x")
        (tmp_path / "tree").mkdir()
        (tmp_path / "tree" / "first").write_text("y")
    assert [path.name for path in (tmp_path / "tree").iterdir()] == ["first"]
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]


def test_what_a_killed_process_left_goes_with_the_next(tmp_path: Path) -> None:
    """A work folder whose lock no process holds is removed before a new one is made."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "tree")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1
    with new_folder(tmp_path / "other"):
        assert len(list(tmp_path.iterdir())) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_the_umask_does_not_count(tmp_path: Path) -> None:
    """A folder that several users share can be read by all of them."""
    before = os.umask(0o077)
    try:
        with new_folder(tmp_path / "tree"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "tree").stat().st_mode & 0o777 == 0o755


def test_a_path_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A file in the way of the folder above is an error for people, with the path."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(ToolError, match="cannot write"), new_folder(tmp_path / "file" / "tree"):
        pass


def test_walk_names_every_file_and_no_folder(tmp_path: Path) -> None:
    """Relative to the root, whatever the depth; an empty folder has no file."""
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    for name in ("x", "a/y", "a/b/z"):
        (tmp_path / name).touch()
    assert sorted(walk(tmp_path)) == ["a/b/z", "a/y", "x"]


def test_a_link_is_the_same_file(tmp_path: Path) -> None:
    """A second name, and no copy where the file system has links."""
    (tmp_path / "x").write_text("x")
    link(tmp_path / "x", tmp_path / "y")
    assert (tmp_path / "x").samefile(tmp_path / "y")


def test_where_no_link_can_be_there_is_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on another disk; the mode comes along."""

    def refuse(*names: object, **options: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "x").write_text("x")
    (tmp_path / "x").chmod(0o755)
    link(tmp_path / "x", tmp_path / "y")
    assert (tmp_path / "y").read_text() == "x"
    assert (tmp_path / "y").stat().st_mode & 0o777 == 0o755
    assert not (tmp_path / "x").samefile(tmp_path / "y")


def test_a_link_never_writes_into_a_file_that_is_there(tmp_path: Path) -> None:
    """That file may have other names; and a file that is not there has none to give."""
    (tmp_path / "x").write_text("x")
    (tmp_path / "y").write_text("y")
    with pytest.raises(FileExistsError):
        link(tmp_path / "x", tmp_path / "y")
    assert (tmp_path / "y").read_text() == "y"
    with pytest.raises(FileNotFoundError):
        link(tmp_path / "gone", tmp_path / "z")


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1, 3 << 20])
def test_a_digest_is_of_every_byte_from_where_the_file_stands(size: int) -> None:
    """Whatever the pieces that it is read in."""
    data = bytes(range(251)) * (size // 251 + 1)
    file = io.BytesIO(data)
    file.seek(1)
    assert sha256_of(file) == hashlib.sha256(data[1:]).hexdigest()
