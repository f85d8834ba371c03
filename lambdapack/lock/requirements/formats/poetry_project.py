"""What a Poetry project asks for: ``[project]``, ``[tool.poetry]`` and ``[dependency-groups]``."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from lambdapack.lock.requirements.fields import Fields

MAIN = "main"


@dataclass(frozen=True)
class Dependency:
    """A dependency in Poetry's own form.

    Attributes:
        name: Canonical.
        version: A constraint in Poetry's own language.
        marker: When the package is needed; Poetry's key ``python`` is part of it.
        extras: Extras of the package that are asked for.
        optional: Whether only an extra asks for the package.
    """

    name: str
    version: str
    marker: str = ""
    extras: tuple[str, ...] = ()
    optional: bool = False

    @classmethod
    def read(cls, fields: Fields, key: str) -> list[Dependency]:
        """The dependencies on one name: a version, a table, or a list of tables, of which one will hold."""
        value = fields.table[key]
        name = canonicalize_name(key)
        versions = [value] if isinstance(value, str) else value
        if isinstance(value, Mapping):
            found = [cls._table(name, fields.section(key))]
        elif isinstance(versions, list) and all(isinstance(version, str) for version in versions):
            found = [cls(name, version) for version in versions]
        else:
            found = [cls._table(name, table) for table in fields.sections(key)]
        for dependency in found:
            try:
                ranges(dependency.version)
            except ValueError:
                raise fields.wrong(key, "a version constraint like ^1.2 or >=1,<2") from None
        return found

    @classmethod
    def _table(cls, name: str, fields: Fields) -> Dependency:
        marker = fields.marker("markers")
        pythons = fields.text("python", "")
        parts = [f"({part})" for part in (marker, _python_marker(pythons)) if part]
        extras = tuple(canonicalize_name(extra) for extra in fields.texts("extras"))
        return cls(name, fields.text("version", "*"), " and ".join(parts), extras, fields.flag("optional"))


def _python_marker(constraint: str) -> str:
    """``^3.8 || ~3.7`` as a marker."""
    alternatives = [
        " and ".join(f"python_full_version {operator} '{version}'" for operator, version in clauses)
        for clauses in (ranges(constraint) if constraint else ())
    ]
    return " or ".join(f"({marker})" for marker in alternatives if marker)


def read_project(fields: Fields) -> Mapping[str, tuple[Dependency, ...]]:
    """The dependencies of a ``pyproject.toml`` by group; those in ``main`` are always needed."""
    poetry = fields.section("tool").section("poetry")
    project = fields.section("project")
    groups: defaultdict[str, list[Dependency]] = defaultdict(list)
    for requirement in project.texts("dependencies"):
        groups[MAIN].append(_standard(project, "dependencies", requirement))
    extras = project.section("optional-dependencies")
    for extra in extras.table:
        for requirement in extras.texts(extra):
            dependency = _standard(extras, extra, requirement)
            groups[MAIN].append(replace(dependency, optional=True))
    if not groups[MAIN]:
        groups[MAIN] += _table(poetry.section("dependencies"))
    groups["dev"] += _table(poetry.section("dev-dependencies"))
    section = poetry.section("group")
    for group in section.table:
        groups[canonicalize_name(group)] += _table(section.section(group).section("dependencies"))
    standard = fields.section("dependency-groups")
    for group in standard.table:
        if not isinstance(standard.table[group], list):
            raise standard.wrong(group, "a list of requirements")
        texts = [entry for entry in standard.table[group] if isinstance(entry, str)]
        groups[canonicalize_name(group)] += [_standard(standard, group, text) for text in texts]
    return {name: tuple(dependencies) for name, dependencies in groups.items()}


def _table(fields: Fields) -> Iterator[Dependency]:
    for key in fields.table:
        if key != "python":
            yield from Dependency.read(fields, key)


def _standard(fields: Fields, key: str, text: str) -> Dependency:
    try:
        parsed = Requirement(text)
    except InvalidRequirement:
        raise fields.wrong(key, "requirements like 'spacy>=3.7'") from None
    extras = tuple(sorted(canonicalize_name(extra) for extra in parsed.extras))
    version, marker = str(parsed.specifier) or "*", str(parsed.marker or "")
    return Dependency(canonicalize_name(parsed.name), version, marker, extras)


_CLAUSE = re.compile(r"\s*(\^|~=|~|===|==|!=|<=|>=|<|>|=)?\s*v?([0-9][^\s,|<>=!~^]*|\*)\s*,?")


def allows(constraint: str, version: str) -> bool:
    """Whether ``constraint`` takes ``version``; ``False`` where either is malformed."""
    try:
        parsed = Version(version)
        return any(
            SpecifierSet(",".join(op + bound for op, bound in clauses)).contains(parsed, prereleases=True)
            for clauses in ranges(constraint)
        )
    except (InvalidSpecifier, InvalidVersion, ValueError):
        return False


def ranges(constraint: str) -> list[list[tuple[str, str]]]:
    """Alternatives, each a list of PEP 440 clauses that hold together.

    Raises:
        ValueError: ``constraint`` is not a version constraint.
    """
    return [_clauses(part) for part in re.split(r"\|\|?", constraint)]


def _clauses(text: str) -> list[tuple[str, str]]:
    clauses: list[tuple[str, str]] = []
    position = 0
    text = text.strip()
    while position < len(text):
        match = _CLAUSE.match(text, position)
        if match is None:
            raise ValueError(f"{text!r} is not a version constraint")
        clauses += _meant(match[1] or "", match[2])
        position = match.end()
    return clauses


def _meant(operator: str, version: str) -> list[tuple[str, str]]:
    if version == "*":
        return []
    if operator in ("^", "~"):
        release = Version(version).release
        # "^": the numbers up to the first one that is not zero may not change.
        place = next((place for place, number in enumerate(release) if number), len(release) - 1)
        if operator == "~":
            place = min(1, len(release) - 1)
        return [(">=", version), ("<", ".".join(map(str, (*release[:place], release[place] + 1))))]
    if operator in ("", "="):
        operator = "=="
    return [(operator, version)]
