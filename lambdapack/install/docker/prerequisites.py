"""What the build of an sdist needs and the image lacks, read out of what the build printed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources

_PATTERNS = {
    "header": (
        # gcc, clang
        re.compile(
            r"fatal error: ['\"<]?([\w./+-]+\.(?:h|hh|hpp|hxx|H))['\">]?(?:: No such file| file not found)"
        ),
    ),
    "library": (
        # GNU ld, gold, lld
        re.compile(r"cannot find -l([\w.+-]+?)(?::|\s|$)"),
        re.compile(r"unable to find library -l([\w.+-]+)"),
    ),
    "pkg-config module": (
        re.compile(r"Package '?([\w.+-]+?)'?(?:, required by '[^']*',)? (?:was )?not found"),
        re.compile(r"No package '([\w.+-]+)' found"),
        # meson
        re.compile(r"Dependency \"?([\w.+-]+)\"? not found"),
    ),
    "CMake package": (
        re.compile(r"Could NOT find ([\w.+-]+)"),
        re.compile(r"Could not find a package configuration file provided by \"([\w.+-]+)\""),
    ),
    "program": (
        re.compile(r"error: command '([^']+)' failed: No such file"),
        re.compile(r"\b([\w.+-]+): (?:command )?not found\b"),
        re.compile(r"FileNotFoundError: \[Errno 2\] No such file or directory: '([\w.+-]+)'"),
        re.compile(r"\b(pg_config|mysql_config|krb5-config|gdal-config|xml2-config) executable not found"),
        re.compile(r"Unknown compiler\(s\): \[\['([\w.+-]+)'"),
    ),
}


@dataclass(frozen=True)
class MissingPrerequisite:
    """Something that a build needs and the image does not have.

    A shared library that an installed tree needs and Lambda lacks is a ``model.MissingLibrary``.

    Attributes:
        kind: ``header``, ``library``, ``pkg-config module``, ``CMake package`` or ``program``.
        name: As the build named it.
        line: Index of the printed line that names it.
    """

    kind: str
    name: str
    line: int

    def __str__(self) -> str:
        return f"the {self.kind} {'lib' if self.kind == 'library' else ''}{self.name}"

    def package(self, family: str) -> str | None:
        """The system package that is likely to have it; ``family`` is ``rpm`` (Amazon Linux) or ``deb``."""
        for name in (self.name, self.name.rpartition("/")[2], self.name.partition("/")[0] + "/"):
            packages = _packages().get(self.kind, {}).get(name)
            if packages:
                return packages[family]
        return None


def find_missing(lines: Iterable[str]) -> MissingPrerequisite | None:
    """The first prerequisite that ``lines`` of a failed build name as missing."""
    for number, line in enumerate(lines):
        for kind, patterns in _PATTERNS.items():
            for pattern in patterns:
                match = pattern.search(line)
                if match:
                    return MissingPrerequisite(kind, match[1], number)
    return None


@cache
def _packages() -> dict[str, dict[str, dict[str, str]]]:
    """Kind -> name -> family -> package."""
    path = resources.files("lambdapack.install.docker").joinpath("packages.json")
    table: dict[str, dict[str, dict[str, str]]] = json.loads(path.read_text(encoding="utf-8"))
    return table
