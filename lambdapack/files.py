"""Files that appear whole or not at all, and work folders that do not outlive their process for long."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO

from lambdapack.errors import ToolError

__all__ = [
    "NewFolder", "Part", "disk_errors", "is_ignored", "link", "locked_folder", "new_folder", "part_file",
    "scratch_folder", "sha256_of", "sweep_folders", "sweep_scratch", "walk", "work_folder",
    "write_bytes",
]  # fmt: skip

_PREFIX = ".lambdapack-"
_SUFFIX = ".part"
# Nothing that a person would call a folder of theirs: what is called so may be removed.
_SCRATCH = ".lambdapack-scratch-"
_NEW = ".lambdapack-new-"
_PIECE = 1024 * 1024


@dataclass(frozen=True)
class Part:
    """A file in the making.

    Attributes:
        file: Open for writing and reading.
        path: Its hidden name.
    """

    file: BinaryIO
    path: Path

    def publish(self, path: Path) -> None:
        """Flush the file to the disk and call it ``path``, in the place of what was called so."""
        self.file.flush()
        # mkstemp's 0600 would make a shared build folder unreadable.
        os.fchmod(self.file.fileno(), 0o644)
        os.fsync(self.file.fileno())
        self.path.replace(path)


@contextlib.contextmanager
def part_file(folder: Path) -> Iterator[Part]:
    """A hidden file in ``folder`` (made when missing), gone when the block ends unless it was published.

    A killed process leaves its part; the next ``part_file`` in that folder removes it: its lock is
    free.

    Raises:
        ToolError: The folder cannot be written to, or the disk is full.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for part in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
            with contextlib.suppress(OSError), part.open("rb") as left:
                fcntl.flock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
                part.unlink()
        descriptor, name = tempfile.mkstemp(prefix=_PREFIX, suffix=_SUFFIX, dir=folder)
        try:
            with os.fdopen(descriptor, "w+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield Part(file, Path(name))
        finally:
            Path(name).unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file at once."""
    with part_file(path.parent) as made:
        made.file.write(data)
        made.publish(path)


@contextlib.contextmanager
def locked_folder(parent: Path, prefix: str, mode: int = 0o700) -> Iterator[Path]:
    """A new folder in ``parent``, which is there already; gone when the block ends.

    The folder is locked meanwhile, so that ``sweep_folders`` can tell it from the folders of killed
    processes. A process's number could not tell: in a container the same small numbers come again and again.
    """
    lock = None
    while lock is None:
        # The name is known before the folder is there: Ctrl-C may come right after it was made.
        path = parent / f"{prefix}{secrets.token_hex(6)}"
        try:
            path.mkdir(mode)
            lock = _lock(path)
        except BaseException:
            _remove(path)
            raise
    try:
        yield path
    finally:
        try:
            _remove(path)
        finally:
            os.close(lock)


@contextlib.contextmanager
def work_folder(parent: Path, prefix: str, mode: int = 0o700) -> Iterator[Path]:
    """``locked_folder``, after the folders of that prefix that killed processes left were removed."""
    sweep_folders(parent, prefix)
    with locked_folder(parent, prefix, mode) as path:
        yield path


@dataclass(frozen=True)
class NewFolder:
    """A folder in the making.

    Attributes:
        path: What gets the final name; it is there and empty.
        work: A folder for whatever is needed meanwhile, on the same disk.
    """

    path: Path
    work: Path


@contextlib.contextmanager
def new_folder(destination: Path) -> Iterator[NewFolder]:
    """A folder that appears as ``destination`` when the block ends, whole, or not at all; parents are made.

    An empty folder is replaced. A ``destination`` that another process made meanwhile stays: both are made
    from the same inputs. The next ``new_folder`` beside it removes what a killed process left.

    Raises:
        ToolError: The disk is full, or nothing can be written there.
    """
    with contextlib.ExitStack() as stack:
        with disk_errors(destination.parent):
            destination.parent.mkdir(parents=True, exist_ok=True)
            work = stack.enter_context(work_folder(destination.parent, _NEW))
            made = NewFolder(work / "new", work)
            made.path.mkdir()
            # The process's umask does not count: a shared build folder stays readable.
            made.path.chmod(0o755)
        yield made
        with disk_errors(destination):
            try:
                made.path.rename(destination)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A new folder among the system's temporary ones, gone when the block ends."""
    parent = Path(tempfile.gettempdir())
    with contextlib.ExitStack() as stack:
        with disk_errors(parent):
            path = stack.enter_context(work_folder(parent, _SCRATCH))
        yield path


def sweep_scratch() -> None:
    """Remove what killed processes left among the system's temporary folders."""
    # As tempfile looks for it, but without trying to write there: most commands need none.
    sweep_folders(Path(os.environ.get("TMPDIR") or "/tmp"), _SCRATCH)


def sweep_folders(parent: Path, prefix: str) -> None:
    """Remove this user's folders in ``parent`` that begin with ``prefix`` and that no process holds."""
    with contextlib.suppress(OSError):
        for path in parent.iterdir():
            if path.name.startswith(prefix):
                _sweep_folder(path)


def _sweep_folder(path: Path) -> None:
    with contextlib.suppress(OSError), contextlib.ExitStack() as closing:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        closing.callback(os.close, descriptor)
        if os.fstat(descriptor).st_uid == os.geteuid():
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)


