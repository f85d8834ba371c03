"""What is known of each file of a tree: its class, which decides where a cold start puts the file, and which
shared objects the dynamic linker maps with it."""

from __future__ import annotations

import mmap
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lambdapack import elf
from lambdapack.elf import Elf
from lambdapack.model import Target, bytecode_of
from runtime_shim import _index


@dataclass(frozen=True)
class Classification:
    """The classes of a tree's files and what its ELF headers say.

    Attributes:
        kinds: Path -> its class, a letter of ``runtime_shim._index``.
        direct: Path of a shared object -> paths that the object itself asks the dynamic linker for.
        glibc: The highest version that any object asks for.
    """

    kinds: Mapping[str, str]
    direct: Mapping[str, tuple[str, ...]]
    glibc: tuple[int, int] | None


def classify(root: Path, target: Target, paths: Iterable[str], native: frozenset[str]) -> Classification:
    """Classify the files of a tree; ``native`` are those that only native code was seen to open.

    An extension for another Python than the target's is not importable.
    """
    kinds: dict[str, str] = {}
    objects: dict[str, Elf] = {}
    present = frozenset(paths)
    for path in sorted(present):
        kind = _kind_by_name(path, target)
        if kind in (_index.DATA, _index.EXTENSION):
            headers = _read_elf(root / path)
            if headers is not None:
                objects[path] = headers
                kind = kind if kind == _index.EXTENSION else _kind_of_elf(root, path, headers)
        if path in native and _may_be_native(path, kind, present, target):
            kind = _index.NATIVE_DATA
        kinds[path] = kind
    versions = [headers.glibc for headers in objects.values() if headers.glibc]
    return Classification(kinds=kinds, direct=resolve(objects), glibc=max(versions, default=None))


def _kind_by_name(path: str, target: Target) -> str:
    top, _, rest = path.partition("/")
    if rest and top.endswith(".dist-info"):
        return _index.METADATA
    if path.endswith(".pyc"):
        return _index.CODE
    if path.endswith(".py"):
        return _index.SOURCE
    if path.endswith((f".{target.soabi}.so", ".abi3.so")):
        return _index.EXTENSION
    return _index.DATA


def _read_elf(path: Path) -> Elf | None:
    if not elf.is_elf(path):
        return None
    try:
        return elf.read(path)
    except elf.ElfError:
        # What the linker cannot read it cannot map either: such a file is data.
        return None


def _kind_of_elf(root: Path, path: str, headers: Elf) -> str:
    name = path.rpartition("/")[2]
    if headers.kind != "dyn" or not (headers.soname or ".so" in name):
        return _index.DATA
    # "foo.so" is importable too, but most files of such a name are plain libraries.
    if name.endswith(".so") and name.count(".") == 1 and _initialises(root / path, name[:-3]):
        return _index.EXTENSION
    return _index.LIBRARY


def _initialises(path: Path, module: str) -> bool:
    """Whether the string table names the function that an import of ``module`` calls (PEP 489)."""
    if module.isascii():
        symbol = f"PyInit_{module}"
    else:
        symbol = "PyInitU_" + module.encode("punycode").decode("ascii").replace("-", "_")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(b"\0" + symbol.encode() + b"\0") >= 0


def _may_be_native(path: str, kind: str, present: frozenset[str], target: Target) -> bool:
    """Whether a file that native code opened may become a file of its own without hiding a module."""
    if kind == _index.SOURCE:
        return bytecode_of(path, target) in present
    return kind in (_index.DATA, _index.LIBRARY)


def resolve(objects: Mapping[str, Elf]) -> dict[str, tuple[str, ...]]:
    """Path of each shared object -> paths of the ``objects`` that it asks for itself, in its order.

    A name is looked up in the object's own search path, ``$ORIGIN`` being its folder. Where that does not
    find it, the linker may still: through the search path of whatever loaded it, or because a library of
    that name is mapped already. So a name that only one object of the pack has is taken to be that one.
    What is not in the pack is the system's.
    """
    names: dict[str, set[str]] = {}
    for path, headers in objects.items():
        names.setdefault(posixpath.basename(path), set()).add(path)
        if headers.soname:
            names.setdefault(headers.soname, set()).add(path)
    direct = {}
    for path, headers in objects.items():
        others = (_find(name, path, headers, objects, names) for name in headers.needed)
        direct[path] = tuple(dict.fromkeys(other for other in others if other and other != path))
    return direct


def _find(
    name: str, path: str, headers: Elf, objects: Mapping[str, Elf], names: Mapping[str, set[str]]
) -> str | None:
    folder = posixpath.dirname(path)
    if "/" in name:
        name = _expand(name, folder) or posixpath.basename(name)
        return name if name in objects else None
    for entry in headers.runpath:
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
