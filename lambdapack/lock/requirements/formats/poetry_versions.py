"""Poetry's language for versions: ``^1.2``, ``~1.2``, ``1.2.*``, ``>=1,<2 || >3``, next to PEP 440's own.

https://python-poetry.org/docs/dependency-specification/#version-constraints
"""

from __future__ import annotations

import re

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

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
    if operator == "^":
        return [(">=", version), ("<", _next(version, _caret(version)))]
    if operator == "~":
        return [(">=", version), ("<", _next(version, min(1, len(Version(version).release) - 1)))]
    if operator in ("", "="):
        operator = "=="
    return [(operator, version)]


def _caret(version: str) -> int:
    """The place of the first number that is not zero: the numbers up to it may not change."""
    release = Version(version).release
    return next((place for place, number in enumerate(release) if number), len(release) - 1)


def _next(version: str, place: int) -> str:
    release = Version(version).release
    return ".".join(map(str, (*release[:place], release[place] + 1)))
