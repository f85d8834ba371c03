"""What a Poetry project asks for: ``[project]``, ``[tool.poetry]`` and ``[dependency-groups]``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from lambdapack.lock.requirements.fields import Fields
from lambdapack.lock.requirements.formats.poetry_versions import ranges
from lambdapack.lock.requirements.markers import is_marker

__all__ = ["MAIN", "Project", "Wish", "wishes"]

MAIN = "main"


@dataclass(frozen=True)
class Wish:
    """A dependency as Poetry writes it.

    Attributes:
        name: Canonical.
        version: A constraint in Poetry's own language.
        marker: When it is needed, its ``python`` included.
        extras: Wanted of it.
        optional: Whether only an extra brings it.
    """

    name: str
    version: str
    marker: str = ""
    extras: tuple[str, ...] = ()
    optional: bool = False

    @classmethod
    def read(cls, fields: Fields, key: str) -> Iterator[Wish]:
        """The wishes for one name: a version, a table, or a list of tables, one of which will hold."""
        for one in cls._read(fields, key):
            try:
                ranges(one.version)
            except ValueError:
                raise fields.wrong(key, "a version constraint like ^1.2 or >=1,<2") from None
            yield one

    @classmethod
    def _read(cls, fields: Fields, key: str) -> Iterator[Wish]:
        value = fields.table[key]
        name = canonicalize_name(key)
        if isinstance(value, str):
            yield cls(name, value)
        elif isinstance(value, Mapping):
            yield cls._table(name, fields.section(key))
        elif isinstance(value, list) and all(isinstance(one, str) for one in value):
            yield from (cls(name, one) for one in value)
        else:
            for one in fields.sections(key):
                yield cls._table(name, one)

    @classmethod
    def _table(cls, name: str, fields: Fields) -> Wish:
        marker = fields.text("markers", "")
        if not is_marker(marker):
            raise fields.wrong("markers", "an environment marker")
        pythons = fields.text("python", "")
        parts = [f"({part})" for part in (marker, _python_marker(pythons)) if part]
        extras = tuple(canonicalize_name(extra) for extra in fields.texts("extras"))
        return cls(name, fields.text("version", "*"), " and ".join(parts), extras, fields.flag("optional"))


def _python_marker(constraint: str) -> str:
    """``^3.8 || ~3.7`` as a marker."""
    found = []
    for clauses in ranges(constraint) if constraint not in ("", "*") else ():
        found.append(" and ".join(f"python_full_version {op} '{version}'" for op, version in clauses))
    return " or ".join(f"({one})" for one in found if one)


@dataclass(frozen=True)
class Project:
    """A project's wishes by group; ``main`` are those of the project itself."""

    groups: Mapping[str, tuple[Wish, ...]]


def wishes(fields: Fields) -> Project:
    """Read a ``pyproject.toml``.

    Raises:
        ConfigurationError: Which key is wrong, and what was expected.
    """
    poetry = fields.section("tool").section("poetry")
    project = fields.section("project")
    groups: dict[str, list[Wish]] = {MAIN: []}
    for requirement in project.texts("dependencies"):
        groups[MAIN].append(_standard(project, "dependencies", requirement))
    extras = project.section("optional-dependencies")
    for extra in extras.table:
        for requirement in extras.texts(extra):
            wish = _standard(extras, extra, requirement)
            groups[MAIN].append(replace(wish, optional=True))
    if not groups[MAIN]:
        groups[MAIN] += _table(poetry.section("dependencies"))
    groups.setdefault("dev", []).extend(_table(poetry.section("dev-dependencies")))
    section = poetry.section("group")
    for group in section.table:
        name = canonicalize_name(group)
        groups.setdefault(name, []).extend(_table(section.section(group).section("dependencies")))
    standard = fields.section("dependency-groups")
    for group in standard.table:
        if not isinstance(standard.table[group], list):
            raise standard.wrong(group, "a list of requirements")
        found = [one for one in standard.table[group] if isinstance(one, str)]
        groups.setdefault(canonicalize_name(group), []).extend(
            _standard(standard, group, one) for one in found
        )
    return Project({name: tuple(found) for name, found in groups.items()})


def _table(fields: Fields) -> Iterator[Wish]:
    for key in fields.table:
        if key != "python":
            yield from Wish.read(fields, key)


def _standard(fields: Fields, key: str, text: str) -> Wish:
    try:
        found = Requirement(text)
    except InvalidRequirement:
        raise fields.wrong(key, "requirements like 'spacy>=3.7'") from None
    extras = tuple(sorted(canonicalize_name(extra) for extra in found.extras))
    return Wish(canonicalize_name(found.name), str(found.specifier) or "*", str(found.marker or ""), extras)
