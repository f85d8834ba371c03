"""What is in the wheels of a lock, without the wheels."""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path

import pytest

from lambdapack.errors import ToolError
from lambdapack.lock import wheel_contents
from lambdapack.model import Lock, Pin, PipOptions, Wheel
from tests.lock.test_index import BIG, TARGET, Index, index, lock
from tests.support.told import Told
from tests.support.wheelhouse import elf, only_place, wheel

__all__ = ["index"]


def library(loaded: int, size: int) -> bytes:
    """A shared object of ``size`` bytes of which the first ``loaded`` are loaded, in two segments."""
    head = bytearray(elf("x86_64"))
    struct.pack_into("<Q", head, 32, 64)
    struct.pack_into("<H", head, 56, 2)
    for offset, filled in ((0, 4096), (4096, loaded - 4096)):
        head += struct.pack("<IIQQQQQQ", 1, 5, offset, offset, offset, filled, filled, 4096)
    return bytes(head) + os.urandom(size - len(head))


def sizes(found: Wheel) -> dict[str, tuple[int, int]]:
    return {file.path: (file.size, file.loaded) for file in found.files if ".dist-info" not in file.path}


def test_the_directory_of_a_wheel_is_read_by_ranges(index: Index, tmp_path: Path) -> None:
    """Sizes, compressed sizes and metadata, of a fraction of the wheel; a library says what of it stays."""
    files = {**BIG, "big/x.so": library(200_000, 900_000), "big-1.data/purelib/more.py": b"x = 1\n"}
    path = wheel(index.folder, "big", "1", needs=["small"], files=files)
    wheel(index.folder, "small", "1")
    made = lock(tmp_path, "big")
    index.sent.clear()
    told = Told()
    big, small = wheel_contents(made, told)
    assert (big.name, big.version, small.name) == ("big", "1", "small")
    assert sizes(big) == {
        "big/data.bin": (3_000_000, 3_000_000), "big/__init__.py": (0, 0), "big/x.so": (900_000, 200_000),
        "more.py": (6, 6),
    }  # fmt: skip
    assert b"Requires-Dist: small" in big.metadata
    assert 0 < index.sent[path.name] < 500_000
    assert told.notes == []


def test_an_index_without_ranges_gives_the_whole_wheel(index: Index, tmp_path: Path) -> None:
    """The same is found, and the user is told why it takes longer."""
    path = wheel(index.folder, "big", "1", files={**BIG, "big/x.so": library(200_000, 900_000)})
    made = lock(tmp_path, "big")
    (ranged,) = wheel_contents(made, Told())
    index.ranges = False
    index.sent.clear()
    told = Told()
    assert wheel_contents(made, told) == (ranged,)
    assert sum(index.sent.values()) >= path.stat().st_size
    assert told.notes == ["downloaded whole, as the index gives no parts of files: big"]


def test_a_folder_of_wheels_is_looked_into_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the file with the locked hash counts; a hash that no file has is an error with its name."""
    folder = only_place(tmp_path / "wheels", monkeypatch)
    path = wheel(folder, "big", "1", files={"big.py": b"1\n"})
    digest = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    made = Lock(TARGET, (2, 26), (Pin("big", "1", (digest,)),), ("big",), PipOptions.find_links(folder))
    (found,) = wheel_contents(made, Told())
    assert sizes(found) == {"big.py": (2, 2)}
    wrong = Lock(TARGET, (2, 26), (Pin("big", "1", ("sha256:" + "0" * 64,)),), ("big",), made.sources)
    with pytest.raises(ToolError, match=r"big \(the index has no wheel with a locked hash\)"):
        wheel_contents(wrong, Told())


def test_what_is_locked_as_an_sdist_is_left_out() -> None:
    """Nothing is known of what would be built of it."""
    made = Lock(TARGET, (2, 26), (Pin("big", "1", ("sha256:" + "0" * 64,)),), ("big",), built=("big",))
    assert wheel_contents(made, Told()) == ()
