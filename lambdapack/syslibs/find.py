"""Find what the ELF files of a tree, or a program, ask for and neither the tree nor Lambda has."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from lambdapack import elf
from lambdapack.elf import Elf
from lambdapack.model import Lacking, Trace, Tree
from lambdapack.syslibs.provided import Provided

__all__ = ["TRACED", "lacking", "names_of", "objects_of", "opened"]

TRACED = "the traced code"
"""Stands among the files that need a library, where it is no file of the tree that opens it."""
# What glibc opens by itself where the machine's settings say so, and what a machine's GPU driver brings.
_OF_THE_MACHINE = re.compile(r"libnss_|libcuda\.|libcudadebugger\.|libnvidia|libnvcuvid")
_BY_NAME = (
    "a program opens it by name, and finds it so only in the function's own folders: put it, with what it "
    "needs in turn, into the folder lib beside the handler, or into lib of a layer"
)


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


def opened(tree: Tree, has: Provided, trace: Trace, search: Iterable[Path] = ()) -> tuple[Lacking, ...]:
    """The libraries that the traced program opened by name and had from the machine that it ran on.

    No header says so: a program calls ``dlopen`` through ctypes or cffi, as WeasyPrint does for Pango.

    Args:
        tree: The tree that was traced.
        has: What Lambda has.
        trace: The trace.
        search: Folders where the function would find them, too.
    """
    known = {*has.certain, *has.image, *(one.name for one in tree.lacking)}
    wanted = [name for name, path in trace.foreign if name not in known and _counts(name, path)]
    if not wanted:
        return ()
    own = names_of(objects_of(tree))
    left = [name for name in wanted if name not in own and not any((at / name).exists() for at in search)]
    users = _users(tree, trace, left)
    return tuple(Lacking(name, users[name], _BY_NAME) for name in sorted(set(left)))


def _counts(name: str, path: str) -> bool:
    """Whether it is a library that somebody asked for, rather than a part of the machine's C library."""
    return not (Provided.is_glibc(name) or _OF_THE_MACHINE.match(name) or "/gconv/" in path)


def _users(tree: Tree, trace: Trace, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Name -> the touched modules that have it among their texts, else the traced code."""
    modules = [path for path in trace.files if path.endswith((".py", ".pyc"))]
    found: dict[str, list[str]] = {name: [] for name in names}
    for path in modules if found else ():
        content = (tree.root / path).read_bytes()
        for name, users in found.items():
            if name.encode() in content:
                users.append(path)
    return {name: tuple(users) or (TRACED,) for name, users in found.items()}


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
