"""What is in a pack, for people: bytes by class, by distribution and by frame."""

from __future__ import annotations

import csv
import io
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lambdapack.pack.extract import Contents
from lambdapack.pack.read import FrameError, UnsoundError, open_pack
from runtime_shim import _index
from runtime_shim._index import Index

__all__ = ["FrameFacts", "Share", "Summary", "owners", "summarize"]

_DIST_INFO = re.compile(r"(?P<name>[^/]+?)-(?P<version>[^/-]+)\.dist-info/")
_RECORD_MAX = 8 * 1024 * 1024


@dataclass(frozen=True)
class Share:
    """A part of a pack's files.

    Attributes:
        name: A class, or a distribution as ``name version``; a top-level name
            where no distribution of the pack claims the files.
        files: How many.
        size: Their bytes, unpacked.
        stored: Their part of the compressed bytes, each frame's shared out by size.
    """

    name: str
    files: int
    size: int
    stored: int


@dataclass(frozen=True)
class FrameFacts:
    """One frame: its band, sizes in bytes, and the path of the first file that begins or goes on in it."""

    number: int
    band: Literal["hot", "rest", "lazy"]
    stored: int
    size: int
    files: int
    first: str


@dataclass(frozen=True)
class Summary:
    """A pack.

    Attributes:
        id, target, lock, tool, glibc: From the index.
        bytes: Size of the ``.tar.zst``.
        size: Size of the tar stream.
        files: How many.
        hot_bytes, eager_bytes: Compressed size of the frames that the trace touched, and of those that
            must be there before the first invocation.
        classes, distributions: Largest first.
        frames: In order.
    """

    id: str
    target: str
    lock: str
    tool: str
    glibc: str
    bytes: int
    size: int
    files: int
    hot_bytes: int
    eager_bytes: int
    classes: tuple[Share, ...]
    distributions: tuple[Share, ...]
    frames: tuple[FrameFacts, ...]


def summarize(path: Path) -> Summary:
    """Summary of the pack at ``path``.

    Raises:
        CheckError: It is not a sound pack.
        ConfigurationError, ToolError: There is none, or it cannot be read.
    """
    with open_pack(path) as (file, pack_id, index):
        try:
            owned = owners(Contents(file, index), index)
        except FrameError as error:
            raise UnsoundError(path, [str(error)]) from None
    stored = _stored(index)
    classes = [_index.CLASS_NAMES[letter] for letter in index.classes]
    return Summary(
        id=pack_id,
        target=index.target,
        lock=index.lock,
        tool=index.tool,
        glibc=index.glibc,
        bytes=path.stat().st_size,
        size=index.frame_start[-1],
        files=len(index.paths),
        hot_bytes=index.frame_stored_start[index.hot],
        eager_bytes=index.frame_stored_start[index.eager],
        classes=_shares(classes, index, stored),
        distributions=_shares(owned, index, stored),
        frames=tuple(_frames(index)),
    )


def _stored(index: Index) -> list[float]:
    """Each file's part of the compressed bytes."""
    parts = []
    for number, (offset, size) in enumerate(zip(index.offsets, index.sizes, strict=True)):
        part = 0.0
        for held in index.frames_of(number):
            start = max(offset, index.frame_start[held])
            stop = min(offset + size, index.frame_start[held + 1])
            part += index.frame_stored[held] * (stop - start) / index.frame_size[held]
        parts.append(part)
    return parts


def _shares(names: Iterable[str], index: Index, stored: Iterable[float]) -> tuple[Share, ...]:
    totals: dict[str, tuple[int, int, float]] = {}
    for name, size, part in zip(names, index.sizes, stored, strict=True):
        files, total, compressed = totals.get(name, (0, 0, 0.0))
        totals[name] = (files + 1, total + size, compressed + part)
    shares = (Share(name, files, size, round(part)) for name, (files, size, part) in totals.items())
    return tuple(sorted(shares, key=lambda share: (-share.stored, share.name)))


def _frames(index: Index) -> Iterable[FrameFacts]:
    files: dict[int, list[int]] = {}
    for number in range(len(index.paths)):
        for held in index.frames_of(number):
            files.setdefault(held, []).append(number)
    for number, (stored, size) in enumerate(zip(index.frame_stored, index.frame_size, strict=True)):
        held_files = files.get(number, [])
        yield FrameFacts(
            number=number,
            band="hot" if number < index.hot else "rest" if number < index.eager else "lazy",
            stored=stored,
            size=size,
            files=len(held_files),
            first=index.paths[held_files[0]] if held_files else "",
        )


def owners(contents: Contents, index: Index) -> list[str]:
    """Distribution of each file, ``name version``: from RECORD, else from who owns its top-level name."""
    recorded: dict[str, str] = {}
    claims: dict[str, set[str]] = {}
    # A RECORD may list anything: what is kept of it is about files that are there.
    files, tops = frozenset(index.paths), frozenset(path.split("/", maxsplit=1)[0] for path in index.paths)
    for number, path in enumerate(index.paths):
        match = _DIST_INFO.match(path)
        if not match:
            continue
        owner = recorded[path] = f"{match['name']} {match['version']}"
        if path.endswith("/RECORD") and index.sizes[number] <= _RECORD_MAX:
            for listed in _record(b"".join(contents.pieces(number))):
                top = listed.split("/", maxsplit=1)[0]
                if listed in files:
                    recorded[listed] = owner
                elif top in tops:
                    claims.setdefault(top, set()).add(owner)
    for path, owner in recorded.items():
        claims.setdefault(path.split("/", maxsplit=1)[0], set()).add(owner)
    return [
        recorded.get(path) or recorded.get(_source(path)) or _claimed(path, claims) for path in index.paths
    ]


def _record(data: bytes) -> Iterator[str]:
    """Paths in a RECORD; what is not one lists nothing more."""
    try:
        for row in csv.reader(io.StringIO(data.decode(), newline="")):
            if row:
                yield posixpath.normpath(row[0])
    except (UnicodeDecodeError, csv.Error):
        return


def _source(path: str) -> str:
    """The source of a ``.pyc`` (RECORD does not list bytecode that we compiled); other paths as they are."""
    folder, _, name = path.rpartition("/")
    if not (name.endswith(".pyc") and folder.endswith("__pycache__")):
        return path
    return posixpath.join(posixpath.dirname(folder), name.split(".")[0] + ".py")


def _claimed(path: str, claims: Mapping[str, set[str]]) -> str:
    top = path.split("/", maxsplit=1)[0]
    owners = claims.get(top, set())
    return next(iter(owners)) if len(owners) == 1 else top
