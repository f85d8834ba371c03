"""Whole builds: the files that a build wrote, by the digest of its inputs."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from lambdapack.pipeline.cache.store import Store

__all__ = ["Builds"]

_KIND = "packs"
_PIECE = 1024 * 1024


class Builds:
    """Finished builds.

    Args:
        store: Where they are kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def keep(self, inputs: str, files: Iterable[Path]) -> None:
        """Keep copies of ``files``, all of one folder, as the build of ``inputs``."""
        with self._store.making() as part:
            if part is None:
                return
            digests = {path.name: _copy(path, part / path.name) for path in files}
            self._store.put_folder(_KIND, inputs, part, json.dumps(digests).encode())

    def copy(self, inputs: str, destination: Path) -> tuple[Path, ...]:
        """Copy the files of the build of ``inputs`` into ``destination``; nothing where there is none.

        They are copies: a file that somebody changes must not change in the cache.
        """
        found = self._store.get_folder(_KIND, inputs)
        if found is None:
            return ()
        folder, description = found
        copies = []
        try:
            for name, digest in json.loads(description).items():
                if _copy(folder / name, destination / name) != digest:
                    self._store.discard(folder)
                    return ()
                copies.append(destination / name)
        except OSError:
            # Pruned meanwhile, or no room: what is wrong with the destination the build will find out.
            return ()
        return tuple(copies)


def _copy(source: Path, destination: Path) -> str:
    """Copy a file; SHA-256 of what was written."""
    digest = hashlib.sha256()
    with source.open("rb") as read, destination.open("wb") as written:
        while piece := read.read(_PIECE):
            digest.update(piece)
            written.write(piece)
    shutil.copymode(source, destination)
    return digest.hexdigest()
