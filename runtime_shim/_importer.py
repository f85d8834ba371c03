"""Imports from a pack: a path entry finder for its root and loaders that wait for their frames.

The modules look as if imported from a plain directory: they have the same ``__file__``, ``__cached__`` and
``__path__``, and their loader classes derive from importlib's own, so that ``inspect``, ``pkgutil``,
``importlib.resources`` and pickling work.
"""

from __future__ import annotations

import _imp
import marshal
import sys
from _thread import get_ident
from posix import getcwd

# The frozen module itself: an import of importlib.machinery would execute two files more.
_external: Any = sys.modules["_frozen_importlib_external"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import (
        ExtensionFileLoader,
        FileFinder,
        ModuleSpec,
        SourceFileLoader,
        SourcelessFileLoader,
    )
    from types import CodeType, ModuleType
    from typing import Any, Callable

    from ._index import Index
    from ._start import Pack
else:
    FileFinder = _external.FileFinder
    SourceFileLoader = _external.SourceFileLoader
    SourcelessFileLoader = _external.SourcelessFileLoader
    ExtensionFileLoader = _external.ExtensionFileLoader
    ModuleSpec = type(sys.__spec__)

_fix_co_filename: Any = getattr(_imp, "_fix_co_filename")  # noqa: B009  # not in typeshed
MAGIC = _external.MAGIC_NUMBER
# With -O a module has other bytecode, without asserts; with -OO without docstrings as well.
_LEVEL = ".opt-%d" % sys.flags.optimize if sys.flags.optimize else ""
PYC = "." + (sys.implementation.cache_tag or "") + _LEVEL + ".pyc"


class Contents:
    """A pack's files and folders by path, relative to its root.

    Attributes:
        files: Path -> number of the file.
    """

    def __init__(self, index: Index) -> None:
        self.index = index
        self.files = {path: file for file, path in enumerate(index.paths)}
        self._children: dict[str, dict[str, int]] | None = None

    @property
    def children(self) -> dict[str, dict[str, int]]:
        """Folder -> the names in it, each with its file's number, or -1 for a folder.

        Computed on first use: most starts never list a folder.
        """
        if self._children is None:
            folders: dict[str, dict[str, int]] = {"": {}}
            for path, file in self.files.items():
                folder, slash, name = path.rpartition("/")
                known = folders.get(folder)
                if known is None:
                    known = folders[folder] = {}
                    while slash:
                        folder, slash, child = folder.rpartition("/")
                        parent = folders.get(folder)
                        if parent is not None:
                            parent[child] = -1
                            break
                        folders[folder] = {child: -1}
                known[name] = file
            self._children = folders
        return self._children


class Importer:
    """Everything that loaders and finders of one pack share."""

    def __init__(self, pack: Pack, contents: Contents) -> None:
        self.pack = pack
        self.site = pack.place.site
        self.contents = contents
        self.files = contents.files
        # Whether invalidate_caches() was called: there may be modules that the index does not know.
        self.changed = False
        # The guard's reading of paths in any spelling; set once there is a guard.
        self.locate: Callable[[str], str | None] | None = None
        self._native = dict(pack.index.native)
        self._loaders: Any = _external._get_supported_file_loaders()

    def at_work(self) -> bool:
        """Whether this thread does the shim's own work.

        Such a thread sees the real file system and the plain import system, and so never waits for itself.
        """
        return get_ident() in self.pack.fetching_threads

    def unseen(self, work: Callable[..., Any], *args: Any) -> Any:
        """Do ``work`` as the shim's own, so that the guard does not answer its opens."""
        with self.pack.own():
            return work(*args)

    def relative(self, path: str) -> str | None:
        """``path`` relative to the pack's root, or None if it is elsewhere."""
        site = self.site
        if path.startswith(site) and path[len(site) : len(site) + 1] == "/":
            return path[len(site) + 1 :]
        return None

    def folder(self, path: str) -> str | None:
        """An entry of ``sys.path``, in whatever spelling, relative to the pack's root; None if elsewhere."""
        inside = self.relative(path + "/")
        if inside is not None and not ("//" in path or "/." in path):
            return inside.rstrip("/")
        inside = self.locate(path) if self.locate is not None else None
        return inside if inside in self.contents.children else None

    def wait_library(self, file: int) -> None:
        """Wait for a shared object and all those that the dynamic linker will map for it."""
        self.pack.wait_file(file)
        for needed in self.pack.index.needs.get(file, ()):
            self.pack.wait_file(needed)

    def wait_native(self, fullname: str, path: str) -> None:
        """Before a module runs, wait for the files that native code of its distribution opens.

        No hook sees native code open a file, so that it cannot be made to wait later. ``path`` is the
        module's file in the pack, which ``_libraries`` needs in its replacement of this method.
        """
        if not self._native:
            return
        for name in ("*", fullname.partition(".")[0]):
            for file in self._native.get(name, ()):
                self.pack.wait_file(file)
            # Only now: another thread that imports the same module must wait as well.
            self._native.pop(name, None)


class PackModule:
    """What the loaders share: beside importlib's name and path the number of the module's file."""

    def __init__(self, fullname: str, path: str, importer: Importer, file: int) -> None:
        self.name = fullname
        self.path = path
        self._importer = importer
        self._file = file


class PackLoader(PackModule, SourceFileLoader):  # type: ignore[misc]  # typeshed's bases of it differ
    """Loads a module's bytecode from the arena; its source is read only on request."""

    def get_code(self, fullname: str) -> CodeType | None:
        """The module's code, from its bytecode or, where there is none, from its source."""
        importer = self._importer
        relative = importer.pack.index.paths[self._file]
        importer.wait_native(fullname, relative)
        folder, slash, name = relative.rpartition("/")
        cached = importer.files.get(folder + slash + "__pycache__/" + name[:-3] + PYC)
        code = importer.pack.take(cached) if cached is not None else None
        if code is None:
            data = importer.pack.read(cached) if cached is not None else b""
            if data[:4] != MAGIC:
                return compile(self.get_data(self.path), self.path, "exec", dont_inherit=True)
            code = marshal.loads(memoryview(data)[16:])
        _fix_co_filename(code, self.path)
        return code

    def get_data(self, path: Any) -> bytes:
        """The bytes of a file of the pack by its path, or of any other file."""
        pack, file = self._importer.pack, self._file_at(path)
        if self._importer.at_work() or file is None or pack.index.classes[file] not in pack.place.in_arena:
            return super().get_data(path)
        return pack.read(file)

    def _file_at(self, path: Any) -> int | None:
        if path == self.path:
            return self._file
        relative = self._importer.relative(path) if isinstance(path, str) else None
        return self._importer.files.get(relative) if relative is not None else None

    def path_stats(self, path: Any) -> Any:
        """Size and time of a source, as ``py_compile`` and importlib's own loaders ask for them."""
        file = self._file_at(path)
        if file is None:
            return super().path_stats(path)
        return {"mtime": 0, "size": self._importer.pack.index.sizes[file]}

    def __reduce__(self) -> Any:
        return SourceFileLoader, (self.name, self.path)

    def set_data(self, path: Any, data: Any, *, _mode: int = 0o666) -> None:
        """Write nothing: the pack's bytecode is complete."""


class PackBytecodeLoader(PackModule, SourcelessFileLoader):
    """Loads a module that ships as a bare ``.pyc``."""

    def get_code(self, fullname: str) -> CodeType | None:
        """The module's code."""
        importer = self._importer
        importer.wait_native(fullname, importer.pack.index.paths[self._file])
        return super().get_code(fullname)

    def get_data(self, path: Any) -> bytes:
        """The bytes of the module's file, or of any other."""
        return self._importer.pack.read(self._file) if path == self.path else super().get_data(path)

    def __reduce__(self) -> Any:
        return SourcelessFileLoader, (self.name, self.path)


class PackExtensionLoader(PackModule, ExtensionFileLoader):
    """Loads an extension module once it and its libraries are complete."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Wait, then load."""
        importer = self._importer
        importer.wait_native(spec.name, importer.pack.index.paths[self._file])
        importer.wait_library(self._file)
        return super().create_module(spec)

    def __reduce__(self) -> Any:
        return ExtensionFileLoader, (self.name, self.path)


# In FileFinder's order: extension before source before bytecode.
LOADERS: list[tuple[str, Any]] = [(suffix, PackExtensionLoader) for suffix in _imp.extension_suffixes()]
LOADERS += [(".py", PackLoader), (".pyc", PackBytecodeLoader)]


class PackFinder(FileFinder):
    """Finds modules in one folder of a pack; ``sys.path_hooks`` makes one for each path entry.

    A finder never waits: Python holds the lock of all imports meanwhile, and a fetching thread imports too.
    It is a FileFinder, because ``pkgutil`` and ``pkg_resources`` decide by that class how to list modules.
    ``pkgutil`` then lists the folder, which ``_views`` answers.
    """

    def __init__(self, path: str, importer: Importer, relative: str) -> None:
        super().__init__(path, *importer._loaders)
        self._importer = importer
        # The folder as the path entry spells it, perhaps through links, and as the pack names it.
        self._folder = (path if path.startswith("/") else getcwd() + "/" + path).rstrip("/") + "/"
        self._prefix = relative + "/" if relative else ""

    def find_spec(self, fullname: str, target: Any = None) -> ModuleSpec | None:
        """The module's spec, as a plain directory's finder gives it; None if it is not here."""
        importer = self._importer
        if importer.at_work():
            return None
        files = importer.files
        tail = fullname.rpartition(".")[2]
        base, where = self._prefix + tail, self._folder + tail
        for end in ("/__init__", ""):
            stem = base + end
            for suffix, loader in LOADERS:
                file = files.get(stem + suffix)
                if file is not None:
                    path = where + end + suffix
                    loading = loader(fullname, path, importer, file)
                    spec = ModuleSpec(fullname, loading, origin=path, is_package=bool(end))
                    spec.has_location = True
                    if end:
                        spec.submodule_search_locations = [where]
                    return spec
        if base in importer.contents.children:
            spec = ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = [where]
            return spec
        return super().find_spec(fullname, target) if importer.changed else None

    def invalidate_caches(self) -> None:
        """From now on also look for modules that were written to disk at run time."""
        self._importer.changed = True
        super().invalidate_caches()


_hooks: dict[str, Any] = {}


def install(pack: Pack, contents: Contents, position: int) -> Importer:
    """Make the pack importable, its root at ``position`` of ``sys.path``; a second call does so anew."""
    importer = Importer(pack, contents)
    site = pack.place.site

    def hook(path: str) -> PackFinder:
        # No finder for a file: Python asks for one before it runs a script by its path. The shim's own
        # threads get the same answer as all others, because Python caches the answer for all threads.
        relative = importer.folder(path) if isinstance(path, str) else None
        if relative is None or relative in contents.files:
            raise ImportError("not a folder of the pack")
        return PackFinder(path, importer, relative)

    before = _hooks.get(site)
    if before in sys.path_hooks:
        sys.path_hooks.remove(before)
    _hooks[site] = hook
    sys.path_hooks.insert(0, hook)
    for path in list(sys.path_importer_cache):
        if isinstance(path, str) and path.startswith(site):
            del sys.path_importer_cache[path]
    if site in sys.path:
        sys.path.remove(site)
    sys.path.insert(position, site)
    return importer
