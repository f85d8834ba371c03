"""Files of the shim's own: the seal of an index, and what a process keeps open, the arena and the journal of
what is in it.

The latter's descriptors are the user's to close and to use for something else, and the files are the user's
to remove and to cut. So a stamp of random bytes stands at the end of each: whoever cuts a file takes it
away, a new arena has a new stamp, and another file has none. What was read is believed if the stamp was
there afterwards.
"""

from __future__ import annotations

import errno
from posix import (
    O_CLOEXEC,
    O_CREAT,
    O_EXCL,
    O_NOFOLLOW,
    O_RDONLY,
    O_RDWR,
    O_TRUNC,
    O_WRONLY,
    close,
    fstat,
    ftruncate,
    geteuid,
    getpid,
    link,
    lstat,
    open,
    pread,
    pwrite,
    rename,
    unlink,
    urandom,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

STAMP = 16
MARK = b"lp01"
# Of st_mode: what kind of file it is, a regular file, a folder, and who but its owner may write.
KIND, REGULAR, FOLDER, OTHERS_WRITE = 0o170000, 0o100000, 0o040000, 0o022


def new_stamp() -> bytes:
    """A stamp that no file has."""
    return MARK + urandom(STAMP - len(MARK))


class Seal:
    """Says that an earlier process of this environment found an index sound, and that it is the same file.

    Digest and check of an index are a third of a warm start. Whoever changes a file cannot give it the change
    time that it had; whoever can write the seal is this user, who may change this process as well.

    Args:
        index: Descriptor of the index's file.
        path: Gives the path of the seal of the pack with an id.
    """

    def __init__(self, index: int, path: Callable[[str], str]) -> None:
        state = fstat(index)
        times = state.st_mtime_ns, state.st_ctime_ns
        self._text = "%d %d %d %d %d" % (state.st_dev, state.st_ino, state.st_size, *times)
        self._path = path
        self._held = False

    def holds(self, pack_id: str) -> bool:
        """Whether there is one of this index under this id."""
        try:
            fd = open(self._path(pack_id), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
        except (OSError, ValueError):
            return False
        try:
            self._held = pread(fd, 512, 0) == self._line(pack_id) and fstat(fd).st_uid == geteuid()
        except OSError:
            pass
        finally:
            close(fd)
        return self._held

    def put(self, pack_id: str) -> None:
        """Make one. Without it the next process checks again, so no failure counts."""
        if self._held:
            return
        try:
            fd = open(self._path(pack_id), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0o600)
        except OSError:
            return
        try:
            write(fd, self._line(pack_id), 0)
        except OSError:
            pass
        finally:
            close(fd)

    def _line(self, pack_id: str) -> bytes:
        return (self._text + " " + pack_id + "\n").encode("utf-8", "replace")


class OpenFile:
    """A file kept open. Its descriptor is the user's to close, so it is proved before it is believed.

    Args:
        path: Its path.
        size: Length of what it holds, before its stamp.
    """

    __slots__ = ("_fd", "_identity", "path", "size")

    def __init__(self, path: str, size: int) -> None:
        self.path = path
        self.size = size
        self._fd = -1
        self._identity = (0, 0)

    def read(self, size: int, offset: int) -> bytes:
        """What a ``pread`` gives; nothing where the descriptor is not open or not to be read."""
        try:
            return pread(self._fd, size, offset)
        except OSError:
            return b""

    def stamp(self) -> bytes:
        """The stamp at the file's end, ``b""`` if there is none."""
        found = self.read(STAMP, self.size)
        return found if len(found) == STAMP and found.startswith(MARK) else b""

    def descriptor(self) -> int:
        """The descriptor, for whoever writes; its ``stamp`` has just been looked at."""
        return self._fd

    def open(self) -> bytes:
        """Open what is at ``path`` now; its stamp, ``b""`` if there is no such file or none of ours."""
        self.close()
        try:
            fd = open(self.path, O_RDWR | O_NOFOLLOW | O_CLOEXEC)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
                return b""
            raise
        state = fstat(fd)
        if state.st_uid != geteuid() or state.st_mode & KIND != REGULAR:
            close(fd)
            return b""
        self._fd, self._identity = fd, (state.st_dev, state.st_ino)
        return self.stamp() if state.st_size == self.size + STAMP else b""

    def close(self) -> None:
        """Close the descriptor, unless it is somebody else's by now."""
        fd, self._fd = self._fd, -1
        if fd >= 0 and identity(fd) == self._identity:
            close(fd)

    def moved(self) -> bool:
        """Whether ``path`` leads to another file by now, or to none."""
        try:
            state = lstat(self.path)
        except OSError:
            return True
        return (state.st_dev, state.st_ino) != self._identity

    def make(self, content: bytes, stamp: bytes, *, replace: bool) -> None:
        """Make it at ``path``: ``content``, zeros up to its size, and ``stamp``.

        The file appears whole. Without ``replace`` one that is there already stays.
        """
        new = "%s-%d-%s" % (self.path, getpid(), urandom(4).hex())
        fd = open(new, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        try:
            ftruncate(fd, self.size)
            write(fd, content, 0)
            write(fd, stamp, self.size)
            if replace:
                rename(new, self.path)
                return
            try:
                link(new, self.path)
            except FileExistsError:
                pass
            unlink(new)
        except OSError:
            try:
                unlink(new)
            except OSError:
                pass
            raise
        finally:
            close(fd)


class Journal:
    """Which frames are in place: the journal's bytes, once read, as long as the arena is the same.

    A frame that was there once is not asked for again: the arena's stamp says whether that still holds.

    Args:
        file: The journal.
        frames: Number of frames; the file may have more bytes than these.
    """

    def __init__(self, file: OpenFile, frames: int) -> None:
        self.file = file
        self.frames = frames
        self._known = bytearray(frames)
        self._stamp = b""

    def begin(self, stamp: bytes) -> None:
        """From now on speak of the arena that bears ``stamp``."""
        if stamp != self._stamp:
            self._stamp = stamp
            self._known = bytearray(self.frames)

    def known(self) -> bytes:
        """One byte a frame, as far as this process has seen."""
        return bytes(self._known)

    def raw(self) -> bytes:
        """The bytes in the file, ``b""`` if it is not there or speaks of another arena."""
        found = self.file.read(self.file.size + STAMP, 0)
        if found[self.file.size :] != self._stamp:
            if self.file.open() != self._stamp or not self._stamp:
                return b""
            found = self.file.read(self.file.size + STAMP, 0)
            if found[self.file.size :] != self._stamp:
                return b""
        return found

    def look(self) -> bytearray:
        """One byte a frame, as it is now."""
        found = self.raw()
        if found:
            known = self._known
            for frame in range(self.frames):
                if found[frame]:
                    known[frame] = 1
        return self._known

    def __getitem__(self, frame: int) -> int:
        return self._known[frame] or self.look()[frame]

    def write(self, frame: int, value: int) -> bool:
        """Set one byte, here and in the file; False if there is no file to set it in."""
        if frame < self.frames:
            self._known[frame] = value
        if not self.raw():
            return False
        write(self.file.descriptor(), b"\1" if value else b"\0", frame)
        return True


def identity(fd: int) -> tuple[int, int]:
    """Which file a descriptor stands for."""
    try:
        state = fstat(fd)
    except OSError:
        return (0, 0)
    return (state.st_dev, state.st_ino)


def write(fd: int, data: bytes | memoryview, offset: int) -> None:
    """``pwrite`` all of it: a nearly full disk takes a part."""
    while data:
        done = pwrite(fd, data, offset)
        data = data[done:]
        offset += done
