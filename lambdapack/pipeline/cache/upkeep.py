"""What is in the cache, how big and how old it is; and the removal of what is not used."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lambdapack.errors import ToolError
from lambdapack.files import walk
from lambdapack.memo import CacheFolder
from lambdapack.pipeline.cache.build_cache import GONE, LOCK, PARTS, remove

_BUILDS = CacheFolder.BUILDS.value
LIMIT = 5_000_000_000
"""Bytes that the build cache may hold after a build, unless another limit is set."""


@dataclass(frozen=True)
class FolderUsage:
    """How one folder of the cache is used.

    Attributes:
        name: e.g. ``builds/frames`` or ``tools``.
        oldest, newest: Seconds since the last use of the entry that was not used for the longest time, and
            of the entry that was used last; 0 where there is none.
    """

    name: str
    entries: int
    bytes: int
    oldest: float
    newest: float


@dataclass(frozen=True)
class Pruning:
    """What a pruning took away.

    Attributes:
        entries, bytes: How much.
        spared: Names of the folders that had to stay, since a build that runs uses them.
    """

    entries: int
    bytes: int
    spared: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Entry:
    """A file or folder of the cache that goes or stays as a whole; ``used`` is in seconds of the epoch."""

    folder: str
    path: Path
    bytes: int
    used: float

    @property
    def in_build_cache(self) -> bool:
        """Whether it may go while a build runs: unlike the tools, and unlike what a build is making."""
        return self.folder.startswith(f"{_BUILDS}/") and self.folder != f"{_BUILDS}/{PARTS}"

    @property
    def half_gone(self) -> bool:
        """Whether its removal was begun, by a process that was killed."""
        return self.path.name.startswith(GONE)


def survey(cache_dir: Path) -> tuple[FolderUsage, ...]:
    """How each folder of the cache is used, by name; there are none in a cache that does not exist."""
    now = time.time()
    by_folder: dict[str, list[_Entry]] = {}
    for entry in _entries(cache_dir):
        by_folder.setdefault(entry.folder, []).append(entry)
    folders = []
    for name, entries in sorted(by_folder.items()):
        ages = [max(0.0, now - entry.used) for entry in entries]
        size = sum(entry.bytes for entry in entries)
        folders.append(FolderUsage(name, len(entries), size, max(ages), min(ages)))
    return tuple(folders)


def prune(
    cache_dir: Path,
    *,
    older_than: float | None = None,
    max_bytes: int | None = None,
    everything: bool = False,
    builds_only: bool = False,
) -> Pruning:
    """Remove what was not used for the longest time.

    A build that runs is not disturbed: an entry of the build cache may go at any time, and what is used where
    it lies (pip-tools, wheels built from sdists) stays as long as a build runs.

    Args:
        older_than: Entries go that were not used for as many seconds.
        max_bytes: Entries go until the rest is no larger.
        everything: All entries go.
        builds_only: Only entries of the build cache go, and only they count.

    Raises:
        ToolError: An entry cannot be removed.
    """
    with _no_build_runs(cache_dir) as idle:
        entries = sorted(_entries(cache_dir), key=lambda entry: entry.used)
        beside = {entry.folder for entry in entries if not entry.in_build_cache}
        spared = beside if builds_only or not idle else set()
        total = sum(entry.bytes for entry in entries if not builds_only or entry.in_build_cache)
        gone = [entry for entry in entries if not entry.half_gone and entry.folder not in spared]
        if not everything:
            gone = list(_unused(gone, total, older_than, max_bytes))
        paths = [entry.path for entry in (*gone, *(entry for entry in entries if entry.half_gone))]
        if everything and idle:
            paths += _tops(cache_dir)
        failures = [failure for path in paths if (failure := remove(path))]
    if failures and not builds_only:
        error = failures[0]
        raise ToolError(f"cannot remove {error.filename}: {error.strerror}", hint="see who may write there")
    size = sum(entry.bytes for entry in gone)
    return Pruning(len(gone), size, () if builds_only else tuple(sorted(spared)))


def _unused(
    entries: Iterable[_Entry], total: int, older_than: float | None, max_bytes: int | None
) -> Iterator[_Entry]:
    """Those of ``entries``, by last use, that are too old or too much; ``total`` are the bytes of all."""
    now = time.time()
    for entry in entries:
        old = older_than is not None and now - entry.used > older_than
        if old or (max_bytes is not None and total > max_bytes):
            total -= entry.bytes
            yield entry


@contextlib.contextmanager
def _no_build_runs(cache_dir: Path) -> Iterator[bool]:
    """Whether no build runs; one that begins during the block waits for the block's end."""
    try:
        lock = (CacheFolder.BUILDS.of(cache_dir) / LOCK).open("r")
    except OSError:
        # No build has used this cache, or none can.
        yield True
        return
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _tops(cache_dir: Path) -> Iterator[Path]:
    """Every file and folder at the top of the cache, and at the top of the build cache."""
    for path in (*_listed(cache_dir), *_listed(CacheFolder.BUILDS.of(cache_dir))):
        # The lock file stays: builds that lock different files would not see each other.
        if path.name not in (_BUILDS, LOCK):
            yield path


def _entries(cache_dir: Path) -> Iterator[_Entry]:
    for top in _listed(cache_dir):
        if top.name == _BUILDS:
            yield from _in_builds(top)
            continue
        for path in _listed(top) if top.is_dir() else [top]:
            if path.suffix != ".lock" and (entry := _entry(top.name, path)):
                yield entry


def _in_builds(builds: Path) -> Iterator[_Entry]:
    """``builds/frames/3f/3fa1…``, and ``builds/.parts/part-…`` without a folder for the first digits."""
    for kind in filter(Path.is_dir, _listed(builds)):
        folders = [kind] if kind.name == PARTS else _listed(kind)
        for path in (path for folder in folders for path in _listed(folder)):
            if entry := _entry(f"{_BUILDS}/{kind.name}", path):
                yield entry


def _listed(folder: Path) -> Sequence[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise ToolError(f"cannot read {folder}: {error.strerror}") from error


def _entry(folder: str, path: Path) -> _Entry | None:
    """The entry at ``path``; ``None`` where another process removed that meanwhile."""
    with contextlib.suppress(OSError):
        used = (path / "entry" if (path / "entry").is_file() else path).lstat().st_mtime
        if path.is_symlink() or not path.is_dir():
            return _Entry(folder, path, path.lstat().st_size, used)
        size = 0
        for name in walk(path):
            with contextlib.suppress(OSError):
                size += (path / name).lstat().st_size
        return _Entry(folder, path, size, used)
    return None
