"""The shim's own files: the seal of an index, and the arena and its journal, which a process keeps open.

The function's code may close a descriptor of theirs and open another file under its number, and may remove
or truncate the files. So a stamp of random bytes stands at the end of arena and journal: truncating a file
takes its stamp away, a new arena has a new stamp, and any other file has none. Bytes that were read are
believed if the stamp was still there afterwards.
"""

from __future__ import annotations

import errno
import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

STAMP = 16
MARK = b"lp01"
# Bits of st_mode: the mask of the file's type, a regular file, a folder, and write permission for others than
# the owner.
KIND, REGULAR, FOLDER, OTHERS_WRITE = 0o170000, 0o100000, 0o040000, 0o022


def new_stamp() -> bytes:
    """A stamp that no file has yet."""
    return MARK + posix.urandom(STAMP - len(MARK))


class Seal:
    """A note that an earlier process of this environment checked this very index file and found it sound.

    Digest and check of an index are a third of a warm start. A changed file cannot be given the change time
    (ctime) that it had before; and only this user can write the seal, who could change this process as well.

    Args:
        index: Descriptor of the index's file.
        path: Pack id -> path of that pack's seal.
    """

    def __init__(self, index: int, path: Callable[[str], str]) -> None:
        state = posix.fstat(index)
        times = state.st_mtime_ns, state.st_ctime_ns
        self._text = "%d %d %d %d %d" % (state.st_dev, state.st_ino, state.st_size, *times)
        self._path = path
        self._held = False

    def holds(self, pack_id: str) -> bool:
        """Whether there is a seal of this index under ``pack_id``."""
        try:
            fd = open_own(self._path(pack_id), posix.O_RDONLY)
        except (OSError, ValueError):
            return False
        try:
            text = posix.pread(fd, 512, 0)
            self._held = text == self._line(pack_id) and posix.fstat(fd).st_uid == posix.geteuid()
        except OSError:
            pass
        finally:
            posix.close(fd)
        return self._held

    def put(self, pack_id: str) -> None:
        """Write the seal. Errors are ignored: without a seal the next process checks the index again."""
        if self._held:
            return
        try:
            fd = open_own(self._path(pack_id), posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC)
        except OSError:
            return
        try:
            write(fd, self._line(pack_id), 0)
        except OSError:
            pass
        finally:
            posix.close(fd)

    def _line(self, pack_id: str) -> bytes:
        return (self._text + " " + pack_id + "\n").encode("utf-8", "replace")


class OpenFile:
    """A file that is kept open, whose descriptor the function's code may have closed or reused meanwhile.

    Args:
        size: Bytes of its content, which its stamp follows.
    """

    __slots__ = ("_fd", "_identity", "path", "size")

    def __init__(self, path: str, size: int) -> None:
        self.path = path
        self.size = size
        self._fd = -1
        self._identity = (0, 0)

    def read(self, size: int, offset: int) -> bytes:
        """The bytes that ``pread`` gives, ``b""`` where the descriptor is closed or cannot be read."""
        try:
            return posix.pread(self._fd, size, offset)
        except OSError:
            return b""

    def stamp(self) -> bytes:
        """The stamp at the file's end, ``b""`` if there is none."""
        stamp = self.read(STAMP, self.size)
        return stamp if len(stamp) == STAMP and stamp.startswith(MARK) else b""

    def descriptor(self) -> int:
        """The descriptor to write to; call it only right after ``stamp`` has shown that it is the file's."""
        return self._fd

    def open(self) -> bytes:
        """Open what is at ``path`` now; its stamp, ``b""`` if there is no file or not one of the shim's."""
        self.close()
        try:
            fd = open_own(self.path, posix.O_RDWR)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
                return b""
            raise
        state = posix.fstat(fd)
        if state.st_uid != posix.geteuid() or state.st_mode & KIND != REGULAR:
            posix.close(fd)
            return b""
        self._fd, self._identity = fd, (state.st_dev, state.st_ino)
        return self.stamp() if state.st_size == self.size + STAMP else b""

    def close(self) -> None:
        """Close the descriptor, unless its number stands for another file by now."""
        fd, self._fd = self._fd, -1
        if fd >= 0 and identity(fd) == self._identity:
            posix.close(fd)

    def moved(self) -> bool:
        """Whether ``path`` leads to another file than the open one by now, or to none."""
        try:
            state = posix.lstat(self.path)
        except OSError:
            return True
        return (state.st_dev, state.st_ino) != self._identity

    def make(self, content: bytes, stamp: bytes, *, replace: bool) -> None:
        """Write the file at ``path``: ``content``, zeros up to its size, and ``stamp``.

        The file appears whole. Without ``replace`` a file that is there already stays.
        """
        new = "%s-%d-%s" % (self.path, posix.getpid(), posix.urandom(4).hex())
        fd = open_own(new, posix.O_RDWR | posix.O_CREAT | posix.O_EXCL)
        try:
            posix.ftruncate(fd, self.size)
            write(fd, content, 0)
            write(fd, stamp, self.size)
            if replace:
                posix.rename(new, self.path)
                return
            try:
                posix.link(new, self.path)
            except FileExistsError:
                pass
            posix.unlink(new)
        except OSError:
            remove(new)
            raise
        finally:
            posix.close(fd)


