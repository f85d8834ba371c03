"""The lock of who fetches, and the word that he leaves for those who wait. A warm start needs neither."""

from __future__ import annotations

from fcntl import LOCK_EX, LOCK_NB, flock
from posix import (
    O_CLOEXEC,
    O_CREAT,
    O_EXCL,
    O_NOFOLLOW,
    O_RDONLY,
    O_RDWR,
    close,
    fstat,
    geteuid,
    getpid,
    lstat,
    open,
    pread,
    rename,
    urandom,
)
from time import monotonic

from ._journal import identity, write

# The lock of the one process that fetches, and of who fetches on demand or makes an arena anew.
FETCH, DEMAND, REPAIR = "lock", "demand", "repair"
WORD = "word"
LONGEST_WORD = 8192


class Lock:
    """A lock that this process has taken.

    Attributes:
        shared: Whether others may have it as well: the file system has no locks.
        name: The same for all that have held this very lock file, one after the other.
    """

    __slots__ = ("_fd", "_identity", "name", "shared")

    def __init__(self, fd: int, shared: bool = False) -> None:
        self._fd = fd
        self._identity = identity(fd)
        self.shared = shared
        self.name = lock_name(self._identity)

    def release(self) -> None:
        """Close this process's descriptor: the lock is free once every process that has it has done so."""
        fd, self._fd = self._fd, -1
        if fd >= 0 and identity(fd) == self._identity:
            close(fd)


def take(path: str) -> Lock | None:
    """Take the lock of a file, which is made if it is not there; None if another has it.

    Where the file system knows no locks everybody gets one: two processes that fetch write the same bytes.

    Raises:
        OSError: The file cannot be made.
    """
    fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0o600)
    try:
        flock(fd, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        close(fd)
        return None
    except OSError:
        return Lock(fd, shared=True)
    return Lock(fd)


def current_name(base: str) -> str:
    """The ``Lock.name`` of the lock file that is in the folder ``base`` now, ``""`` if there is none."""
    try:
        state = lstat(base + "/" + FETCH)
    except OSError:
        return ""
    return lock_name((state.st_dev, state.st_ino))


def lock_name(identity: tuple[int, int]) -> str:
    """A lock file's name in the names of files."""
    return "lock-%x-%x" % identity


def leave_word(base: str, text: str) -> None:
    """Tell whoever else waits what the fetch ended with: each trying by itself, the last would say so long
    after init has ended.
    """
    path = "%s/%s-%d-%s" % (base, WORD, getpid(), urandom(4).hex())
    try:
        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        try:
            write(fd, ("%r %s" % (monotonic(), text)).encode("utf-8", "replace"), 0)
        finally:
            close(fd)
        rename(path, base + "/" + WORD)
    except OSError:
        pass  # then everybody learns it for himself


def word(base: str, since: float) -> str:
    """What a fetch has ended with after ``since`` (monotonic), ``""`` if nothing was said."""
    try:
        fd = open(base + "/" + WORD, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
    except OSError:
        return ""
    try:
        if fstat(fd).st_uid != geteuid():
            return ""
        when, _, text = pread(fd, LONGEST_WORD, 0).decode("utf-8", "replace").partition(" ")
        return text if since <= float(when) <= monotonic() else ""
    except (OSError, ValueError):
        return ""
    finally:
        close(fd)