def _lock(path: Path) -> int | None:
    """Lock a new folder; ``None`` where it was swept before it was locked."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    # Without locks there is no sweeping either.
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    with contextlib.suppress(OSError):
        if os.path.samestat(path.lstat(), os.fstat(descriptor)):
            return descriptor
    os.close(descriptor)
    return None


def _remove(folder: Path) -> None:
    """Remove ``folder``, wholly also when Ctrl-C comes meanwhile."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except KeyboardInterrupt:
        shutil.rmtree(folder, ignore_errors=True)
        raise


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an operating system's error about ``path`` into one for people."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ToolError(
                f"no space left while writing {path}", hint="free some, or name another folder"
            ) from error
        raise ToolError(f"cannot write {path}: {error.strerror or error}") from error


def is_ignored(name: str, is_folder: bool, patterns: Sequence[str]) -> bool:
    """Whether the last of ``patterns`` (as in ``.gitignore``, in short) that matches ``name`` leaves it out.

    Args:
        name: Path relative to the folder, POSIX style.
        is_folder: Whether ``name`` is a folder: the pattern ``folder/`` matches folders alone.
        patterns: A name, ``folder/``, ``a/path`` from the root, ``!`` to take one back.
    """
    ignored = False
    for pattern in patterns:
        wanted = pattern.removeprefix("!")
        if wanted.endswith("/") and not is_folder:
            continue
        bare = wanted.strip("/")
        anchored = "/" in wanted.rstrip("/")
        if fnmatchcase(name if anchored else name.rpartition("/")[2], bare):
            ignored = not pattern.startswith("!")
    return ignored


def walk(root: Path) -> Iterator[str]:
    """The paths of all files below ``root``, relative to it, POSIX style, in no order."""
    for folder, _, names in os.walk(root):
        relative = os.path.relpath(folder, root)
        for name in names:
            yield name if relative == "." else f"{relative}/{name}"


def link(source: str | Path, place: str | Path) -> None:
    """Give a file a second name; copy it where that cannot be, as on another disk.

    Raises:
        OSError: ``place`` is there already, or ``source`` is not.
    """
    try:
        os.link(source, place, follow_symlinks=False)
    except (FileExistsError, FileNotFoundError):
        # A copy would write into a file that may have other names.
        raise
    except OSError:
        shutil.copy2(source, place, follow_symlinks=False)


def sha256_of(file: BinaryIO) -> str:
    """SHA-256, hex, of ``file`` from where it stands to its end."""
    digest = hashlib.sha256()
    while piece := file.read(_PIECE):
        digest.update(piece)
    return digest.hexdigest()
