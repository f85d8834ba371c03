"""``poetry.lock``: since Poetry 2 each package says its groups and markers; before, the graph is walked.

https://python-poetry.org/docs/basic-usage/#installing-with-poetrylock
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from lambdapack.errors import ConfigurationError
from lambdapack.lock.requirements.fields import Fields, is_marker, read_toml
from lambdapack.lock.requirements.formats.poetry_project import MAIN, Dependency, allows, ranges, read_project
from lambdapack.lock.requirements.locked import (
    LockedFile,
    LockedPackage,
    LockFile,
    Scope,
    Selection,
    from_repository,
)

_LEGACY = "legacy"


@dataclass(frozen=True)
class _Package:
    fields: Fields
    name: str
    version: str
    groups: frozenset[str]
    markers: Mapping[str, str]
    dependencies: tuple[Dependency, ...]
    files: tuple[LockedFile, ...]

    def needs(self, extra: str, scope: Scope) -> Iterator[Dependency]:
        """What the package needs on the target: for ``extra``, or without any extra where it is empty."""
        extras = {extra} if extra else set()
        for dependency in self.dependencies:
            is_of_extra = "extra" in dependency.marker
            if is_of_extra == bool(extra) and scope.holds(dependency.marker, extras):
                yield dependency


@dataclass(frozen=True)
class PoetryLock(LockFile):
    """A sound ``poetry.lock``, with the groups of the project beside it where there is one."""

    packages: tuple[_Package, ...]
    project: Mapping[str, tuple[Dependency, ...]] | None

    def select(self, scope: Scope) -> Selection:
        """The main group's packages, and those of the groups and extras that the user asks for."""
        pythons = self.fields.section("metadata").text("python-versions")
        if not allows(pythons, scope.python):
            raise scope.python_error(self.path, pythons)
        has_groups = all(package.groups for package in self.packages)
        chosen = self._grouped(scope) if has_groups else self._walked(scope)
        packages = tuple(self._locked(package) for _, package in sorted(chosen.items()))
        names = [dependency.name for dependency in self._roots(scope)] if self.project else []
        requested = tuple(name for name in dict.fromkeys(names) if name in chosen)
        return Selection(packages, requested if names else None, tuple(self._declared()))

    def _declared(self) -> Iterator[tuple[str, str]]:
        for dependency in (self.project or {}).get(MAIN, ()):
            alternatives = ranges(dependency.version)
            if len(alternatives) == 1:
                clauses = ",".join(operator + version for operator, version in alternatives[0])
                yield f"{dependency.name}{clauses}", f"{self.path.with_name('pyproject.toml')}"

    def _grouped(self, scope: Scope) -> dict[str, _Package]:
        wanted = {MAIN, *scope.groups}
        chosen: dict[str, _Package] = {}
        for package in self.packages:
            markers = [package.markers.get(group, "") for group in sorted(package.groups & wanted)]
            if any(scope.holds(marker, scope.extras) for marker in markers):
                self._take(chosen, package)
        return chosen

    def _walked(self, scope: Scope) -> dict[str, _Package]:
        if self.project is None:
            raise ConfigurationError(
                f"{self.path}: a lock of Poetry 1 does not say what was asked for, and there is no "
                f"pyproject.toml beside it",
                hint="put the project's pyproject.toml beside it, or lock again with Poetry 2",
            )
        queue = deque(root for root in self._roots(scope) if scope.holds(root.marker, scope.extras))
        chosen: dict[str, _Package] = {}
        walked: set[tuple[str, str]] = set()
        while queue:
            dependency = queue.popleft()
            package = self._find(dependency, scope)
            self._take(chosen, package)
            for extra in ("", *dependency.extras):
                if (package.name, extra) not in walked:
                    walked.add((package.name, extra))
                    queue.extend(package.needs(extra, scope))
        return chosen

    def _take(self, chosen: dict[str, _Package], package: _Package) -> None:
        if chosen.setdefault(package.name, package) is not package:
            raise ConfigurationError(
                f"{self.path}: {package.name} is there twice for the target, as "
                f"{chosen[package.name].version} and {package.version}",
                hint="make the lock again: poetry lock",
            )

    def _roots(self, scope: Scope) -> Iterator[Dependency]:
        assert self.project is not None
        by_extra = self.fields.section("extras")
        optional = {
            canonicalize_name(text.split(" ", maxsplit=1)[0].split("[", maxsplit=1)[0])
            for extra in by_extra.table
            if canonicalize_name(extra) in scope.extras
            for text in by_extra.texts(extra)
        }
        for group in (MAIN, *sorted(scope.groups)):
            for dependency in self.project.get(group, ()):
                if not dependency.optional or dependency.name in optional:
                    yield dependency

    def _find(self, dependency: Dependency, scope: Scope) -> _Package:
        entries = [package for package in self.packages if package.name == dependency.name]
        if len(entries) > 1:
            entries = [package for package in entries if allows(dependency.version, package.version)]
            fitting = [
                entry for entry in entries if allows(entry.fields.text("python-versions", "*"), scope.python)
            ]
            entries = fitting or entries
        return self.only_entry(dependency.name, dependency.version, entries, "poetry")

    def _locked(self, package: _Package) -> LockedPackage:
        name, version, where = package.name, package.version, package.fields.where
        source = package.fields.section("source")
        kind = source.text("type", _LEGACY)
        if kind == "git":
            raise from_repository(package.fields, name)
        if kind == _LEGACY:
            return LockedPackage(name, version, package.files, None, where)
        if kind not in ("url", "file", "directory"):
            raise source.wrong("type", "legacy, url, file, directory or git")
        hashes = [file.hash for file in package.files]
        return self.direct(package.fields, name, version, source.text("url"), hashes)


