"""Files that a rule would take and that the package's own code reads, as far as the strings in it tell.

A type checker opens its stubs, a generator of C code its templates, by a path that is made of a folder and a
name: that name, or its suffix, is a string in its code. An import check does not notice a missing one.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lambdapack.python.module_names import module_name
from lambdapack.slim.rules import Rule

_NAMES_SHOWN = 3

# What ends, in a pattern or a format, the part of a name that may be anything.
_ANYTHING = re.compile(r"[*}\])]|%s")
# A sentence, or a line of C.
_NO_PATH = re.compile(r"[\s<>\"]")
# Code that calls a compiler, or a tool that does. Lambda has none, so what it reads for that is not missed.
_BUILDS = re.compile(
    rb"^[ \t]*(?:from|import)[ \t][^\n#]*\b(?:setuptools|distutils|Cython\.Build|subprocess)\b", re.MULTILINE
)


@dataclass(frozen=True)
class Mention:
    """A name in a package's code, for which files stay that a rule would have taken.

    Attributes:
        distribution: The distribution of the code and of the files.
        rule: The rule that would have taken the files.
        name: What the code names: a file's name, or ``*`` and how it ends.
        code: The file that names it.
        files: The files that stay.
    """

    distribution: str
    rule: str
    name: str
    code: str
    files: tuple[str, ...]


def find_mentions(
    root: Path,
    paths: Sequence[str],
    taken: Mapping[str, str],
    *,
    owners: Mapping[str, str],
    rules: Mapping[str, Rule],
) -> list[Mention]:
    """Find, among what rules took, the files that kept code of the same package names in a string.

    A whole name (``"parser.h"``) stands for the files of that name anywhere in the top-level package. A bare
    suffix (``".pyi"``, ``"*.h"``, ``f"{module}.pyi"``) stands for the files with it: stubs anywhere in the
    package, sources and headers in the folder of the module that says so and below it. Sources and headers
    that code names to build something do not count. Only rules with ``read`` are looked at.
    """
    packages: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path, name in taken.items():
        if name in rules and rules[name].read and "/" in path:
            packages[owners[path], path.partition("/")[0]].append(path)
    lost = {package: _Lost(files, taken, rules) for package, files in packages.items()}
    mentions = []
    for path in paths:
        package = lost.get((owners[path], path.partition("/")[0]))
        if package is None or path in taken or not path.endswith(".py") or module_name(path) is None:
            continue
        for rule, name, files in package.named(path, (root / path).read_bytes()):
            mentions.append(Mention(owners[path], rule, name, path, tuple(files)))
    return mentions


class _Lost:
    """The files of one top-level package that rules took and that may be data."""

    def __init__(self, files: Sequence[str], taken: Mapping[str, str], rules: Mapping[str, Rule]) -> None:
        self._taken, self._rules = taken, rules
        self._left: dict[str, list[str]] = defaultdict(list)
        for path in sorted(files):
            self._left[posixpath.basename(path)].append(path)
        self._suffixes = tuple(sorted({posixpath.splitext(name)[1] for name in self._left} - {""}))
        ends = "|".join(map(re.escape, self._suffixes))
        self._quoted = re.compile(rf"(?:{ends})['\"]".encode()) if ends else None

    def named(self, code: str, data: bytes) -> list[tuple[str, str, list[str]]]:
        """What the source ``data`` of ``code`` names: rule, name, files; each file is given out once."""
        if self._quoted is None or not self._quoted.search(data):
            return []
        names = sorted(_names(data, self._suffixes))
        builds = bool(names) and _BUILDS.search(data) is not None
        named = []
        for name in names:
            by_rule: dict[str, list[str]] = defaultdict(list)
            for path in self._matching(name):
                if self._counts(path, name, code, builds=builds):
                    by_rule[self._taken[path]].append(path)
                    self._left[posixpath.basename(path)].remove(path)
            named += [(rule, name, by_rule[rule]) for rule in sorted(by_rule)]
        return named

    def _matching(self, name: str) -> list[str]:
        if not name.startswith("*"):
            return list(self._left.get(name, ()))
        return [path for file, paths in self._left.items() if file.endswith(name[1:]) for path in paths]

    def _counts(self, path: str, name: str, code: str, *, builds: bool) -> bool:
        if self._rules[self._taken[path]].read == "package":
            return True
        bare = name.removeprefix("*") in self._suffixes
        return not builds and (not bare or path.startswith(posixpath.dirname(code) + "/"))


def _names(data: bytes, suffixes: tuple[str, ...]) -> set[str]:
    """The names of files with one of ``suffixes`` in a module's strings; ``*`` stands for any beginning."""
    try:
        module = ast.parse(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    documentation: set[int] = set()
    parts: set[int] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Expr):
            documentation.add(id(node.value))
        elif isinstance(node, ast.JoinedStr):
            parts.update(map(id, node.values[1:]))
    names = set()
    for node in ast.walk(module):
        if not isinstance(node, ast.Constant) or id(node) in documentation:
            continue
        text = node.value
        if isinstance(text, str) and text.endswith(suffixes) and not _NO_PATH.search(text):
            names.add(_name(text, part=id(node) in parts))
    return names


def _name(text: str, *, part: bool) -> str:
    """``*.pyi`` of ``.pyi``, ``lib/*.pyi`` and ``{}.pyi``; ``a.h`` of ``include/a.h``."""
    ends = [match.end() for match in _ANYTHING.finditer(text)]
    tail = text[ends[-1] if ends else 0 :]
    name = tail.rpartition("/")[2]
    whole = name == tail and (part or bool(ends))
    return f"*{name}" if whole or name.startswith(".") else name


def mention_notes(mentions: Sequence[Mention]) -> list[str]:
    """A sentence for each distribution: how many files stay, by which names, and which code says so."""
    owners: dict[str, list[Mention]] = defaultdict(list)
    for mention in mentions:
        owners[mention.distribution].append(mention)
    notes = []
    for owner, own in sorted(owners.items()):
        count = sum(len(mention.files) for mention in own)
        rules = ", ".join(repr(rule) for rule in sorted({mention.rule for mention in own}))
        shown = "; ".join(f"{mention.code} names {mention.name}" for mention in own[:_NAMES_SHOWN])
        more = f"; and {len(own) - _NAMES_SHOWN} more" if len(own) > _NAMES_SHOWN else ""
        files = "1 file stays" if count == 1 else f"{count:,} files stay"
        notes.append(
            f"{owner}: {files} that {rules} would drop, as its own code may read them ({shown}{more})"
        )
    return notes
