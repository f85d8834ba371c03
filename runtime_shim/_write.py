"""Placing frames: the arena's bytes where they belong, and real files that appear whole.

A real file is written beside the pack's files and renamed to its path once it is complete. So no half file
is ever seen, a program that is running is not written to, and a link at the path is replaced instead of
followed. Folders are opened one below the other without following links.

A file of several frames grows in a part file, which itself records the pieces that it has: behind the content
stand one byte a frame and a mark, and truncating or removing the part takes them away. The process that holds
the lock goes on with the parts of the processes that held the same lock file before.

Imported only by a process that writes: a warm start does without it.
"""

from __future__ import annotations

import errno
import posix
from bisect import bisect_right

from ._disk import MTIME
from ._journal import KIND, REGULAR, open_own, remove, write
from ._lock import current_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._disk import Place
    from ._lock import Lock

MARK = b"lambdapack part."
PREFIX = "part-"
# How often a file is written again because it was removed meanwhile.
TRIES = 5
FOLDER_FLAGS = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW


class Writer:
    """Writes frames of one place.

    Args:
        lock: The lock that this process holds meanwhile; without one, part files are this writer's own.
    """

    def __init__(self, place: Place, lock: Lock | None) -> None:
        self._place = place
        self._key = lock.name if lock is not None and not lock.shared else ""
        self._own = "%d-%s" % (posix.getpid(), posix.urandom(4).hex())
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
                # Neighbours in the arena go in one write, with the tar headers between them.
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
                        piece = data[low - start : high - start]
                        self._with_folders(self._put_piece, file, frame, piece, low - offset)
            file += 1
        if run_start >= 0:
            write(arena, data[run_start - start : run_end - start], run_start)
        place.record(frame)

    def put_file(self, file: int, data: bytes | memoryview) -> None:
        """Make the real file ``file`` of all its content."""
        self._with_folders(self._put_whole, file, data)

    def _put_whole(self, file: int, data: bytes | memoryview) -> None:
        new = part_name(self._place, file, self._own)
        fd = open_own(new, posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC)
        try:
            write(fd, data, 0)
            self._finish(file, new, fd)
        except OSError:
            remove(new)
            raise
        finally:
            posix.close(fd)

    def _put_piece(self, file: int, frame: int, data: memoryview, at: int) -> None:
        """Write one piece of a file of several frames; with the last piece the file appears."""
        index = self._place.index
        new = part_name(self._place, file, self._key or self._own)
        size, frames = index.sizes[file], index.frames_of(file)
        fd = open_own(new, posix.O_RDWR | posix.O_CREAT)
        try:
            if not sound(fd, size, len(frames)):
                # New, or truncated: none of its pieces is believed.
                posix.ftruncate(fd, size)
                write(fd, bytes(len(frames)) + MARK, size)
            write(fd, data, at)
            write(fd, b"\1", size + frame - frames[0])
            if posix.pread(fd, len(frames), size) == b"\1" * len(frames):
                posix.ftruncate(fd, size)
                self._finish(file, new, fd)
        finally:
            posix.close(fd)

    def _finish(self, file: int, new: str, fd: int) -> None:
        """Give a complete file its mode, its time and its name."""
        index = self._place.index
        # The list of executable files is short: a linear search is enough.
        posix.fchmod(fd, 0o755 if file in index.executable else 0o644)
        posix.utime(fd, (MTIME, MTIME))
        folder, _, name = index.paths[file].rpartition("/")
        below = self._folder(folder)
        try:
            posix.rename(new, name, dst_dir_fd=below)
        except (IsADirectoryError, NotADirectoryError):
            raise OSError(errno.EISDIR, "there is a folder in the place of", index.paths[file]) from None
        finally:
            posix.close(below)

    def _folder(self, path: str) -> int:
        """A descriptor of a folder of the pack; it and those above it are made where they are missing."""
        fd = posix.open(self._place.site, FOLDER_FLAGS)
        for name in path.split("/") if path else ():
            try:
                below = open_folder(name, fd)
            finally:
                posix.close(fd)
            fd = below
        return fd

    def _with_folders(self, work: object, *args: object) -> None:
        """Do ``work``, again if folders or the file itself are removed meanwhile."""
        for left in reversed(range(TRIES)):
            try:
                work(*args)  # type: ignore[operator]
                return
            except FileNotFoundError:
                if not left:
                    raise
                self._place.make_folders()

    def _sweep(self) -> None:
        """Remove the files that writers which no longer run have left behind."""
        place = self._place
        try:
            names = posix.listdir(place.base)
        except FileNotFoundError:
            return
        for name in names:
            owner = name.rpartition("_")[2] if name.startswith(PREFIX) else name.partition("-")[2]
            if owner and owner != self._key and not _runs(owner.partition("-")[0]):
                remove(place.base + "/" + name)


def open_folder(name: str, above: int) -> int:
    """A descriptor of the folder ``name`` in the folder ``above``, made where it is missing.

    A link or a file in the place of a folder of the pack is removed.
    """
    try:
        return posix.open(name, FOLDER_FLAGS, dir_fd=above)
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            raise
        posix.unlink(name, dir_fd=above)
    try:
        posix.mkdir(name, 0o755, dir_fd=above)
    except FileExistsError:
        pass  # another process was faster
    return posix.open(name, FOLDER_FLAGS, dir_fd=above)


def part_name(place: Place, file: int, owner: str) -> str:
    """The path at which ``owner`` writes a file until it is complete."""
    return "%s/%s%d_%s" % (place.base, PREFIX, file, owner)


def _runs(pid: str) -> bool:
    """Whether there is a process with this number."""
    try:
        posix.kill(int(pid), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def sound(fd: int, size: int, frames: int) -> bool:
    """Whether an open part file has its size and its mark, and so the pieces that it records."""
    state = posix.fstat(fd)
    return (
        state.st_size == size + frames + len(MARK)
        and state.st_mode & KIND == REGULAR
        and posix.pread(fd, len(MARK), size + frames) == MARK
    )


def pieces(place: Place, file: int) -> bytes:
    """A byte for each frame of ``file``, 1 where the part file of the lock's holders has its piece."""
    size, frames = place.index.sizes[file], len(place.index.frames_of(file))
    none = bytes(frames)
    key = current_name(place.base)
    if not key:
        return none
    try:
        fd = open_own(part_name(place, file, key), posix.O_RDONLY)
    except OSError:
        return none
    try:
        there = posix.pread(fd, frames, size) if sound(fd, size, frames) else none
        return there if len(there) == frames else none
    finally:
        posix.close(fd)
