"""Entries of the build cache, on a disk that may be full, read-only, shared or damaged."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from lambdapack.files import locked_folder, sweep_folders
from lambdapack.memo import CacheFolder
from lambdapack.progress import QUIET, Progress

PARTS = ".parts"
"""The folder where entries are made; the next build removes what a killed process leaves there."""
GONE = ".gone-"
"""The prefix of the names of entries that are being removed."""
LOCK = ".lock"
"""A lock file that every build holds, shared, as long as it runs."""
_DIGEST = hashlib.sha256().digest_size
_PART = "part-"


class BuildCache:
    """Values, and folders with a value that describes them.

    Nothing here raises for what the disk does: an entry that cannot be read is not there, one that cannot
    be written is made again by the next build, and the user is told once.

    Args:
        root: The build cache's folder; made when the first entry is.
        progress: Told what went wrong, and of damaged entries.
        enabled: Whether entries are found and kept at all.

    Attributes:
        asked, found: By kind, how many values were looked for, and how many were there.
    """

    def __init__(self, root: Path, progress: Progress = QUIET, *, enabled: bool = True) -> None:
        self.root = root
        self._progress = progress
        self._reads = self._writes = enabled
        self.asked: Counter[str] = Counter()
        self.found: Counter[str] = Counter()
        self._counting = threading.Lock()

    def path(self, kind: str, key: str) -> Path:
        """The path of an entry; ``key`` is hexadecimal."""
        return self.root / kind / key[:2] / key

    def get(self, kind: str, key: str) -> bytes | None:
        """A value, if it is there and undamaged."""
        value = self.read(self.path(kind, key)) if self._reads else None
        with self._counting:
            self.asked[kind] += 1
            self.found[kind] += value is not None
        return value

    def read(self, path: Path) -> bytes | None:
        """The value in a file of the cache; the file's time of last use is set, for the pruning."""
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self._give_up(f"read: {error.strerror or error}", reading=True)
            return None
        value = data[_DIGEST:]
        if hashlib.sha256(value).digest() != data[:_DIGEST]:
            self.discard(path)
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return value

    def put(self, kind: str, key: str, value: bytes) -> None:
        """Keep a value."""
        with self.making() as part:
            if part is not None:
                (part / "value").write_bytes(hashlib.sha256(value).digest() + value)
                self._publish(part / "value", self.path(kind, key))

    def put_folder(self, kind: str, key: str, part: Path, description: bytes) -> None:
        """Keep the folder ``part`` of ``making``, with the value ``description`` as its ``entry``."""
        with self._forgiving():
            (part / "entry").write_bytes(hashlib.sha256(description).digest() + description)
            self._publish(part, self.path(kind, key))

    def get_folder(self, kind: str, key: str) -> tuple[Path, bytes] | None:
        """A folder and its description; the caller checks the folder's files."""
        if not self._reads:
            return None
        path = self.path(kind, key)
        description = self.read(path / "entry")
        if description is None:
            # A folder without a description is of no use, and would be in the way of a new one.
            if path.is_dir():
                remove(path)
            return None
        return path, description

    @contextlib.contextmanager
    def making(self) -> Iterator[Path | None]:
        """A folder to make an entry in, gone when the block ends; ``None`` where no entry can be kept."""
        with contextlib.ExitStack() as held:
            part = None
            if self._writes:
                with self._forgiving():
                    (self.root / PARTS).mkdir(parents=True, exist_ok=True)
                    part = held.enter_context(locked_folder(self.root / PARTS, _PART))
            with self._forgiving():
                yield part

    def discard(self, path: Path) -> None:
        """Remove a damaged entry, and say so."""
        name = path.relative_to(self.root).as_posix()
        self._progress.note(f"a damaged entry of the build cache was thrown away ({name}); it is made again")
        remove(path)

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep others from removing what is used where it lies: the tools beside the build cache."""
        with contextlib.ExitStack() as held:
            with contextlib.suppress(OSError):
                self.root.mkdir(parents=True, exist_ok=True)
                lock = held.enter_context((self.root / LOCK).open("w"))
                fcntl.flock(lock, fcntl.LOCK_SH)
            sweep_folders(self.root / PARTS, _PART)
            yield

    def _publish(self, part: Path, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.replace(path)
        except OSError as error:
            # A folder does not replace a full one: another build made the same entry first.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise

    @contextlib.contextmanager
    def _forgiving(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            # Another process emptied the cache meanwhile: this entry is lost, the next need not be.
            return
        except OSError as error:
            self._give_up(f"written to: {error.strerror or error}", reading=False)

    def _give_up(self, what: str, *, reading: bool) -> None:
        if self._writes or (reading and self._reads):
            self._progress.warn(f"the build cache {self.root} cannot be {what}; the build goes on without it")
        self._writes = False
        self._reads = self._reads and not reading


def open_cache(cache_dir: Path, progress: Progress = QUIET, *, enabled: bool = True) -> BuildCache:
    """The build cache in the cache folder ``cache_dir``."""
    return BuildCache(CacheFolder.BUILDS.of(cache_dir), progress, enabled=enabled)


def remove(path: Path) -> OSError | None:
    """Remove a file or folder; a folder is renamed first, so that no process finds half of an entry.

    Returns:
        The error, if it could not be removed; that it is gone already is none.
    """
    try:
        if not path.is_dir() or path.is_symlink():
            path.unlink(missing_ok=True)
            return None
        if not path.name.startswith(GONE):
            path = path.replace(path.with_name(f"{GONE}{secrets.token_hex(6)}"))
        shutil.rmtree(path, ignore_errors=True)
    except FileNotFoundError:
        return None
    except OSError as error:
        return error
    return None