def read(path: Path) -> PoetryLock:
    """Read and check ``path``, and the ``pyproject.toml`` beside it where there is one."""
    fields = read_toml(path)
    metadata = fields.section("metadata")
    if metadata.text("lock-version", "").split(".")[0] not in ("1", "2"):
        raise metadata.wrong("lock-version", "a version from 1 to 2")
    packages = tuple(_package(entry, metadata) for entry in fields.sections("package"))
    extras = fields.section("extras")
    for name in extras.table:
        extras.texts(name)
    pyproject = path.with_name("pyproject.toml")
    project = read_project(read_toml(pyproject)) if pyproject.is_file() else None
    registries = tuple(dict.fromkeys(_registries(packages)))
    groups = frozenset(project or ()).union(*(package.groups for package in packages)) - {MAIN}
    names = frozenset(canonicalize_name(name) for name in extras.table)
    return PoetryLock(path, fields, registries, names, groups, packages, project)


def _registries(packages: tuple[_Package, ...]) -> Iterator[tuple[str, str]]:
    for package in packages:
        source = package.fields.section("source")
        if not source.table:
            yield "", "https://pypi.org/simple"
        elif source.text("type") == _LEGACY:
            yield source.text("reference", ""), source.text("url")


def _package(fields: Fields, metadata: Fields) -> _Package:
    table = fields.table.get("markers", "")
    groups = frozenset(canonicalize_name(group) for group in fields.texts("groups"))
    if isinstance(table, Mapping):
        section = fields.section("markers")
        markers: dict[str, str] = {canonicalize_name(group): section.text(group) for group in table}
    else:
        markers = dict.fromkeys(map(str, groups), fields.text("markers", ""))
    if not all(is_marker(marker) for marker in markers.values()):
        raise fields.wrong("markers", "environment markers")
    name = fields.name()
    # Poetry before 1.3 had all files at the end.
    own = "files" in fields.table
    entries = fields.sections("files") if own else metadata.section("files").sections(fields.text("name"))
    files = tuple(
        LockedFile(entry.named_file("file", entry.text("file"), name), entry.sha256()) for entry in entries
    )
    section = fields.section("dependencies")
    dependencies = tuple(entry for key in section.table for entry in Dependency.read(section, key))
    return _Package(fields, name, fields.version(), groups, markers, dependencies, files)
