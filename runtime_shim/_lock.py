"""The lock of the process that fetches, and the error that it leaves for those that wait.

A warm start imports neither.
"""

from __future__ import annotations

import posix
from fcntl import LOCK_EX, LOCK_NB, flock
from time import monotonic

from ._journal import identity, open_own, write

# Lock files: of the process that fetches, of one that fetches a frame on demand, and of one that makes a new
# arena or journal.
FETCH, DEMAND, REPAIR = "lock", "demand", "repair"
# The file with the last fetch's error, and the bytes of it that are read.
WORD = "word"
LONGEST_WORD = 8192


class Lock:
    """A lock that this process has taken.

    Attributes:
        shared: Whether other processes may have it as well, because the file system has no locks.
        name: Of the lock file: the same for all processes that hold this very file, one after the other.
    """

    __slots__ = ("_fd", "_identity", "name", "shared")

    def __init__(self, fd: int, shared: bool = False) -> None:
        self._fd = fd
        self._identity = identity(fd)
        self.shared = shared
        self.name = lock_name(self._identity)

    def release(self) -> None:
        """Close this process's descriptor. Forked processes share the lock: it is free once all do so."""
        fd, self._fd = self._fd, -1
        if fd >= 0 and identity(fd) == self._identity:
            posix.close(fd)


def take(path: str) -> Lock | None:
    """Lock the file at ``path``, which is made if it is not there; None if another process holds it.

    Where the file system has no locks every process gets one: two that fetch write the same bytes.
    """
    fd = open_own(path, posix.O_RDWR | posix.O_CREAT)
    try:
        flock(fd, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        posix.close(fd)
        return None
    except OSError:
        return Lock(fd, shared=True)
    return Lock(fd)


def current_name(base: str) -> str:
    """The ``Lock.name`` of the lock file that is in the folder ``base`` now, ``""`` if there is none."""
    try:
        state = posix.lstat(base + "/" + FETCH)
    except OSError:
        return ""
    return lock_name((state.st_dev, state.st_ino))


def lock_name(identity: tuple[int, int]) -> str:
    """How the names of part files call the lock file with this device and inode."""
    return "lock-%x-%x" % identity


def leave_word(base: str, text: str) -> None:
    """Leave the fetch's error for the other processes that wait for it.

    If each of them tried by itself, one after the other, the last would fail long after its init has ended.
    """
    path = "%s/%s-%d-%s" % (base, WORD, posix.getpid(), posix.urandom(4).hex())
    try:
        fd = open_own(path, posix.O_RDWR | posix.O_CREAT | posix.O_EXCL)
        try:
            write(fd, ("%r %s" % (monotonic(), text)).encode("utf-8", "replace"), 0)
        finally:
            posix.close(fd)
        posix.rename(path, base + "/" + WORD)
    except OSError:
        pass  # then each process meets the error itself


def word(base: str, since: float) -> str:
    """The error of a fetch that ended after ``since`` (monotonic), ``""`` if none did."""
    try:
        fd = open_own(base + "/" + WORD, posix.O_RDONLY)
    except OSError:
        return ""
    try:
        if posix.fstat(fd).st_uid != posix.geteuid():
            return ""
        when, _, text = posix.pread(fd, LONGEST_WORD, 0).decode("utf-8", "replace").partition(" ")
        return text if since <= float(when) <= monotonic() else ""
    except (OSError, ValueError):
        return ""
    finally:
        posix.close(fd)
