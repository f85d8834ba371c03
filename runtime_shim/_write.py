"""Placing frames: the arena's bytes where they belong, and real files that appear whole.

A real file is written beside the pack's files and renamed to its path when all of it is there, so that
nobody sees half of one, a program that runs is not written to, and a link at its path is replaced instead
of followed. Folders are opened one below the other without following links.

A file of several frames grows in a part file, which says by itself which of its pieces it has: behind
the content stand one byte a frame and a mark, and whoever cuts or removes the part takes them away with it.
The holder of the lock goes on with the parts of whoever held that very lock before.

Imported only by who writes: a warm start does without it.
"""

from __future__ import annotations

import errno
from bisect import bisect_right
from posix import (
    O_CLOEXEC,
    O_CREAT,
    O_DIRECTORY,
    O_NOFOLLOW,
    O_RDONLY,
    O_RDWR,
    O_TRUNC,
    O_WRONLY,
    close,
    fchmod,
    fstat,
    ftruncate,
    getpid,
    listdir,
    mkdir,
    open,
    pread,
    rename,
    unlink,
    urandom,
    utime,
)

from ._disk import MTIME
from ._journal import KIND, REGULAR, write
from ._lock import current_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._disk import Place
    from ._lock import Lock

MARK = b"lambdapack part."
PREFIX = "part-"
# Who writes a file that others remove meanwhile tries again, not for ever.
TRIES = 5


