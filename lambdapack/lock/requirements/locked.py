"""What any lock file holds once it is read: packages with their files, and the indexes of those."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from lambdapack.errors import ConfigurationError
from lambdapack.lock.requirements.direct import DirectReference
from lambdapack.lock.requirements.fields import Fields
from lambdapack.model import NO_OPTIONS, PipOptions
from lambdapack.python.pip_settings import INDEX_OPTIONS, PipSettings, without_user

_Entry = TypeVar("_Entry")
# PEP 508 evaluates a marker for one extra at a time; locks mean the set of all that the user asks for.
_EXTRA = re.compile(r"""\bextra\s*(==|!=)\s*(?P<q>["'])(?P<right>[^"']*)(?P=q)""")
_REVERSED = re.compile(r"""(?P<q>["'])(?P<right>[^"']*)(?P=q)\s*(==|!=)\s*extra\b""")
_TRUE, _FALSE = "python_version >= '0'", "python_version < '0'"
_PYPI = re.compile(r"https?://(pypi\.org|pypi\.python\.org)(/|$)")
_VARIABLES = "POETRY_HTTP_BASIC_{}_{}"


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

    def holds(self, marker: str, extras: Collection[str] = ()) -> bool:
        """Whether ``marker`` holds for the target, whatever machine this is; an empty one does.

        ``extra == 'x'`` asks whether x is in ``extras``.

        Raises:
            ValueError: ``marker`` is not an environment marker.
        """
        if not marker.strip():
            return True

        def answered(comparison: re.Match[str]) -> str:
            return _TRUE if (comparison["right"] in extras) is ("==" in comparison[0]) else _FALSE

        text = _REVERSED.sub(answered, _EXTRA.sub(answered, marker))
        try:
            return Marker(text).evaluate({**self.environment, "extra": ""})
        except (InvalidMarker, UndefinedComparison, UndefinedEnvironmentName) as error:
            raise ValueError(f"{marker!r} is not a marker: {str(error).splitlines()[0]}") from None

    def check_python(self, fields: Fields, specifier: str) -> None:
        """Check that the target's Python is among those of ``specifier``, which is ``requires-python``."""
        try:
            fits = SpecifierSet(specifier).contains(self.python, prereleases=True)
        except InvalidSpecifier:
            raise fields.wrong("requires-python", "versions of Python, e.g. >=3.10") from None
        if not fits:
            raise self.python_error(fields.path, specifier)

    def python_error(self, path: Path, specifier: str) -> ConfigurationError:
        """The error for a lock that was made for other Pythons."""
        return ConfigurationError(
            f"{path} was made for Python {specifier}, and the target has {self.python}",
            hint="choose another Python with --python, or lock again with a wider range of Pythons",
        )


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
        extras, groups: Normalised names of the project's, without the groups that are always taken.
    """

    path: Path
    fields: Fields
    registries: tuple[tuple[str, str], ...]
    extras: frozenset[str]
    groups: frozenset[str]

    @abstractmethod
    def select(self, scope: Scope) -> Selection:
        """What to install.

        Raises:
            ConfigurationError: The lock is not for that Python, or contradicts itself.
        """

    def direct(
        self, fields: Fields, name: str, version: str, location: str, hashes: Iterable[str] = ()
    ) -> LockedPackage:
        """The package of ``fields``, which no index has; paths are relative to the lock's folder."""
        if "://" not in location:
            location = str((self.path.parent / location).resolve())
        direct = DirectReference(location, fields.where, name=name, hashes=tuple(sorted(hashes)))
        return LockedPackage(name, version, (), direct, fields.where)

    def only_entry(self, name: str, version: str, entries: Sequence[_Entry], tool: str) -> _Entry:
        """The one package that a dependency means, of ``entries`` that fit; ``tool`` makes such locks."""
        if len(entries) != 1:
            number = f"{len(entries)} packages" if entries else "no package"
            raise ConfigurationError(
                f"{self.path}: package: expected one entry for {name} {version}, found {number}",
                hint=f"make the lock again: {tool} lock",
            )
        return entries[0]


def from_repository(fields: Fields, name: str) -> ConfigurationError:
    """The error for a package of a version control system."""
    return ConfigurationError(
        f"{fields.where}: {name} comes from a repository, which is not fetched here",
        hint="build a wheel of it and depend on that, or take a release from an index",
    )


def index_options(
    registries: Iterable[tuple[str, str]], environment: Mapping[str, str] = os.environ
) -> PipOptions:
    """pip's options for indexes other than PyPI that pip is not configured for.

    PyPI stands for whatever index pip is configured for. Hashes decide what is installed, so the order of
    indexes does not matter; without PyPI among them, the first takes the place of pip's own.

    Args:
        registries: Name (or nothing) and address of each.
        environment: pip's variables, and Poetry's with credentials.
    """
    addresses = [(name, address) for name, address in registries if "://" in address]
    others = [(name, address) for name, address in addresses if not _PYPI.match(address)]
    if not others:
        return NO_OPTIONS
    known = {_plain(address) for address in PipSettings.read(environment).words(INDEX_OPTIONS)}
    unknown = [(name, address) for name, address in others if _plain(address) not in known]
    # An index of pip's own configuration, maybe with credentials, stays the first one.
    replaces_pypi = len(others) == len(addresses) and unknown[:1] == others[:1]
    options = ["extra-index-url"] * len(unknown)
    if replaces_pypi:
        options[0] = "index-url"
    values = [_with_user(name, address, environment) for name, address in unknown]
    return PipOptions(tuple(zip(options, values, strict=True)))


def _with_user(name: str, address: str, environment: Mapping[str, str]) -> str:
    key = re.sub(r"[^A-Z0-9]", "_", name.upper())
    user, password = (environment.get(_VARIABLES.format(key, part)) for part in ("USERNAME", "PASSWORD"))
    parts = urlsplit(address)
    if not key or not user or "@" in parts.netloc:
        return address
    secret = f":{quote(password, safe='')}" if password else ""
    return urlunsplit(parts._replace(netloc=f"{quote(user, safe='')}{secret}@{parts.netloc}"))


def _plain(address: str) -> str:
    return without_user(address).rstrip("/")
