"""How two packs differ: by what was installed, by file, by frame."""

from __future__ import annotations

import csv
import hashlib
import io
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lambdapack.files import sha256_of
from lambdapack.model import Owners
from lambdapack.pack.read import FileReader, FrameError, UnsoundError, open_pack
from runtime_shim._index import Index

_FIELDS = ("target", "lock", "tool", "glibc")
_DIST_INFO = re.compile(r"(?P<name>[^/]+?)-(?P<version>[^/-]+)\.dist-info/")
_RECORD_MAX = 8 * 1024 * 1024


@dataclass(frozen=True)
class _File:
    """What a pack says of a file, and its content's SHA-256."""

    owner: str
    kind: str
    size: int
    executable: bool
    sha256: str


def differences(first: Path, second: Path) -> list[str]:
    """In what the pack ``second`` differs from ``first``, a line each; none where every byte is the same."""
    if _digest(first) == _digest(second):
        return []
    index, files = _read(first)
    its_index, its_files = _read(second)
    lines = [
        f"{name}: {getattr(index, name)!r}, and now {getattr(its_index, name)!r}"
        for name in _FIELDS
        if getattr(index, name) != getattr(its_index, name)
    ]
    lines += _files(files, its_files)
    lines += _order(index, its_index)
    lines += _frames(index, its_index)
    return lines or ["the same index; but the bytes after the frames differ"]


def _digest(path: Path) -> str:
    with open_pack(path) as (file, _, _):
        file.seek(0)
        return sha256_of(file)


def _read(path: Path) -> tuple[Index, Mapping[str, _File]]:
    with open_pack(path) as (file, _, index):
        reader = FileReader(file, index)
        try:
            owners = read_owners(reader)
            executable = frozenset(index.executable)
            files = {
                name: _File(
                    owner=owners.of(name) or name.split("/", 1)[0],
                    kind=index.classes[number],
                    size=index.sizes[number],
                    executable=number in executable,
                    sha256=_content_digest(reader, number),
                )
                for number, name in enumerate(index.paths)
            }
        except FrameError as error:
            raise UnsoundError(path, [str(error)]) from None
    return index, files


def _content_digest(reader: FileReader, number: int) -> str:
    digest = hashlib.sha256()
    for piece in reader.pieces(number):
        digest.update(piece)
    return digest.hexdigest()


def _files(files: Mapping[str, _File], its: Mapping[str, _File]) -> Iterator[str]:
    for name in sorted({*files, *its}):
        mine, theirs = files.get(name), its.get(name)
        if mine is None and theirs is not None:
            yield f"{theirs.owner}: {name} was not there"
        elif theirs is None and mine is not None:
            yield f"{mine.owner}: {name} is not there now"
        elif mine is not None and theirs is not None and mine != theirs:
            yield f"{mine.owner}: {name} {_change(mine, theirs)}"


def _change(mine: _File, theirs: _File) -> str:
    if mine.sha256 != theirs.sha256:
        return f"has another content ({mine.size:,} bytes, and now {theirs.size:,})"
    if mine.executable != theirs.executable:
        return f"is {'' if theirs.executable else 'not '}executable now"
    return f"is of another class ({mine.kind}, and now {theirs.kind})"


def _order(index: Index, its: Index) -> Iterator[str]:
    if sorted(index.paths) != sorted(its.paths):
        return
    for number, (mine, theirs) in enumerate(zip(index.paths, its.paths, strict=True)):
        if mine != theirs:
            yield f"the order: file {number} was {mine}, and is now {theirs}"
            return


def _frames(index: Index, its: Index) -> Iterator[str]:
    mine = list(zip(index.frame_sha256, index.frame_size, strict=True))
    theirs = list(zip(its.frame_sha256, its.frame_size, strict=True))
    if mine == theirs:
        return
    pairs = zip(mine, theirs, strict=False)
    first = next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(mine), len(theirs)))
    same = len(set(mine) & set(theirs))
    held = next((path for n, path in enumerate(index.paths) if first in index.frames_of(n)), "no file")
    yield (
        f"frames: {first} is the first that differs, with {held} in it; "
        f"{same} of {len(mine)} are in both, and now there are {len(theirs)}"
    )


def read_owners(reader: FileReader) -> Owners:
    """The owners, as ``name version``, of the files in an open pack."""
    index = reader.index
    recorded: dict[str, str] = {}
    claims: dict[str, set[str]] = defaultdict(set)
    # A RECORD may list anything: what is remembered of it is about files and folders that are there.
    files, tops = frozenset(index.paths), frozenset(path.split("/", 1)[0] for path in index.paths)
    for number, path in enumerate(index.paths):
        match = _DIST_INFO.match(path)
        if not match:
            continue
        owner = recorded[path] = f"{match['name']} {match['version']}"
        if path.endswith("/RECORD") and index.sizes[number] <= _RECORD_MAX:
            for listed in _record(b"".join(reader.pieces(number))):
                top = listed.split("/", 1)[0]
                if listed in files:
                    recorded[listed] = owner
                elif top in tops:
                    claims[top].add(owner)
    return Owners(recorded, {top: frozenset(names) for top, names in claims.items()})


def _record(data: bytes) -> Iterator[str]:
    """The paths that a RECORD lists, up to the first line that is damaged."""
    try:
        for row in csv.reader(io.StringIO(data.decode(), newline="")):
            if row:
                yield posixpath.normpath(row[0])
    except (UnicodeDecodeError, csv.Error):
        return
