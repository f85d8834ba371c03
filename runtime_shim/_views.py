"""``os.stat``, ``os.listdir`` and similar functions, which show a pack as a plain directory.

The real ones raise no audit event, or one that cannot change their answer, and files of the arena are not on
disk. The replacements are bound methods, because a class that keeps a plain function as an attribute (pathlib
until Python 3.10) would bind it as a method of its own.
"""

from __future__ import annotations

import os
import stat as modes
import sys

from ._disk import MTIME
from ._guard import WATCHED, folder_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ._guard import Guard


SCALES = (("", 1.0), ("_ns", 1000000000))


class Entry:
    """The ``os.DirEntry`` of a file that is in the arena."""

    __slots__ = ("_answer", "name", "path")

    def __init__(self, folder: Any, name: str, answer: os.stat_result) -> None:
        self.name: Any = os.fsencode(name) if isinstance(folder, bytes) else name
        # Where the folder was given by its descriptor, an entry's path is the name alone.
        self.path: Any = self.name if isinstance(folder, int) else os.path.join(folder, self.name)
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
        """The answer that the real file would give."""
        return self._answer


class Listing:
    """An ``os.scandir`` iterator that hides some real entries and has further ones behind them."""

    def __init__(self, real: Any, more: list[Entry], hidden: set[Any]) -> None:
        self._real = real
        self._names = hidden.union(entry.name for entry in more)
        self._more = iter(more)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        for entry in self._real:
            # A file that is still being written is hidden too, because its size is not final.
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
    """The replacements, as bound methods of the names that they have in ``os``."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        for name in NAMES:
            setattr(self, "_" + name, getattr(os, name))

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __reduce__(self) -> Any:
        # So a method of this object pickles as "the function of this name in os".
        return __import__, ("os",)

    def _answer(self, file: int) -> os.stat_result:
        mode = modes.S_IFREG | self.guard.mode(file)
        size = self.guard.size(file)
        times = (MTIME, MTIME, MTIME)
        more = {"st_%stime%s" % (kind, end): MTIME * scale for kind in "amc" for end, scale in SCALES}
        more.update(st_blksize=4096, st_blocks=-(-size // 4096) * 8, st_rdev=0)
        return os.stat_result((mode, file + 1, 0, 1, os.getuid(), os.getgid(), size, *times), more)

    def _look(self, path: Any, dir_fd: int | None, follow: bool) -> int | None:
        relative = self.guard.relative(path, dir_fd, follow=follow)
        return self.guard.look(relative) if relative else None

    def _make(self, path: Any, dir_fd: int | None = None, *, follow: bool = True) -> None:
        relative = self.guard.relative(path, dir_fd, follow=follow)
        if relative is not None:
            self.guard.open(relative)

    def stat(self, path: Any, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> Any:
        """``os.stat``."""
        if not self.guard.spelled(path):
            try:
                answer = self._stat(path, dir_fd=dir_fd, follow_symlinks=follow_symlinks)
                if answer.st_dev not in self.guard.devices:
                    return answer
            except OSError:
                pass
        file = self._look(path, dir_fd, follow_symlinks)
        if file is None:
            return self._stat(path, dir_fd=dir_fd, follow_symlinks=follow_symlinks)
        return self._answer(file)

    def lstat(self, path: Any, *, dir_fd: int | None = None) -> os.stat_result:
        """``os.lstat``."""
        file = self._look(path, dir_fd, False)
        return self._lstat(path, dir_fd=dir_fd) if file is None else self._answer(file)

    def access(
        self,
        path: Any,
        mode: int,
        *,
        dir_fd: int | None = None,
        effective_ids: bool = False,
        follow_symlinks: bool = True,
    ) -> Any:
        """``os.access``."""
        file = self._look(path, dir_fd, follow_symlinks)
        if file is None:
            return self._access(
                path, mode, dir_fd=dir_fd, effective_ids=effective_ids, follow_symlinks=follow_symlinks
            )
        return not mode & os.X_OK or bool(self.guard.mode(file) & 0o111)

    def open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> Any:
        """``os.open``, whose audit event lacks the folder's descriptor."""
        if dir_fd is not None:
            self._make(path, dir_fd)
        return self._open(path, flags, mode, dir_fd=dir_fd)

    def readlink(self, path: Any, *, dir_fd: int | None = None) -> Any:
        """``os.readlink``."""
        self._make(path, dir_fd, follow=False)
        return self._readlink(path, dir_fd=dir_fd)

    def statvfs(self, path: Any) -> Any:
        """``os.statvfs``."""
        self._make(path)
        return self._statvfs(path)

    def pathconf(self, path: Any, name: Any) -> Any:
        """``os.pathconf``."""
        self._make(path)
        return self._pathconf(path, name)

    def mkfifo(self, path: Any, mode: int = 0o666, *, dir_fd: int | None = None) -> None:
        """``os.mkfifo``."""
        self._make(path, dir_fd)
        self._mkfifo(path, mode, dir_fd=dir_fd)

    def mknod(self, path: Any, mode: int = 0o600, device: int = 0, *, dir_fd: int | None = None) -> None:
        """``os.mknod``."""
        self._make(path, dir_fd)
        self._mknod(path, mode, device, dir_fd=dir_fd)

    def remove(self, path: Any, *, dir_fd: int | None = None) -> None:
        """``os.remove``."""
        if not self._removed(path, dir_fd):
            self._remove(path, dir_fd=dir_fd)

    def unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        """``os.unlink``."""
        if not self._removed(path, dir_fd):
            self._unlink(path, dir_fd=dir_fd)

    def _removed(self, path: Any, dir_fd: int | None) -> bool:
        """Whether a removal is done already: a file that is not on disk need not be fetched to be removed."""
        relative = self.guard.relative(path, dir_fd, follow=False)
        if relative not in self.guard.files or not self.guard.absent(relative):
            return False
        sys.audit("os.remove", path, -1 if dir_fd is None else dir_fd)
        return True

    def _list(
        self, path: Any, *, entries: bool = False
    ) -> tuple[list[str], list[tuple[str, int]], set[str]] | None:
        """For a folder of the pack: the names on disk, the further names to show, and the names to hide.

        A further name has its file's number; it may also be on disk, and then replaces what is there. None
        for a folder that is not the pack's.
        """
        guard = self.guard
        relative = guard.relative(folder_of(path) if isinstance(path, int) else path)
        if relative is None or not guard.expose(relative):
            return None
        names = list(map(os.fsdecode, self._listdir(path)))
        hidden = {name for name in names if guard.ours(relative, name)}
        more = list(guard.unlisted(relative, names))
        for name, file in more if entries else ():
            if file < 0:
                # Only a real folder has an entry that is a folder: this raises the error why there is none.
                guard.folder(relative + "/" + name if relative else name)
        return names, more, hidden

    def listdir(self, path: Any = None) -> Any:
        """``os.listdir``."""
        listing = self._list("." if path is None else path)
        if listing is None:
            return self._listdir(path)
        names, more, hidden = listing
        seen = [name for name in names if name not in hidden]
        seen += [name for name, _ in more if name not in names]
        return [os.fsencode(name) for name in seen] if isinstance(path, bytes) else seen

    def scandir(self, path: Any = None) -> Any:
        """``os.scandir``."""
        folder = "." if path is None else path
        listing = self._list(folder, entries=True)
        if listing is None or not (listing[1] or listing[2]):
            return self._scandir(folder)
        _, more, hidden = listing
        if not isinstance(folder, int):
            folder = os.fspath(folder)
        as_bytes = isinstance(folder, bytes)
        entries = [Entry(folder, name, self._answer(file)) for name, file in more if file >= 0]
        unseen: set[Any] = {os.fsencode(name) for name in hidden} if as_bytes else set(hidden)
        return Listing(self._scandir(folder), entries, unseen)


