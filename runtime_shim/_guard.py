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
    from typing import Any, Callable

    from ._importer import Importer

# Audit event -> which of its arguments are paths. "import" has one for a shared object alone.
PATHS = {
    "open": (0,), "import": (1,), "ctypes.dlopen": (0,), "os.chdir": (0,),
    "os.chmod": (0,), "os.chown": (0,), "os.getxattr": (0,), "os.link": (0, 1), "os.listxattr": (0,),
    "os.mkdir": (0,), "os.remove": (0,), "os.removexattr": (0,), "os.rename": (0, 1), "os.rmdir": (0,),
    "os.setxattr": (0,), "os.symlink": (0, 1), "os.truncate": (0,), "os.utime": (0,),
}  # fmt: skip
# The same where words may have paths in them: of files, or of folders that another program may read all of.
PROGRAMS = {
    "os.exec": (0, 1), "os.posix_spawn": (0, 1), "os.system": (0,), "sqlite3.connect": (0,),
    "subprocess.Popen": (0, 1, 2),
}  # fmt: skip
WATCHED = frozenset(PATHS) | frozenset(PROGRAMS)
# The time of files that are not on disk; the first day that a zip file can hold everywhere on earth.
MTIME = 315619200


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
        # Whether the working directory may be in the pack: then "x" can be a path of it.
        self._inside = False

    def relative(self, path: Any) -> str | None:
        """``path`` relative to the pack's root, None where it does not concern the pack or this thread."""
        if not isinstance(path, str):
            if not isinstance(path, bytes) and not hasattr(type(path), "__fspath__"):
                return None
            path = os.fsdecode(path)
        if self._inside and path and not path.startswith("/"):
            path = os.path.join(os.getcwd(), path)
        if not path.startswith(self._site) or get_ident() in self._pack.fetching_threads:
            # A thread that fetches must never wait for itself.
            return None
        inside: str = path[len(self._prefix) :]
        if inside in self._files and path.startswith(self._prefix):
            return inside
        # "pkg/../data/x" and "pkg//x" are the same file; the kernel wants "pkg" to be there.
        at = path.find("/..")
        while at >= 0:
            self.open(posixpath.normpath(path[:at])[len(self._prefix) :])
            at = path.find("/..", at + 1)
        normal = posixpath.normpath(path)
        if normal == self._site:
            return ""
        return normal[len(self._prefix) :] if normal.startswith(self._prefix) else None

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        """Answer one of the ``WATCHED`` audit events."""
        if event in PATHS:
            for position in PATHS[event]:
                path = args[position]
                relative = self.relative(path) if path is not None else None
                if relative is not None:
                    self.open(relative)
                    if event == "os.chdir":
                        self._inside = True
                    elif event == "open" and relative not in self._files:
                        # What is opened through a folder's descriptor has no path to be seen by.
                        self.fill(relative)
        else:
            for position in PROGRAMS[event]:
                words = args[position]
                for word in words if isinstance(words, (list, tuple)) else (words,):
                    self._hand_over(word)

    def _hand_over(self, word: Any) -> None:
        """Put on disk what a word of a command line names."""
        if not isinstance(word, (str, bytes)) and not hasattr(type(word), "__fspath__"):
            return
        text = os.fsdecode(word)
        while self._site in text:
            text = text[text.index(self._site) :]
            ends = [len(text)] + [at for at in map(text.find, " \t\n\"';:,|&<>)?") if at >= 0]
            for end in (ends[0], min(ends)):
                relative = self.relative(text[:end])
                if relative in self._files:
                    self.open(relative)
                elif relative is not None:
                    self.fill(relative)
            text = text[len(self._site) :]

    def open(self, relative: str) -> None:
        """Make the file ready to be opened by its path; of a folder, and for a new file, the folder."""
        file = self._files.get(relative)
        if file is None:
            folders = self._importer.contents.children
            folder = relative if relative in folders else relative.rpartition("/")[0]
            if folder in folders:
                self.folder(folder)
            return
        if file in self._ready and self._place.whole(file):
            return
        if self.virtual(file):
            data = self._pack.read(file)
            self._unseen(self._place.materialise, file, data)
        else:
            self._importer.wait_library(file)
        self._ready.add(file)

    def folder(self, relative: str) -> None:
        """Put a folder on disk, as empty as it is."""
        self._unseen(make_folder, self._prefix + relative)

    def _unseen(self, work: Callable[..., None], *args: Any) -> None:
        """Do work of our own, whose opens are not to be answered by ourselves."""
        ident = get_ident()
        self._pack.fetching_threads.add(ident)
        try:
            work(*args)
        finally:
            self._pack.fetching_threads.discard(ident)

    def fill(self, relative: str) -> None:
        """Put a folder on disk with everything in it; nothing if it is none."""
        inside = self._importer.contents.children.get(relative)
        if inside is None:
            return
        self.folder(relative)
        for name, file in inside.items():
            path = relative + "/" + name if relative else name
            if file < 0:
                self.fill(path)
            else:
                self.open(path)

    def virtual(self, file: int) -> bool:
        """Whether this file is in the arena and, so far, not on disk."""
        return (
            not (file in self._ready and self._place.whole(file))
            and self._pack.index.classes[file] in self._place.in_arena
        )

    def look(self, relative: str) -> int | None:
        """Make a path ready for a stat; its file's number if there is nothing on disk to stat."""
        file = self._files.get(relative)
        if file is None:
            if relative in self._importer.contents.children:
                self.folder(relative)
            return None
        if self.virtual(file):
            return file
        self.open(relative)
        return None

    def list(self, relative: str) -> Iterator[tuple[str, int]]:
        """Make a folder ready to be listed; the names, with their files, that are not on disk or not whole.

        Waits for what is in it, since native code may open what Python has listed; not in the pack's root,
        which ``importlib.metadata`` lists in the middle of the imports.
        """
        here = self._importer.contents.children.get(relative)
        if here is None:
            self.open(relative)
            return
        self.folder(relative)
        for name, file in here.items():
            path = relative + "/" + name if relative else name
            if file < 0:
                self.folder(path)
            elif self.virtual(file) or not (relative or self._pack.present(file)):
                yield name, file
            else:
                self.open(path)

    def size(self, file: int) -> int:
        """A file's size in bytes."""
        return self._pack.index.sizes[file]

    def mode(self, file: int) -> int:
        """A file's permissions."""
        return 0o755 if file in self._pack.index.executable else 0o644
