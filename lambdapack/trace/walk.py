"""The order of first use by rule of thumb, for a tree that this machine cannot run."""

from __future__ import annotations

import ast
from collections.abc import Collection
from pathlib import PurePosixPath

from lambdapack.model import Trace, Tree
from lambdapack.python.module_names import imports, module_name
from lambdapack.trace.modules import default_code, public_modules

_DEPTH_MAX = 200


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
        parts = name.split(".")
        for length in range(1, len(parts) + 1):
            self._reach(".".join(parts[:length]), depth)

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
