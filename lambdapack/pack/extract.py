"""Unpack a pack without ``tar``, verifying every frame before any of its bytes is used."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from pathlib import Path

from lambdapack.errors import ConfigurationError
from lambdapack.files import disk_errors
from lambdapack.pack.read import FileReader, FrameError, UnsoundError, open_pack
from lambdapack.progress import QUIET, Advance, Progress


def extract(path: Path, destination: Path, *, progress: Progress = QUIET) -> None:
    """Unpack the pack at ``path`` into ``destination``, which appears when all of it is there.

    Raises:
        ConfigurationError: ``destination`` exists and is not an empty folder, or there is no such pack.
        CheckError: The pack is not sound.
        ToolError: ``destination`` cannot be written to, or the disk is full.
    """
    with open_pack(path) as (file, _, index), disk_errors(destination):
        destination.parent.mkdir(parents=True, exist_ok=True)
        # Not ``files.new_folder``: that keeps a folder which appeared meanwhile, and removes its own by
        # ``shutil.rmtree``, which a path of 2,000 parts brings to an end.
        unpacked = Path(tempfile.mkdtemp(prefix=".lambdapack-", dir=destination.parent))
        root = os.open(unpacked, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fchmod(root, 0o755)
            with progress.step("unpack", total=sum(index.sizes), unit="B") as advance:
                _unpack(FileReader(file, index), root, advance)
            unpacked.replace(destination)
        except FrameError as error:
            raise UnsoundError(path, [str(error)]) from None
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise ConfigurationError(
                    f"{destination} is there already", hint="name a new folder"
                ) from None
            raise
        finally:
            if unpacked.exists():
                _clear(root)
                unpacked.rmdir()
            os.close(root)


def _unpack(reader: FileReader, root: int, advance: Advance) -> None:
    """Every file, below the open folder ``root``: how long a path may be does not depend on where that is."""
    index = reader.index
    executable = frozenset(index.executable)
    for number, name in enumerate(index.paths):
        with open(_create(root, name), "wb") as out:
            for piece in reader.pieces(number):
                out.write(piece)
            os.fchmod(out.fileno(), 0o755 if number in executable else 0o644)
        advance(index.sizes[number])


def _create(root: int, name: str) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(name, flags, 0o600, dir_fd=root)
    except FileNotFoundError:
        _make_folders(root, name.rpartition("/")[0])
        return os.open(name, flags, 0o600, dir_fd=root)


def _make_folders(root: int, folder: str) -> None:
    """Make ``folder`` and the folders above it, a step at a time: a path may have 2,000 parts."""
    at = os.dup(root)
    try:
        for name in folder.split("/"):
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, dir_fd=at)
            at = _step(at, name)
    finally:
        os.close(at)


def _step(at: int, name: str) -> int:
    """The open folder ``name`` of the open folder ``at``, which is closed."""
    inside = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
    os.close(at)
    return inside


def _clear(root: int) -> None:
    """Remove all below the open folder ``root``. ``shutil.rmtree`` is recursive before Python 3.13."""
    at = os.dup(root)
    try:
        entered: list[str] = []
        left = [_clear_files(at)]
        while left:
            if left[-1]:
                entered.append(left[-1].pop())
                at = _step(at, entered[-1])
                left.append(_clear_files(at))
            else:
                left.pop()
                if entered:
                    at = _step(at, "..")
                    os.rmdir(entered.pop(), dir_fd=at)
    finally:
        os.close(at)


def _clear_files(folder: int) -> list[str]:
    """Remove the files of an open folder; the names of its folders."""
    folders = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            else:
                os.unlink(entry.name, dir_fd=folder)
    return folders
