"""A pack's place on disk, as a process that reads from it sees it.

::

    <root>/<id>/site/...   real files, at the paths they have in the pack; each appears by a rename, whole
    <root>/<id>/arena      the tar stream, sparse: only bytecode, sources and metadata are written to it;
                           behind it a stamp of random bytes, this arena's own
    <root>/<id>/journal    one byte a frame, 1 once all its pieces are written; behind them the stamp of
                           the arena that this is the journal of
    <root>/<id>/lock       held by the process that fetches
    <root>/<id>/seal       the index that was found sound (``_journal.Seal``)
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
from posix import geteuid, lstat, mkdir

from . import PackError
from ._index import ARENA
from ._journal import FOLDER, KIND, OTHERS_WRITE, REGULAR, Journal, OpenFile, new_stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from ._index import Index
    from ._lock import Lock
    from ._write import Writer

# The time of every file; the first day that a zip file can hold everywhere on earth.
MTIME = 315619200
# Looks, 10 ms apart, at a file that another process is making anew.
PATIENCE = 100


def root_folder(environ: Mapping[str, str]) -> str:
    """The folder for all packs, as it is without symbolic links above it: a path that a library has resolved
    must still be one of the pack's.
    """
    from os.path import abspath, realpath

    above, _, name = abspath(environ.get("LAMBDAPACK_ROOT") or "/tmp/lambdapack").rpartition("/")
    return realpath(above or "/").rstrip("/") + "/" + name


def base_folder(root: str, pack_id: str, disk: bool) -> str:
    """The folder of one pack. Both modes may be used in one environment; their journals differ in meaning."""
    return root + "/" + pack_id[:16] + ("-disk" if disk else "")


class Place:
    """Where the frames of one pack go.

    Args:
        root: Folder for all packs, e.g. ``/tmp/lambdapack``.
        pack_id: The pack's id.
        index: Its index.
        disk: Whether every file becomes a real file (``disk`` mode) instead of going to the arena.
    """

    noun = "pack"
    # What else is being fetched into the same folder, each with its place.
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
        stamp = self._arena.open() or self._renew(self._arena, b"", new_stamp(), b"")
        self._stamp = stamp
        self.journal.begin(stamp)
        if self.journal.file.open() != stamp:
            self._renew(self.journal.file, self.journal.known(), stamp, stamp)

    def _renew(self, file: OpenFile, content: bytes, stamp: bytes, wanted: bytes) -> bytes:
        """Make a file that is missing, or has been cut, or is of another arena, and open it.

        Of several processes at once one makes it. Its stamp is ``wanted`` then, or any where that is ``b""``.
        """

        def opened() -> bytes:
            found = file.open()
            return found if found == (wanted or found) else b""

        file.make(content, stamp, replace=False)
        found = opened()
        if found:
            return found
        # What is there is of no use. One after the other looks again, so that only the first replaces it.
        lock = self._repairs()
        try:
            found = opened()
            if not found:
                file.make(content, stamp, replace=True)
                found = opened()
        finally:
            if lock is not None:
                lock.release()
        if not found:
            raise OSError(errno.EIO, "what was just written is not there", file.path)
        return found

    def _repairs(self) -> Lock | None:
        from time import sleep

        from ._lock import REPAIR

        for _ in range(PATIENCE):
            lock = self.lock(REPAIR)
            if lock is not None:
                return lock
            sleep(0.01)
        return None

    def follow(self) -> None:
        """Turn to what is there now, where somebody has removed or cut what this process reads.

        Raises:
            PackError: What is there now cannot be used.
        """
        if self._arena.moved() or self.journal.file.moved() or not self.journal.raw():
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
            and (state.st_uid == self._user or state.st_uid == geteuid())
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

    def record(self, frame: int) -> None:
        """Journal that ``frame`` is in place, in a new journal where somebody has cut the old one."""
        if not self.journal.write(frame, 1):
            self.attach()

    # Who fetches

    def lock(self, name: str) -> Lock | None:
        """One of ``_lock``'s locks, None if another process has it.

        Raises:
            PackError: The lock's file cannot be made.
        """
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
        """Fail before anything is written if ``frames`` do not fit.

        Raises:
            PackError: Says what is needed, what is free and which setting gives it.
        """
        from ._space import check

        check(self, frames)

    def failure(self, error: Exception) -> PackError:
        """An error of reading, writing or importing as a PackError that says what helps."""
        from ._space import failure

        return failure(self, error)

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
