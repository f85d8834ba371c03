"""The folder that an export writes: files of ours are replaced, those of others refused, both before any."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from lambdapack.deploy.export.tools import MARK
from lambdapack.errors import ConfigurationError
from lambdapack.files import disk_errors, part_file, sha256_of

Change = Literal["written", "unchanged", "removed"]
_START = 400
# What begins the names of entries in the zips of layers and functions that lambdapack writes.
_ENTRIES = ("lambdapack-wrapper", "lambdapack/", "runtime_shim/")


def put(made: Mapping[str, Path], folder: Path, *, stale: str, dry_run: bool = False) -> dict[str, Change]:
    """Copy each file to its name in ``folder``; what is there with the same bytes is not touched.

    Args:
        made: Name -> the file as it is to be.
        folder: The export's folder; made when missing.
        stale: A pattern of names; files of ours among them that are no longer made are removed. "": none.
        dry_run: Only say what would change.

    Raises:
        ConfigurationError: A file of that name is there, and lambdapack did not write it.
        ToolError: The folder cannot be written to.
    """
    changes: dict[str, Change] = {}
    with disk_errors(folder):
        for name, source in made.items():
            path = folder / name
            same = path.is_file() and _digest(path) == _digest(source)
            changes[name] = "unchanged" if same else "written"
            if not same and (path.exists() or path.is_symlink()) and not is_ours(path):
                raise ConfigurationError(
                    f"exporting: {path} is there, and lambdapack export did not write it",
                    hint="name another folder with --output, or move the file away",
                )
        left = sorted(folder.glob(stale)) if stale else []
        gone = [path for path in left if path.name not in made and is_ours(path)]
        changes.update({path.name: "removed" for path in gone})
        if not dry_run:
            _apply(made, folder, changes)
    return changes


def _apply(made: Mapping[str, Path], folder: Path, changes: Mapping[str, Change]) -> None:
    """Zips first: the texts, which name them, are the last to change."""
    for name in sorted(changes, key=lambda name: (not name.endswith(".zip"), name)):
        if changes[name] == "written":
            with part_file(folder) as part, made[name].open("rb") as source:
                shutil.copyfileobj(source, part.file)
                part.publish(folder / name)
    for name, change in changes.items():
        if change == "removed":
            (folder / name).unlink(missing_ok=True)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return sha256_of(file)


def is_ours(path: Path) -> bool:
    """Whether an earlier export, or lambdapack itself, wrote the file."""
    if not path.is_file() or path.is_symlink():
        return False
    if path.suffix != ".zip":
        with path.open("rb") as file:
            return MARK.encode() in file.read(_START)
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.startswith(_ENTRIES) for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False
