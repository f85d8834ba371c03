"""Read packs that come from anywhere: no byte of a pack is believed before it was checked."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice, pairwise
from pathlib import Path
from typing import BinaryIO

import zstandard

from lambdapack.errors import CheckError, ConfigurationError, ToolError
from lambdapack.files import write_bytes
from lambdapack.pack import check, tail
from lambdapack.pack.assembly import Pack
from lambdapack.pack.stream import END, padding, tar_header
from runtime_shim import _index
from runtime_shim._index import Index

_SUFFIX = ".tar.zst"
_REPORT = "build.json"
_NAME = re.compile(r"[0-9a-f]{64}\.tar\.zst\Z")
_SHOWN = 20


class UnsoundError(CheckError):
    """A file is not a sound pack; ``problems`` are all that were found."""

    def __init__(self, path: Path, problems: Sequence[str]) -> None:
        more = [f"... and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        super().__init__(
            f"{path} is not a sound pack: {problems[0]}",
            hint="build it again (lambdapack build), or fetch it again from where it came",
            detail="\n".join([*problems[:_SHOWN], *more]) if len(problems) > 1 else None,
        )
        self.problems = tuple(problems)


class FrameError(ValueError):
    """A frame is not what the index says."""


def read_index(path: Path) -> tuple[str, Index]:
    """Id and index of the pack at ``path``; reads the end of the file alone.

    Raises:
        UnsoundError: The file is not a sound pack; carries every problem that was found.
        ToolError: The file cannot be read.
    """
    with open_pack(path) as (_, pack_id, index):
        return pack_id, index


@contextmanager
def open_pack(path: Path) -> Iterator[tuple[BinaryIO, str, Index]]:
    """The open file, id and index of the pack at ``path``; raises as ``read_index`` does."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise ConfigurationError(f"there is no pack at {path}", hint="run: lambdapack build") from None
    except OSError as error:
        raise ToolError(f"cannot read {path}: {error.strerror}") from error
    with file:
        try:
            seek, encoded = tail.read_tail(file)
        except tail.TailError as error:
            raise UnsoundError(path, [str(error)]) from None
        except OSError as error:
            raise ToolError(f"cannot read {path}: {error.strerror}") from error
        problems = check.problems(encoded)
        if not problems:
            index = _index.decode(encoded)
            if list(zip(index.frame_stored, index.frame_size, strict=True)) != seek:
                problems = ["the seek table and the index give different sizes"]
        if problems:
            raise UnsoundError(path, problems)
        yield file, hashlib.sha256(encoded).hexdigest(), index


def load(directory: Path) -> Pack:
    """The pack that was built into ``directory``: the one its build.json names, else the only one.

    ``directory`` may also be the ``.tar.zst`` itself. Where the index is not beside it, it is written there.

    Raises:
        ConfigurationError: There is none, or more than one.
        CheckError: It is not a sound pack, or not the pack that its name or build.json says.
    """
    path = directory if directory.is_file() else _find(directory)
    pack_id, index = read_index(path)
    if _NAME.match(path.name) and path.name != pack_id + _SUFFIX:
        raise UnsoundError(path, [f"it holds the pack {pack_id}: its name is another's"])
    index_path = path.with_name(f"{pack_id}.index.json")
    if not index_path.exists():
        # The pack came alone, from a bucket say: its index is inside.
        write_bytes(index_path, _index.encode(index))
    elif index_path.read_bytes() != _index.encode(index):
        raise CheckError(f"{index_path} is not the index of {path.name}", hint=f"remove it: rm {index_path}")
    return Pack(pack_id, path, index_path, index)


def _find(directory: Path) -> Path:
    named = _named(directory / _REPORT)
    if named is not None:
        return directory / f"{named}{_SUFFIX}"
    packs = sorted(path for path in directory.glob(f"*{_SUFFIX}") if not path.name.startswith("."))
    if len(packs) == 1:
        return packs[0]
    if not packs:
        raise ConfigurationError(f"there is no pack in {directory}", hint="run: lambdapack build")
    raise ConfigurationError(
        f"{directory} holds {len(packs)} packs and no {_REPORT} that says which one is meant",
        hint="name the .tar.zst file instead of the folder",
    )


