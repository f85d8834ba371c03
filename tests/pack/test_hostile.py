"""Indexes and packs made to exhaust memory or the stack of whoever reads them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import zstandard

from lambdapack import pack
from lambdapack.errors import CheckError
from lambdapack.pack import check, tail
from lambdapack.pack.stream import END, padding, tar_header
from runtime_shim import _index

DEEP = "a/" * 2040 + "x"
"""A path of 2,040 folders that the format allows."""

# The interpreter with lambdapack imported takes some 100 MB of addresses.
_LIMITED = """
import resource, sys
from lambdapack import pack
from lambdapack.pack import check
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)
{statement}
"""


def limited(statement: str, mebibytes: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``statement`` in a process that may have so much memory and no more."""
    command = [sys.executable, "-c", _LIMITED.format(statement=statement), str(mebibytes << 20), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def forged(folder: Path, paths: Sequence[str], contents: Sequence[bytes] | None = None) -> Path:
    """A pack of these files whose digests are right, in one frame, and whatever else is wrong with it."""
    contents = contents or [b""] * len(paths)
    stream, offsets = bytearray(), []
    for path, content in zip(paths, contents, strict=True):
        stream += tar_header(path, len(content), False)
        offsets.append(len(stream))
        stream += content + bytes(padding(len(content)))
    stream += END
    frame = zstandard.compress(bytes(stream))
    index = _index.Index(
        target="any", lock="ab" * 32, tool="forger 1", glibc="", hot=0, eager=1,
        frame_stored=[len(frame)], frame_size=[len(stream)], frame_sha256=[hashlib.sha256(frame).hexdigest()],
        paths=list(paths), classes="d" * len(paths), sizes=[*map(len, contents)], offsets=offsets,
        executable=[], needs={}, native={},
    )  # fmt: skip
    return assembled(folder, frame, index)


def assembled(folder: Path, frame: bytes, index: _index.Index) -> Path:
    encoded = _index.encode(index)
    index_frame = tail.encode_index_frame(encoded)
    seek = [*zip(index.frame_stored, index.frame_size, strict=True), (len(index_frame), 0)]
    path = folder / f"{hashlib.sha256(encoded).hexdigest()}.tar.zst"
    path.write_bytes(frame + index_frame + tail.encode_seek_table(seek))
    return path


def test_deep_paths_cost_memory_as_they_are_long(tmp_path: Path) -> None:
    """250 paths of 2,000 folders each are a sound pack, checked in memory that sets of all folders (one of
    the depth's square a path) would exceed ten times over.
    """
    path = forged(tmp_path, [f"{number:05}/{DEEP[:4000]}x" for number in range(250)])
    done = limited("print(pack.verify(__import__('pathlib').Path(sys.argv[2])))", 400, str(path))
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_records_of_files_that_are_not_there_cost_nothing(tmp_path: Path) -> None:
    """A megabyte of RECORD is a hundred thousand paths: only those of the pack are remembered."""
    paths = [f"d{number:02}-1.dist-info/RECORD" for number in range(40)]
    records = ["".join(f"{number}/{line}\n" for line in range(40_000)).encode() for number in range(40)]
    path = forged(tmp_path, paths, records)
    statement = (
        "from lambdapack.pack.compare import read_owners; from pathlib import Path\n"
        "with pack.open_pack(Path(sys.argv[2])) as (file, _, index):\n"
        "    print(len(read_owners(pack.FileReader(file, index)).recorded))"
    )
    done = limited(statement, 170, str(path))
    assert (done.stdout, done.stderr) == ("40\n", "")


@pytest.mark.parametrize(
    ("part", "value", "word"),
    [
        ('"needs":{', '"0":[' + "[]," * 4_000_000 + "[]]", "brackets"),
        ('"native":{', '"*":[' + "0," * 9_000_000 + "0]", "commas"),
        ('"path":[', '"' + "a/" * 8_000_000 + 'a"', "is longer than"),
        ('"path":[', ",".join(['""'] * 1_000_000), "different lengths"),
    ],
    ids=["lists", "numbers", "one-path", "paths"],
)
def test_memory_is_bounded_by_what_the_format_allows(
    tmp_path: Path, part: str, value: str, word: str
) -> None:
    """Not by what 64 MB of JSON can be made to mean."""
    index = _index.encode(_one_file())
    data = tmp_path / "index.json"
    data.write_bytes(
        index.replace(part.encode() + (b'"x"' if "path" in part else b""), (part + value).encode())
    )
    assert len(data.read_bytes()) > 1_000_000
    done = limited("print(check.problems(open(sys.argv[2], 'rb').read())[0])", 500, str(data))
    assert word in done.stdout, done.stderr


def _one_file() -> _index.Index:
    return _index.Index(
        target="any", lock="ab" * 32, tool="x", glibc="", hot=0, eager=1, frame_stored=[9], frame_size=[1536],
        frame_sha256=["ab" * 32], paths=["x"], classes="d", sizes=[0], offsets=[512], executable=[],
        needs={}, native={},
    )  # fmt: skip


def test_no_more_problems_are_collected_than_can_be_read() -> None:
    """A message takes a hundred times the memory of what it complains of."""
    index = _one_file()
    index.paths, index.classes = ["/"] * 5000, "?" * 5000
    index.sizes, index.offsets = [0] * 5000, [512] * 5000
    assert len(check.problems(_index.encode(index))) == check.PROBLEMS_MAX


def test_integers_that_python_would_not_print() -> None:
    """They are told from others before a message is made of them."""
    index = _one_file()
    index.paths, index.classes, index.sizes = ["x", "y"], "dd", [0, 0]
    index.offsets = [512, -(10**4299)]
    assert check.problems(_index.encode(index)) == ["files.offset is not a list of integers"]


def test_a_frame_cannot_claim_more_than_zstd_makes_of_its_content() -> None:
    """A file of holes would otherwise be read into 4 GiB of memory for one frame."""
    index = _one_file()
    index.frame_stored = [2**32 - 1]
    assert "stored size 4294967295" in check.problems(_index.encode(index))[0]


@pytest.mark.parametrize("depth", [1_500, 100_000, 1_000_000])
@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_nesting_is_refused_and_not_followed(depth: int, opening: str) -> None:
    """By the builder and by the shim, each with its own error, at any depth, anywhere."""
    bare = (opening * depth).encode()
    inside = _index.encode(_one_file()).replace(b'"native":{', b'"native":{"*":' + bare)
    for data in (bare, inside):
        assert check.problems(data)
        for parse in (_index.loads, _index.decode):
            with pytest.raises(_index.IndexFormatError):
                parse(data)


def test_two_thousand_nested_folders_are_unpacked(tmp_path: Path) -> None:
    """And the file in the last of them is right."""
    path = forged(tmp_path, [DEEP, "a/b/c", "top"], [b"deep", b"c", b"top"])
    pack.extract(path, tmp_path / "out")
    root = os.open(tmp_path / "out", os.O_RDONLY)
    try:
        descriptor = os.open(DEEP, os.O_RDONLY, dir_fd=root)
        assert os.read(descriptor, 99) == b"deep"
        os.close(descriptor)
    finally:
        os.close(root)
    assert (tmp_path / "out/a/b/c").read_bytes() == b"c"
    # pytest's own removal of old folders is recursive.
    subprocess.run(["rm", "-rf", str(tmp_path / "out")], check=True)


def test_what_was_unpacked_of_an_unsound_pack_is_removed(tmp_path: Path) -> None:
    """Even where it is deeper than Python's stack."""
    path = forged(tmp_path, ["a/" * 1100 + "x", "b/c"])
    index = pack.read_index(path)[1]
    first, second = path.read_bytes()[: index.frame_stored[0]], zstandard.compress(b"short")
    # One more file, whose header takes the place of the first frame's last zeros, and its content a frame.
    index.paths.append("z")
    index.classes += "d"
    index.sizes.append(1024)
    index.offsets.append(index.frame_size[0] - 512)
    index.frame_stored.append(len(second))
    index.frame_size.append(512 + 1024)
    index.frame_sha256.append(hashlib.sha256(second).hexdigest())
    index.eager = 2
    worse = assembled(tmp_path, first + second, index)
    with pytest.raises(CheckError, match="frame 1: its header says 5 bytes, the index 1536"):
        pack.extract(worse, tmp_path / "out")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted([path.name, worse.name])
