"""Find what the ELF files of a tree ask for and neither the tree nor Lambda has."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from pathlib import Path

from lambdapack import elf
from lambdapack.elf import Elf
from lambdapack.files import walk
from lambdapack.install.syslibs.runtime import RuntimeLibraries
from lambdapack.model import MissingLibrary, Tree


def missing_libraries(
    tree: Tree, has: RuntimeLibraries, objects: Mapping[str, Elf] | None = None
) -> tuple[MissingLibrary, ...]:
    """The libraries that ELF files of a tree ask for and that are missing, by name.

    A name that any file of the tree has counts as there: packages load such libraries by their path before
    they import what needs them.

    Args:
        tree: An installed tree.
        has: What Lambda has.
        objects: The tree's ELF files by path, where they were read already.
    """
    objects = objects_of(tree) if objects is None else objects
    own = names_of(objects)
    needed_by: dict[str, list[str]] = {}
    for path, headers in sorted(objects.items()):
        for name in map(posixpath.basename, headers.needed):
            if name not in has.certain and name not in own:
                needed_by.setdefault(name, []).append(path)
    return tuple(MissingLibrary(name, tuple(paths)) for name, paths in sorted(needed_by.items()))


def merged(
    libraries: Iterable[MissingLibrary], has: RuntimeLibraries, reasons: Mapping[str, str] | None = None
) -> tuple[MissingLibrary, ...]:
    """Each missing library once, by name, without those that the runtime's image has.

    Args:
        libraries: Missing ones; a name may come several times, with other users.
        has: What Lambda has.
        reasons: Name -> why the library was not bundled, where ``libraries`` do not say.
    """
    users: dict[str, tuple[str, ...]] = {}
    why = dict(reasons or {})
    for library in libraries:
        if library.name not in has.image:
            known = users.get(library.name, ())
            users[library.name] = tuple(dict.fromkeys((*known, *library.needed_by)))
            why[library.name] = why.get(library.name) or library.reason
    return tuple(MissingLibrary(name, paths, why[name]) for name, paths in sorted(users.items()))


def objects_of(tree: Tree) -> dict[str, Elf]:
    """The ELF files of a tree that its target can map, by path."""
    # ``check_binaries`` tells of damaged files, once it is known which files stay in the pack.
    objects, _ = read_objects(tree.root)
    return {path: headers for path, headers in objects.items() if headers.machine == tree.target.machine}


def read_objects(root: Path) -> tuple[dict[str, Elf], dict[str, str]]:
    """Path -> headers of all ELF files below ``root``, and path -> problem of the damaged ones."""
    objects, damaged = {}, {}
    for path in walk(root):
        # Python's files are most, and never ELF.
        if path.endswith((".py", ".pyc", ".pyi")) or not elf.is_elf(root / path):
            continue
        try:
            objects[path] = elf.read(root / path)
        except elf.ElfError as error:
            damaged[path] = str(error)
    return objects, damaged


def names_of(objects: Mapping[str, Elf]) -> frozenset[str]:
    """Every name that other files could ask for these objects by."""
    return frozenset(name for path, headers in objects.items() for name in names_in(path, headers))


def names_in(path: str, headers: Elf) -> tuple[str, ...]:
    """The names that other files could ask for one object by: its file's and its soname."""
    return (posixpath.basename(path), *([headers.soname] if headers.soname else []))
