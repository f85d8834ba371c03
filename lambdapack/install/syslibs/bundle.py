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
from typing import Protocol

from lambdapack import elf
from lambdapack.elf import Elf
from lambdapack.files import scratch_folder
from lambdapack.install.syslibs.find import lacking, merged, names_of, objects_of
from lambdapack.install.syslibs.provided import Provided
from lambdapack.model import Lacking, SystemLibrary, Tree
from lambdapack.progress import Progress
from runtime_shim._index import LIBRARIES

__all__ = ["Source", "Wanted", "bundle"]

FOLDER = LIBRARIES.rstrip("/")
_BY_PATH = (
    "a program opened it in the image, whose dynamic linker does not find it by its name: put it, with what "
    "it needs in turn, into the folder lib beside the handler, or into lib of a layer"
)


@dataclass(frozen=True)
class Wanted:
    """A library to look for.

    Attributes:
        name: Its soname.
        folders: Where the file that needs it wants it searched first, absolute.
    """

    name: str
    folders: tuple[str, ...]


class Source(Protocol):
    """Where libraries come from."""

    def fetch(self, wanted: Sequence[Wanted], destination: Path) -> Mapping[str, tuple[str, str, str]]:
        """Copy what is there into ``destination``, each under its name.

        Returns:
            Name -> where it was found, the package that it belongs to, and that one's package URL, if they
            are known.
        """


def bundle(
    tree: Tree,
    has: Provided,
    source: Source,
    progress: Progress,
    *,
    glibc: tuple[int, int],
    opened: Sequence[Lacking] | None = None,
) -> Tree:
    """Copy what ``tree`` lacks, and what that lacks in turn, into it.

    Args:
        tree: An installed tree; files are added to it.
        has: What Lambda has.
        source: The image.
        progress: Told what cannot be used.
        glibc: The newest C library that the pack may ask for.
        opened: What a program opened by name, instead of what the tree's headers ask for.

    Returns:
        The tree, with what was brought and what is still missing.
    """
    objects = objects_of(tree)
    missing = lacking(tree, has, objects) if opened is None else opened
    there = {one.name for one in tree.libraries}
    tree = replace(tree, libraries=_needed(tree.libraries, missing))
    # Who opens one that has a reason does not wait until it is mapped for somebody else.
    missing = [one for one in missing if one.reason or one.name not in there]
    if not missing:
        return tree
    with scratch_folder() as folder:
        search = _Search(tree, has, source, folder, objects)
        with progress.step("bundle system libraries", total=len(missing)) as advance:
            for name in search.closure([one for one in missing if not one.reason]):
                advance(1, note=name)
        for name, headers in search.found.items():
            if headers.glibc is not None and headers.glibc > glibc:
                progress.warn(
                    f"{name} from the image asks for glibc {'.'.join(map(str, headers.glibc))}, and the lock "
                    f"allows {'.'.join(map(str, glibc))}"
                )
        kept = _keep(tree, search)
    left = [one for one in missing if one.reason or one.name not in search.found]
    if opened is not None:
        left = [replace(one, reason=one.reason or _BY_PATH) for one in left]
    left += [Lacking(name, (f"{FOLDER}/{by}",)) for name, by in sorted(search.failed.items())]
    return replace(
        tree,
        libraries=tuple(sorted((*tree.libraries, *kept), key=lambda one: one.name)),
        lacking=merged((*tree.lacking, *left), has, search.reasons),
    )


def _needed(libraries: Sequence[SystemLibrary], missing: Sequence[Lacking]) -> tuple[SystemLibrary, ...]:
    """Libraries that are there already, with who else needs them."""
    users = {one.name: one.needed_by for one in missing if not one.reason}
    return tuple(
        replace(one, needed_by=tuple(sorted({*one.needed_by, *users.get(one.name, ())}))) for one in libraries
    )


class _Search:
    """Follows what is needed until nothing more is."""

    def __init__(
        self, tree: Tree, has: Provided, source: Source, folder: Path, objects: Mapping[str, Elf]
    ) -> None:
        self.found: dict[str, Elf] = {}
        self.origins: dict[str, tuple[str, str, str]] = {}
        self.needed_by: dict[str, list[str]] = {}
        self.failed: dict[str, str] = {}
        self.reasons: dict[str, str] = {}
        self.folder = folder
        self._tree, self._has, self._source = tree, has, source
        self._objects = objects
        self._own = names_of(objects)

    def closure(self, missing: Sequence[Lacking]) -> Sequence[str]:
        """Find the missing ones and all that they need; their names."""
        wanted = {}
        for one in missing:
            self.needed_by[one.name] = list(one.needed_by)
            if self._may(one.name):
                wanted[one.name] = Wanted(one.name, self._folders(one))
        while wanted:
            wanted = self._round(wanted)
        return sorted(self.found)

    def _may(self, name: str) -> bool:
        if self._has.is_glibc(name):
            self.reasons[name] = "a part of the C library, which must be Lambda's own"
            return False
        return True

    def _folders(self, one: Lacking) -> tuple[str, ...]:
        # A module that opens one by its name has no headers.
        objects = (self._objects[path] for path in one.needed_by if path in self._objects)
        entries = (entry for headers in objects for entry in headers.runpath)
        return tuple(dict.fromkeys(entry for entry in entries if entry.startswith("/")))

    def _round(self, wanted: Mapping[str, Wanted]) -> dict[str, Wanted]:
        more: dict[str, Wanted] = {}
        fetched = self._source.fetch(list(wanted.values()), self.folder)
        for name in wanted:
            headers = self._sound(name) if name in fetched else None
            if headers is None:
                self._fail(name)
                continue
            self.found[name], self.origins[name] = headers, fetched[name]
            here = posixpath.dirname(fetched[name][0])
            folders = tuple(_expanded(entry, here) for entry in headers.runpath)
            for needed in map(posixpath.basename, headers.needed):
                if needed in self._has.certain or needed in self._own:
                    continue
                self.needed_by.setdefault(needed, []).append(f"{FOLDER}/{name}")
                if needed not in self.found and needed not in wanted and self._may(needed):
                    more[needed] = Wanted(needed, folders)
        return more

    def _fail(self, name: str) -> None:
        by = [path for path in self.needed_by[name] if path.startswith(LIBRARIES)]
        if len(by) == len(self.needed_by[name]):
            self.failed[name] = by[0].removeprefix(LIBRARIES)

    def _sound(self, name: str) -> Elf | None:
        """The headers of a fetched library, if the dynamic linker would take it for ``name``."""
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


def _keep(tree: Tree, search: _Search) -> tuple[SystemLibrary, ...]:
    kept = []
    for name in sorted(search.found):
        path = tree.root / FOLDER / name
        path.parent.mkdir(exist_ok=True)
        shutil.copyfile(search.folder / name, path)
        data = path.read_bytes()
        where, package, purl = search.origins[name]
        kept.append(
            SystemLibrary(
                name=name,
                path=f"{FOLDER}/{name}",
                origin=where,
                package=package,
                bytes=len(data),
                sha256=hashlib.sha256(data).hexdigest(),
                needed_by=tuple(sorted(search.needed_by[name])),
                purl=purl,
            )
        )
    return tuple(kept)
