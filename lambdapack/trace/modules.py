"""Which modules a tree has, and which of them a user would import."""

from __future__ import annotations

import configparser
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from lambdapack.model import Distribution, Tree
from lambdapack.python.module_names import module_name

_INIT = "__init__"
_NOT_FOR_USERS = frozenset(("test", "tests", "testing", "doc", "docs", "example", "examples", "benchmarks"))
# Entry points whose group promises more than an import: what a program does next with such a package.
_LOADED = {"spacy_models": "load()"}


def public_modules(distribution: Distribution) -> list[str]:
    """The modules that a user of a distribution would import.

    These are the outermost packages and modules that are not private, tests or documentation: below a
    namespace, ``google.cloud.storage`` and not ``google``. If a public module has the distribution's own
    name, it is the only one.
    """
    packages = {module_name(path) for path in distribution.files if PurePosixPath(path).stem == _INIT}
    names = sorted({name for path in distribution.files if (name := module_name(path))})
    outermost = [name for name in names if not any(parent in packages for parent in _parents(name))]
    public = [name for name in outermost if not _is_private(name)] or outermost
    own = distribution.name.replace("-", "_").lower()
    named = [name for name in public if name.lower() in (own, own.replace("_", "."))]
    return named or public


def _parents(name: str) -> Iterator[str]:
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def _is_private(name: str) -> bool:
    parts = name.split(".")
    return any(part.startswith("_") or part in _NOT_FOR_USERS for part in parts)


def default_code(tree: Tree, requested: Collection[str]) -> str:
    """Code that imports what the user asked for, ``import spacy`` and so on, one line a module.

    A package that an entry point declares to be a model (group ``spacy_models``) is loaded as well: no
    program imports such a package for anything else.

    Args:
        tree: The installed tree.
        requested: Canonical names of distributions.
    """
    imported: list[str] = []
    loaded: list[str] = []
    for distribution in tree.distributions:
        if distribution.name in requested:
            modules = public_modules(distribution)
            imported += [f"import {module}" for module in modules]
            loaded += _loads(tree.root, distribution, modules)
    return "\n".join([*imported, *loaded])


def _loads(root: Path, distribution: Distribution, modules: Collection[str]) -> Iterator[str]:
    for group, call in _LOADED.items():
        for target in _entry_points(root, distribution.files).get(group, ()):
            module = target.partition(":")[0].strip()
            if module in modules:
                yield f"{module}.{call}"


def _entry_points(root: Path, files: Iterable[str]) -> Mapping[str, list[str]]:
    """Group -> the objects that its entry points name."""
    groups: dict[str, list[str]] = {}
    for path in files:
        if path.endswith(".dist-info/entry_points.txt"):
            # Names of entry points may have colons and capitals.
            parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
            parser.optionxform = str  # type: ignore[assignment,method-assign]
            try:
                parser.read_string((root / path).read_text("utf-8"))
            except (OSError, UnicodeDecodeError, configparser.Error):
                continue
            for section in parser.sections():
                groups.setdefault(section, []).extend(value for _, value in sorted(parser.items(section)))
    return groups
