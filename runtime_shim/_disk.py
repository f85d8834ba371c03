"""A pack's place on disk, for a process that reads from it.

::

    <root>/<id>/site/...   real files, at the paths they have in the pack; each appears by a rename, whole
    <root>/<id>/arena      the tar stream, sparse: only bytecode, sources and metadata are written to it;
                           behind it a stamp of random bytes, this arena's own
    <root>/<id>/journal    one byte a frame, 1 once all its pieces are written; behind them the stamp of
                           the arena that this journal belongs to
    <root>/<id>/lock       held by the process that fetches
    <root>/<id>/seal       the index that was found sound (``_journal.Seal``)
    <root>/<id>/part-...   files of several frames that are not complete yet (``_write``)

The function's code may remove or truncate any of these at any time, and may close any descriptor and open
another file under its number. So what was true once is checked again:

- A real file is in place while ``lstat`` shows a regular file of the index's size that belongs to this user
  and has the time that the shim gave it: writing to it or truncating it changes its time.
- Bytes from the arena are believed if the stamp was still at the arena's end after they were read, and a
  journal speaks of the arena whose stamp it bears, and of no other (``_journal``).

Functions come from ``posix``, because ``_views`` replaces those of ``os`` for the function's code.
"""

from __future__ import annotations

import errno
from bisect import bisect_right
from posix import geteuid, lstat, mkdir

from . import PackError
from ._index import ARENA
from ._journal import FOLDER, KIND, OTHERS_WRITE, REGULAR, Journal, OpenFile, new_stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, Callable

    from ._index import Index
    from ._lock import Lock
    from ._write import Writer

# The modification time of every file: 2 January 1980, the first day that a zip file can hold in all time
# zones.
MTIME = 315619200
# How often, 10 ms apart, a process asks for the lock of another one that makes a new arena or journal.
PATIENCE = 100


def root_folder(environ: Mapping[str, str]) -> str:
    """The folder for all packs, with the symbolic links above it resolved.

    A path that a library has resolved must still be recognised as one of the pack's.
    """
    from os.path import abspath, realpath

    above, _, name = abspath(environ.get("LAMBDAPACK_ROOT") or "/tmp/lambdapack").rpartition("/")
    return realpath(above or "/").rstrip("/") + "/" + name


def base_folder(root: str, pack_id: str, disk: bool) -> str:
    """The folder of one pack; each mode has its own, because their journals differ in meaning."""
    return root + "/" + pack_id[:16] + ("-disk" if disk else "")


