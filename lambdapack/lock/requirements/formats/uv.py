"""``uv.lock`` (version 1): a graph of packages, walked from the project.

https://docs.astral.sh/uv/concepts/projects/layout/#the-lockfile
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name

from lambdapack.errors import ConfigurationError
from lambdapack.lock.requirements.direct import Direct
from lambdapack.lock.requirements.fields import Fields, read_toml
from lambdapack.lock.requirements.locked import (
    Asked,
    Locked,
    LockedFile,
    Selection,
    check_python,
    from_repository,
    named_file,
    sha256,
    version_of,
)
from lambdapack.lock.requirements.markers import holds, is_marker

__all__ = ["UvLock", "read"]

_VERSION = 1
_LOCAL = ("virtual", "editable", "directory")
_SOURCES = ("registry", "url", "path", *_LOCAL, "git")


@dataclass(frozen=True)
class _Dependency:
    name: str
    version: str
    source: Mapping[str, Any]
    extras: tuple[str, ...]
    marker: str


@dataclass(frozen=True)
class _Package:
    fields: Fields
    name: str
    version: str
    source: Mapping[str, Any]
    dependencies: tuple[_Dependency, ...]
    extras: Mapping[str, tuple[_Dependency, ...]]
    groups: Mapping[str, tuple[_Dependency, ...]]


@dataclass(frozen=True)
class UvLock:
    """A sound ``uv.lock``; see ``LockFile``."""

    path: Path
    fields: Fields
    packages: tuple[_Package, ...]
    members: tuple[_Package, ...]
    registries: tuple[tuple[str, str], ...]

    @property
    def extras(self) -> frozenset[str]:
        """Optional dependencies of the project."""
        return frozenset(name for member in self.members for name in member.extras)

    @property
    def groups(self) -> frozenset[str]:
        """Dependency groups of the project."""
        return frozenset(name for member in self.members for name in member.groups)

    def select(self, asked: Asked) -> Selection:
        """What the project needs on the target, without the project itself."""
        if "requires-python" in self.fields.table:
            specifier = self.fields.text("requires-python")
            check_python(self.fields, "requires-python", specifier, asked)
        roots = list(self._roots(asked))
        wanted = self._wanted(asked)
        queue = deque(one for one in roots if holds(one.marker, asked.environment, wanted))
        requested = tuple(dict.fromkeys(one.name for one in queue))
        chosen: dict[str, _Package] = {}
        walked: set[tuple[str, str]] = set()
        while queue:
            needed = queue.popleft()
            package = self._find(needed)
            if chosen.setdefault(package.name, package) is not package:
                versions = f"{chosen[package.name].version} and {package.version}"
                raise ConfigurationError(
                    f"{self.path}: the lock needs both {versions} of {package.name} here",
                    hint="extras or groups that conflict were asked for together",
                )
            for more in ("", *needed.extras):
                if (package.name, more) not in walked:
                    walked.add((package.name, more))
                    found = package.extras.get(more, ()) if more else package.dependencies
                    queue.extend(one for one in found if holds(one.marker, asked.environment, wanted))
        members = {member.name for member in self.members}
        packages = tuple(self._locked(one) for name, one in sorted(chosen.items()) if name not in members)
        wishes = tuple(self._wishes())
        return Selection(packages, tuple(name for name in requested if name not in members), wishes)

    def _wanted(self, asked: Asked) -> set[str]:
        """Extras; markers of locks with conflicts ask which ones and which groups of which package."""
        wanted = {*asked.extras}
        for member in self.members:
            for kind, names in (("extra", asked.extras), ("group", asked.groups)):
                wanted |= {f"{kind}-{len(member.name)}-{member.name}-{name}" for name in names}
        return wanted

    def _wishes(self) -> Iterator[tuple[str, str]]:
        for member in self.members:
            for one in member.fields.section("metadata").sections("requires-dist"):
                yield f"{one.name()}{one.text('specifier', '')}", f"{self.path}: {one.key}"

    def _roots(self, asked: Asked) -> Iterator[_Dependency]:
        for member in self.members:
            yield from member.dependencies
            for extra in sorted(asked.extras):
                yield from member.extras.get(extra, ())
            for group in sorted(asked.groups):
                yield from member.groups.get(group, ())

    def _find(self, needed: _Dependency) -> _Package:
        there = [one for one in self.packages if one.name == needed.name]
        if len(there) > 1 and needed.version:
            there = [one for one in there if one.version == needed.version]
        if len(there) > 1 and needed.source:
            there = [one for one in there if one.source == needed.source]
        if len(there) != 1:
            what = "no package" if not there else f"{len(there)} packages"
            raise ConfigurationError(
                f"{self.path}: package: expected one entry for {needed.name} {needed.version}, found {what}",
                hint="make the lock again: uv lock",
            )
        return there[0]

    def _locked(self, package: _Package) -> Locked:
        direct = _direct(package, self.path)
        files = () if direct else tuple(_files(package, self.path.parent))
        return Locked(package.name, package.version, files, direct, f"{self.path}: {package.fields.key}")


def read(path: Path) -> UvLock:
    """Read and check ``path``.

    Raises:
        ConfigurationError: Which key is wrong, and what was expected.
    """
    fields = read_toml(path)
    if fields.table.get("version") != _VERSION:
        raise fields.wrong("version", f"{_VERSION}, the format that is known here")
    packages = tuple(_package(one) for one in fields.sections("package"))
    if not packages:
        raise fields.wrong("package", "a list of packages")
    registries = dict.fromkeys(
        str(one.source["registry"]) for one in packages if "://" in str(one.source.get("registry"))
    )
    return UvLock(
        path, fields, packages, tuple(_members(fields, packages)), tuple(("", one) for one in registries)
    )


def _members(fields: Fields, packages: Iterable[_Package]) -> Iterator[_Package]:
    """The project; all members of a workspace that has no project at its root."""
    local = [one for one in packages if any(key in one.source for key in _LOCAL)]
    root = [one for one in local if "." in (one.source.get("virtual"), one.source.get("editable"))]
    names = {canonicalize_name(name) for name in fields.section("manifest").texts("members")}
    members = root or [one for one in local if one.name in names]
    if not members:
        raise fields.wrong("package", 'the project itself, with source = { virtual = "." } or editable')
    yield from members


def _package(fields: Fields) -> _Package:
    source = fields.section("source")
    kinds = [kind for kind in _SOURCES if kind in source.table]
    if len(kinds) != 1:
        raise fields.wrong("source", f"a table with one of {', '.join(_SOURCES)}")
    source.text(kinds[0])
    return _Package(
        fields,
        fields.name(),
        version_of(fields) if "version" in fields.table else "",
        dict(source.table),
        tuple(_dependencies(fields, "dependencies")),
        _tables(fields.section("optional-dependencies")),
        _tables(fields.section("dev-dependencies")),
    )


def _tables(fields: Fields) -> dict[str, tuple[_Dependency, ...]]:
    return {canonicalize_name(name): tuple(_dependencies(fields, name)) for name in fields.table}


def _dependencies(fields: Fields, name: str) -> Iterator[_Dependency]:
    for one in fields.sections(name):
        marker = one.text("marker", "")
        if not is_marker(marker):
            raise one.wrong("marker", "an environment marker")
        extras = tuple(canonicalize_name(extra) for extra in one.texts("extra"))
        source = dict(one.section("source").table)
        yield _Dependency(one.name(), one.text("version", ""), source, extras, marker)


def _files(package: _Package, folder: Path) -> Iterator[LockedFile]:
    for one in _entries(package.fields):
        key = next((key for key in ("url", "path", "filename") if key in one.table), "url")
        filename = unquote(PurePosixPath(urlsplit(one.text(key)).path).name)
        # An index may be a folder.
        local = key == "path" and "://" not in str(package.source["registry"])
        location = str((folder / str(package.source["registry"]) / one.text(key)).resolve()) if local else ""
        yield LockedFile(named_file(one, filename, key, package.name), sha256(one), location)


def _entries(fields: Fields) -> Iterator[Fields]:
    yield from fields.sections("wheels")
    if "sdist" in fields.table:
        yield fields.section("sdist")


def _direct(package: _Package, path: Path) -> Direct | None:
    """Where a package is that no index has."""
    fields, source = package.fields, package.source
    if "registry" in source:
        return None
    if "git" in source:
        raise from_repository(f"{path}: {fields.key}", package.name)
    location = next(str(source[kind]) for kind in _SOURCES if kind in source)
    if "://" not in location:
        location = str((path.parent / location).resolve())
    hashes = tuple(sorted(sha256(one) for one in _entries(fields) if "hash" in one.table))
    return Direct(package.name, (), "", location, hashes, f"{path}: {fields.key}")
