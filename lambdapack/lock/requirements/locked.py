"""What any lock file holds once it is read: packages with their files."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from lambdapack.errors import ConfigurationError
from lambdapack.lock.requirements.direct import DirectReference
from lambdapack.lock.requirements.fields import Fields

_Entry = TypeVar("_Entry")
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class LockedFile:
    """A wheel or an sdist.

    Attributes:
        name: Its file name; empty where the lock gives hashes alone.
        hash: ``sha256:…``.
        location: Its address or path where no index has it, else empty.
    """

    name: str
    hash: str
    location: str = ""


@dataclass(frozen=True)
class LockedPackage:
    """A package of a lock.

    Attributes:
        name, version: Canonical name and exact version; no version where only a build will tell.
        files: Those that may be installed.
        direct: Where the package comes from, if not from an index.
        where: For messages, e.g. ``uv.lock: package[3]``.
    """

    name: str
    version: str
    files: tuple[LockedFile, ...]
    direct: DirectReference | None
    where: str

    @property
    def has_file_names(self) -> bool:
        """Whether the lock names each file, so that one can be chosen without asking an index."""
        return bool(self.files) and all(file.name for file in self.files)


@dataclass(frozen=True)
class Scope:
    """For what a lock is read.

    Attributes:
        environment: The target's marker variables.
        extras, groups: Normalised names of the extras and groups that the user asks for.
    """

    environment: Mapping[str, str]
    extras: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()

    @property
    def python(self) -> str:
        """The target's full version of Python."""
        return self.environment["python_full_version"]


@dataclass(frozen=True)
class Selection:
    """What a lock says to install.

    Attributes:
        packages: Each once.
        requested: Names that the project asks for; ``None`` where the lock does not tell them apart.
        declared: The project's own requirements, as far as the lock repeats them, with where.
    """

    packages: tuple[LockedPackage, ...]
    requested: tuple[str, ...] | None
    declared: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class LockFile(ABC):
    """A lock that was read and is sound.

    Attributes:
        path: The file.
        fields: The file's content.
        registries: Name and address of the indexes that the lock was made from, in order.
    """

    path: Path
    fields: Fields
    registries: tuple[tuple[str, str], ...]

    @property
    def extras(self) -> frozenset[str]:
        """Names of the project's extras."""
        return frozenset()

    @property
    @abstractmethod
    def groups(self) -> frozenset[str]:
        """Names of the project's groups, without those that are always taken."""

    @abstractmethod
    def select(self, scope: Scope) -> Selection:
        """What to install.

        Raises:
            ConfigurationError: The lock is not for that Python, or contradicts itself.
        """


def locked_reference(
    name: str, location: str, lock: Path, where: str, hashes: Iterable[str] = ()
) -> DirectReference:
    """The reference to a package that no index has; paths of a lock are relative to the lock's folder."""
    if "://" not in location:
        location = str((lock.parent / location).resolve())
    return DirectReference(location, where, name=name, hashes=tuple(sorted(hashes)))


def only_entry(path: Path, name: str, version: str, entries: Sequence[_Entry], tool: str) -> _Entry:
    """The one package of a lock that a dependency means.

    Args:
        path: The lock.
        name, version: Of the dependency.
        entries: The packages that fit.
        tool: The program that makes such locks.

    Raises:
        ConfigurationError: No package fits, or several do.
    """
    if len(entries) != 1:
        number = f"{len(entries)} packages" if entries else "no package"
        raise ConfigurationError(
            f"{path}: package: expected one entry for {name} {version}, found {number}",
            hint=f"make the lock again: {tool} lock",
        )
    return entries[0]


def sha256(fields: Fields, name: str = "hash") -> str:
    """A SHA-256 hash."""
    text = fields.text(name)
    if not _SHA256.fullmatch(text):
        raise fields.wrong(name, "sha256: and 64 hexadecimal digits")
    return text


def version_of(fields: Fields, name: str = "version") -> str:
    """An exact version."""
    text = fields.text(name)
    try:
        Version(text)
    except InvalidVersion:
        raise fields.wrong(name, "a version") from None
    return text


def named_file(fields: Fields, filename: str, key: str, package: str) -> str:
    """``filename``, once it is sure that it names a wheel or an sdist of ``package``."""
    try:
        parse = parse_wheel_filename if filename.endswith(".whl") else parse_sdist_filename
        owner = parse(filename)[0]
    except (InvalidWheelFilename, InvalidVersion):
        raise fields.wrong(key, "the name of a wheel or an sdist") from None
    except InvalidSdistFilename:
        # Old sdists are .zip, .tar.bz2 and the like.
        return filename
    if owner != canonicalize_name(package) and filename.endswith(".whl"):
        raise fields.wrong(key, f"a file of {package}")
    return filename


def check_python(fields: Fields, key: str, specifier: str, scope: Scope) -> None:
    """Check that the target's Python is among those that the lock was made for.

    Raises:
        ConfigurationError: The target's Python is not, or ``specifier`` of the lock's ``key`` is malformed.
    """
    try:
        fits = SpecifierSet(specifier).contains(scope.python, prereleases=True)
    except InvalidSpecifier:
        raise fields.wrong(key, "versions of Python, e.g. >=3.10") from None
    if not fits:
        raise python_error(fields.path, specifier, scope)


def python_error(path: Path, specifier: str, scope: Scope) -> ConfigurationError:
    """The error for a lock that was made for other Pythons."""
    return ConfigurationError(
        f"{path} was made for Python {specifier}, and the target has {scope.python}",
        hint="choose another Python with --python, or lock again with a wider range of Pythons",
    )


def from_repository(where: str, name: str) -> ConfigurationError:
    """The error for a package of a version control system."""
    return ConfigurationError(
        f"{where}: {name} comes from a repository, which is not fetched here",
        hint="build a wheel of it and depend on that, or take a release from an index",
    )


def unknown(path: Path, kind: str, wanted: Collection[str], known: Sequence[str]) -> ConfigurationError:
    """The error for extras or groups that a file does not have."""
    listed = ", ".join(sorted(wanted))
    have = ", ".join(sorted(known)) or "none"
    return ConfigurationError(
        f"{path} has no {kind} {listed} (it has: {have})", hint=f"mend --{kind}, or [build] {kind}s"
    )
