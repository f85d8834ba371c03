"""Which shared objects of a pack the dynamic linker maps when it loads an object."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping

from lambdapack.elf import Elf


def resolve(objects: Mapping[str, Elf]) -> dict[str, tuple[str, ...]]:
    """Path of each shared object -> paths of the ``objects`` that it asks for itself, in its order.

    A name is looked up in the object's own search path, ``$ORIGIN`` being its folder. Where that does not
    find it, the linker may still: through the search path of whatever loaded it, or because a library of
    that name is mapped already. So a name that only one object of the pack has is taken to be that one.
    What is not in the pack is the system's.
    """
    names: dict[str, set[str]] = {}
    for path, elf in objects.items():
        names.setdefault(posixpath.basename(path), set()).add(path)
        if elf.soname:
            names.setdefault(elf.soname, set()).add(path)
    direct = {}
    for path, elf in objects.items():
        others = (_find(name, path, elf, objects, names) for name in elf.needed)
        direct[path] = tuple(dict.fromkeys(other for other in others if other and other != path))
    return direct


def _find(
    name: str, path: str, elf: Elf, objects: Mapping[str, Elf], names: Mapping[str, set[str]]
) -> str | None:
    folder = posixpath.dirname(path)
    if "/" in name:
        name = _expand(name, folder) or posixpath.basename(name)
        return name if name in objects else None
    for entry in elf.runpath:
        searched = _expand(entry, folder)
        if searched is not None and posixpath.join(searched, name) in objects:
            return posixpath.join(searched, name)
    candidates = names.get(name, set())
    return next(iter(candidates)) if len(candidates) == 1 else None


def _expand(entry: str, folder: str) -> str | None:
    """A search path entry relative to the pack's root; ``None`` when it lies outside."""
    for token in ("$ORIGIN", "${ORIGIN}"):
        if entry == token or entry.startswith(token + "/"):
            expanded = posixpath.normpath(posixpath.join(folder, "." + entry[len(token) :]))
            return "" if expanded == "." else None if expanded.startswith("..") else expanded
    return None


def load_order(path: str, direct: Mapping[str, tuple[str, ...]]) -> list[str]:
    """All that loading ``path`` maps, without ``path``; an object comes after the objects that it needs."""
    ordered: dict[str, None] = {}
    entered = {path}
    # Not recursive: a chain of libraries may be longer than Python's stack.
    stack: list[tuple[str, Iterator[str]]] = [(path, iter(direct.get(path, ())))]
    while stack:
        current, rest = stack[-1]
        following = next(rest, None)
        if following is None:
            stack.pop()
            ordered[current] = None
        elif following not in entered:
            entered.add(following)
            stack.append((following, iter(direct.get(following, ()))))
    del ordered[path]
    return list(ordered)
