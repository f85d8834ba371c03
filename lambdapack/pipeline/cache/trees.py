"""Installed distributions with their bytecode, by a key of all that decides their files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from lambdapack import files
from lambdapack.pipeline.cache.build_cache import BuildCache, remove

_KIND = "trees"
_TREE = "tree"
FileFacts = tuple[str, bool]
"""What a file has to be, to be linked into a tree: its SHA-256, and whether the file may be executed."""


class CachedDistribution(NamedTuple):
    """A distribution in the cache.

    Attributes:
        folder: Its entry.
        files: Path in a tree -> facts of the file.
    """

    folder: Path
    files: Mapping[str, FileFacts]


def get(store: BuildCache, key: str) -> CachedDistribution | None:
    """The distribution with this key; its files are checked when they are linked."""
    entry = store.get_folder(_KIND, key)
    if entry is None:
        return None
    folder, description = entry
    facts = {path: (digest, executable) for path, digest, executable in json.loads(description)}
    return CachedDistribution(folder, facts)


def link(store: BuildCache, cached: CachedDistribution, destination: Path) -> bool:
    """Put a distribution into a tree; ``False`` where its entry is damaged, and is removed."""
    try:
        for path, facts in cached.files.items():
            (destination / path).parent.mkdir(parents=True, exist_ok=True)
            files.link(cached.folder / _TREE / path, destination / path)
            if _facts(destination / path) != facts:
                store.discard(cached.folder)
                return False
    except OSError:
        remove(cached.folder)
        return False
    return True


def put(store: BuildCache, key: str, root: Path, paths: Iterable[str]) -> None:
    """Keep the files ``paths`` of the tree at ``root`` as the distribution with this key."""
    with store.making() as part:
        if part is None:
            return
        facts = []
        # Sorted: what a set's order decides would differ from run to run.
        for path in sorted(paths):
            (part / _TREE / path).parent.mkdir(parents=True, exist_ok=True)
            files.link(root / path, part / _TREE / path)
            facts.append((path, *_facts(root / path)))
        store.put_folder(_KIND, key, part, json.dumps(facts).encode())


def _facts(path: Path) -> FileFacts:
    with path.open("rb") as file:
        return files.sha256_of(file), bool(os.fstat(file.fileno()).st_mode & 0o111)
