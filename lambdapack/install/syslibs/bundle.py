"""Bring libraries that Lambda lacks into a tree, from the image that it was built in.

They go to one folder of the tree, under the names that are asked for, with the bytes that the image has:
no header is rewritten. The shim maps them before what needs them, and the dynamic linker takes a library
that is mapped already for any that asks for its soname (``dl_open_worker`` and ``_dl_map_object`` of glibc).
"""

from __future__ import annotations

import hashlib
import posixpath
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Protocol

from lambdapack import elf
from lambdapack.elf import Elf
from lambdapack.files import scratch_folder
from lambdapack.install.syslibs.find import RuntimeLibraries, merged, missing_libraries, names_of, objects_of
from lambdapack.model import MissingLibrary, SystemLibrary, Tree
from lambdapack.progress import Progress
from runtime_shim._index import LIBRARIES

FOLDER = LIBRARIES.rstrip("/")
_BY_PATH = (
    "a program opened it in the image, whose dynamic linker does not find it by its name: put it, with what "
    "it needs in turn, into the folder lib beside the handler, or into lib of a layer"
)


@dataclass(frozen=True)
class LibraryQuery:
    """What an image is asked for: a library, and where to look first.

    Attributes:
        name: Its soname.
        folders: Absolute folders that the file which needs the library wants searched first.
    """

    name: str
    folders: tuple[str, ...]


class LibraryOrigin(NamedTuple):
    """Where an image has a library.

    Attributes:
        path: Its path in the image.
        package: The image's package that it belongs to, with its version; empty where that is unknown.
        purl: The package as a package URL; empty where that is unknown.
    """

    path: str
    package: str
    purl: str


class Source(Protocol):
    """Where libraries come from."""

    def fetch(self, queries: Sequence[LibraryQuery], destination: Path) -> Mapping[str, LibraryOrigin]:
        """Copy the libraries that are there into ``destination``, each under its name; name -> origin."""


def bundle(
    tree: Tree,
    has: RuntimeLibraries,
    source: Source,
    progress: Progress,
    *,
    glibc: tuple[int, int],
    opened: Sequence[MissingLibrary] | None = None,
) -> Tree:
    """Copy the libraries that a tree misses, and those that they need, into it; note what stays missing.

    Args:
        tree: An installed tree; files are added to it.
        has: What Lambda has.
        source: The image.
        progress: Told what cannot be used.
        glibc: The newest C library that the pack may ask for.
        opened: What a program opened by name, instead of what the tree's headers ask for.
    """
    objects = objects_of(tree)
    missing = missing_libraries(tree, has, objects) if opened is None else opened
    tree = replace(tree, libraries=_with_users(tree.libraries, missing))
    bundled = {library.name for library in tree.libraries}
    # Where there is a reason, a library is opened before another one that needs it has it mapped.
    missing = [library for library in missing if library.reason or library.name not in bundled]
    if not missing:
        return tree
    with scratch_folder() as folder:
        search = _Search(tree, has, source, folder, objects)
        with progress.step("bundle system libraries", total=len(missing)) as advance:
            for name in search.closure([library for library in missing if not library.reason]):
                advance(1, note=name)
        _warn_of_glibc(search.headers, glibc, progress)
        copied = _copy(tree, search)
    left = search.left(missing, "" if opened is None else _BY_PATH)
    return replace(
        tree,
        libraries=tuple(sorted((*tree.libraries, *copied), key=lambda library: library.name)),
        missing=merged((*tree.missing, *left), has, search.reasons),
    )


def _with_users(
    libraries: Sequence[SystemLibrary], missing: Sequence[MissingLibrary]
) -> tuple[SystemLibrary, ...]:
    """Libraries that the tree brings along already, with the files that were now found to need them."""
    users = {library.name: library.needed_by for library in missing if not library.reason}
    return tuple(
        replace(library, needed_by=tuple(sorted({*library.needed_by, *users.get(library.name, ())})))
        for library in libraries
    )


