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
from lambdapack.lock.requirements.direct import Direct
from lambdapack.lock.requirements.fields import Fields, read_toml
from lambdapack.lock.requirements.formats.poetry_project import MAIN, Project, Wish, wishes
from lambdapack.lock.requirements.formats.poetry_versions import allows, ranges
from lambdapack.lock.requirements.locked import (
    Asked,
    Locked,
    LockedFile,
    Selection,
    from_repository,
    named_file,
    sha256,
    version_of,
)
from lambdapack.lock.requirements.markers import holds, is_marker

__all__ = ["PoetryLock", "read"]

_LEGACY = "legacy"


@dataclass(frozen=True)
class _Package:
    fields: Fields
    name: str
    version: str
    groups: frozenset[str]
    markers: Mapping[str, str]
    wishes: tuple[Wish, ...]
    files: tuple[LockedFile, ...]


@dataclass(frozen=True)
class PoetryLock:
    """A sound ``poetry.lock``; see ``LockFile``."""

    path: Path
    fields: Fields
    packages: tuple[_Package, ...]
    project: Project | None
    registries: tuple[tuple[str, str], ...]

    @property
    def extras(self) -> frozenset[str]:
        """The project's extras."""
        return frozenset(canonicalize_name(name) for name in self.fields.section("extras").table)

    @property
    def groups(self) -> frozenset[str]:
        """Every group but the main one, which is always taken."""
        known = {group for package in self.packages for group in package.groups}
        return frozenset((known | set(self.project.groups if self.project else ())) - {MAIN})

    def select(self, asked: Asked) -> Selection:
        """The main group's packages, and those of the groups and extras that were asked for."""
        pythons = self.fields.section("metadata").text("python-versions")
        if not allows(pythons, asked.environment["python_full_version"]):
            raise ConfigurationError(
                f"{self.path} was made for Python {pythons}, and the target has "
                f"{asked.environment['python_full_version']}",
                hint="choose another Python with --python, or lock again with a wider range of Pythons",
            )
        said = all(package.groups for package in self.packages)
        chosen = self._said(asked) if said else self._walked(asked)
        requested = self._requested(asked)
        packages = tuple(_locked(one, self.path) for _, one in sorted(chosen.items()))
        named = None if requested is None else tuple(name for name in requested if name in chosen)
        return Selection(packages, named, tuple(self._wishes()))

    def _wishes(self) -> Iterator[tuple[str, str]]:
        for wish in self.project.groups.get(MAIN, ()) if self.project else ():
            found = ranges(wish.version)
            if len(found) == 1:
                clauses = ",".join(operator + version for operator, version in found[0])
                yield f"{wish.name}{clauses}", f"{self.path.with_name('pyproject.toml')}"

    def _said(self, asked: Asked) -> dict[str, _Package]:
        wanted = {MAIN, *asked.groups}
        chosen: dict[str, _Package] = {}
        for package in self.packages:
            markers = [package.markers.get(group, "") for group in sorted(package.groups & wanted)]
            if any(holds(marker, asked.environment, asked.extras) for marker in markers):
                self._take(chosen, package)
        return chosen

    def _walked(self, asked: Asked) -> dict[str, _Package]:
        if self.project is None:
            raise ConfigurationError(
                f"{self.path}: a lock of Poetry 1 does not say what was asked for, and there is no "
                f"pyproject.toml beside it",
                hint="put the project's pyproject.toml beside it, or lock again with Poetry 2",
            )
        queue = deque(one for one in self._roots(asked) if holds(one.marker, asked.environment, asked.extras))
        chosen: dict[str, _Package] = {}
        walked: set[tuple[str, str]] = set()
        while queue:
            wish = queue.popleft()
            package = self._find(wish, asked)
            self._take(chosen, package)
            for extra in ("", *wish.extras):
                if (package.name, extra) in walked:
                    continue
                walked.add((package.name, extra))
                extras = {extra} if extra else set()
                for one in package.wishes:
                    if bool(extra) == ("extra" in one.marker) and holds(
                        one.marker, asked.environment, extras
                    ):
                        queue.append(one)
        return chosen

    def _take(self, chosen: dict[str, _Package], package: _Package) -> None:
        if chosen.setdefault(package.name, package) is not package:
            raise ConfigurationError(
                f"{self.path}: {package.name} is there twice for the target, as "
                f"{chosen[package.name].version} and {package.version}",
                hint="make the lock again: poetry lock",
            )

    def _roots(self, asked: Asked) -> Iterator[Wish]:
        assert self.project is not None
        by_extra = self.fields.section("extras")
        optional = {
            canonicalize_name(text.split(" ", maxsplit=1)[0].split("[", maxsplit=1)[0])
            for extra in by_extra.table
            if canonicalize_name(extra) in asked.extras
            for text in by_extra.texts(extra)
        }
        for group in (MAIN, *sorted(asked.groups)):
            for wish in self.project.groups.get(group, ()):
                if not wish.optional or wish.name in optional:
                    yield wish

    def _find(self, wish: Wish, asked: Asked) -> _Package:
        there = [one for one in self.packages if one.name == wish.name]
        if len(there) > 1:
            python = asked.environment["python_full_version"]
            there = [one for one in there if allows(wish.version, one.version)]
            there = [one for one in there if allows(one.fields.text("python-versions", "*"), python)] or there
        if len(there) != 1:
            what = "no package" if not there else f"{len(there)} packages"
            raise ConfigurationError(
                f"{self.path}: package: expected one entry for {wish.name} {wish.version}, found {what}",
                hint="make the lock again: poetry lock",
            )
        return there[0]

    def _requested(self, asked: Asked) -> tuple[str, ...] | None:
        if self.project is None:
            return None
        found = [one.name for one in self._roots(asked)]
        return tuple(dict.fromkeys(found)) or None


