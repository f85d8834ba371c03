"""Waiting when Python code looks at the pack's files by their paths.

The audit hook sees every open (``open``, ``os.open``, ``ctypes.dlopen``); what raises no audit event, or
must show more than there is on disk, goes through ``_views``. What is opened has arrived before the open
goes on; a file that lives in the arena becomes a real one first.
"""

from __future__ import annotations

import os
import posixpath
from _thread import get_ident

from ._disk import make_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ._importer import Importer


class Guard:
    """Makes files of the pack complete before Python code sees them.

    Paths that its methods take are relative to the pack's root.
    """

    def __init__(self, importer: Importer) -> None:
        self._importer = importer
        self._pack = importer.pack
        self._place = importer.pack.place
        self._files = importer.files
        self._site = importer.site
        self._prefix = importer.site + "/"
        self._ready: set[int] = set()

    def relative(self, path: Any) -> str | None:
        """``path`` relative to the pack's root, None where it does not concern the pack or this thread."""
        if not isinstance(path, str):
            if not isinstance(path, bytes) and not hasattr(path, "__fspath__"):
                return None
            path = os.fsdecode(path)
        if not path.startswith(self._site) or get_ident() in self._pack.fetching_threads:
            # A thread that fetches must never wait for itself.
            return None
        inside: str = path[len(self._prefix) :]
        if inside in self._files and path.startswith(self._prefix):
            return inside
        # "pkg/../data/x" and "pkg//x" are the same file.
        normal = posixpath.normpath(path)
        if normal == self._site:
            return ""
        return normal[len(self._prefix) :] if normal.startswith(self._prefix) else None

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        """The audit hook: anything but an open leaves at the first comparison."""
        if event in ("open", "ctypes.dlopen") and args and args[0]:
            relative = self.relative(args[0])
            if relative:
                self.open(relative)

    def open(self, relative: str) -> None:
        """Make the file ready to be opened by its path."""
        file = self._files.get(relative)
        if file is None or file in self._ready:
            return
        if self.virtual(file):
            self._pack.wait_file(file)
            ident = get_ident()
            self._pack.fetching_threads.add(ident)  # writing it opens it
            try:
                self._place.materialise(file)
            finally:
                self._pack.fetching_threads.discard(ident)
        else:
            self._importer.wait_library(file)
        self._ready.add(file)

    def virtual(self, file: int) -> bool:
        """Whether this file is in the arena and, so far, not on disk."""
        return file not in self._ready and self._pack.index.classes[file] in self._place.in_arena

    def look(self, relative: str) -> int | None:
        """Make a path ready for a stat; its file's number if there is nothing on disk to stat."""
        file = self._files.get(relative)
        if file is None:
            if relative in self._importer.contents.children:
                make_folder(self._prefix + relative)
            return None
        if self.virtual(file):
            return file
        self.open(relative)
        return None

    def list(self, relative: str) -> Iterator[tuple[str, int]]:
        """Make a folder ready to be listed; the names, with their files, that are not on disk."""
        here = self._importer.contents.children.get(relative)
        if here is None:
            return
        make_folder(self._prefix + relative)
        for name, file in here.items():
            path = relative + "/" + name if relative else name
            if file < 0:
                make_folder(self._prefix + path)
            elif self.virtual(file):
                yield name, file
            else:
                self.open(path)

    def size(self, file: int) -> int:
        """A file's size in bytes."""
        return self._pack.index.sizes[file]
