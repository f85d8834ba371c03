"""A pack's place on disk, as a process that reads from it sees it.

::

    <root>/<id>/site/...   real files, at the paths they have in the pack; each appears by a rename, whole
    <root>/<id>/arena      the tar stream, sparse: only bytecode, sources and metadata are written to it;
                           behind it a stamp of random bytes, this arena's own
    <root>/<id>/journal    one byte a frame, 1 once all its pieces are written; behind them the stamp of
                           the arena that this is the journal of
    <root>/<id>/lock       held by the process that fetches
    <root>/<id>/part-...   files of several frames that are not whole yet (``_write``)

User code may remove or cut any of these at any time, and may close any descriptor and open another in
its place. So nothing is believed for having been true once:

- A file is in place while ``lstat`` shows a regular file of the index's size that belongs to this user and
  has the time that it was given: whoever writes to it or cuts it changes that.
- Bytes from the arena are believed if, after they were read, its stamp was still at its end: whoever cuts
  an arena takes the stamp away, a new arena has a new stamp, and another file has none.
- A journal speaks of the arena whose stamp it bears, and of no other.

Functions come from ``posix``: those of ``os`` are replaced by ``_views``, for user code.
"""

from __future__ import annotations

import errno
from bisect import bisect_right
from posix import (
    O_CLOEXEC,
    O_CREAT,
    O_EXCL,
    O_NOFOLLOW,
    O_RDWR,
    close,
    fstat,
    ftruncate,
    geteuid,
    getpid,
    link,
    lstat,
    mkdir,
    open,
    pread,
    pwrite,
    rename,
    statvfs,
    unlink,
    urandom,
)
from time import monotonic

from ._index import ARENA

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from ._index import Index
    from ._write import Writer

BLOCK = 4096
STAMP = 16
MARK = b"lp01"
# The time of every file; the first day that a zip file can hold everywhere on earth.
MTIME = 315619200
# Of st_mode: what kind of file it is, a regular file, a folder, and who but its owner may write.
KIND, REGULAR, FOLDER, OTHERS_WRITE = 0o170000, 0o100000, 0o040000, 0o022


def root_folder(environ: Mapping[str, str]) -> str:
    """The folder for all packs, as it is without symbolic links above it: a path that a library has resolved
    must still be one of the pack's.
    """
    from os.path import abspath, realpath

    above, _, name = abspath(environ.get("LAMBDAPACK_ROOT") or "/tmp/lambdapack").rpartition("/")
    return realpath(above or "/").rstrip("/") + "/" + name


