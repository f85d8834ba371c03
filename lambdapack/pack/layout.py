"""Which file goes where in a pack: its class, its band and its place in the order."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from itertools import groupby
from pathlib import Path

from lambdapack.errors import ConfigurationError
from lambdapack.memo import NOTHING, Memo
from lambdapack.model import Owners, Target, Trace, Tree, bytecode_of, source_of
from lambdapack.pack import twins
from lambdapack.pack.check import path_problem
from lambdapack.pack.classes import classify, load_order
from runtime_shim import _index


class Band(IntEnum):
    """When a cold start needs a file. Bands follow each other in a pack and never share a frame."""

    HOT = 0
    """The trace touched the file."""
    REST = 1
    """Real files that the trace did not touch: no late open of one could be made to wait."""
    LAZY_METADATA = 2
    LAZY_CODE = 3
    LAZY_SOURCE = 4

    @property
    def eager(self) -> bool:
        """Whether files of the band must be in place before the first invocation."""
        return self <= Band.REST


_DROP = "leave it out with [slim] drop in lambdapack.toml"
_LAZY = {
    _index.METADATA: Band.LAZY_METADATA,
    _index.CODE: Band.LAZY_CODE,
    _index.SOURCE: Band.LAZY_SOURCE,
}


@dataclass(frozen=True)
class Entry:
    """One file of a pack: its path, relative to the tree's root, POSIX style; its size in bytes; whether its
    mode is 0755 instead of 0644; its class, a letter of ``runtime_shim._index``; when it is needed; the
    number of the twins that it shares a frame with, 0 for none.
    """

    path: str
    size: int
    executable: bool
    kind: str
    band: Band
    twins: int


@dataclass(frozen=True)
class Layout:
    """The files of a pack in their order, and what connects them.

    Attributes:
        entries: In pack order, band after band.
        needs: Number of a shared object -> numbers of the objects that loading it maps, ascending. Number of
            a module -> numbers of the libraries that it opens by name, and of what these map.
        native: Top-level name, or ``*``, -> numbers of the native-data files it waits for.
        glibc: ``2.17``, or ``""`` when no ELF file asks for a version.
    """

    entries: tuple[Entry, ...]
    needs: dict[int, list[int]]
    native: dict[str, list[int]]
    glibc: str


def arrange(tree: Tree, trace: Trace, memo: Memo = NOTHING) -> Layout:
    """Order the files of ``tree`` by first use, as the pack's format wants them.

    ``memo`` remembers which libraries are twins. A tree without distributions may be empty: a function may
    have assets alone.

    Raises:
        ConfigurationError: Distributions were installed and nothing is left of them; or the tree holds
            something that is neither a regular file nor a folder, or a name that a pack cannot carry.
    """
    files = _walk(tree.root)
    if not files and tree.distributions:
        raise ConfigurationError(f"{tree.root} holds no files: there is nothing to pack")
    classes = classify(tree.root, tree.target, files, trace.native)
    direct = {**classes.direct, **_opened(tree, classes.kinds)}
    hot = _hot_order(tree, trace, classes.kinds, direct)
    bands = _bands(files, classes.kinds, hot)
    sizes = {path: status.st_size for path, status in files.items()}
    in_bands = (list(band) for _, band in groupby(bands, key=bands.__getitem__))
    known = twins.Files(sizes, classes.kinds, direct)
    order, shared = twins.gather(in_bands, known, twins.measured(tree.root, memo))
    numbers = {path: number for number, path in enumerate(order)}
    entries = tuple(
        Entry(
            path,
            sizes[path],
            bool(files[path].st_mode & 0o111),
            classes.kinds[path],
            bands[path],
            shared.get(path, 0),
        )
        for path in order
    )
    return Layout(
        entries=entries,
        needs=_needs(direct, numbers),
        native=_native(entries),
        glibc=".".join(map(str, classes.glibc or ())),
    )


def _bands(paths: Iterable[str], kinds: Mapping[str, str], hot: Iterable[str]) -> dict[str, Band]:
    """Each file's band, in order: band after band, and hot files by their first use."""
    ranks = {path: rank for rank, path in enumerate(hot)}
    bands = {path: Band.HOT if path in ranks else _LAZY.get(kinds[path], Band.REST) for path in paths}
    order = sorted(bands, key=lambda path: (bands[path], ranks.get(path, 0), _top_level(path), path))
    return {path: bands[path] for path in order}


