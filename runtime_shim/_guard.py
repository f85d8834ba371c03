"""Waiting when Python code looks at the pack's files by their paths.

The audit hook sees every open (``open``, ``os.open``, ``ctypes.dlopen``). Functions that raise no audit
event, or must show more than is on disk, are replaced by ``_views``. A file is complete before its open goes
on; a file of the arena is written to disk first. That a file was complete once is not remembered: it may have
been removed since.
"""

from __future__ import annotations

import os
import posixpath

# From posix, because the functions of os may be replaced, by _views or by the function's code.
from posix import listdir, lstat, readlink, stat

from . import PackError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from ._importer import Importer

# Audit event -> (path, dir_fd) pairs: the positions of its arguments that are a path and the descriptor of
# the folder that the path is relative to, -1 where there is none. "import" has a path only for a shared
# object. A removal is left to a view, because it needs no content.
PATHS = {
    "open": ((0, -1),), "import": ((1, -1),), "ctypes.dlopen": ((0, -1),), "os.chdir": ((0, -1),),
    "os.chmod": ((0, 2),), "os.chown": ((0, 3),), "os.getxattr": ((0, -1),), "os.link": ((0, 2), (1, 3)),
    "os.listxattr": ((0, -1),), "os.mkdir": ((0, 2),), "os.removexattr": ((0, -1),),
    "os.rename": ((0, 2), (1, 3)), "os.rmdir": ((0, 1),), "os.setxattr": ((0, -1),),
    "os.symlink": ((0, 2), (1, 2)), "os.truncate": ((0, -1),), "os.utime": ((0, 3),),
}  # fmt: skip
# Audit event -> positions of arguments whose words may contain paths, which another program is going to read.
PROGRAMS = {
    "os.exec": (0, 1), "os.posix_spawn": (0, 1), "os.system": (0,), "sqlite3.connect": (0,),
    "subprocess.Popen": (0, 1, 2),
}  # fmt: skip
# Audit event -> position of the new process's environment; -1: it gets this process's.
ENVIRONMENTS = {"os.exec": 2, "os.posix_spawn": 2, "os.system": -1, "subprocess.Popen": 3}
WATCHED = frozenset(PATHS) | frozenset(PROGRAMS)
# The name of the starter that is written into a folder of the pack from which a child imports.
STARTER = "sitecustomize.py"
# The variables that a child needs to fetch frames by itself.
ACCESS = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN",
)  # fmt: skip
# How many folders are remembered as lying outside the pack.
STRANGE = 1024


