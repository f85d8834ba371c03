"""Install a lock with its bytecode; distributions that the build cache has are linked, not installed."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from lambdapack.files import link, sha256_of, walk
from lambdapack.install import Workshop, read_tree
from lambdapack.memo import key_of, tool_digest
from lambdapack.model import Distribution, Lock, Target, Tree, bytecode_of
from lambdapack.pipeline.cache import BuildCache, remove
from lambdapack.progress import Progress
from lambdapack.python.wheel_recipe import recipe

_KIND = "trees"
_TREE = "tree"
_FileFacts = tuple[str, bool]
"""What a file has to be, to be linked into a tree: its SHA-256, and whether it is executable."""


class _CachedDistribution(NamedTuple):
    """A distribution in the cache: its entry's folder, and the facts of each file by its path in a tree."""

    folder: Path
    files: Mapping[str, _FileFacts]


def install(
    lock: Lock,
    destination: Path,
    workshop: Workshop,
    store: BuildCache,
    *,
    jobs: int | None,
    progress: Progress,
) -> tuple[Tree, int]:
    """Install a lock into the new folder ``destination`` and compile it to bytecode.

    Distributions that bring a file of the same path are not taken from the cache: which file wins is for
    pip to decide.

    Returns:
        The tree, and how many of its distributions the cache had.
    """
    keys = _keys(lock, workshop)
    known = {name: entry for name, key in keys.items() if (entry := _cached(store, key))}
    for name in _sharing({name: entry.files for name, entry in known.items()}):
        del known[name]
    while True:
        fresh = _install_fresh(_without(lock, known), destination, workshop, jobs=jobs, progress=progress)
        installed = set(walk(destination))
        # They bring a file that was installed too, or were damaged or removed meanwhile.
        unusable = {name for name, entry in known.items() if not installed.isdisjoint(entry.files)}
        unusable = unusable or {name for name in known if not _link(store, known[name], destination)}
        if not unusable:
            break
        for name in unusable:
            del known[name]
        shutil.rmtree(destination)
    for name, paths in _owned(fresh, installed, lock.target).items():
        _keep(store, keys[name], destination, paths)
    tree = read_tree(destination, lock.target)
    return workshop.bundle(tree, lock, progress=progress), len(known)


def _keys(lock: Lock, workshop: Workshop) -> dict[str, str]:
    """The key of each distribution's tree, by name: of all that decides the tree."""
    built_by = recipe(lock.sources) if lock.built else None
    python = workshop.interpreter
    return {
        pin.name: key_of(
            pin.name,
            pin.version,
            sorted(pin.hashes),
            built_by if pin.name in lock.built else None,
            str(lock.target),
            lock.glibc,
            python.version,
            python.machine,
            dict(workshop.identity),
            metadata.version("pip"),
            tool_digest(),
        )
        for pin in lock.pins
    }


def _install_fresh(
    lock: Lock, destination: Path, workshop: Workshop, *, jobs: int | None, progress: Progress
) -> tuple[Distribution, ...]:
    """Install and compile what the cache does not have; an empty folder where it has everything."""
    if not lock.pins:
        destination.mkdir(parents=True)
        return ()
    tree = workshop.unpack(lock, destination, progress=progress)
    workshop.compile_tree(destination, jobs=jobs, progress=progress)
    return tree.distributions


def _without(lock: Lock, known: Iterable[str]) -> Lock:
    """``lock`` without the distributions ``known``."""
    names = {pin.name for pin in lock.pins}.difference(known)
    return replace(
        lock,
        pins=tuple(pin for pin in lock.pins if pin.name in names),
        requested=tuple(name for name in lock.requested if name in names),
        built=tuple(name for name in lock.built if name in names),
    )


def _owned(fresh: Iterable[Distribution], installed: set[str], target: Target) -> dict[str, set[str]]:
    """Name -> files and their bytecode, of each freshly installed distribution that shares none of them."""
    owned = {
        distribution.name: installed.intersection(
            path for file in distribution.files for path in (file, bytecode_of(file, target))
        )
        for distribution in fresh
    }
    shared = _sharing(owned)
    unclaimed = installed.difference(*owned.values())
    if unclaimed:
        # Files that no RECORD lists: without them a distribution may not be whole.
        tops = {path.partition("/")[0] for path in unclaimed}
        shared |= {
            name for name, paths in owned.items() if not tops.isdisjoint(p.partition("/")[0] for p in paths)
        }
    return {name: paths for name, paths in owned.items() if name not in shared}


def _sharing(owned: Mapping[str, Iterable[str]]) -> set[str]:
    """Names of the distributions that have a path in common with another."""
    owners = Counter(path for paths in owned.values() for path in set(paths))
    return {name for name, paths in owned.items() if any(owners[path] > 1 for path in paths)}


def _cached(store: BuildCache, key: str) -> _CachedDistribution | None:
    """The distribution with this key; its files are checked when they are linked."""
    entry = store.get_folder(_KIND, key)
    if entry is None:
        return None
    folder, description = entry
    return _CachedDistribution(
        folder, {path: (digest, executable) for path, digest, executable in json.loads(description)}
    )


def _link(store: BuildCache, cached: _CachedDistribution, destination: Path) -> bool:
    """Put a distribution into a tree; ``False`` where its entry is damaged, and is removed."""
    try:
        for path, facts in cached.files.items():
            (destination / path).parent.mkdir(parents=True, exist_ok=True)
            link(cached.folder / _TREE / path, destination / path)
            if _facts(destination / path) != facts:
                store.discard(cached.folder)
                return False
    except OSError:
        remove(cached.folder)
        return False
    return True


def _keep(store: BuildCache, key: str, root: Path, paths: Iterable[str]) -> None:
    """Keep the files ``paths`` of the tree at ``root`` as the distribution with this key."""
    with store.making() as part:
        if part is None:
            return
        facts = []
        # Sorted: what a set's order decides would differ from run to run.
        for path in sorted(paths):
            (part / _TREE / path).parent.mkdir(parents=True, exist_ok=True)
            link(root / path, part / _TREE / path)
            facts.append((path, *_facts(root / path)))
        store.put_folder(_KIND, key, part, json.dumps(facts).encode())


def _facts(path: Path) -> _FileFacts:
    with path.open("rb") as file:
        return sha256_of(file), bool(os.fstat(file.fileno()).st_mode & 0o111)