def _walk(root: Path) -> dict[str, os.stat_result]:
    files: dict[str, os.stat_result] = {}
    for folder, subfolders, names in os.walk(root):
        for name in sorted(subfolders + names):
            path = Path(folder, name)
            relative = path.relative_to(root).as_posix()
            status = path.lstat()
            if stat.S_ISDIR(status.st_mode):
                continue
            if not stat.S_ISREG(status.st_mode):
                raise ConfigurationError(
                    f"{relative!r} in {root} is neither a regular file nor a folder; "
                    "a pack carries regular files only",
                    hint=_DROP,
                )
            problem = path_problem(relative)
            if problem:
                raise ConfigurationError(f"a pack cannot carry {relative!r}: the name {problem}", hint=_DROP)
            files[relative] = status
    return dict(sorted(files.items()))


def _top_level(path: str) -> str:
    return path.split("/", 1)[0]


def _opened(tree: Tree, kinds: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The file that an import of a module finds -> bundled libraries that the module opens by name."""
    opened: dict[str, list[str]] = {}
    for library in tree.libraries:
        for source in dict.fromkeys(map(source_of, library.needed_by)):
            path = source if source in kinds else f"{source}c"
            if library.path in kinds and kinds.get(path) in (_index.CODE, _index.SOURCE):
                opened.setdefault(path, []).append(library.path)
    return {path: tuple(libraries) for path, libraries in opened.items()}


def _needs(direct: Mapping[str, tuple[str, ...]], numbers: Mapping[str, int]) -> dict[int, list[int]]:
    mapped = {numbers[path]: load_order(path, direct) for path in direct}
    return {number: sorted(numbers[path] for path in needed) for number, needed in mapped.items() if needed}


def _hot_order(
    tree: Tree, trace: Trace, kinds: Mapping[str, str], direct: Mapping[str, tuple[str, ...]]
) -> dict[str, None]:
    """The hot files in pack order: first use, but right before a file its prerequisites.

    Prerequisites are the native data of the same distribution (no native open can be made to wait, so
    they have to be there before the first code that might open them) and, for a shared object, what the
    dynamic linker maps with it; for a module, what it opens by name.
    """
    recorded = Owners.installed(tree.distributions).recorded

    def owner(path: str) -> str:
        # A slash: a top-level name is not to be taken for the distribution of that name.
        return recorded.get(path, f"{_top_level(path)}/")

    touched = dict.fromkeys(_touched(trace.files, kinds, tree.target))
    native: dict[str, list[str]] = {}
    for path in touched:
        if kinds[path] == _index.NATIVE_DATA:
            native.setdefault(owner(path), []).append(path)
    ordered: dict[str, None] = {}
    for path in touched:
        asking = source_of(path) if source_of(path) in direct else path
        for needed in (*load_order(asking, direct), path):
            ordered.update(dict.fromkeys(native.pop(owner(needed), ())))
            ordered[needed] = None
    return ordered


def _touched(traced: Iterable[str], kinds: Mapping[str, str], target: Target) -> Iterator[str]:
    """The traced files as they are in the tree now.

    A trace may have run before bytecode was compiled (it then names the source that Python read) or
    over bytecode that is gone. An import does not read the source beside its bytecode: where the trace
    names both, something else did (TorchScript compiles from source text), and the source is hot too.
    """
    touched = dict.fromkeys(traced)
    sources = {
        bytecode_of(path.removesuffix("c"), target): path
        for path in kinds
        # A tree without sources has its bytecode in their place.
        if path.endswith(".py") or (path.endswith(".pyc") and "__pycache__/" not in path)
    }
    for path in touched:
        if kinds.get(path) == _index.NATIVE_DATA:
            yield path
            continue
        compiled = bytecode_of(path, target) if path.endswith(".py") else path
        if compiled != path and compiled in touched and path in kinds:
            yield path
            continue
        present = compiled if compiled in kinds else sources.get(compiled, path)
        if present in kinds:
            yield present


def _native(entries: Iterable[Entry]) -> dict[str, list[int]]:
    importable = {
        _top_level(entry.path).split(".")[0]
        for entry in entries
        if entry.kind in (_index.CODE, _index.SOURCE, _index.EXTENSION)
    }
    groups: dict[str, list[int]] = {}
    for number, entry in enumerate(entries):
        if entry.kind == _index.NATIVE_DATA:
            top = _top_level(entry.path)
            groups.setdefault(top if top in importable else "*", []).append(number)
    return groups
