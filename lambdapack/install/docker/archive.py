"""Tar archives, as which files go into a container and come out."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

Member = tuple[str, Path | bytes | None]
"""A name below the archive's root, and the file or the bytes to write there; ``None`` for a folder."""
_NOBODY = 1000
_EXECUTABLE, _PLAIN = 0o755, 0o644
# A zip, and so a wheel that is built of these files, has no time before 1980.
_TIME = 315_532_800


def user() -> int:
    """The user that owns files and runs commands in a container: the caller, or an ordinary one for root."""
    return (os.getuid() if hasattr(os, "getuid") else 0) or _NOBODY


def members_below(name: str, source: Path, keep: Callable[[Path], bool] = Path.is_file) -> Iterator[Member]:
    """A file as the member ``name``, or what to ``keep`` of a folder's files as members below ``name``."""
    if source.is_file():
        yield name, source
    for path in sorted(source.rglob("*")):
        if keep(path):
            yield f"{name}/{path.relative_to(source).as_posix()}", path


def write(file: IO[bytes], root: str, members: Iterable[Member]) -> None:
    """Write a tar of ``members`` below the folder ``root``, with the folders that they need."""
    made: set[PurePosixPath] = set()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in members:
            path = PurePosixPath(root, name)
            for folder in reversed([*([path] if content is None else []), *path.parents[:-1]]):
                if folder not in made:
                    made.add(folder)
                    entry = _entry(folder, _EXECUTABLE)
                    entry.type = tarfile.DIRTYPE
                    archive.addfile(entry)
            if content is not None:
                _add_file(archive, path, content)


def _add_file(archive: tarfile.TarFile, path: PurePosixPath, content: Path | bytes) -> None:
    executable = isinstance(content, Path) and os.access(content, os.X_OK)
    entry = _entry(path, _EXECUTABLE if executable else _PLAIN)
    with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as file:
        entry.size = file.seek(0, os.SEEK_END)
        file.seek(0)
        archive.addfile(entry, file)


def _entry(path: PurePosixPath, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(str(path))
    entry.mtime = _TIME
    entry.mode, entry.uid, entry.gid = mode, user(), user()
    return entry


def unpack(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> Path:
    """Write a regular file of an archive to ``path``, and return that."""
    path.parent.mkdir(parents=True, exist_ok=True)
    source = archive.extractfile(member)
    assert source is not None
    with source, path.open("wb") as file:
        shutil.copyfileobj(source, file)
    return path