class Writer:
    """Writes frames of one place.

    Args:
        place: Where they go.
        lock: The lock under which this is done; without one, parts are this writer's own.
    """

    def __init__(self, place: Place, lock: Lock | None = None) -> None:
        self._place = place
        self._key = lock.name if lock is not None and not lock.shared else ""
        self._own = "%d-%s" % (getpid(), urandom(4).hex())
        if self._key:
            self._sweep()

    def put(self, frame: int, data: memoryview) -> None:
        """Write every piece of ``frame`` to its place, then journal it."""
        place, index = self._place, self._place.index
        start = index.frame_start[frame]
        end = start + len(data)
        file = max(bisect_right(index.offsets, start) - 1, 0)
        run_start = run_end = -1
        arena = place.arena() if place.in_arena else -1
        while file < len(index.offsets) and index.offsets[file] < end:
            offset, size = index.offsets[file], index.sizes[file]
            low, high = max(offset, start), min(offset + size, end)
            if index.classes[file] in place.in_arena:
                # Neighbours go in one write, with the tar headers between them.
                if low < high:
                    run_start = low if run_start < 0 else run_start
                    run_end = high
            elif low <= high:
                if run_start >= 0:
                    write(arena, data[run_start - start : run_end - start], run_start)
                    run_start = -1
                if not place.whole(file):
                    if low == offset and high == offset + size:
                        self.put_file(file, data[low - start : high - start])
                    elif low < high:
                        self._put_piece(file, frame, data[low - start : high - start], low - offset)
            file += 1
        if run_start >= 0:
            write(arena, data[run_start - start : run_end - start], run_start)
        place.record(frame)

    def put_file(self, file: int, data: bytes | memoryview) -> None:
        """Make the real file ``file`` of all its content."""
        new = self._name(file, self._own)
        self._with_folders(self._put_whole, file, new, data)

    def _put_whole(self, file: int, new: str, data: bytes | memoryview) -> None:
        fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0o600)
        try:
            write(fd, data, 0)
            self._finish(file, new, fd)
        except OSError:
            self._remove(new)
            raise
        finally:
            close(fd)

    def _put_piece(self, file: int, frame: int, data: memoryview, at: int) -> None:
        """Write one piece of a file of several frames; with the last of them the file appears."""
        new = self._name(file, self._key or self._own)
        self._with_folders(self._put_part, file, frame, new, data, at)

    def _put_part(self, file: int, frame: int, new: str, data: memoryview, at: int) -> None:
        index = self._place.index
        size, frames = index.sizes[file], index.frames_of(file)
        fd = open(new, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0o600)
        try:
            if not sound(fd, size, len(frames)):
                # New, or cut: nothing in it is believed.
                ftruncate(fd, 0)
                ftruncate(fd, size)
                write(fd, bytes(len(frames)) + MARK, size)
            write(fd, data, at)
            write(fd, b"\1", size + frame - frames[0])
            if pread(fd, len(frames), size) == b"\1" * len(frames):
                ftruncate(fd, size)
                self._finish(file, new, fd)
        finally:
            close(fd)

    def _finish(self, file: int, new: str, fd: int) -> None:
        """Give a file its mode and its name."""
        index = self._place.index
        # Listed once a pack and short, so a linear search is enough.
        fchmod(fd, 0o755 if file in index.executable else 0o644)
        utime(fd, (MTIME, MTIME))
        folder, _, name = index.paths[file].rpartition("/")
        below = self._folder(folder)
        try:
            rename(new, name, dst_dir_fd=below)
        except (IsADirectoryError, NotADirectoryError):
            raise OSError(errno.EISDIR, "there is a folder in the place of", index.paths[file]) from None
        finally:
            close(below)

    def _folder(self, path: str) -> int:
        """A descriptor of a folder of the pack; it and those above it are made where they are missing."""
        flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
        fd = open(self._place.site, flags)
        for name in path.split("/") if path else ():
            try:
                try:
                    below = open(name, flags, dir_fd=fd)
                except FileNotFoundError:
                    try:
                        mkdir(name, 0o755, dir_fd=fd)
                    except FileExistsError:
                        pass
                    below = open(name, flags, dir_fd=fd)
                except OSError as error:
                    if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                        raise
                    # A link or a file in the place of a folder of the pack: it goes.
                    unlink(name, dir_fd=fd)
                    mkdir(name, 0o755, dir_fd=fd)
                    below = open(name, flags, dir_fd=fd)
            finally:
                close(fd)
            fd = below
        return fd

    def _with_folders(self, work: object, *args: object) -> None:
        """Do ``work``, again where somebody removes folders or the file itself meanwhile."""
        for left in reversed(range(TRIES)):
            try:
                work(*args)  # type: ignore[operator]
                return
            except FileNotFoundError:
                if not left:
                    raise
                self._place.make_folders()

    def _name(self, file: int, owner: str) -> str:
        return part_name(self._place, file, owner)

    def _remove(self, path: str) -> None:
        try:
            unlink(path)
        except OSError:
            pass

    def _sweep(self) -> None:
        """Remove what writers have left behind that no longer run."""
        place = self._place
        try:
            names = listdir(place.base)
        except FileNotFoundError:
            return
        for name in names:
            owner = name.rpartition("_")[2] if name.startswith(PREFIX) else name.partition("-")[2]
            if owner and owner != self._key and not _runs(owner.partition("-")[0]):
                self._remove(place.base + "/" + name)


def part_name(place: Place, file: int, owner: str) -> str:
    """Where a file is written until it is whole."""
    return "%s/%s%d_%s" % (place.base, PREFIX, file, owner)


def _runs(pid: str) -> bool:
    from posix import kill

    try:
        kill(int(pid), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def sound(fd: int, size: int, frames: int) -> bool:
    """Whether an open part file can be gone on with."""
    state = fstat(fd)
    return (
        state.st_size == size + frames + len(MARK)
        and state.st_mode & KIND == REGULAR
        and pread(fd, len(MARK), size + frames) == MARK
    )


def pieces(place: Place, file: int) -> bytes:
    """A byte for each frame of ``file``, 1 where the part that the lock's holders write has its piece."""
    index = place.index
    frames = len(index.frames_of(file))
    nothing = bytes(frames)
    key = current_name(place.base)
    if not key:
        return nothing
    try:
        fd = open(part_name(place, file, key), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
    except OSError:
        return nothing
    try:
        if not sound(fd, index.sizes[file], frames):
            return nothing
        found = pread(fd, frames, index.sizes[file])
        return found if len(found) == frames else nothing
    finally:
        close(fd)