class _Search:
    """Asks an image for libraries, and then for those that they need, until no more are needed.

    Attributes:
        headers: By name, the ELF headers of every library that the image gave.
        origins: By name, where the image has it.
        needed_by: By name, the paths of the tree that ask for it.
        reasons: By name, why a library that the image has cannot be used.
        folder: Holds the libraries, each under its name.
    """

    def __init__(
        self, tree: Tree, has: RuntimeLibraries, source: Source, folder: Path, objects: Mapping[str, Elf]
    ) -> None:
        self.headers: dict[str, Elf] = {}
        self.origins: dict[str, LibraryOrigin] = {}
        self.needed_by: dict[str, list[str]] = {}
        self.reasons: dict[str, str] = {}
        self.folder = folder
        self._tree, self._has, self._source = tree, has, source
        self._objects = objects
        self._own = names_of(objects)

    def closure(self, missing: Sequence[MissingLibrary]) -> Sequence[str]:
        """Find the missing libraries and all that they need; the names that were found."""
        queries = {}
        for library in missing:
            self.needed_by[library.name] = list(library.needed_by)
            if self._may_bundle(library.name):
                queries[library.name] = LibraryQuery(library.name, self._folders(library))
        while queries:
            queries = self._round(queries)
        return sorted(self.headers)

    def left(self, missing: Sequence[MissingLibrary], reason: str) -> list[MissingLibrary]:
        """What of ``missing`` was not found, for ``reason`` unless it has one, and what libraries lack."""
        left = [
            replace(library, reason=library.reason or reason)
            for library in missing
            if library.reason or library.name not in self.headers
        ]
        return left + [
            MissingLibrary(name, (users[0],))
            for name, users in sorted(self.needed_by.items())
            if name not in self.headers
            and not self._has.is_glibc(name)
            and all(path.startswith(LIBRARIES) for path in users)
        ]

    def _may_bundle(self, name: str) -> bool:
        if self._has.is_glibc(name):
            self.reasons[name] = "a part of the C library, which must be Lambda's own"
            return False
        return True

    def _folders(self, library: MissingLibrary) -> tuple[str, ...]:
        # A module that opens a library by its name has no headers.
        objects = (self._objects[path] for path in library.needed_by if path in self._objects)
        entries = (entry for headers in objects for entry in headers.runpath)
        return tuple(dict.fromkeys(entry for entry in entries if entry.startswith("/")))

    def _round(self, queries: Mapping[str, LibraryQuery]) -> dict[str, LibraryQuery]:
        """Ask for libraries; the queries for what those need in turn."""
        origins = self._source.fetch(list(queries.values()), self.folder)
        more: dict[str, LibraryQuery] = {}
        for name in queries:
            headers = self._sound(name) if name in origins else None
            if headers is None:
                continue
            self.headers[name], self.origins[name] = headers, origins[name]
            here = posixpath.dirname(origins[name].path)
            folders = tuple(_expanded(entry, here) for entry in headers.runpath)
            for needed in map(posixpath.basename, headers.needed):
                if needed in self._has.certain or needed in self._own:
                    continue
                self.needed_by.setdefault(needed, []).append(f"{FOLDER}/{name}")
                if needed not in self.headers and needed not in queries and self._may_bundle(needed):
                    more[needed] = LibraryQuery(needed, folders)
        return more

    def _sound(self, name: str) -> Elf | None:
        """The headers of a library from the image, if the dynamic linker would take it for ``name``."""
        try:
            headers = elf.read(self.folder / name)
        except (elf.ElfError, OSError) as error:
            self.reasons[name] = f"what the image has is not a library: {error}"
            return None
        if headers.machine != self._tree.target.machine:
            self.reasons[name] = f"what the image has is for {headers.machine}"
        elif headers.soname != name:
            self.reasons[name] = f"what the image has calls itself {headers.soname or 'nothing'}"
        else:
            return headers
        return None


def _expanded(entry: str, folder: str) -> str:
    for token in ("${ORIGIN}", "$ORIGIN"):
        entry = entry.replace(token, folder)
    return posixpath.normpath(entry)


def _warn_of_glibc(libraries: Mapping[str, Elf], glibc: tuple[int, int], progress: Progress) -> None:
    for name, headers in libraries.items():
        if headers.glibc is not None and headers.glibc > glibc:
            progress.warn(
                "{} from the image asks for glibc {}.{}, and the lock allows {}.{}".format(
                    name, *headers.glibc, *glibc
                )
            )


def _copy(tree: Tree, search: _Search) -> tuple[SystemLibrary, ...]:
    """Copy the libraries that were found into the tree's folder for them."""
    copied = []
    for name in sorted(search.headers):
        path = tree.root / FOLDER / name
        path.parent.mkdir(exist_ok=True)
        shutil.copyfile(search.folder / name, path)
        data, origin = path.read_bytes(), search.origins[name]
        copied.append(
            SystemLibrary(
                name=name,
                path=f"{FOLDER}/{name}",
                origin=origin.path,
                package=origin.package,
                bytes=len(data),
                sha256=hashlib.sha256(data).hexdigest(),
                needed_by=tuple(sorted(search.needed_by[name])),
                purl=origin.purl,
            )
        )
    return tuple(copied)
