"""What is in the cache, how big and how old it is, and taking away what is not used."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lambdapack.errors import ToolError
from lambdapack.memo import CacheFolder
from lambdapack.pipeline.cache.store import GONE, LOCK, PARTS, remove

__all__ = ["LIMIT", "Contents", "Part", "Pruned", "prune", "survey"]

_BUILDS = CacheFolder.BUILDS.value
LIMIT = 5_000_000_000
"""Bytes that the build cache may hold after a build, unless told."""


@dataclass(frozen=True)
class Part:
    """One kind of thing in the cache.

    Attributes:
        name: e.g. ``frames``.
        entries: How many.
        bytes: Together.
        oldest, newest: Seconds since the entry not used for the longest time was used, and since the one
            used last; 0 where there is none.
    """

    name: str
    entries: int
    bytes: int
    oldest: float
    newest: float


@dataclass(frozen=True)
class Contents:
    """The whole cache.

    Attributes:
        path: Its folder.
        parts: By name.
    """

    path: Path
    parts: tuple[Part, ...]

    @property
    def bytes(self) -> int:
        """All parts together."""
        return sum(part.bytes for part in self.parts)


@dataclass(frozen=True)
class Pruned:
    """What was taken away.

    Attributes:
        entries, bytes: How much.
        spared: What had to stay, since a build that runs uses it.
    """

    entries: int
    bytes: int
    spared: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Entry:
    part: str
    path: Path
    bytes: int
    used: float


def survey(cache_dir: Path) -> Contents:
    """Look at everything in the cache folder; one that is not there holds nothing."""
    now = time.time()
    found: dict[str, list[_Entry]] = {}
    for entry in _entries(cache_dir):
        found.setdefault(entry.part, []).append(entry)
    parts = []
    for name, entries in sorted(found.items()):
        ages = [max(0.0, now - entry.used) for entry in entries]
        size = sum(entry.bytes for entry in entries)
        parts.append(Part(name, len(entries), size, max(ages), min(ages)))
    return Contents(cache_dir, tuple(parts))


def prune(
    cache_dir: Path,
    *,
    older_than: float | None = None,
    max_bytes: int | None = None,
    everything: bool = False,
    builds_only: bool = False,
) -> Pruned:
    """Take away what was not used for the longest time. A build that runs goes on all the same.

    An entry of the build cache may go at any time. What is kept beside it (pip-tools, wheels built from
    sdists) is used as it lies there: it stays as long as a build runs.

    Args:
        cache_dir: The cache folder.
        older_than: Everything not used for as many seconds.
        max_bytes: As much as is needed for the rest to be no larger.
        everything: All of it.
        builds_only: Only the build cache.

    Raises:
        ToolError: Something cannot be removed.
    """
    now = time.time()
    with _alone(cache_dir) as alone:
        entries = sorted(_entries(cache_dir), key=lambda entry: entry.used)
        spared = set() if alone else {entry.part for entry in entries if not _ours(entry, cache_dir)}
        if builds_only:
            spared = {entry.part for entry in entries if not _ours(entry, cache_dir)}
        total = sum(entry.bytes for entry in entries if not builds_only or _ours(entry, cache_dir))
        gone: list[_Entry] = []
        failed: OSError | None = None
        for entry in entries:
            if entry.path.name.startswith(GONE):
                # Half removed by a process that was killed: nobody uses it, nobody asked for it.
                failed = failed or remove(entry.path)
                continue
            old = older_than is not None and now - entry.used > older_than
            excess = max_bytes is not None and total > max_bytes
            if entry.part not in spared and (everything or old or excess):
                failed = failed or remove(entry.path)
                total -= entry.bytes
                gone.append(entry)
        if everything and alone:
            # The lock stays: on a new one, a build that waits for this one would hold nobody off.
            for left in (*_listed(cache_dir), *_listed(CacheFolder.BUILDS.of(cache_dir))):
                if left.name not in (_BUILDS, LOCK):
                    failed = failed or remove(left)
    if failed is not None and not builds_only:
        raise ToolError(f"cannot remove {failed.filename}: {failed.strerror}", hint="see who may write there")
    return Pruned(len(gone), sum(entry.bytes for entry in gone), () if builds_only else tuple(sorted(spared)))


@contextlib.contextmanager
def _alone(cache_dir: Path) -> Iterator[bool]:
    """Whether no build runs; none that begins meanwhile gets past its beginning."""
    try:
        lock = (CacheFolder.BUILDS.of(cache_dir) / LOCK).open("r")
    except OSError:
        # No build has been here, or none can be.
        yield True
        return
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _ours(entry: _Entry, cache_dir: Path) -> bool:
    """Whether it may go while a build runs: what a build is making may not."""
    return entry.path.is_relative_to(CacheFolder.BUILDS.of(cache_dir)) and entry.part != f"{_BUILDS}/{PARTS}"


def _entries(cache_dir: Path) -> Iterator[_Entry]:
    for part in _listed(cache_dir):
        if part.name != _BUILDS:
            yield from _beside(part)
            continue
        for kind in filter(Path.is_dir, _listed(part)):
            shelves = [kind] if kind.name == PARTS else _listed(kind)
            for path in (path for shelf in shelves for path in _listed(shelf)):
                if one := _entry(f"{_BUILDS}/{kind.name}", path):
                    yield one


def _beside(part: Path) -> Iterator[_Entry]:
    for path in _listed(part) if part.is_dir() else [part]:
        if (one := _entry(part.name, path)) and path.suffix != ".lock":
            yield one


def _listed(folder: Path) -> Sequence[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise ToolError(f"cannot read {folder}: {error.strerror}") from error


def _entry(part: str, path: Path) -> _Entry | None:
    """``None`` where it went meanwhile."""
    with contextlib.suppress(OSError):
        used = (path / "entry" if (path / "entry").is_file() else path).lstat().st_mtime
        if path.is_symlink() or not path.is_dir():
            return _Entry(part, path, path.lstat().st_size, used)
        return _Entry(part, path, _size(path), used)
    return None


def _size(folder: Path) -> int:
    size = 0
    for found, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                size += Path(found, name).lstat().st_size
    return size
