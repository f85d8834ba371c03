"""Find what the ELF files of a tree ask for and neither the tree nor Lambda has."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from lambdapack import elf
from lambdapack.elf import Elf
from lambdapack.install.syslibs.provided import Provided
from lambdapack.model import Lacking, Tree

__all__ = ["lacking", "merged", "names_of", "objects_of"]


def lacking(tree: Tree, has: Provided, objects: Mapping[str, Elf] | None = None) -> tuple[Lacking, ...]:
    """The libraries that are missing, by name.

    A name that any file of the tree has counts as there: packages load such libraries by their path before
    they import what needs them.

    Args:
        tree: An installed tree.
        has: What Lambda has.
        objects: Its ELF files, where they were read already.
    """
    found = objects_of(tree) if objects is None else objects
    own = names_of(found)
    needed_by: dict[str, list[str]] = {}
    for path, headers in sorted(found.items()):
        for name in map(posixpath.basename, headers.needed):
            if name not in has.certain and name not in own:
                needed_by.setdefault(name, []).append(path)
    return tuple(Lacking(name, tuple(paths)) for name, paths in sorted(needed_by.items()))


def merged(
    found: Iterable[Lacking], has: Provided, reasons: Mapping[str, str] | None = None
) -> tuple[Lacking, ...]:
    """Each missing library once, by name; what the runtime's image has is not missed.

    Args:
        found: What is missing.
        has: What Lambda has.
        reasons: Name -> why it is, where ``found`` does not tell.
    """
    users: dict[str, tuple[str, ...]] = {}
    why = dict(reasons or {})
    for one in found:
        if one.name not in has.image:
            users[one.name] = tuple(dict.fromkeys((*users.get(one.name, ()), *one.needed_by)))
            why[one.name] = why.get(one.name) or one.reason
    return tuple(Lacking(name, by, why[name]) for name, by in sorted(users.items()))


def objects_of(tree: Tree) -> dict[str, Elf]:
    """The ELF files of a tree that its target can map, by path."""
    found = {}
    for path in _files(tree.root):
        try:
            headers = elf.read(path) if elf.is_elf(path) else None
        except elf.ElfError:
            # Unsound: the check after the install has said so.
            continue
        if headers is not None and headers.machine == tree.target.machine:
            found[path.relative_to(tree.root).as_posix()] = headers
    return found


def names_of(objects: Mapping[str, Elf]) -> frozenset[str]:
    """Every name that other files could ask for these by."""
    return frozenset(_names(objects.items()))


def _names(objects: Iterable[tuple[str, Elf]]) -> Iterator[str]:
    for path, headers in objects:
        yield posixpath.basename(path)
        if headers.soname:
            yield headers.soname


def _files(root: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(root):
        yield from (Path(folder, name) for name in names if not name.endswith((".py", ".pyc", ".pyi")))
