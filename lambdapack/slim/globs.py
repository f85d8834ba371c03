"""Patterns over paths relative to a tree's root."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable


def matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    """A function that says whether any of ``patterns`` matches a path.

    ``*`` and ``?`` stay inside one folder, ``**`` crosses folders (``spacy/lang/**``, ``**/tests/**``), and
    a pattern without a slash is for the file's name, wherever it is (``*.pyx``).
    """
    expressions = [_expression(pattern) for pattern in patterns]
    if not expressions:
        return lambda path: False
    compiled = re.compile("|".join(expressions))
    return lambda path: compiled.fullmatch(path) is not None


def _expression(pattern: str) -> str:
    if "/" not in pattern and pattern != "**":
        pattern = "**/" + pattern
    if pattern.endswith("/"):
        pattern += "**"
    out = []
    for token in re.findall(r"\*\*/|\*\*|\*|\?|[^*?]+", pattern.removeprefix("/")):
        out.append({"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(token, re.escape(token)))
    return "".join(out)
