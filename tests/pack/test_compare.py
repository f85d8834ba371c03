"""How two packs differ, for people: by what the index says, by file and owner, by order, by frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from lambdapack import pack
from lambdapack.errors import CheckError
from lambdapack.pack.compare import read_owners
from tests.support import packing

FILES: Mapping[str, bytes] = {**packing.SAMPLE, "loose/a.txt": b"1", "loose/b.txt": b"2"}
TOUCHED = packing.SAMPLE_TOUCHED


def made(
    folder: Path,
    files: Mapping[str, bytes] = FILES,
    touched: Iterable[str] = TOUCHED,
    *,
    executable: Iterable[str] = (),
    native: Iterable[str] = (),
    lock: str = packing.LOCK,
) -> Path:
    tree = packing.tree(folder / "tree", files, executable=executable)
    return pack.write(tree, packing.trace(*touched, native=native), lock, folder / "pack", level=1).path


def test_a_pack_does_not_differ_from_itself(tmp_path: Path) -> None:
    """Nor from one of the same bytes elsewhere."""
    assert pack.differences(made(tmp_path / "a"), made(tmp_path / "b")) == []


def test_each_file_that_differs_is_named_with_its_distribution(tmp_path: Path) -> None:
    """New, gone, other content, other mode; what no RECORD owns goes by its top-level name."""
    files = {**FILES, "demo/cold.py": b"# colder\n", "loose/c.txt": b"3"}
    del files["loose/a.txt"]
    other = made(tmp_path / "b", files, executable=["loose/b.txt"])
    *lines, frames = pack.differences(made(tmp_path / "a"), other)
    assert lines == [
        "demo 1.0: demo/cold.py has another content (7 bytes, and now 9)",
        "loose: loose/a.txt is not there now",
        "loose: loose/b.txt is executable now",
        "loose: loose/c.txt was not there",
    ]
    assert frames == (
        "frames: 2 is the first that differs, with demo/empty.txt in it; "
        "4 of 6 are in both, and now there are 6"
    )
    assert "loose: loose/b.txt is not executable now" in pack.differences(other, made(tmp_path / "c"))


def test_another_class_another_lock_and_another_order_are_said(tmp_path: Path) -> None:
    """The class of a file that native code opened; the lock's digest; the first file out of place."""
    one = made(tmp_path / "a")
    other = made(tmp_path / "b", touched=TOUCHED[::-1], native=TOUCHED[1:], lock="cd" * 32)
    lines = pack.differences(one, other)
    assert lines[:3] == [
        f"lock: {packing.LOCK!r}, and now {'cd' * 32!r}",
        "demo 1.0: demo/data.bin is of another class (d, and now n)",
        f"the order: file 0 was {TOUCHED[0]}, and is now {TOUCHED[1]}",
    ]
    assert lines[3].startswith(f"frames: 0 is the first that differs, with {TOUCHED[0]} in it; ")


def test_bytecode_and_licences_belong_to_their_distribution(tmp_path: Path) -> None:
    """By the pack's own RECORDs, for which bytecode that was compiled later does not exist."""
    files = {
        "a/x.py": b"", "a/__pycache__/x.cpython-311.pyc": b"", "space/a.py": b"", "space/b.py": b"",
        "space/other.txt": b"", "a-1.dist-info/RECORD": b'a/x.py,,\n"space/a.py",,\nb/gone.py,,\n',
        "b/left.txt": b"", "b-2.dist-info/RECORD": b"space/b.py,,\n", "b-2.dist-info/licenses/L": b"",
    }  # fmt: skip
    with pack.open_pack(packing.pack(tmp_path, files).path) as (file, _, index):
        owners = read_owners(pack.FileReader(file, index))
    assert {path: owners.of(path) for path in files} == {
        "a/x.py": "a 1",
        "a/__pycache__/x.cpython-311.pyc": "a 1",
        "space/a.py": "a 1",
        "space/b.py": "b 2",
        "space/other.txt": None,
        "a-1.dist-info/RECORD": "a 1",
        "b/left.txt": "a 1",
        "b-2.dist-info/RECORD": "b 2",
        "b-2.dist-info/licenses/L": "b 2",
    }


def test_a_damaged_pack_is_not_compared(tmp_path: Path) -> None:
    """A frame that is not what the index says makes the pack unsound."""
    sound, damaged = made(tmp_path / "a"), made(tmp_path / "b")
    data = bytearray(damaged.read_bytes())
    data[30] ^= 1
    damaged.write_bytes(data)
    with pytest.raises(CheckError, match="digest"):
        pack.differences(sound, damaged)
