"""``pyproject.toml``: PEP 621 dependencies, extras, and PEP 735 dependency groups."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from lambdapack.errors import ConfigurationError
from lambdapack.lock.requirements.fields import Fields, read_toml


@dataclass(frozen=True)
class Pyproject:
    """What a project asks for.

    Attributes:
        name: The project's own, canonical.
        dependencies: The project's requirements, with the lines that they are on.
        extras, groups: The same by normalised name; groups with the groups that they include.
    """

    name: str
    dependencies: tuple[tuple[str, int], ...]
    extras: Mapping[str, tuple[tuple[str, int], ...]]
    groups: Mapping[str, tuple[tuple[str, int], ...]]

    def wanted(self, extras: frozenset[str], groups: frozenset[str]) -> Iterator[tuple[str, int]]:
        """The requirements, with those of ``extras`` and ``groups``; an extra may name other extras."""
        yield from self.dependencies
        taken: set[str] = set()
        queue = [requirement for extra in sorted(extras) for requirement in self._extra(extra, taken)]
        queue += [requirement for group in sorted(groups) for requirement in self.groups.get(group, ())]
        while queue:
            text, line = queue.pop(0)
            more = self._itself(text)
            if more is None:
                yield text, line
            for extra in more or ():
                queue += self._extra(extra, taken)

    def _extra(self, extra: str, taken: set[str]) -> tuple[tuple[str, int], ...]:
        if extra in taken:
            return ()
        taken.add(extra)
        return self.extras.get(extra, ())

    def _itself(self, text: str) -> tuple[str, ...] | None:
        """The extras of the project that a requirement names, if it names the project; else ``None``."""
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            return None
        if not self.name or canonicalize_name(requirement.name) != self.name or requirement.url:
            return None
        return tuple(sorted(canonicalize_name(extra) for extra in requirement.extras))


def read(path: Path) -> Pyproject:
    """Read ``path``.

    Raises:
        ConfigurationError: The file is not TOML, or has neither ``[project]`` dependencies nor groups.
    """
    fields = read_toml(path)
    lines = path.read_text("utf-8-sig").splitlines()
    project = fields.section("project")
    groups = dict(_groups(fields, lines))
    dynamic = "dependencies" in project.texts("dynamic")
    if "dependencies" not in project.table and (dynamic or not groups):
        reason = "has no [project] dependencies"
        if dynamic:
            reason = "project.dependencies is dynamic: only its build backend knows them; list them in a file"
        elif "poetry" in fields.section("tool").table:
            reason += ", only Poetry's own table; name its poetry.lock instead"
        raise ConfigurationError(f"{path}: {reason}")
    optional = project.section("optional-dependencies")
    return Pyproject(
        canonicalize_name(project.text("name", "")),
        _numbered(project.texts("dependencies"), lines),
        {canonicalize_name(extra): _numbered(optional.texts(extra), lines) for extra in optional.table},
        groups,
    )


def _numbered(texts: Iterable[str], lines: list[str]) -> tuple[tuple[str, int], ...]:
    return tuple((text.strip(), _line_of(lines, text)) for text in texts)


def _groups(fields: Fields, lines: list[str]) -> Iterator[tuple[str, tuple[tuple[str, int], ...]]]:
    from packaging.dependency_groups import DependencyGroupResolver  # noqa: PLC0415 - few need it
    from packaging.errors import ExceptionGroup  # noqa: PLC0415

    table = fields.section("dependency-groups").table
    if not table:
        return
    try:
        resolver = DependencyGroupResolver(table)
        for group in table:
            yield canonicalize_name(group), _numbered(map(str, resolver.resolve(group)), lines)
    except ExceptionGroup as error:
        reasons = "; ".join(str(reason).splitlines()[0] for reason in error.exceptions)
        raise ConfigurationError(f"{fields.path}: dependency-groups: {reasons}") from None


def _line_of(lines: list[str], text: str) -> int:
    """The number of the line that has ``text``, spaces and quotes aside; 1 where there is none."""
    wanted = re.sub(r"[\s\"'\\]", "", text)
    for number, line in enumerate(lines, 1):
        if wanted and wanted in re.sub(r"[\s\"'\\]", "", line):
            return number
    return 1
