"""A local package's folder: which of its files count, their digest, and a copy to build in.

Built in place, setuptools would leave folders of its own, and take stale modules from them the next time.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

_SKIPPED = frozenset(
    (
        *("__pycache__", ".hg", ".svn", ".tox", ".nox", ".venv", ".mypy_cache", ".pytest_cache"),
        *(".ruff_cache", ".lambdapack", "node_modules"),
    )
)
_ARCHIVES = (".whl", ".tar.gz", ".zip")
# The files of a repository that a version may be made of; its objects change with every fetch.
_GIT = (".git/HEAD", ".git/packed-refs", ".git/refs/")


def files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Relative name and path of each file to build from, in order of name."""
    paths: dict[str, Path] = {}
    seen: set[str] = set()
    for root, folders, names in os.walk(folder, followlinks=True):
        here = Path(root)
        real = os.path.realpath(root)
        folders[:] = [] if real in seen else [name for name in folders if _counts(here / name, folder)]
        if real in seen:
            continue
        seen.add(real)
        for name in names:
            path = here / name
            if path.is_file() and not name.endswith((".pyc", ".pyo")):
                paths[path.relative_to(folder).as_posix()] = path
    yield from sorted(paths.items())


def digest(folder: Path) -> str:
    """SHA-256 over names, modes and contents, hex: two folders with the same one build alike."""
    total = hashlib.sha256()
    for name, path in files(folder):
        if name.startswith(".git/") and not name.startswith(_GIT):
            continue
        data = path.read_bytes()
        total.update(f"{name}\0{os.access(path, os.X_OK):d}\0{len(data)}\0".encode())
        total.update(data)
    return total.hexdigest()


def copy(folder: Path, destination: Path) -> None:
    """Copy what counts of ``folder`` to the new folder ``destination``."""
    for name, path in files(folder):
        target = destination / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)


def _counts(path: Path, root: Path) -> bool:
    if path.name in _SKIPPED or path.name.endswith(".egg-info") or (path / "pyvenv.cfg").is_file():
        return False
    if path.parent == root and path.name == "build":
        return not any(child.name.startswith(("lib", "bdist.", "temp.")) for child in path.iterdir())
    if path.parent == root and path.name == "dist":
        return not all(child.name.endswith(_ARCHIVES) for child in path.iterdir())
    return True
