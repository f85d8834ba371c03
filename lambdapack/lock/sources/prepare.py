"""Files and folders that were named themselves -> their digests, and wheels in the cache by hash."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from lambdapack.errors import ConfigurationError, ToolError
from lambdapack.files import NewFolder, disk_errors, new_folder, part_file, sha256_of, write_bytes
from lambdapack.lock.requirements.direct import DirectReference
from lambdapack.lock.requirements.read import Requirements
from lambdapack.lock.sources import source_tree
from lambdapack.lock.sources.downloads import Downloads
from lambdapack.memo import CacheFolder, key_of
from lambdapack.model import PipOptions, Target
from lambdapack.model.runtimes import AL2023_GLIBC
from lambdapack.progress import Progress
from lambdapack.python import toolchain, wheel_tags
from lambdapack.python.interpreter import Interpreter
from lambdapack.python.wheel_recipe import recipe

_ARCHIVES = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")
_PAGE = "index.html"
# Changed when the same source would give another wheel.
_RECIPE = 1


@dataclass(frozen=True)
class DirectWheel:
    """A wheel in the cache, for a direct reference.

    Attributes:
        direct: The reference.
        name, version: The wheel's own.
        filename: The wheel's file name.
        hash: ``sha256:…`` of the wheel.
        page: A page that links to the wheel, for pip's ``--find-links``.
    """

    direct: DirectReference
    name: str
    version: str
    filename: str
    hash: str
    page: Path

    @property
    def line(self) -> str:
        """A requirement that this wheel alone satisfies."""
        extras = f"[{','.join(self.direct.extras)}]" if self.direct.extras else ""
        return f"{self.name}{extras}=={self.version} --hash={self.hash}"


@dataclass(frozen=True)
class Preparer:
    """Fetches and builds the wheels of direct references.

    Attributes:
        target: What the wheels are for.
        interpreter: The target's Python.
        wheelwright: Builds wheels; ``None`` where none can be built.
        cache_dir: Where files are kept, by their hash.
        options: pip's, for the build dependencies.
        downloads: Fetches the files at addresses.
        progress: Told what is built.
    """

    target: Target
    interpreter: Interpreter
    wheelwright: Wheelwright | None
    cache_dir: Path
    options: PipOptions
    downloads: Downloads
    progress: Progress

    def prepare(self, direct: DirectReference) -> DirectWheel:
        """Put the wheel of ``direct`` into the cache.

        Raises:
            ConfigurationError: There is no package, it is not for the target, or it is not the one named.
            ToolError: The package cannot be fetched or built.
        """
        path = direct.path
        if path is None:
            return self._file(direct, self.downloads.file(direct))
        if path.is_dir():
            return self._folder(direct, path)
        if not path.is_file():
            raise ConfigurationError(f"{direct.origin}: there is no {path}")
        return self._file(direct, path)

    def _file(self, direct: DirectReference, path: Path) -> DirectWheel:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if direct.hashes and f"sha256:{digest}" not in direct.hashes:
            raise ConfigurationError(
                f"{direct.origin}: {direct.filename} is not what was asked for: its SHA-256 is {digest}",
                hint="find out why it changed, then write its new hash",
            )
        if direct.filename.endswith(".whl"):
            return self._staged(direct, path, direct.filename)
        if not direct.filename.endswith(_ARCHIVES):
            raise ConfigurationError(
                f"{direct.origin}: {direct.filename!r} is neither a wheel nor an sdist",
                hint=f"their names end in .whl, {', '.join(_ARCHIVES)}",
            )
        return self._built(direct, path, digest)

    def _folder(self, direct: DirectReference, folder: Path) -> DirectWheel:
        if not any((folder / name).is_file() for name in ("pyproject.toml", "setup.py")):
            raise ConfigurationError(
                f"{direct.origin}: {folder} is not a package: it has neither pyproject.toml nor setup.py",
                hint="for a folder of wheels, name the package and use --find-links",
            )
        return self._built(direct, folder, source_tree.digest(folder))

    def _built(self, direct: DirectReference, source: Path, digest: str) -> DirectWheel:
        if self.wheelwright is None:
            raise ConfigurationError(
                f"{direct.origin}: {direct.filename} has to be built, and nothing is built here",
                hint="use --builder docker",
            )
        key = key_of(
            _RECIPE,
            digest,
            str(self.target),
            self.interpreter.version,
            dict(self.wheelwright.identity),
            recipe(self.options),
            toolchain.requirements(self.interpreter.python),
        )
        kept = CacheFolder.LOCAL_WHEELS.of(self.cache_dir) / key
        if not kept.is_dir():
            with new_folder(kept) as made:
                self._build(self.wheelwright, direct, source, made)
                if source.is_dir() and source_tree.digest(source) != digest:
                    raise ToolError(
                        f"{direct.origin}: {source} changed while it was built", hint="run the build again"
                    )
        wheel = next(kept.glob("*.whl"))
        return self._staged(direct, wheel, wheel.name)

    def _build(
        self, wheelwright: Wheelwright, direct: DirectReference, source: Path, made: NewFolder
    ) -> None:
        """Build in a copy: builds leave files behind, and pip goes by an sdist's name."""
        copy = made.work / "source"
        if source.is_dir():
            source_tree.copy(source, copy)
        else:
            copy.mkdir()
            copy /= direct.filename
            shutil.copyfile(source, copy)
        label = direct.name or direct.filename
        with self.progress.step(f"build {label}"):
            built = wheelwright.wheel(copy, made.work / "out", label=label, progress=self.progress)
        try:
            _rewrite(built, made.path)
        except zipfile.BadZipFile as error:
            raise ToolError(f"{built.name} was built and is not a sound wheel: {error}") from error

    def _staged(self, direct: DirectReference, path: Path, filename: str) -> DirectWheel:
        try:
            name, version, _, _ = parse_wheel_filename(filename)
        except InvalidWheelFilename as error:
            raise ConfigurationError(f"{direct.origin}: {error}") from None
        if direct.name and name != direct.name:
            raise ConfigurationError(
                f"{direct.origin}: {direct.name} was asked for, and {filename} is {name}",
                hint="name the package that the file is of",
            )
        if not wheel_tags.fits(filename, self.target, AL2023_GLIBC):
            raise ConfigurationError(
                f"{direct.origin}: {filename} is not for {self.target}",
                hint="name a wheel for it, or its sdist with --builder docker",
            )
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        folder = CacheFolder.FILES.of(self.cache_dir) / digest
        if not (folder / _PAGE).is_file():
            with disk_errors(folder):
                write_bytes(folder / filename, path.read_bytes())
                link = f'<a href="{quote(filename)}#sha256={digest}">{escape(filename)}</a>'
                page = f"<!DOCTYPE html><html><body>{link}</body></html>\n"
                write_bytes(folder / _PAGE, page.encode())
        return DirectWheel(direct, name, str(version), filename, f"sha256:{digest}", folder / _PAGE)


