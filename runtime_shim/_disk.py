"""A pack's place on disk: the arena, the files, the journal of frames and the lock.

::

    <root>/<id>/site/...   real files, at the paths they have in the pack
    <root>/<id>/arena      the tar stream, sparse: only bytecode, sources and metadata are written to it
    <root>/<id>/journal    one byte a frame: 1 once all its pieces are written
    <root>/<id>/lock       held by the process that fetches

Writing the same frame twice puts the same bytes in the same places, so a frame that was half written
when its process died is simply written again. Nothing is ever truncated or renamed: other processes may
have mapped it.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from bisect import bisect_right

from ._index import ARENA

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._index import Index

BLOCK = 4096
LET_GO = 2 * 1024 * 1024


class PackError(RuntimeError):
    """The pack cannot be put in place. Not an ImportError: libraries that treat a module as optional
    must not take a full disk for its absence.
    """


class Place:
    """Where the frames of one pack go.

    Args:
        root: Folder for all packs, e.g. ``/tmp/lambdapack``.
        pack_id: The pack's id.
        index: Its index.
        disk: Whether every file becomes a real file (``disk`` mode) instead of going to the arena.
    """

    def __init__(self, root: str, pack_id: str, index: Index, disk: bool) -> None:
        self.index = index
        # Both modes may be used in one environment; their journals mean different things.
        self.base = root + "/" + pack_id[:16] + ("-disk" if disk else "")
        self.site = self.base + "/site"
        self.in_arena = frozenset() if disk else ARENA
        try:
            make_folder(self.site)
            self.journal = self._map("journal", len(index.frame_size), mmap.PROT_READ | mmap.PROT_WRITE)
            self._arena_fd = os.open(self.base + "/arena", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if os.fstat(self._arena_fd).st_size < index.frame_start[-1]:
                os.ftruncate(self._arena_fd, index.frame_start[-1])
            self._map_of_arena = mmap.mmap(self._arena_fd, index.frame_start[-1], prot=mmap.PROT_READ)
            self._arena = memoryview(self._map_of_arena)
            self._mapped = 0
        except OSError as error:
            raise self.failure(error) from error

    def _map(self, name: str, size: int, prot: int) -> mmap.mmap:
        fd = os.open(self.base + "/" + name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # The first of several processes makes it; growing it twice to one size changes nothing.
            if os.fstat(fd).st_size < size:
                # posix_fallocate: a hole in a mapped file would end in SIGBUS on a full disk.
                os.posix_fallocate(fd, 0, size)
            return mmap.mmap(fd, size, prot=prot)
        finally:
            os.close(fd)

    def missing(self, first: int, last: int) -> list[int]:
        """The frames of ``range(first, last)`` that are not in place."""
        journal = self.journal
        return [frame for frame in range(first, last) if not journal[frame]]

    def check_files(self) -> int:
        """Forget frames whose files somebody has removed or cut; return how many.

        Handlers that tidy /tmp exist; what they delete must be fetched again, not trusted.
        """
        index, journal, in_arena = self.index, self.journal, self.in_arena
        forgotten = 0
        for file, size in enumerate(index.sizes):
            if index.classes[file] in in_arena:
                continue
            frames = index.frames_of(file)
            if not journal[frames[0]]:
                continue
            try:
                if os.stat(self.site + "/" + index.paths[file]).st_size >= size:
                    continue
            except OSError:
                pass
            if all(journal[frame] for frame in frames):
                for frame in frames:
                    journal[frame] = 0
                forgotten += len(frames)
        return forgotten

    def lock(self) -> int | None:
        """Take the lock of the one process that fetches: a descriptor, or None if it is taken."""
        fd = os.open(self.base + "/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            return None
        return fd

    def check_space(self, frames: list[int]) -> None:
        """Fail before anything is written if ``frames`` do not fit.

        Raises:
            PackError: Says what is needed, what is free and which setting gives it.
        """
        need = self._bytes_on_disk(frames)
        room = os.statvfs(self.base)
        free = room.f_bavail * room.f_frsize
        if need > free:
            raise PackError(self._no_space(need, free, room.f_blocks * room.f_frsize))

    def _bytes_on_disk(self, frames: list[int]) -> int:
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
            "lambdapack: the pack needs %.0f MB more in %s, where %.0f of %.0f MB are free: give the "
            "function at least %d MB of ephemeral storage (lambdapack deploy --tmp %d)"
            % (need / 1e6, self.base, free / 1e6, total / 1e6, max(512, want), max(512, want))
        )

    def failure(self, error: OSError) -> PackError:
        """An OSError of writing as a PackError that says what helps."""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            left = self.missing(0, self.index.eager) if hasattr(self, "journal") else []
            room = os.statvfs(os.path.dirname(self.base))
            need = self._bytes_on_disk(left)
            free = room.f_bavail * room.f_frsize
            return PackError(self._no_space(max(need, BLOCK), free, room.f_blocks * room.f_frsize))
        return PackError("lambdapack: writing the pack to %s: %s" % (self.base, error))

    def put(self, frame: int, data: memoryview) -> None:
        """Write every piece of ``frame`` to its place, then journal it.

        Raises:
            OSError: A write failed; the frame is not journalled.
        """
        index = self.index
        start = index.frame_start[frame]
        end = start + len(data)
        file = max(bisect_right(index.offsets, start) - 1, 0)
        run_start = run_end = -1
        while file < len(index.offsets) and index.offsets[file] < end:
            offset, size = index.offsets[file], index.sizes[file]
            low, high = max(offset, start), min(offset + size, end)
            if index.classes[file] in self.in_arena:
                # Neighbours go in one write, with the tar headers between them.
                if low < high:
                    run_start = low if run_start < 0 else run_start
                    run_end = high
            elif low <= high:
                if run_start >= 0:
                    write(self._arena_fd, data[run_start - start : run_end - start], run_start)
                    run_start = -1
                self._put_file(file, data[low - start : high - start], low - offset)
            file += 1
        if run_start >= 0:
            write(self._arena_fd, data[run_start - start : run_end - start], run_start)
        self.journal[frame] = 1

    def _put_file(self, file: int, piece: memoryview, offset: int) -> None:
        path = self.site + "/" + self.index.paths[file]
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        # Listed once a pack and short, so a linear search is enough.
        mode = 0o755 if file in self.index.executable else 0o644
        try:
            fd = os.open(path, flags, mode)
        except FileNotFoundError:
            make_folder(os.path.dirname(path))
            fd = os.open(path, flags, mode)
        try:
            write(fd, piece, offset)
        finally:
            os.close(fd)

    def read(self, file: int) -> memoryview:
        """The bytes of a file in the arena, whose frames are in place.

        Mapped pages count as the process's memory until they are let go of; they stay in the page cache.
        """
        offset, size = self.index.offsets[file], self.index.sizes[file]
        self._mapped += size
        if self._mapped > LET_GO and hasattr(mmap, "MADV_DONTNEED"):
            self._mapped = size
            self._map_of_arena.madvise(mmap.MADV_DONTNEED)
        return self._arena[offset : offset + size]

    def materialise(self, file: int) -> None:
        """Make a real file of one that is in the arena, for whatever opens it by its path.

        Not renamed into place: whoever looks at it through the guard writes the same bytes first.
        """
        self._put_file(file, self.read(file), 0)


def write(fd: int, data: memoryview, offset: int) -> None:
    """``pwrite`` all of it: a nearly full disk takes a part."""
    while data:
        done = os.pwrite(fd, data, offset)
        data = data[done:]
        offset += done


def make_folder(path: str) -> None:
    """Make a folder and those above it, by mkdir alone: ``os.makedirs`` looks first, and the guard that
    answers those looks calls this.
    """
    try:
        os.mkdir(path, 0o755)
    except FileExistsError:
        pass
    except FileNotFoundError:
        make_folder(os.path.dirname(path))
        make_folder(path)
