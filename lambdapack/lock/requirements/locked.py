"""What a lock file holds once it is read: packages with their files, whoever wrote it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from lambdapack.errors import ConfigurationError
from lambdapack.lock.requirements.direct import Direct
from lambdapack.lock.requirements.fields import Fields
from lambdapack.lock.resolver.wheels import File, describe_files, ways_out
from lambdapack.model import Target
from lambdapack.python import wheel_tags

__all__ = [
    "Asked",
    "LockFile",
    "Locked",
    "LockedFile",
    "NoFile",
    "Selection",
    "check_python",
    "choose",
    "from_repository",
    "named_file",
    "sha256",
    "unknown",
    "version_of",
]

_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class LockedFile:
    """A wheel or an sdist.

    Attributes:
        name: Its file name; nothing where the lock gives hashes alone.
        hash: ``sha256:…``.
        location: Its address or path where no index has it, else nothing.
    """

    name: str
    hash: str
    location: str = ""


@dataclass(frozen=True)
class Locked:
    """A package of a lock.

    Attributes:
        name, version: Canonical name and exact version; no version where only building it will tell.
        files: Those that may be installed.
        direct: Where it comes from, if not from an index.
        where: For messages, e.g. ``uv.lock: package[3]``.
    """

    name: str
    version: str
    files: tuple[LockedFile, ...]
    direct: Direct | None
    where: str


@dataclass(frozen=True)
class Asked:
    """What is wanted of a lock.

    Attributes:
        environment: The target's marker variables.
        extras, groups: Normalised names.
    """

    environment: Mapping[str, str]
    extras: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Selection:
    """What a lock says to install.

    Attributes:
        packages: Each once.
        requested: Names that somebody asked for; ``None`` where the lock does not tell them apart.
        wishes: What the project wrote, as far as the lock repeats it: requirements, with where.
    """

    packages: tuple[Locked, ...]
    requested: tuple[str, ...] | None
    wishes: tuple[tuple[str, str], ...] = ()


class LockFile(Protocol):
    """A lock that was read and is sound."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def extras(self) -> frozenset[str]:
        """Extras that can be asked for."""

    @property
    def groups(self) -> frozenset[str]:
        """Groups that can be asked for."""

    @property
    def registries(self) -> tuple[tuple[str, str], ...]:
        """Name and address of the indexes that it was made from, in order."""

    def select(self, asked: Asked) -> Selection:
        """What to install.

        Raises:
            ConfigurationError: The lock is not for that Python, or contradicts itself.
        """


@dataclass(frozen=True)
class NoFile:
    """No file of a package fits; ``newer`` where one would with a newer C library."""

    message: str
    hint: str
    newer: bool


def choose(
    package: Locked, target: Target, glibc: tuple[int, int], *, builds: bool, sdist: bool = False
) -> LockedFile | NoFile:
    """The best file of ``package`` for ``target``: as pip would choose, a wheel before an sdist.

    Args:
        package: With the names of its files.
        target: What it is for.
        glibc: The newest C library that a wheel may ask for.
        builds: Whether sdists can be built.
        sdist: Whether it has to be an sdist.
    """
    ranks = wheel_tags.ranks(target, glibc)
    fitting = [] if sdist else [one for one in package.files if _rank(one.name, ranks) is not None]
    if fitting:
        return min(fitting, key=lambda one: _rank(one.name, ranks) or (0, 0))
    sdists = sorted((one for one in package.files if not one.name.endswith(".whl")), key=lambda one: one.name)
    if sdists and builds:
        return sdists[0]
    files = [File(one.name, Version(package.version), "", False) for one in package.files]
    newer = any(wheel_tags.fits(one.name, target, wheel_tags.ANY_GLIBC) for one in package.files)
    there = describe_files(files, target, glibc) if files else "no file at all"
    what = "sdist" if sdist else "wheel"
    return NoFile(
        f"{package.where}: {package.name} {package.version} has no {what} for {target} with "
        f"glibc {glibc[0]}.{glibc[1]} in the lock; there is {there}",
        ways_out(files, target, glibc) + "; or lock it again for this target",
        newer,
    )


def _rank(filename: str, ranks: Mapping[Tag, int]) -> tuple[int, int] | None:
    """How well a wheel fits, the least is the best; the highest build number first among equals."""
    try:
        _, _, build, tags = parse_wheel_filename(filename)
    except (InvalidWheelFilename, InvalidVersion):
        return None
    found = [ranks[tag] for tag in tags if tag in ranks]
    return (min(found), -build[0] if build else 1) if found else None


def sha256(fields: Fields, name: str = "hash") -> str:
    """A SHA-256 hash."""
    found = fields.text(name)
    if not _SHA256.fullmatch(found):
        raise fields.wrong(name, "sha256: and 64 hexadecimal digits")
    return found


def version_of(fields: Fields, name: str = "version") -> str:
    """An exact version."""
    found = fields.text(name)
    try:
        Version(found)
    except InvalidVersion:
        raise fields.wrong(name, "a version") from None
    return found


def named_file(fields: Fields, filename: str, key: str, package: str) -> str:
    """``filename``, once it is sure that it names a wheel or an sdist of ``package``."""
    try:
        parse = parse_wheel_filename if filename.endswith(".whl") else parse_sdist_filename
        found = parse(filename)[0]
    except (InvalidWheelFilename, InvalidVersion):
        raise fields.wrong(key, "the name of a wheel or an sdist") from None
    except InvalidSdistFilename:
        # Old sdists are .zip, .tar.bz2 and the like.
        return filename
    if found != canonicalize_name(package) and filename.endswith(".whl"):
        raise fields.wrong(key, f"a file of {package}")
    return filename


def check_python(fields: Fields, key: str, specifier: str, asked: Asked) -> None:
    """Hold the lock's own ``specifier`` of Pythons against the target's."""
    python = asked.environment["python_full_version"]
    try:
        fits = SpecifierSet(specifier).contains(python, prereleases=True)
    except InvalidSpecifier:
        raise fields.wrong(key, "versions of Python, e.g. >=3.10") from None
    if not fits:
        raise ConfigurationError(
            f"{fields.path} was made for Python {specifier}, and the target has {python}",
            hint="choose another Python with --python, or lock again with a wider range of Pythons",
        )


def from_repository(where: str, name: str) -> ConfigurationError:
    """The error for a package that a version control system has."""
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