class Journal:
    """Which frames are in place: a byte a frame, remembered for as long as the arena is the same.

    A frame that was in place once is not looked up in the file again: the arena's stamp tells whether that
    still holds.

    Args:
        frames: Their number; the file may have further bytes behind theirs.
    """

    def __init__(self, file: OpenFile, frames: int) -> None:
        self.file = file
        self.frames = frames
        self._known = bytearray(frames)
        self._stamp = b""

    def begin(self, stamp: bytes) -> None:
        """From now on speak of the arena with this ``stamp``; of another arena nothing is remembered."""
        if stamp != self._stamp:
            self._stamp = stamp
            self._known = bytearray(self.frames)

    def known(self) -> bytes:
        """One byte a frame, as far as this process has looked."""
        return bytes(self._known)

    def raw(self) -> bytes:
        """The bytes in the file, ``b""`` if it is not there or belongs to another arena."""
        data = self._read()
        if not data and self._stamp and self.file.open() == self._stamp:
            data = self._read()
        return data

    def _read(self) -> bytes:
        """The bytes that the descriptor gives, ``b""`` without this arena's stamp behind them."""
        data = self.file.read(self.file.size + STAMP, 0)
        return data if data[self.file.size :] == self._stamp else b""

    def look(self) -> bytearray:
        """One byte a frame, with what the file has now."""
        data, known = self.raw(), self._known
        if data:
            for frame in range(self.frames):
                if data[frame]:
                    known[frame] = 1
        return known

    def __getitem__(self, frame: int) -> int:
        return self._known[frame] or self.look()[frame]

    def write(self, frame: int, value: int) -> bool:
        """Set one byte, in memory and in the file; False if there is no journal of this arena any more."""
        if frame < self.frames:
            self._known[frame] = value
        if not self.raw():
            return False
        write(self.file.descriptor(), b"\1" if value else b"\0", frame)
        return True


def open_own(path: str, flags: int) -> int:
    """Open a file of the shim's, never through a symbolic link that was put in its place.

    A new one is for this user alone. Python itself keeps the descriptor from programs that are started.
    """
    return posix.open(path, flags | posix.O_NOFOLLOW, 0o600)


def identity(fd: int) -> tuple[int, int]:
    """Device and inode of the file that a descriptor stands for, ``(0, 0)`` if it is closed."""
    try:
        state = posix.fstat(fd)
    except OSError:
        return (0, 0)
    return (state.st_dev, state.st_ino)


def remove(path: str) -> None:
    """Remove a file if that is possible."""
    try:
        posix.unlink(path)
    except OSError:
        pass


def write(fd: int, data: bytes | memoryview, offset: int) -> None:
    """``pwrite`` all of ``data``: on a nearly full disk one call may write only a part."""
    while data:
        done = posix.pwrite(fd, data, offset)
        data = data[done:]
        offset += done
