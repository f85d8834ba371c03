"""An asset as its user names it, its files, and their digest."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lambdapack.errors import ConfigurationError, ToolError
from lambdapack.files import is_ignored, sha256_of
from lambdapack.pack.check import path_problem
from lambdapack.pack.stream import Member

# A file that was changed within this time before it was hashed may change again and look the same.
_TICK_NS = 2_000_000_000

Fetch = Literal["start", "use"]


@dataclass(frozen=True)
class Asset:
    """An asset of the configuration.

    Attributes:
        name: What ``runtime_shim.path`` takes.
        path: A file or a folder.
        fetch: ``start``: in the background of a cold start; ``use``: when it is first asked for.
        ignore: Patterns of files of a folder to leave out.
        level: zstd level.
    """

    name: str
    path: Path
    fetch: Fetch = "start"
    ignore: tuple[str, ...] = ()
    level: int = 19


Stamp = tuple[int, ...]
"""Size, mtime, ctime and inode of a file, times in nanoseconds: while they stay, so does its content.

The ctime changes even where the mtime is put back."""


@dataclass(frozen=True)
class Content:
    """What is in an asset.

    Attributes:
        files: The files, by name, each with its stamp; names are relative to the asset's folder.
        single: The file's name where the asset is a file, else ``""``.
    """

    files: Mapping[Member, Stamp]
    single: str

    @property
    def size(self) -> int:
        """Sum of the files' sizes, in bytes."""
        return sum(file.size for file in self.files)


def collect(asset: Asset) -> Content:
    """Look at the asset's files. Symbolic links are followed, as model hubs' caches are made of them.

    Raises:
        ConfigurationError: There is no such file or folder, nothing is in it, or a pack cannot carry it.
    """
    path = asset.path
    if path.is_file():
        return Content(dict([_look(asset, path, path.name)]), path.name)
    if not path.is_dir():
        raise ConfigurationError(
            f"asset {asset.name}: there is no file or folder {path}", hint="mend its path under [assets]"
        )
    files = dict(sorted(_walk(asset, path, "", ()), key=lambda file: file[0].name))
    if not files:
        raise ConfigurationError(
            f"asset {asset.name}: there are no files in {path}", hint="mend its path or ignore under [assets]"
        )
    return Content(files, "")


def _walk(asset: Asset, folder: Path, prefix: str, above: Sequence[Path]) -> Iterator[tuple[Member, Stamp]]:
    here = folder.resolve()
    if here in above:
        raise ConfigurationError(
            f"asset {asset.name}: {folder} is a link to a folder above it", hint="remove it, or ignore it"
        )
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        raise ConfigurationError(f"asset {asset.name}: cannot list {folder}: {error.strerror}") from None
    for entry in entries:
        name = prefix + entry.name
        is_folder = entry.is_dir()
        if is_ignored(name, is_folder, asset.ignore):
            continue
        if is_folder:
            yield from _walk(asset, entry, name + "/", (*above, here))
        else:
            yield _look(asset, entry, name)


def _look(asset: Asset, path: Path, name: str) -> tuple[Member, Stamp]:
    problem = path_problem(name)
    if problem:
        raise ConfigurationError(
            f"asset {asset.name}: a pack cannot carry {path}: the name {problem}", hint="rename or ignore it"
        )
    try:
        status = path.stat()
    except OSError as error:
        raise ConfigurationError(f"asset {asset.name}: cannot read {path}: {error.strerror}") from None
    if not path.is_file() or not os.access(path, os.R_OK):
        raise ConfigurationError(
            f"asset {asset.name}: {path} is not a file that can be read", hint="remove it, or ignore it"
        )
    stamp = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    return Member(path, name, status.st_size, bool(status.st_mode & 0o100)), stamp


def digest(content: Content, known: Mapping[str, tuple[Stamp, str]]) -> dict[str, str]:
    """SHA-256 of each file by name; a file that looks as it did when ``known`` was made is not read."""
    digests = {}
    for file, stamp in content.files.items():
        known_stamp, before = known.get(file.name, (None, ""))
        digests[file.name] = before if known_stamp == stamp else _hash(file)
    return digests


def settled(content: Content, hashed_ns: int) -> dict[str, Stamp]:
    """Stamps by name of the files whose stamp says that they stay what they were at ``hashed_ns``."""
    return {file.name: stamp for file, stamp in content.files.items() if stamp[2] + _TICK_NS < hashed_ns}


def _hash(file: Member) -> str:
    try:
        with file.path.open("rb") as opened:
            return sha256_of(opened)
    except OSError as error:
        raise ToolError(f"cannot read {file.path}: {error.strerror}") from None