class PackError(RuntimeError):
    """The pack cannot be put in place. Not an ImportError: libraries that treat a module as optional
    must not take a full disk for its absence.
    """


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

    def make(self, stamp: bytes, *, replace: bool) -> None:
        """Make it at ``path``: zeros and ``stamp``. With ``replace`` whatever is there goes, else that
        stays; the file appears whole either way.
        """
        new = "%s-%d-%s" % (self.path, getpid(), urandom(4).hex())
        fd = open(new, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        try:
            ftruncate(fd, self.size)
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

    def write(self, frame: int, value: int) -> None:
        """Set one byte, in the file and here. Where the file is gone, what this process knows is enough."""
        if self.raw():
            write(self.file.descriptor(), b"\1" if value else b"\0", frame)
        if frame < self.frames:
            self._known[frame] = value


class Place:
    """Where the frames of one pack go.

    Args:
        root: Folder for all packs, e.g. ``/tmp/lambdapack``.
        pack_id: The pack's id.
        index: Its index.
        disk: Whether every file becomes a real file (``disk`` mode) instead of going to the arena.
    """

    noun = "pack"

    def __init__(self, root: str, pack_id: str, index: Index, disk: bool) -> None:
        # Both modes may be used in one environment; their journals mean different things.
        base = root + "/" + pack_id[:16] + ("-disk" if disk else "")
        self._open(root, base, index, frozenset() if disk else ARENA)

    def _open(self, root: str, base: str, index: Index, in_arena: frozenset[str], more: int = 0) -> None:
        self.index = index
        self.root = root
        self.base = base
        self.site = base + "/site"
        self.in_arena = in_arena
        self.frames = len(index.frame_size)
        self._writer: Writer | None = None
        self._arena = OpenFile(base + "/arena", index.frame_start[-1] if in_arena else 0)
        self.journal = Journal(OpenFile(base + "/journal", self.frames + more), self.frames)
        self._stamp = b""
        try:
            self.attach()
        except OSError as error:
            raise self.failure(error) from error

    # What is in place

    def attach(self) -> None:
        """Open the arena and the journal that are there now; make what is missing.

        Raises:
            OSError: They cannot be made.
            PackError: The folders are not this user's own.
        """
        self.make_folders()
        stamp = self._arena.open()
        if not stamp:
            # Not over one that somebody has made in this moment; over one that has been cut.
            broken = self._arena.descriptor() >= 0 or not _absent(self._arena.path)
            self._arena.make(MARK + urandom(STAMP - len(MARK)), replace=broken)
            stamp = self._arena.open()
            if not stamp:
                raise OSError(errno.EIO, "what was just written is not there", self._arena.path)
        self._stamp = stamp
        file = self.journal.file
        known = file.open()
        if known != stamp:
            file.make(stamp, replace=file.descriptor() >= 0 or not _absent(file.path))
            file.open()
        self.journal.begin(stamp)

    def follow(self) -> None:
        """Turn to another process's arena where somebody has removed the one that this process reads.

        Raises:
            PackError: What is there now cannot be used.
        """
        if self._arena.moved() or self.journal.file.moved():
            self._attach()

    def _attach(self) -> None:
        try:
            self.attach()
        except OSError as error:
            raise self.failure(error) from error

    def make_folders(self) -> None:
        """Make root, base and site where they are missing, and see that they are this user's own."""
        try:
            own_folder(self.root)
            folder = self.root
            for name in self.base[len(self.root) + 1 :].split("/"):
                folder += "/" + name
                own_folder(folder)
            own_folder(self.site)
        except FileNotFoundError:
            make_folder(self.root)
            self.make_folders()

    def folder(self, relative: str) -> None:
        """Put a folder of the pack on disk, as empty as it is; ``""`` is its root.

        Raises:
            PackError: It cannot be made.
        """
        try:
            self._folder(relative)
        except OSError as error:
            raise self.failure(error) from error

    def _folder(self, relative: str) -> None:
        try:
            mkdir(self.site + "/" + relative if relative else self.site, 0o755 if relative else 0o700)
        except FileExistsError:
            pass
        except FileNotFoundError:
            if not relative:
                self.make_folders()
                return
            self._folder(relative.rpartition("/")[0])
            self._folder(relative)

    def read(self, file: int) -> bytes | None:
        """The bytes of a file in the arena whose frames are in place; None if they no longer are."""
        size = self.index.sizes[file]
        found = self._arena.read(size, self.index.offsets[file])
        # In this order: if the stamp is there afterwards, the bytes before it were.
        if len(found) == size and self._arena.stamp() == self._stamp:
            return found
        if self._arena.open() != self._stamp:
            self._attach()
            return None
        found = self._arena.read(size, self.index.offsets[file])
        return found if len(found) == size and self._arena.stamp() == self._stamp else None

    def whole(self, file: int) -> bool:
        """Whether a real file is in place: there, of its size, unchanged, this user's own."""
        try:
            state = lstat(self.site + "/" + self.index.paths[file])
        except OSError:
            return False
        return (
            state.st_size == self.index.sizes[file]
            and state.st_mtime == MTIME
            and state.st_mode & KIND == REGULAR
            and state.st_uid == geteuid()
        )

    def missing(self, first: int, last: int) -> list[int]:
        """The frames of ``range(first, last)`` that are not in place."""
        journal = self.journal.look()
        gone = self._gone(first, last)
        return [frame for frame in range(first, last) if not journal[frame] or frame in gone]

    def _gone(self, first: int, last: int) -> set[int]:
        """Frames with files that somebody has removed or cut, whatever the journal says."""
        index, in_arena = self.index, self.in_arena
        start, end = index.frame_start[first], index.frame_start[last]
        begin = max(bisect_right(index.offsets, start) - 1, 0)
        gone: set[int] = set()
        for file in range(begin, len(index.offsets)):
            if index.offsets[file] >= end and file > begin:
                break
            if index.classes[file] in in_arena or self.whole(file):
                continue
            frames = index.frames_of(file)
            if len(frames) == 1:
                gone.update(frames)
            else:
                pieces = self._pieces(file)
                gone.update(frame for frame in frames if not pieces[frame - frames[0]])
        return gone

    def _pieces(self, file: int) -> bytes:
        """Of a file that is not whole: a byte for each of its frames, 1 where its piece is on disk."""
        from ._write import pieces

        return pieces(self, file)

    def forget(self, frames: Iterable[int]) -> None:
        """Journal that ``frames`` are not in place: who waits for them then waits for the fetch."""
        journal = self.journal.look()
        for frame in frames:
            if journal[frame]:
                self.journal.write(frame, 0)

    # Who fetches

    def lock(self, name: str = "lock") -> Lock | None:
        """The lock of the one process that fetches (``demand``: on demand), None if another has it.

        Where the file system knows no locks everybody gets one: two processes that fetch write the same
        bytes.

        Raises:
            PackError: The lock's file cannot be made.
        """
        path = self.base + "/" + name
        try:
            try:
                fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0o600)
            except FileNotFoundError:
                self.make_folders()
                fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0o600)
        except OSError as error:
            raise self.failure(error) from error
        from fcntl import LOCK_EX, LOCK_NB, flock

        try:
            flock(fd, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            close(fd)
            return None
        except OSError:
            return Lock(fd, shared=True)
        return Lock(fd)

    def leave_word(self, text: str) -> None:
        """Tell whoever else waits what the fetch ended with: each trying by itself, the last would say so
        long after init has ended.
        """
        path = "%s/word-%d-%s" % (self.base, getpid(), urandom(4).hex())
        try:
            fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
            try:
                write(fd, ("%r %s" % (monotonic(), text)).encode("utf-8", "replace"), 0)
            finally:
                close(fd)
            rename(path, self.base + "/word")
        except OSError:
            pass  # then everybody learns it for himself

    def word(self, since: float) -> str:
        """What a fetch has ended with after ``since`` (monotonic), ``""`` if nothing was said."""
        try:
            fd = open(self.base + "/word", O_RDWR | O_NOFOLLOW | O_CLOEXEC)
        except OSError:
            return ""
        try:
            if fstat(fd).st_uid != geteuid():
                return ""
            when, _, text = pread(fd, 8192, 0).decode("utf-8", "replace").partition(" ")
        finally:
            close(fd)
        try:
            return text if since <= float(when) <= monotonic() else ""
        except ValueError:
            return ""

    def lock_name(self) -> str:
        """The name that ``Lock.name`` has of the lock file that is there now, ``""`` if there is none."""
        try:
            state = lstat(self.base + "/lock")
        except OSError:
            return ""
        return lock_name((state.st_dev, state.st_ino))

    def check_space(self, frames: list[int]) -> None:
        """Fail before anything is written if ``frames`` do not fit.

        Raises:
            PackError: Says what is needed, what is free and which setting gives it.
        """
        self._check_room(self.bytes_on_disk(frames))

    def _check_room(self, need: int) -> None:
        try:
            room = statvfs(self.base)
        except FileNotFoundError:
            return  # removed a moment ago; whoever writes makes it again
        except OSError as error:
            raise self.failure(error) from error
        free = room.f_bavail * room.f_frsize
        if need > free:
            raise PackError(self._no_space(need, free, room.f_blocks * room.f_frsize))

    def bytes_on_disk(self, frames: list[int]) -> int:
        """What ``frames`` take at most."""
        index = self.index
        need = sum(index.frame_size[frame] for frame in frames)
        wanted = set(frames)
        files = 0
        for file, letter in enumerate(index.classes):
            if letter not in self.in_arena and index.frames_of(file)[0] in wanted:
                files += 1
        return need + files * BLOCK

    def _no_space(self, need: int, free: int, total: int) -> str:
        # What other things occupy stays occupied; round up to what Lambda's console would show.
        used = total - free
        want = -(-(used + need + need // 32) // 1048576)
        return (
            "lambdapack: the %s needs %.0f MB more in %s, where %.0f of %.0f MB are free: give the "
            "function at least %d MB of ephemeral storage (lambdapack deploy --tmp %d)"
            % (self.noun, need / 1e6, self.base, free / 1e6, total / 1e6, max(512, want), max(512, want))
        )

    def failure(self, error: OSError) -> PackError:
        """An OSError of reading or writing as a PackError that says what helps."""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return PackError(self._full())
        if error.errno in (errno.EMFILE, errno.ENFILE):
            helps = ": too many files are open; close some before the pack is needed"
        elif error.errno == errno.EROFS:
            helps = ": it is read-only; set LAMBDAPACK_ROOT to a folder that can be written to"
        else:
            helps = ""
        return PackError("lambdapack: writing the %s to %s: %s%s" % (self.noun, self.base, error, helps))

    def _full(self) -> str:
        room: Any = None
        folder = self.base
        while room is None and folder:
            try:
                room = statvfs(folder)
            except OSError:
                folder = folder.rpartition("/")[0]
        if room is None:
            return "lambdapack: writing the %s to %s: no space left" % (self.noun, self.base)
        if not room.f_favail and room.f_files:
            return (
                "lambdapack: writing the %s to %s: no inode is left there for another file: remove "
                "files that are not needed" % (self.noun, self.base)
            )
        journal = self.journal.look()
        left = self.bytes_on_disk([frame for frame in range(self.index.eager) if not journal[frame]])
        free = room.f_bavail * room.f_frsize
        return self._no_space(max(left, BLOCK), free, room.f_blocks * room.f_frsize)

    # Writing

    def writer(self) -> Writer:
        """What places frames in this process."""
        if self._writer is None:
            from ._write import Writer

            self._writer = Writer(self)
        return self._writer

    def write_under(self, lock: Lock | None) -> None:
        """From now on place frames as the holder of ``lock``, who alone goes on with what is in parts."""
        from ._write import Writer

        self._writer = Writer(self, lock)

    def put(self, frame: int, data: memoryview) -> None:
        """Write every piece of ``frame`` to its place, then journal it.

        Raises:
            OSError: A write failed; the frame is not journalled.
        """
        self.writer().put(frame, data)

    def materialise(self, file: int, data: bytes) -> None:
        """Make a real file of one that is in the arena, for whatever opens it by its path.

        Raises:
            PackError: It cannot be written.
        """
        try:
            self.writer().put_file(file, data)
        except OSError as error:
            raise self.failure(error) from error

    def arena(self) -> int:
        """A descriptor of the arena to write to, with ``stamp`` behind the tar stream.

        Raises:
            OSError: There is none and none can be made.
        """
        if self._arena.stamp() != self._stamp and self._arena.open() != self._stamp:
            self.attach()
        return self._arena.descriptor()


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


def identity(fd: int) -> tuple[int, int]:
    """Which file a descriptor stands for."""
    try:
        state = fstat(fd)
    except OSError:
        return (0, 0)
    return (state.st_dev, state.st_ino)


def lock_name(identity: tuple[int, int]) -> str:
    """A lock file's name in the names of files."""
    return "lock-%x-%x" % identity


def _absent(path: str) -> bool:
    try:
        lstat(path)
    except FileNotFoundError:
        return True
    return False


def write(fd: int, data: bytes | memoryview, offset: int) -> None:
    """``pwrite`` all of it: a nearly full disk takes a part."""
    while data:
        done = pwrite(fd, data, offset)
        data = data[done:]
        offset += done


def own_folder(path: str) -> None:
    """Make a folder for this user alone, or see that it is one.

    Raises:
        PackError: It is a link, no folder, somebody else's, or writable by others: what is in it may not be
            what was fetched.
        FileNotFoundError: The folder above it is missing.
    """
    try:
        mkdir(path, 0o700)
        return
    except FileExistsError:
        state = lstat(path)
    if state.st_mode & KIND != FOLDER:
        wrong = "is not a folder (a link or a file)"
    elif state.st_uid != geteuid():
        wrong = "belongs to user %d, and this function runs as user %d" % (state.st_uid, geteuid())
    elif state.st_mode & OTHERS_WRITE:
        wrong = "can be written to by others (mode %o)" % (state.st_mode & 0o7777)
    else:
        return
    raise PackError(
        "lambdapack: %s %s: what is in it is not trusted; remove it, or set LAMBDAPACK_ROOT to a folder that "
        "nobody else can write to" % (path, wrong)
    )


def make_folder(path: str) -> None:
    """Make a folder for this user alone, and those above it."""
    try:
        mkdir(path, 0o700)
    except FileExistsError:
        pass
    except FileNotFoundError:
        above = path.rpartition("/")[0]
        if not above:
            raise
        make_folder(above)
        make_folder(path)
