"""Which modules a user would import from a tree, and in which order their files are then first used."""

from __future__ import annotations

import ast
import configparser
from collections.abc import Collection, Iterator
from itertools import accumulate
from pathlib import Path, PurePosixPath

from lambdapack.model import Distribution, Trace, Tree
from lambdapack.python.module_names import imports, module_name

_INIT = "__init__"
_NOT_FOR_USERS = frozenset(("test", "tests", "testing", "doc", "docs", "example", "examples", "benchmarks"))
# Entry points whose group promises more than an import: what a program does next with such a package.
_LOADED = {"spacy_models": "load()"}
_DEPTH_MAX = 200


def public_modules(distribution: Distribution) -> list[str]:
    """The modules that a user of a distribution would import.

    These are the outermost packages and modules that are not private, tests or documentation: below a
    namespace, ``google.cloud.storage`` and not ``google``. If a public module has the distribution's own
    name, it is the only one.
    """
    packages = {module_name(path) for path in distribution.files if PurePosixPath(path).stem == _INIT}
    names = sorted({name for path in distribution.files if (name := module_name(path))})
    outermost = [
        name for name in names if packages.isdisjoint(accumulate(name.split(".")[:-1], "{}.{}".format))
    ]
    public = [name for name in outermost if not _is_private(name)] or outermost
    own = distribution.name.replace("-", "_").lower()
    named = [name for name in public if name.lower() in (own, own.replace("_", "."))]
    return named or public


def _is_private(name: str) -> bool:
    parts = name.split(".")
    return any(part.startswith("_") or part in _NOT_FOR_USERS for part in parts)


def default_code(tree: Tree, requested: Collection[str]) -> str:
    """Code that imports what the user asked for, ``import spacy`` and so on, one line a module.

    A package that an entry point declares to be a model (group ``spacy_models``) is loaded as well: no
    program imports such a package for anything else. ``requested`` are canonical names of distributions.
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
    for path in distribution.files:
        if not path.endswith(".dist-info/entry_points.txt"):
            continue
        # Names of entry points may have colons and capitals.
        parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        try:
            parser.read_string((root / path).read_text("utf-8"))
        except (OSError, UnicodeDecodeError, configparser.Error):
            continue
        for group in filter(parser.has_section, _LOADED):
            objects = (value.partition(":")[0].strip() for _, value in sorted(parser.items(group)))
            yield from (f"{module}.{_LOADED[group]}" for module in objects if module in modules)


def heuristic(tree: Tree, requested: Collection[str]) -> Trace:
    """Guess what importing the requested distributions touches, without running anything.

    The rule: begin with the modules that a user would import (``default_code``'s) and follow the import
    statements that run when a module is imported (not inside functions, nor under
    ``if TYPE_CHECKING``), in the order in which Python would. A module counts where its file is first
    reached, its packages before it. What the statements of compiled modules import cannot be read: so
    every extension module and shared library of a distribution that was reached follows, by path.

    Data files are not guessed, so none is marked as native.

    Args:
        tree: The installed tree; with bytecode or without.
        requested: Canonical names of distributions.
    """
    walk = _Walk(tree)
    for distribution in tree.distributions:
        if distribution.name in requested:
            for module in public_modules(distribution):
                walk.import_module(module)
    ordered = dict.fromkeys(walk.files)
    for distribution in tree.distributions:
        if any(path in ordered for path in distribution.files):
            objects = (path for path in distribution.files if ".so" in PurePosixPath(path).suffixes)
            ordered.update(dict.fromkeys(objects))
    return Trace(tuple(ordered), frozenset(), "heuristic", default_code(tree, requested))


class _Walk:
    """Follows imports through a tree."""

    def __init__(self, tree: Tree) -> None:
        self.files: dict[str, None] = {}
        self._tree = tree
        self._modules: dict[str, str] = {}
        for distribution in tree.distributions:
            for path in distribution.files:
                name = module_name(path)
                # An extension module beside its source wins, as it does in Python's import system.
                if name and (name not in self._modules or path.endswith(".so")):
                    self._modules[name] = path

    def import_module(self, name: str, depth: int = 0) -> None:
        """Reach ``name``, its packages first; names that the tree does not have are passed over."""
        for module in accumulate(name.split("."), "{}.{}".format):
            self._reach(module, depth)

    def _reach(self, name: str, depth: int) -> None:
        path = self._modules.get(name)
        if path is None or path in self.files:
            return
        self.files[path] = None
        if not path.endswith(".py") or depth > _DEPTH_MAX:
            return
        package = name if path.endswith("__init__.py") else name.rpartition(".")[0]
        try:
            module = ast.parse((self._tree.root / path).read_bytes())
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
            return
        for imported in imports(module, package):
            self.import_module(imported, depth + 1)
