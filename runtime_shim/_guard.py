"""Waiting when Python code looks at the pack's files by their paths.

Two doors: the audit hook sees every open and listing (``open``, ``os.open``, ``os.listdir``, ``os.scandir``,
``ctypes.dlopen``); ``os.stat`` and its kin raise no audit event and are wrapped. What is opened has arrived
before the open goes on; a file that lives in the arena becomes a real one first.
"""

from __future__ import annotations

import os
import posixpath
import stat as stat_module
import sys
from _thread import get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from ._importer import Importer


class Guard:
    """Makes files of the pack complete before Python code sees them."""

    def __init__(self, importer: Importer) -> None:
        self._importer = importer
        self._pack = importer.pack
        self._place = importer.pack.place
        self._prefix = importer.site + "/"
        self._ready: set[int] = set()
        self._listed: set[str] = set()

    def relative(self, path: Any) -> str | None:
        """``path`` relative to the pack's root, None where it does not concern the pack."""
        if not isinstance(path, str):
            if not isinstance(path, bytes) and not hasattr(path, "__fspath__"):
                return None
            path = os.fsdecode(path)
        if not path.startswith(self._prefix):
            return None
        inside: str = path[len(self._prefix) :]
        if inside in self._importer.files:
            return inside
        # "pkg/../data/x" and "pkg//x" are the same file.
        normal = posixpath.normpath(path) + "/"
        return normal[len(self._prefix) : -1] if normal.startswith(self._prefix) else None

    def mine(self) -> bool:
        """Whether this thread is one that fetches: it must never wait for itself."""
        return get_ident() in self._pack.fetching_threads

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        """The audit hook."""
        if event in ("open", "ctypes.dlopen"):
            relative = self.relative(args[0]) if args and args[0] else None
            if relative is not None and not self.mine():
                self.open(relative)
        elif event in ("os.listdir", "os.scandir"):
            relative = self.relative(args[0]) if args and args[0] else None
            if relative is not None and not self.mine():
                self.list(relative)

    def open(self, relative: str) -> None:
        """Make the file ready to be opened by its path."""
        file = self._importer.files.get(relative)
        if file is None or file in self._ready:
            return
        if self._pack.index.classes[file] in self._place.in_arena:
            self._pack.wait_file(file)
            self._place.materialise(file)
        else:
            self._importer.wait_library(file)
        self._ready.add(file)

    def list(self, relative: str) -> None:
        """Make a folder's listing complete."""
        if relative in self._listed:
            return
        here = self._importer.contents.children.get(relative)
        if here is None:
            return
        for name, file in here.items():
            if file < 0:
                os.makedirs(self._prefix + relative + "/" + name, exist_ok=True)
            else:
                self.open(relative + "/" + name)
        self._listed.add(relative)

    def stat(self, path: Any) -> os.stat_result | None:
        """Make ``path`` ready for a stat; the answer itself for a file in the arena that has no real file."""
        relative = self.relative(path)
        if relative is None or self.mine():
            return None
        file = self._importer.files.get(relative)
        if file is None:
            if relative in self._importer.contents.children:
                os.makedirs(self._prefix + relative, exist_ok=True)
            return None
        if self._pack.index.classes[file] not in self._place.in_arena:
            if file not in self._ready:
                self.open(relative)
            return None
        if file in self._ready:
            return None
        size = self._pack.index.sizes[file]
        mode = stat_module.S_IFREG | 0o644
        return os.stat_result((mode, file + 1, 0, 1, os.getuid(), os.getgid(), size, 0, 0, 0))


def install(importer: Importer) -> Guard:
    """Begin to watch opens, listings and stats of the pack's files."""
    guard = Guard(importer)
    real_stat, real_lstat, real_access = os.stat, os.lstat, os.access

    def answering(real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(path: Any, *args: Any, **kwargs: Any) -> Any:
            if type(path) is int:
                return real(path, *args, **kwargs)
            answer = guard.stat(path)
            return real(path, *args, **kwargs) if answer is None else answer

        wrapped.__name__ = wrapped.__qualname__ = real.__name__
        wrapped.__doc__ = real.__doc__
        wrapped.__module__ = real.__module__
        return wrapped

    def access(path: Any, mode: int, *args: Any, **kwargs: Any) -> bool:
        if guard.stat(path) is not None:
            return not mode & (os.W_OK | os.X_OK)
        return real_access(path, mode, *args, **kwargs)

    access.__doc__ = real_access.__doc__
    os.stat = answering(real_stat)
    os.lstat = answering(real_lstat)
    os.access = access
    accessor = getattr(sys.modules.get("pathlib"), "_NormalAccessor", None)
    if accessor is not None:
        # Until Python 3.10 pathlib keeps functions of its own; an instance calls them unbound.
        accessor.stat = staticmethod(os.stat)
        accessor.lstat = staticmethod(os.lstat)
    # A hook that raises turns every open into that error, which for a PackError is what we want.
    sys.addaudithook(guard.audit)
    return guard