class Place:
    """Where the frames of one pack go.

    What the system refuses, its methods raise as a PackError that says what helps, except where they say that
    they raise an OSError.

    Args:
        root: Folder for all packs, e.g. ``/tmp/lambdapack``.
        disk: Whether every file becomes a real file (``disk`` mode) instead of going to the arena.
    """

    noun = "pack"
    # Packs (with a place each) that are being fetched into the same root, and need room there as well.
    others: Any = ()

    def __init__(self, root: str, pack_id: str, index: Index, disk: bool) -> None:
        base = base_folder(root, pack_id, disk)
        self._open(root, base, index, frozenset() if disk else ARENA)

    def _open(self, root: str, base: str, index: Index, in_arena: frozenset[str], more: int = 0) -> None:
        self.index = index
        self.root = root
        self.base = base
        self.site = base + "/site"
        self.in_arena = in_arena
        self.frames = len(index.frame_size)
        self._writer: Writer | None = None
        self._user = geteuid()
        self._arena = OpenFile(base + "/arena", index.frame_start[-1] if in_arena else 0)
        self.journal = Journal(OpenFile(base + "/journal", self.frames + more), self.frames)
        self._stamp = b""
        self.attempt(self.attach)

    def attempt(self, work: Callable[..., object], *args: Any) -> None:
        """Do ``work``, and raise an OSError of it as a PackError."""
        try:
            work(*args)
        except OSError as error:
            raise self.failure(error) from error

    # What is in place

    def attach(self) -> None:
        """Open the arena and the journal that are there now; make what is missing.

        Raises:
            OSError: They cannot be made.
        """
        self.make_folders()
        stamp = self._arena.open() or self._renew(self._arena, b"", new_stamp(), b"")
        self._stamp = stamp
        self.journal.begin(stamp)
        if self.journal.file.open() != stamp:
            self._renew(self.journal.file, self.journal.known(), stamp, stamp)

    def _renew(self, file: OpenFile, content: bytes, stamp: bytes, wanted: bytes) -> bytes:
        """Make and open a file that is missing, was truncated or belongs to another arena; its stamp.

        Where several processes do so at once, one makes the file and all of them open it. ``wanted`` is the
        stamp that the file must have, ``b""`` for any.
        """

        def opened() -> bytes:
            there = file.open()
            return there if there == (wanted or there) else b""

        file.make(content, stamp, replace=False)
        there = opened()
        if there:
            return there
        # The file that is there is of no use. Under the lock each process looks again, so that only the first
        # replaces it.
        lock = self._repairs()
        try:
            there = opened()
            if not there:
                file.make(content, stamp, replace=True)
                there = opened()
        finally:
            if lock is not None:
                lock.release()
        if not there:
            raise OSError(errno.EIO, "what was just written is not there", file.path)
        return there

    def _repairs(self) -> Lock | None:
        """The lock for making a file anew, None if another process does not let go of it."""
        from time import sleep

        from ._lock import REPAIR

        for _ in range(PATIENCE):
            lock = self.lock(REPAIR)
            if lock is not None:
                return lock
            sleep(0.01)
        return None

    def follow(self) -> None:
        """Open the arena and the journal anew, if those that this process reads were removed or truncated."""
        if self._arena.moved() or self.journal.file.moved() or not self.journal.raw():
            self.attempt(self.attach)

    def make_folders(self) -> None:
        """Make root, base and site where they are missing, and check that they are this user's own."""
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
        """Put a folder of the pack on disk, as empty as it is; ``""`` is its root."""
        self.attempt(self._folder, relative)

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
        data = self._read(file)
        if data is None:
            if self._arena.open() == self._stamp:
                return self._read(file)
            self.attempt(self.attach)
        return data

    def _read(self, file: int) -> bytes | None:
        """The bytes that the open arena has for a file, None if it is no longer this pack's arena."""
        size = self.index.sizes[file]
        data = self._arena.read(size, self.index.offsets[file])
        # In this order: if the stamp is there after the bytes were read, the bytes were the arena's.
        return data if len(data) == size and self._arena.stamp() == self._stamp else None

    def whole(self, file: int) -> bool:
        """Whether a real file is in place: there, of its size, unchanged, and this user's own."""
        try:
            state = lstat(self.site + "/" + self.index.paths[file])
        except OSError:
            return False
        return (
            state.st_size == self.index.sizes[file]
            and state.st_mtime == MTIME
            and state.st_mode & KIND == REGULAR
            and (state.st_uid == self._user or state.st_uid == geteuid())
        )

    def missing(self, first: int, last: int) -> list[int]:
        """The frames of ``range(first, last)`` that are not in place."""
        journal = self.journal.look()
        gone = self._gone(first, last)
        return [frame for frame in range(first, last) if not journal[frame] or frame in gone]

    def _gone(self, first: int, last: int) -> set[int]:
        """Frames with real files that are no longer in place, whatever the journal says."""
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
                from ._write import pieces

                there = pieces(self, file)
                gone.update(frame for frame in frames if not there[frame - frames[0]])
        return gone

    def forget(self, frames: Iterable[int]) -> None:
        """Journal that ``frames`` are not in place, so that every process waits for their fetch."""
        journal = self.journal.look()
        for frame in frames:
            if journal[frame]:
                self.journal.write(frame, 0)

    def record(self, frame: int) -> None:
        """Journal that ``frame`` is in place, in a new journal if the old one was removed or truncated."""
        if not self.journal.write(frame, 1):
            self.attach()

    # Fetching

    def lock(self, name: str) -> Lock | None:
        """Take one of the locks that ``_lock`` names, None if another process has it."""
        from ._lock import take

        path = self.base + "/" + name
        try:
            try:
                return take(path)
            except FileNotFoundError:
                self.make_folders()
                return take(path)
        except OSError as error:
            raise self.failure(error) from error

    def check_space(self, frames: list[int]) -> None:
        """Fail before anything is written if ``frames`` do not fit."""
        from ._space import check

        check(self, frames)

    def failure(self, error: Exception) -> PackError:
        """An error of reading, writing or importing as a PackError that says what helps."""
        from ._space import failure

        return failure(self, error)

    # Writing

    def writer(self) -> Writer:
        """What places frames in this process."""
        return self._writer or self.write_under(None)

    def write_under(self, lock: Lock | None) -> Writer:
        """From now on place frames as the holder of ``lock``, who alone goes on with existing part files."""
        from ._write import Writer

        self._writer = Writer(self, lock)
        return self._writer

    def put(self, frame: int, data: memoryview) -> None:
        """Write every piece of ``frame`` to its place, then journal it.

        Raises:
            OSError: A write failed; the frame is not journalled.
        """
        self.writer().put(frame, data)

    def materialise(self, file: int, data: bytes) -> None:
        """Write a file that is in the arena to its path, for code that opens it there."""
        self.attempt(lambda: self.writer().put_file(file, data))

    def arena(self) -> int:
        """A descriptor of the arena, to write to.

        Raises:
            OSError: The arena is gone, and no new one can be made.
        """
        if self._arena.stamp() != self._stamp and self._arena.open() != self._stamp:
            self.attach()
        return self._arena.descriptor()


def own_folder(path: str) -> None:
    """Make a folder for this user alone, or check that the one that is there is such a folder.

    Raises:
        PackError: It is a link or a file, another user's, or writable by others: its content may not be what
            was fetched.
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
