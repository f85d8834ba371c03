"""Zips of functions and their layers, unpacked into folders that are named by their content."""

from __future__ import annotations

import contextlib
import io
import shutil
import stat
import zipfile
from collections.abc import Collection, Sequence
from pathlib import Path

from lambdapack import limits
from lambdapack.errors import CheckError, ConfigurationError
from lambdapack.files import locked_folder, sha256_of, sweep_folders
from lambdapack.model import FunctionSpec

_UNPACKING = ".unpacking-"


class CodeFolders:
    """The folders ``<state>/code/<digest>``.

    Args:
        root: Their parent.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def unpack(self, *paths: Path) -> str:
        """Unpack zips into one folder; its name, which depends on their content alone.

        Raises:
            ConfigurationError: A file is not there, or is not a zip of a function.
        """
        # Swept although the zip may be unpacked already: by a process that was killed right after.
        sweep_folders(self.root, _UNPACKING)
        try:
            digests = []
            for path in paths:
                with path.open("rb") as file:
                    digests.append(sha256_of(file))
            digest = digests[0] if len(digests) == 1 else sha256_of(io.BytesIO("".join(digests).encode()))
            destination = self.root / digest
            if not destination.is_dir():
                _extract(paths, destination)
        except FileNotFoundError:
            raise ConfigurationError(f"deploying: there is no file {path}") from None
        except (zipfile.BadZipFile, IsADirectoryError) as error:
            raise ConfigurationError(f"deploying: {path} is not a zip file ({error})") from None
        return digest

    def keep(self, used: Collection[str]) -> None:
        """Remove the folders with other names."""
        for folder in self.root.iterdir() if self.root.is_dir() else ():
            if folder.name not in used:
                shutil.rmtree(folder, ignore_errors=True)


def check_size(spec: FunctionSpec) -> None:
    """That Lambda would take zip and layers together.

    Raises:
        CheckError: They are too large, or too many.
    """
    if len(spec.layers) > limits.LAYERS:
        raise CheckError(f"deploying {spec.name}: {len(spec.layers)} layers, Lambda takes {limits.LAYERS}")
    sizes = []
    for path in (spec.zip_path, *spec.layers):
        # What is no zip is refused where it is unpacked.
        with contextlib.suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
            sizes.append(sum(entry.file_size for entry in archive.infolist()))
    if sum(sizes) > limits.UNZIPPED:
        layers = f", {len(spec.layers)} layers included," if spec.layers else ""
        raise CheckError(
            f"deploying {spec.zip_path}: unzipped size{layers} is {sum(sizes)} bytes, more than Lambda's "
            f"{limits.UNZIPPED}",
            hint='set place = "s3" for the pack or an asset' if layers else "move dependencies into the pack",
        )


def _extract(paths: Sequence[Path], destination: Path) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    with locked_folder(destination.parent, _UNPACKING) as work:
        unpacked = work / "code"
        unpacked.mkdir()
        for path in paths:
            with zipfile.ZipFile(path) as archive:
                for entry in archive.infolist():
                    _extract_entry(archive, entry, unpacked)
        unpacked.chmod(0o755)
        unpacked.rename(destination)


def _extract_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, root: Path) -> None:
    path = root / entry.filename
    if ".." in entry.filename.split("/") or entry.filename.startswith("/"):
        raise ConfigurationError(f"deploying: the zip holds a path that leaves it: {entry.filename!r}")
    if entry.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        return
    mode = entry.external_attr >> 16
    if stat.S_ISLNK(mode):
        raise ConfigurationError(f"deploying: the zip holds a symbolic link: {entry.filename!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # of an earlier layer
    with archive.open(entry) as source, path.open("wb") as target:
        shutil.copyfileobj(source, target)
    # Lambda's own folder is read-only; so is this one, also where it cannot be mounted so.
    path.chmod(0o555 if mode & 0o111 else 0o444)
