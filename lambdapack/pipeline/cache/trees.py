"""Installed distributions, with their bytecode: what was installed before is linked instead."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from lambdapack.memo import key_of
from lambdapack.model import Lock, Pin, Tree
from lambdapack.pipeline.cache.store import Store, remove

__all__ = ["Trees"]

_KIND = "trees"
_TREE = "tree"
_PIECE = 1024 * 1024
Files = Mapping[str, tuple[str, bool]]
"""Path -> SHA-256 and whether it is executable."""


class _Kept(NamedTuple):
    """A distribution in the cache."""

    folder: Path
    files: Files


class Trees:
    """The trees of single distributions.

    Args:
        store: Where they are kept.
        made_by: Everything that decides a tree besides its pin: target, tools, interpreter, builder.
        built: Name of each distribution that is built from its sdist -> what decides that.
    """

    def __init__(self, store: Store, made_by: Sequence[Any], built: Mapping[str, Any]) -> None:
        self._store = store
        self._made_by = made_by
        self._built = built

    def install(self, lock: Lock, destination: Path, fresh: Callable[[Lock, Path], Tree]) -> int:
        """Install ``lock`` into the new folder ``destination``: from the cache what it has.

        Distributions that bring a file of the same path are not taken from the cache: which of them wins
        is the installer's business.

        Args:
            lock: What to install.
            destination: The folder.
            fresh: Installs and compiles a lock into a new folder.

        Returns:
            How many distributions came from the cache.
        """
        kept = {pin.name: found for pin in lock.pins if (found := self._find(pin))}
        _drop(kept, _sharing({name: one.files for name, one in kept.items()}))
        while True:
            tree = self._fresh(lock, kept, destination, fresh)
            there = {path.relative_to(destination).as_posix() for path in _files(destination)}
            unusable = {name for name, one in kept.items() if not there.isdisjoint(one.files)}
            unusable = unusable or {name for name, one in kept.items() if not self._link(one, destination)}
            if not unusable:
                break
            _drop(kept, unusable)
            shutil.rmtree(destination)
        if tree is not None:
            self._keep(tree, {pin.name: pin for pin in lock.pins}, there)
        return len(kept)

    def _fresh(
        self,
        lock: Lock,
        kept: Mapping[str, _Kept],
        destination: Path,
        fresh: Callable[[Lock, Path], Tree],
    ) -> Tree | None:
        missing = tuple(pin for pin in lock.pins if pin.name not in kept)
        if not missing:
            destination.mkdir(parents=True)
            return None
        names = {pin.name for pin in missing}
        part = replace(
            lock,
            pins=missing,
            requested=tuple(name for name in lock.requested if name in names),
            built=tuple(name for name in lock.built if name in names),
        )
        return fresh(part, destination)

    def _key(self, pin: Pin) -> str:
        return key_of(pin.name, pin.version, sorted(pin.hashes), self._made_by, self._built.get(pin.name))

    def _find(self, pin: Pin) -> _Kept | None:
        found = self._store.get_folder(_KIND, self._key(pin))
        if found is None:
            return None
        folder, description = found
        files = {path: (digest, executable) for path, digest, executable in json.loads(description)}
        return _Kept(folder, files)

    def _link(self, kept: _Kept, destination: Path) -> bool:
        """Put a kept distribution into the tree; ``False`` where it is damaged or was taken away."""
        try:
            for path, (digest, executable) in kept.files.items():
                (destination / path).parent.mkdir(parents=True, exist_ok=True)
                link(kept.folder / _TREE / path, destination / path)
                if _facts(destination / path) != (digest, executable):
                    self._store.discard(kept.folder)
                    return False
        except OSError:
            remove(kept.folder)
            return False
        return True

    def _keep(self, tree: Tree, pins: Mapping[str, Pin], there: Iterable[str]) -> None:
        """Keep each distribution of a fresh tree of which every file is its own."""
        owned = {one.name: _with_bytecode(one.files, set(there)) for one in tree.distributions}
        claimed = {path for paths in owned.values() for path in paths}
        unclaimed = set(there) - claimed
        shared = _sharing(owned)
        if unclaimed:
            # Files that no RECORD lists: without them a distribution may not be whole.
            tops = {path.split("/")[0] for path in unclaimed}
            shared |= {name for name, paths in owned.items() if tops & {path.split("/")[0] for path in paths}}
        for name, paths in owned.items():
            if name not in shared and name in pins:
                self._keep_one(tree.root, self._key(pins[name]), paths)

    def _keep_one(self, root: Path, key: str, paths: Iterable[str]) -> None:
        with self._store.making() as part:
            if part is None:
                return
            files = []
            # Sorted: what a set's order decides would differ from run to run.
            for path in sorted(paths):
                (part / _TREE / path).parent.mkdir(parents=True, exist_ok=True)
                link(root / path, part / _TREE / path)
                files.append((path, *_facts(root / path)))
            self._store.put_folder(_KIND, key, part, json.dumps(files).encode())


def link(source: Path, destination: Path) -> None:
    """A second name for a file; a copy where the disk is another one."""
    try:
        os.link(source, destination, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:
        if not source.is_file():
            raise
        with contextlib.suppress(FileNotFoundError):
            destination.unlink()
        shutil.copy2(source, destination, follow_symlinks=False)


def _facts(path: Path) -> tuple[str, bool]:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
        return digest.hexdigest(), bool(os.fstat(file.fileno()).st_mode & 0o111)


def _files(root: Path) -> Iterable[Path]:
    for folder, _, names in os.walk(root):
        for name in names:
            yield Path(folder, name)


def _with_bytecode(files: Sequence[str], there: set[str]) -> set[str]:
    """The files of a distribution that are there, and the bytecode that was compiled from them."""
    found = {path for path in files if path in there}
    folders = {path.rpartition("/")[0] for path in found if path.endswith(".py")}
    for folder in folders:
        prefix = f"{folder}/__pycache__/" if folder else "__pycache__/"
        stems = {
            path.rpartition("/")[2].removesuffix(".py")
            for path in found
            if path.endswith(".py") and path.rpartition("/")[0] == folder
        }
        found |= {
            path
            for path in there
            if path.startswith(prefix) and path.removeprefix(prefix).rpartition(".cpython-")[0] in stems
        }
    return found


def _sharing(owned: Mapping[str, Iterable[str]]) -> set[str]:
    """Names of those that have a path in common with another."""
    claims = Counter(path for paths in owned.values() for path in set(paths))
    return {name for name, paths in owned.items() if any(claims[path] > 1 for path in paths)}


def _drop(kept: dict[str, _Kept], names: Iterable[str]) -> None:
    for name in list(names):
        del kept[name]