def _named(report: Path) -> str | None:
    """The id that a build report gives."""
    try:
        document = json.loads(report.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    pack_id = document.get("id") if isinstance(document, dict) else None
    return pack_id if isinstance(pack_id, str) and _NAME.match(pack_id + _SUFFIX) else None


def _frame(file: BinaryIO, index: Index, number: int) -> bytes:
    """Verified content of one frame: its digest, its size and its zstd header are what the index says."""
    file.seek(index.frame_stored_start[number])
    data = file.read(index.frame_stored[number])
    if hashlib.sha256(data).hexdigest() != index.frame_sha256[number]:
        raise FrameError(f"frame {number}: its digest is not the index's")
    size = index.frame_size[number]
    try:
        header = zstandard.get_frame_parameters(data)
        if header.content_size != size:
            raise FrameError(f"frame {number}: its header says {header.content_size} bytes, the index {size}")
        # In one call: the output buffer has exactly the size that was just checked, whatever follows.
        content = zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise FrameError(f"frame {number}: not a zstd frame: {error}") from None
    if len(content) != size:
        raise FrameError(f"frame {number}: not exactly one zstd frame of {size} bytes")
    return content


class FileReader:
    """Reads the files of an open pack; cheap when they are read in the pack's order."""

    def __init__(self, file: BinaryIO, index: Index) -> None:
        self.index = index
        self._file = file
        self._cached: tuple[int, bytes] = (-1, b"")

    def pieces(self, number: int) -> Iterator[memoryview]:
        """The content of file ``number``, a frame's share at a time.

        Raises:
            FrameError: A frame is not what the index says.
        """
        index = self.index
        start, stop = index.offsets[number], index.offsets[number] + index.sizes[number]
        for held in index.frames_of(number):
            if self._cached[0] != held:
                self._cached = (held, _frame(self._file, index, held))
            base = index.frame_start[held]
            yield memoryview(self._cached[1])[max(0, start - base) : stop - base]


def verify(path: Path) -> list[str]:
    """Every problem of the pack at ``path``: its name, index, frames and tar headers; empty when sound.

    Raises:
        ConfigurationError: There is no such file.
        ToolError: It cannot be read.
    """
    problems: list[str] = []
    try:
        with open_pack(path) as (file, pack_id, index):
            problems += _names(path, pack_id, index)
            problems += islice(_contents(file, index), check.PROBLEMS_MAX)
    except UnsoundError as error:
        problems += error.problems
    return problems


def _names(path: Path, pack_id: str, index: Index) -> Iterator[str]:
    if path.name != pack_id + _SUFFIX:
        yield f"the file is named {path.name}, its id is {pack_id}"
    beside = path.with_name(f"{pack_id}.index.json")
    if beside.exists() and beside.read_bytes() != _index.encode(index):
        yield f"{beside.name} is not the index of this pack"


def _contents(file: BinaryIO, index: Index) -> Iterator[str]:
    """What is wrong with the frames, a frame in memory at a time, and with what stands between the files."""
    ranges = _between(index)
    offset, expected, problem = next(ranges)
    for number, (start, stop) in enumerate(pairwise(index.frame_start)):
        try:
            content = _frame(file, index, number)
        except FrameError as error:
            yield str(error)
            continue
        # The parts that begin in this frame; each ends in this frame too.
        while offset < stop:
            at = offset - start
            if expected is None or (at >= 0 and content[at : at + len(expected)] != expected):
                yield problem
            offset, expected, problem = next(ranges, (index.frame_start[-1], None, ""))


def _between(index: Index) -> Iterator[tuple[int, bytes | None, str]]:
    """Offset, expected bytes, and the problem if the pack has others; no bytes where it has it anyway.

    The bytes are made as the frames go by: the headers of all files can be larger than the index by a factor
    of 50.
    """
    executable = frozenset(index.executable)
    end = 0
    for number, (path, size) in enumerate(zip(index.paths, index.sizes, strict=True)):
        header = tar_header(path, size, number in executable)
        if end + len(header) != index.offsets[number]:
            yield end, None, f"{path}: its offset does not leave room for its tar header"
        else:
            yield end, header, f"{path}: its tar header is not the one that the index implies"
        end = index.offsets[number] + size
        if padding(size):
            yield end, bytes(padding(size)), f"{path}: it is not padded with zeros"
        end += padding(size)
    yield end, END, "the archive does not end in two blocks of zeros"
