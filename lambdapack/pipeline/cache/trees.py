"""Installed distributions with their bytecode, by a key of all that decides their files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from lambdapack.files import link, sha256_of
from lambdapack.pipeline.cache.build_cache import BuildCache, remove

_KIND = "trees"
_TREE = "tree"


class FileFacts(NamedTuple):
    """What a file has to be, to be linked into a tree.

    Attributes:
        sha256: Of its bytes, hex.
        executable: Whether anybody may execute it.
    """

    sha256: str
    executable: bool


class CachedDistribution(NamedTuple):
    """A distribution in the cache.

    Attributes:
        folder: Its entry.
        files: Path in a tree -> facts of the file.
    """

    folder: Path
    files: Mapping[str, FileFacts]


class Trees:
    """The trees of single distributions.

    Args:
        store: Where they are kept.
    """

    def __init__(self, store: BuildCache) -> None:
        self._store = store

    def get(self, key: str) -> CachedDistribution | None:
        """The distribution with this key; its files are checked when they are linked."""
        entry = self._store.get_folder(_KIND, key)
        if entry is None:
            return None
        folder, description = entry
        files = {path: FileFacts(digest, executable) for path, digest, executable in json.loads(description)}
        return CachedDistribution(folder, files)

    def link(self, cached: CachedDistribution, destination: Path) -> bool:
        """Put a distribution into a tree; ``False`` where its entry is damaged, and is removed."""
        try:
            for path, facts in cached.files.items():
                (destination / path).parent.mkdir(parents=True, exist_ok=True)
                link(cached.folder / _TREE / path, destination / path)
                if _facts(destination / path) != facts:
                    self._store.discard(cached.folder)
                    return False
        except OSError:
            remove(cached.folder)
            return False
        return True

    def put(self, key: str, root: Path, paths: Iterable[str]) -> None:
        """Keep the files ``paths`` of the tree at ``root`` as the distribution with this key."""
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


def _facts(path: Path) -> FileFacts:
    with path.open("rb") as file:
        return FileFacts(sha256_of(file), bool(os.fstat(file.fileno()).st_mode & 0o111))