def read(path: Path) -> PoetryLock:
    """Read and check ``path``, and the ``pyproject.toml`` beside it where there is one.

    Raises:
        ConfigurationError: Which key is wrong, and what was expected.
    """
    fields = read_toml(path)
    metadata = fields.section("metadata")
    if metadata.text("lock-version", "").split(".")[0] not in ("1", "2"):
        raise metadata.wrong("lock-version", "a version from 1 to 2")
    packages = tuple(_package(one, metadata) for one in fields.sections("package"))
    extras = fields.section("extras")
    for name in extras.table:
        extras.texts(name)
    pyproject = path.with_name("pyproject.toml")
    project = wishes(read_toml(pyproject)) if pyproject.is_file() else None
    return PoetryLock(path, fields, packages, project, tuple(_registries(packages)))


def _registries(packages: tuple[_Package, ...]) -> Iterator[tuple[str, str]]:
    found: dict[tuple[str, str], None] = {}
    for package in packages:
        source = package.fields.section("source")
        if not source.table:
            found["", "https://pypi.org/simple"] = None
        elif source.text("type") == _LEGACY:
            found[source.text("reference", ""), source.text("url")] = None
    yield from found


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
    files = tuple(
        LockedFile(named_file(one, one.text("file"), "file", name), sha256(one))
        for one in _files(fields, metadata)
    )
    section = fields.section("dependencies")
    found = tuple(wish for dependency in section.table for wish in Wish.read(section, dependency))
    return _Package(fields, name, version_of(fields), groups, markers, found, files)


def _files(fields: Fields, metadata: Fields) -> Iterator[Fields]:
    """A package's files; Poetry before 1.3 had them all at the end."""
    if "files" in fields.table:
        yield from fields.sections("files")
        return
    files = metadata.section("files")
    yield from files.sections(fields.text("name"))


def _locked(package: _Package, path: Path) -> Locked:
    where = f"{path}: {package.fields.key}"
    source = package.fields.section("source")
    kind = source.text("type", _LEGACY)
    if kind == "git":
        raise from_repository(where, package.name)
    if kind == _LEGACY:
        return Locked(package.name, package.version, package.files, None, where)
    if kind not in ("url", "file", "directory"):
        raise source.wrong("type", "legacy, url, file, directory or git")
    location = source.text("url")
    if "://" not in location:
        location = str((path.parent / location).resolve())
    hashes = tuple(sorted(one.hash for one in package.files))
    direct = Direct(package.name, (), "", location, hashes, where)
    return Locked(package.name, package.version, (), direct, where)
