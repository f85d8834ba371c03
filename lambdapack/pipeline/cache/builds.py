"""Whole builds: the files that a build wrote, by the digest of its inputs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from lambdapack.files import sha256_of
from lambdapack.pipeline.cache.build_cache import BuildCache

_KIND = "packs"


def keep(store: BuildCache, inputs: str, files: Iterable[Path]) -> None:
    """Keep copies of ``files``, all of one folder, as the build of ``inputs``."""
    with store.making() as part:
        if part is None:
            return
        digests = {path.name: _copy(path, part / path.name) for path in files}
        store.put_folder(_KIND, inputs, part, json.dumps(digests).encode())


def copy(store: BuildCache, inputs: str, destination: Path) -> tuple[Path, ...]:
    """Copy the files of the build of ``inputs`` into ``destination``.

    No links: a file that is changed there must not change in the cache.

    Returns:
        The copies; none where the cache has no such build, or a damaged one.
    """
    entry = store.get_folder(_KIND, inputs)
    if entry is None:
        return ()
    folder, description = entry
    copies = []
    try:
        for name, digest in json.loads(description).items():
            if _copy(folder / name, destination / name) != digest:
                store.discard(folder)
                return ()
            copies.append(destination / name)
    except OSError:
        # Pruned meanwhile, or no room. If the destination is at fault, the build itself will say so.
        return ()
    return tuple(copies)


def _copy(source: Path, destination: Path) -> str:
    """Copy a file and its mode; SHA-256 of the copy."""
    shutil.copy(source, destination)
    with destination.open("rb") as file:
        return sha256_of(file)