class Guard:
    """Makes files of the pack complete before Python code sees them.

    Paths that its methods take are relative to the pack's root.
    """

    def __init__(self, importer: Importer) -> None:
        self._importer = importer
        self._unseen = importer.unseen
        importer.locate = self.relative
        self._pack = importer.pack
        self._place = importer.pack.place
        self.files = importer.files
        self._site = importer.site
        self._prefix = importer.site + "/"
        # The standard library: opened most often, and never a part of a pack.
        self._library = os.path.dirname(os.__file__) + "/"
        self.devices = devices(importer.pack.place.base)
        self._strange: set[tuple[int, int, int]] = set()

    def relative(self, path: Any, dir_fd: int | None = None, *, follow: bool = True) -> str | None:
        """``path`` relative to the pack's root, None where it does not concern the pack or this thread.

        ``follow`` says whether a symbolic link at the path's end stands for what it leads to.
        """
        if not isinstance(path, str):
            if not isinstance(path, bytes) and not hasattr(type(path), "__fspath__"):
                return None
            path = os.fsdecode(path)
        if path.startswith(self._prefix):
            inside: str = path[len(self._prefix) :]
            if inside in self.files:
                return None if self._importer.at_work() else inside
        elif path.startswith(self._library) and "/.." not in path:
            return None
        if self._importer.at_work() or not path or "\0" in path:
            return None
        if dir_fd is not None and dir_fd >= 0 and not path.startswith("/"):
            path = folder_of(dir_fd) + "/" + path
        if "/.." in path:
            self._make_before_dots(path)
        return self._lexical(path, follow) if path.startswith(self._site) else self._elsewhere(path, follow)

    def _make_before_dots(self, path: str) -> None:
        """Make "pkg" of a path like "pkg/../data/x" on disk: the kernel wants it to exist."""
        at = path.find("/..")
        while at >= 0:
            folder = self.relative(path[:at]) if at else None
            if folder is not None and folder in self._importer.contents.children:
                self.folder(folder)
            at = path.find("/..", at + 1)

    def _lexical(self, path: str, follow: bool) -> str | None:
        """``relative`` for a path that begins with the root's."""
        normal = posixpath.normpath(path)
        if normal == self._site:
            return ""
        if not normal.startswith(self._prefix):
            return self._elsewhere(path, follow) if path != normal else None
        inside = normal[len(self._prefix) :]
        children = self._importer.contents.children
        if inside in self.files or inside in children:
            return inside
        if inside.rpartition("/")[0] in children and not (follow and is_link(normal)):
            return inside
        # Not in the pack under this spelling, but perhaps through a link that the program has made in there.
        return self._resolved(path, follow) or inside

    def _elsewhere(self, path: str, follow: bool) -> str | None:
        """``relative`` for any other path; most are on another file system or in a folder seen before."""
        try:
            if (stat if follow else lstat)(path).st_dev not in self.devices:
                return None
        except OSError:
            pass
        head, slash, name = path.rpartition("/")
        if name in ("", ".", "..") or (follow and is_link(path)):
            return self._resolved(path, follow)
        try:
            folder = stat(head or slash or ".")
        except OSError:
            return self._resolved(path, follow)
        # With the change time: a new folder may get the inode number of a removed one, but not its times.
        identity = folder.st_ino, folder.st_ctime_ns, folder.st_dev
        if folder.st_dev not in self.devices or identity in self._strange:
            return None
        relative = self._resolved(path, follow)
        if relative is None and not self._is_base(folder):
            if len(self._strange) >= STRANGE:
                self._strange.clear()
            self._strange.add(identity)
        return relative

    def _is_base(self, folder: os.stat_result) -> bool:
        """Whether the pack's root is in this folder: then a path beside the root does not rule it out."""
        try:
            base = stat(self._place.base)
        except OSError:
            return True
        return (base.st_ino, base.st_dev) == (folder.st_ino, folder.st_dev)

    def _resolved(self, path: str, follow: bool) -> str | None:
        """``relative`` for a path with its links resolved, from the working directory."""
        if path.startswith("//"):
            path = "/" + path.lstrip("/")
        head, slash, name = path.rpartition("/")
        try:
            if follow or name in ("", ".", ".."):
                real = self._unseen(os.path.realpath, path)
            else:
                real = self._unseen(os.path.realpath, head or slash or ".") + "/" + name
        except OSError:
            return None
        if real == self._site:
            return ""
        inside: str | None = real[len(self._prefix) :] if real.startswith(self._prefix) else None
        return inside

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        """Answer one of the ``WATCHED`` audit events."""
        if event in PATHS:
            for position, descriptor in PATHS[event]:
                path = args[position]
                if path is not None:
                    relative = self.relative(path, args[descriptor] if descriptor >= 0 else None)
                    if relative is not None:
                        self.open(relative)
        elif not self._importer.at_work():
            for position in PROGRAMS[event]:
                words = args[position]
                for word in words if isinstance(words, (list, tuple)) else (words,):
                    self._hand_over(word)
            if event in ENVIRONMENTS:
                position = ENVIRONMENTS[event]
                environment = args[position] if position >= 0 else None
                self._hand_over_environment(os.environ if environment is None else environment)

    def _hand_over(self, word: Any) -> None:
        """Put on disk the files and folders that a word of a command line names."""
        if not isinstance(word, (str, bytes)) and not hasattr(type(word), "__fspath__"):
            return
        text = os.fsdecode(word)
        if self._site not in text and "/" in text and len(text) < 1024:
            self._give(self.relative(text))
        while self._site in text:
            text = text[text.index(self._site) :]
            ends = [len(text)] + [at for at in map(text.find, " \t\n\"';:,|&<>)?") if at >= 0]
            for end in (ends[0], min(ends)):
                self._give(self.relative(text[:end]))
            text = text[len(self._site) :]

    def _give(self, relative: str | None) -> None:
        if relative in self.files:
            self.open(relative)
        elif relative is not None:
            self.fill(relative)

    def _hand_over_environment(self, environment: Any) -> None:
        """Put on disk what the variables of a child name, and a starter into folders that it imports from."""
        variables = decoded(environment)
        for entry in variables.get("PYTHONPATH", "").split(os.pathsep):
            relative = self.relative(entry)
            if relative is not None and relative in self._importer.contents.children:
                self._put_starter(relative)
                if any(os.environ.get(name) not in (None, variables.get(name)) for name in ACCESS):
                    self._fetch(relative)
        for name, value in variables.items():
            # The shim's own LD_LIBRARY_PATH names the bundled libraries, which are real files.
            if self._site in value and name not in ("PYTHONPATH", "LD_LIBRARY_PATH"):
                self._hand_over(value)

    def _fetch(self, relative: str) -> None:
        """Wait for every frame of a folder, for a child that has no credentials to fetch them by itself."""
        start = relative and relative + "/"
        for path, file in self.files.items():
            if path.startswith(start):
                self._pack.wait_file(file)

    def _put_starter(self, relative: str) -> None:
        """Write a ``sitecustomize`` that opens the pack for a child with this folder on its ``PYTHONPATH``.

        Every Python runs the first ``sitecustomize`` that it finds.
        """
        if STARTER in self._importer.contents.children[relative]:
            self.fill(relative)
            return
        self.folder(relative)
        self._unseen(self._write_starter, self._prefix + (relative and relative + "/") + STARTER)

    def _write_starter(self, path: str) -> None:
        import sys

        shim = os.path.dirname(os.path.abspath(__file__))
        root = os.path.dirname(self._place.base)
        text = (
            "# Written by lambdapack's shim, for Python processes that import from here.\n"
            "SHIM, ROOT, TAG = %r, %r, %r\n"
            "path = SHIM + '/children/sitecustomize.py'\n"
            "try:\n"
            "    with open(path, encoding='utf-8') as file:\n"
            "        code = compile(file.read(), path, 'exec')\n"
            "except FileNotFoundError:\n"
            "    pass\n"
            "else:\n"
            "    exec(code)\n"
        ) % (shim, root, sys.implementation.cache_tag)
        try:
            with open(path, encoding="utf-8") as file:
                if file.read() == text:
                    return
        except OSError:
            pass
        beside = "%s.%d" % (path, os.getpid())
        with open(beside, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(beside, path)

    def open(self, relative: str) -> None:
        """Make a file ready to be opened by its path. For a folder or a new file, make the folder on disk."""
        file = self.files.get(relative)
        if file is None:
            folders = self._importer.contents.children
            folder = relative if relative in folders else relative.rpartition("/")[0]
            if folder in folders:
                self.folder(folder)
        elif not self._in_arena(file):
            self._importer.wait_library(file)
        elif self.absent(relative):
            data = self._pack.read(file)
            self._unseen(self._place.materialise, file, data)

    def folder(self, relative: str) -> None:
        """Put a folder on disk, as empty as it is."""
        self._unseen(self._place.folder, relative)

    def fill(self, relative: str) -> None:
        """Put a folder of the pack on disk with everything in it; any other path is ignored."""
        names = self._importer.contents.children.get(relative)
        if names is None:
            return
        self.folder(relative)
        for name, file in names.items():
            path = relative + "/" + name if relative else name
            if file < 0:
                self.fill(path)
            else:
                self.open(path)

    def _in_arena(self, file: int) -> bool:
        return self._pack.index.classes[file] in self._place.in_arena

    def absent(self, relative: str) -> bool:
        """Whether a file of the pack is not on disk now, or was changed there."""
        return not self._place.whole(self.files[relative])

    def look(self, relative: str) -> int | None:
        """Make a path ready for a stat; the file's number if it is in the arena and not on disk."""
        file = self.files.get(relative)
        if file is None:
            if relative in self._importer.contents.children:
                self.folder(relative)
        elif not self._in_arena(file):
            self.open(relative)
        elif self.absent(relative):
            return file
        return None

    def expose(self, relative: str) -> bool:
        """Make a folder ready to be listed; whether it is a folder of the pack.

        Waits for the files in it, since native code may open what Python has listed; but not in the pack's
        root, which ``importlib.metadata`` lists in the middle of the imports.
        """
        names = self._importer.contents.children.get(relative)
        if names is None:
            self.open(relative)
            return False
        self.folder(relative)
        for name, file in names.items():
            path = relative + "/" + name if relative else name
            if file < 0:
                try:
                    self.folder(path)
                except PackError:
                    # There is no room for it. Its name is known all the same, and importlib.metadata, which
                    # reads the names in the root, would take an error for an empty folder.
                    pass
            elif relative and not self._in_arena(file) and not self._pack.arrived(file):
                self.open(path)
        return True

    def unlisted(self, relative: str, names: Iterable[str]) -> Iterator[tuple[str, int]]:
        """Names and numbers of the files in an exposed folder that are not on disk, or not complete there.

        A folder for which there is no room on disk has the number -1.
        """
        on_disk = set(names)
        for name, file in self._importer.contents.children[relative].items():
            if name not in on_disk or not (
                relative or file < 0 or self._in_arena(file) or self._pack.present(file)
            ):
                yield name, file

    def ours(self, relative: str, name: str) -> bool:
        """Whether a name on disk is a starter of the shim's, which a plain directory would not have."""
        if name.startswith("sitecustomize."):
            return name not in self._importer.contents.children.get(relative, ())
        return False

    def spelled(self, path: Any) -> bool:
        """Whether ``path`` begins as the root does."""
        return isinstance(path, str) and path.startswith(self._site)

    def size(self, file: int) -> int:
        """A file's size in bytes."""
        return self._pack.index.sizes[file]

    def mode(self, file: int) -> int:
        """A file's permissions."""
        return 0o755 if file in self._pack.index.executable else 0o644


def decoded(environment: Any) -> dict[str, str]:
    """An environment that a program gave, as text; wrong values are left out, since Python reports them."""
    pairs = environment.items() if hasattr(environment, "items") else ()
    words = (str, bytes)
    return {
        os.fsdecode(name): os.fsdecode(value)
        for name, value in pairs
        if isinstance(name, words) and isinstance(value, words)
    }


def devices(base: str) -> set[int]:
    """Device numbers of a folder and of its entries: in an overlay, those of files and folders differ."""
    numbers = {stat(base).st_dev}
    for name in listdir(base):
        try:
            numbers.add(stat(base + "/" + name).st_dev)
        except OSError:
            pass
    return numbers


def folder_of(descriptor: int) -> str:
    """The path of an open folder, ``/dev/null`` if the descriptor is not open."""
    try:
        return readlink("/proc/self/fd/%d" % descriptor)
    except OSError:
        return "/dev/null"


def is_link(path: str) -> bool:
    """Whether there is a symbolic link at ``path``."""
    try:
        return lstat(path).st_mode & 0o170000 == 0o120000
    except OSError:
        return False
