"""Files of a tree: which there are, second names for them, and their digests."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path

import pytest

from lambdapack.files import link, sha256_of, walk


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