NAMES = (
    "stat", "lstat", "access", "listdir", "scandir", "open", "readlink", "statvfs", "pathconf", "mkfifo",
    "mknod", "remove", "unlink",
)  # fmt: skip
KEEPERS = ("pathlib", "pathlib._local", "pathlib._os", "glob")
"""The modules of the standard library that keep functions of ``os``, in a class or as globals."""

_views: Views | None = None


def install(guard: Guard) -> None:
    """Replace the functions of ``os`` and begin to watch opens; a second call replaces only the guard.

    An audit hook cannot be removed.
    """
    global _views
    if _views is not None:
        _views.guard = guard
        return
    _views = views = Views(guard)
    replaced = {}
    for name in NAMES:
        real, new = getattr(os, name), getattr(views, name)
        for capable in (
            os.supports_dir_fd,
            os.supports_fd,
            os.supports_follow_symlinks,
            os.supports_effective_ids,
        ):
            if real in capable:
                capable.add(new)
        setattr(os, name, new)
        replaced[real] = new
    for keeper in KEEPERS:
        if keeper in sys.modules:
            replace(sys.modules[keeper], replaced)
    watched = WATCHED

    # An import raises tens of thousands of events, and each time CPython looks for an attribute of each hook.
    # That it is missing costs half a microsecond for a function and 1.5 for a bound method.
    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event in watched:
            views.guard.audit(event, args)

    # If the hook raises a PackError, the open fails with that error.
    sys.addaudithook(hook)


def replace(owner: Any, replaced: dict[Any, Any]) -> None:
    """Replace the functions that a module, or a class in it, keeps under names of its own."""
    for name, value in list(vars(owner).items()):
        static = isinstance(value, staticmethod)
        function = value.__func__ if isinstance(value, staticmethod) else value
        if isinstance(function, BUILT_IN) and function in replaced:
            new = replaced[function]
            setattr(owner, name, staticmethod(new) if static else new)
        elif isinstance(value, type) and not isinstance(owner, type) and value.__module__ == owner.__name__:
            replace(value, replaced)


BUILT_IN = type(len)
