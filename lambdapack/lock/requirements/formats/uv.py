"""``uv.lock`` (version 1): a graph of packages, walked from the project.

https://docs.astral.sh/uv/concepts/projects/layout/#the-lockfile
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name

from lambdapack.errors import ConfigurationError
from lambdapack.lock.requirements.fields import Fields, read_toml
from lambdapack.lock.requirements.locked import (
    LockedFile,
    LockedPackage,
    LockFile,
    Scope,
    Selection,
    from_repository,
)

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
class UvLock(LockFile):
    """A sound ``uv.lock``."""

    packages: tuple[_Package, ...]
    members: tuple[_Package, ...]

    def select(self, scope: Scope) -> Selection:
        """What the project needs on the target, without the project itself."""
        if "requires-python" in self.fields.table:
            scope.check_python(self.fields, self.fields.text("requires-python"))
        extras = self._extras(scope)
        roots = [root for root in self._roots(scope) if scope.holds(root.marker, extras)]
        chosen = self._walk(roots, scope, extras)
        members = {member.name for member in self.members}
        requested = dict.fromkeys(root.name for root in roots if root.name not in members)
        packages = tuple(self._locked(chosen[name]) for name in sorted(chosen.keys() - members))
        return Selection(packages, tuple(requested), tuple(self._declared()))

    def _walk(
        self, roots: Iterable[_Dependency], scope: Scope, extras: Collection[str]
    ) -> dict[str, _Package]:
        """Every package, by name, that ``roots`` lead to."""
        queue = deque(roots)
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
            for extra in ("", *needed.extras):
                if (package.name, extra) not in walked:
                    walked.add((package.name, extra))
                    more = package.extras.get(extra, ()) if extra else package.dependencies
                    queue.extend(need for need in more if scope.holds(need.marker, extras))
        return chosen

    def _extras(self, scope: Scope) -> set[str]:
        """Extras that markers may name; in locks with conflicts also ``extra-<length>-<member>-<name>``."""
        extras = {*scope.extras}
        for member in self.members:
            for kind, names in (("extra", scope.extras), ("group", scope.groups)):
                extras |= {f"{kind}-{len(member.name)}-{member.name}-{name}" for name in names}
        return extras

    def _declared(self) -> Iterator[tuple[str, str]]:
        for member in self.members:
            for fields in member.fields.section("metadata").sections("requires-dist"):
                yield f"{fields.name()}{fields.text('specifier', '')}", fields.where

    def _roots(self, scope: Scope) -> Iterator[_Dependency]:
        for member in self.members:
            yield from member.dependencies
            for extra in sorted(scope.extras):
                yield from member.extras.get(extra, ())
            for group in sorted(scope.groups):
                yield from member.groups.get(group, ())

    def _find(self, needed: _Dependency) -> _Package:
        entries = [package for package in self.packages if package.name == needed.name]
        if len(entries) > 1 and needed.version:
            entries = [package for package in entries if package.version == needed.version]
        if len(entries) > 1 and needed.source:
            entries = [package for package in entries if package.source == needed.source]
        return self.only_entry(needed.name, needed.version, entries, "uv")

    def _locked(self, package: _Package) -> LockedPackage:
        fields, source = package.fields, package.source
        if "registry" in source:
            files = tuple(_files(package, self.path.parent))
            return LockedPackage(package.name, package.version, files, None, fields.where)
        if "git" in source:
            raise from_repository(fields, package.name)
        location = next(str(source[kind]) for kind in _SOURCES if kind in source)
        hashes = [entry.sha256() for entry in _entries(fields) if "hash" in entry.table]
        return self.direct(fields, package.name, package.version, location, hashes)


def read(path: Path) -> UvLock:
    """Read and check ``path``."""
    fields = read_toml(path)
    if fields.table.get("version") != _VERSION:
        raise fields.wrong("version", f"{_VERSION}, the format that is known here")
    packages = tuple(_package(entry) for entry in fields.sections("package"))
    if not packages:
        raise fields.wrong("package", "a list of packages")
    addresses = [str(package.source.get("registry", "")) for package in packages]
    registries = dict.fromkeys(("", address) for address in addresses if "://" in address)
    members = _members(fields, packages)
    extras = frozenset(name for member in members for name in member.extras)
    groups = frozenset(name for member in members for name in member.groups)
    return UvLock(path, fields, tuple(registries), extras, groups, packages, members)


def _members(fields: Fields, packages: Iterable[_Package]) -> tuple[_Package, ...]:
    """The project; all members of a workspace that has no project at its root."""
    local = [package for package in packages if any(key in package.source for key in _LOCAL)]
    root = [p for p in local if "." in (p.source.get("virtual"), p.source.get("editable"))]
    names = {canonicalize_name(name) for name in fields.section("manifest").texts("members")}
    members = root or [package for package in local if package.name in names]
    if not members:
        raise fields.wrong("package", 'the project itself, with source = { virtual = "." } or editable')
    return tuple(members)


def _package(fields: Fields) -> _Package:
    source = fields.section("source")
    kinds = [kind for kind in _SOURCES if kind in source.table]
    if len(kinds) != 1:
        raise fields.wrong("source", f"a table with one of {', '.join(_SOURCES)}")
    source.text(kinds[0])
    return _Package(
        fields,
        fields.name(),
        fields.version() if "version" in fields.table else "",
        dict(source.table),
        tuple(_dependencies(fields, "dependencies")),
        _tables(fields.section("optional-dependencies")),
        _tables(fields.section("dev-dependencies")),
    )


def _tables(fields: Fields) -> dict[str, tuple[_Dependency, ...]]:
    return {canonicalize_name(name): tuple(_dependencies(fields, name)) for name in fields.table}


def _dependencies(fields: Fields, name: str) -> Iterator[_Dependency]:
    for entry in fields.sections(name):
        marker = entry.marker("marker")
        extras = tuple(canonicalize_name(extra) for extra in entry.texts("extra"))
        source = dict(entry.section("source").table)
        yield _Dependency(entry.name(), entry.text("version", ""), source, extras, marker)


def _files(package: _Package, folder: Path) -> Iterator[LockedFile]:
    registry = str(package.source["registry"])
    for entry in _entries(package.fields):
        key = next((key for key in ("url", "path", "filename") if key in entry.table), "url")
        filename = unquote(PurePosixPath(urlsplit(entry.text(key)).path).name)
        # An index may be a folder.
        local = key == "path" and "://" not in registry
        location = str((folder / registry / entry.text(key)).resolve()) if local else ""
        yield LockedFile(entry.named_file(key, filename, package.name), entry.sha256(), location)


def _entries(fields: Fields) -> Iterator[Fields]:
    yield from fields.sections("wheels")
    if "sdist" in fields.table:
        yield fields.section("sdist")
