"""``os.stat``, ``os.lstat``, ``os.access``, ``os.listdir`` and ``os.scandir`` as of a plain directory.

They raise no audit event, or one that cannot change the answer, and the modules in the arena are not on
disk. The replacements are bound methods: a class that keeps one as an attribute (pathlib until Python 3.10)
does not bind it again.
"""

from __future__ import annotations

import os
import stat as modes
import sys

from ._guard import MTIME, WATCHED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ._guard import Guard


SCALES = (("", 1.0), ("_ns", 1000000000))


class Entry:
    """What ``os.scandir`` gives for a file that is in the arena."""

    __slots__ = ("_answer", "name", "path")

    def __init__(self, folder: Any, name: str, answer: os.stat_result) -> None:
        self.name: Any = os.fsencode(name) if isinstance(folder, bytes) else name
        self.path: Any = os.path.join(folder, self.name)
        self._answer = answer

    def __fspath__(self) -> Any:
        return self.path

    def __repr__(self) -> str:
        return "<DirEntry %r>" % self.name

    def inode(self) -> int:
        """Inode number."""
        return self._answer.st_ino

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Never."""
        return False

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Always."""
        return True

    def is_symlink(self) -> bool:
        """Never."""
        return False

    def is_junction(self) -> bool:
        """Never."""
        return False

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """As of the real file."""
        return self._answer


class Listing:
    """An ``os.scandir`` iterator with other entries behind the real ones, and in the place of those."""

    def __init__(self, real: Any, more: list[Entry]) -> None:
        self._real = real
        self._names = {entry.name for entry in more}
        self._more = iter(more)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        for entry in self._real:
            # A file on its way has a size that will not stay.
            if entry.name not in self._names:
                return entry
        return next(self._more)

    def __enter__(self) -> Listing:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the real iterator."""
        self._real.close()


class Views:
    """The replacements, as bound methods."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._stat = os.stat
        self._lstat = os.lstat
        self._access = os.access
        self._listdir = os.listdir
        self._scandir = os.scandir

    def __reduce__(self) -> Any:
        # A method of this then pickles as "the function of this name in os".
        return __import__, ("os",)

    def _answer(self, file: int) -> os.stat_result:
        mode = modes.S_IFREG | self._guard.mode(file)
        size = self._guard.size(file)
        times = (MTIME, MTIME, MTIME)
        more = {"st_%stime%s" % (kind, end): MTIME * scale for kind in "amc" for end, scale in SCALES}
        more.update(st_blksize=4096, st_blocks=-(-size // 4096) * 8, st_rdev=0)
        return os.stat_result((mode, file + 1, 0, 1, os.getuid(), os.getgid(), size, *times), more)

    def _virtual(self, path: Any) -> int | None:
        relative = self._guard.relative(path)
        return self._guard.look(relative) if relative else None

    def stat(self, path: Any, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> os.stat_result:
        """``os.stat``."""
        file = self._virtual(path)
        if file is None:
            return self._stat(path, dir_fd=dir_fd, follow_symlinks=follow_symlinks)
        return self._answer(file)

    def lstat(self, path: Any, *, dir_fd: int | None = None) -> os.stat_result:
        """``os.lstat``."""
        file = self._virtual(path)
        return self._lstat(path, dir_fd=dir_fd) if file is None else self._answer(file)

    def access(self, path: Any, mode: int, **kwargs: Any) -> bool:
        """``os.access``."""
        file = self._virtual(path)
        if file is None:
            return self._access(path, mode, **kwargs)
        return not mode & os.X_OK or bool(self._guard.mode(file) & 0o111)

    def listdir(self, path: Any = None) -> list[Any]:
        """``os.listdir``."""
        relative = self._guard.relative("." if path is None else path)
        more = [] if relative is None else [name for name, _ in self._guard.list(relative)]
        names: list[Any] = self._listdir(path)
        known = set(map(os.fsdecode, names)) if more else ()
        make = os.fsencode if isinstance(path, bytes) else str
        return names + [make(name) for name in more if name not in known]

    def scandir(self, path: Any = None) -> Any:
        """``os.scandir``."""
        relative = self._guard.relative("." if path is None else path)
        more = [] if relative is None else list(self._guard.list(relative))
        if not more:
            return self._scandir(path)
        folder = "." if path is None else os.fspath(path)
        entries = [Entry(folder, name, self._answer(file)) for name, file in more]
        return Listing(self._scandir(path), entries)


NAMES = ("stat", "lstat", "access", "listdir", "scandir")


def install(guard: Guard) -> None:
    """Replace the functions of ``os`` and begin to watch opens."""
    views = Views(guard)
    # Until Python 3.10 pathlib keeps the functions in a class of its own.
    accessor = getattr(sys.modules.get("pathlib"), "_NormalAccessor", None)
    for name in NAMES:
        real, new = getattr(os, name), getattr(views, name)
        for capable in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks):
            if real in capable:
                capable.add(new)
        setattr(os, name, new)
        if accessor is not None and hasattr(accessor, name):
            setattr(accessor, name, new)
    audit, watched = guard.audit, WATCHED

    # An import raises tens of thousands of events. CPython asks each hook for an attribute each time, which
    # a function lacks quickly and a bound method by raising an exception: half a microsecond against 1.5.
    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event in watched:
            audit(event, args)

    # A hook that raises turns the open into that error, which for a PackError is what we want.
    sys.addaudithook(hook)