class Wheelwright(Protocol):
    """Builds wheels for one target."""

    @property
    def identity(self) -> Mapping[str, str]:
        """What a built wheel depends on besides its source, e.g. an image's id."""

    def wheel(self, source: Path, destination: Path, *, label: str, progress: Progress) -> Path:
        """Build a wheel of ``source``, a folder that may be written to or an sdist; returns the wheel.

        Args:
            source: What to build.
            destination: A folder for the wheel; it is made.
            label: The package's name, for messages.
            progress: Told what is done.

        Raises:
            ConfigurationError: This builder cannot build such a package.
            ToolError: The build failed.
        """


_TIME = (1980, 1, 1, 0, 0, 0)


def _rewrite(wheel: Path, destination: Path) -> None:
    """Copy ``wheel`` into the folder ``destination``: entries sorted, stored, without times and owners.

    What the compressor, the clock and the umask of the building machine changed is gone then.
    """
    with zipfile.ZipFile(wheel) as source, part_file(destination) as made:
        with zipfile.ZipFile(made.file, "w", zipfile.ZIP_STORED) as archive:
            for entry in sorted(source.infolist(), key=lambda entry: entry.filename):
                if not entry.is_dir():
                    plain = zipfile.ZipInfo(entry.filename, _TIME)
                    executable = (entry.external_attr >> 16) & 0o111
                    plain.external_attr = (0o100755 if executable else 0o100644) << 16
                    plain.create_system = 3
                    archive.writestr(plain, source.read(entry))
        made.publish(destination / wheel.name)


def reference_digests(
    requirements: Requirements, target: Target, interpreter: Interpreter, downloads: Downloads
) -> list[tuple[str, str]] | None:
    """Location and digest of each file and folder that is named by address or path, in order.

    Where one of these changes, the lock has to change.

    Returns:
        Digests of what is there now; of an address with hashes, the hashes. ``None`` where a file cannot be
        read or a marker is malformed: preparing it will say what is wrong.

    Raises:
        LambdapackError: A lock is not for the target, or an address cannot be fetched.
    """
    scope = requirements.scope(target, interpreter.version)
    try:
        named = [reference for reference in requirements.direct if scope.holds(reference.marker)]
        locked = [package.direct for lock in requirements.locks for package in lock.select(scope).packages]
        return [
            (reference.location, _digest(reference, downloads))
            for reference in (*named, *filter(None, locked))
        ]
    except (OSError, ValueError):
        return None


def _digest(direct: DirectReference, downloads: Downloads) -> str:
    path = direct.path
    if path is not None and path.is_dir():
        return source_tree.digest(path)
    if path is None and direct.hashes:
        # No file with another hash would be taken.
        return " ".join(direct.hashes)
    with (downloads.file(direct) if path is None else path).open("rb") as file:
        return sha256_of(file)
