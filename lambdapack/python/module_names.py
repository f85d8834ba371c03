"""Files and the modules that they hold; modules and what they import. Nothing is run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import PurePosixPath

__all__ = ["imports", "module_name"]

_INIT = "__init__"
_SUFFIXES = (".py", ".so")


def module_name(path: str) -> str | None:
    """The module that a file holds, ``None`` when it cannot be imported.

    >>> module_name("a/b/__init__.py"), module_name("a/c.cpython-311-x86_64-linux-gnu.so")
    ('a.b', 'a.c')
    """
    file = PurePosixPath(path)
    if file.suffix not in _SUFFIXES:
        return None
    stem = file.name.split(".")[0]
    parts = [*file.parts[:-1], stem]
    if stem == _INIT:
        parts.pop()
    if not parts or not all(part.isidentifier() for part in parts):
        return None
    return ".".join(parts)


def imports(module: ast.Module, package: str, *, functions: bool = False) -> Iterator[str]:
    """Names that a module's import statements may import, in order, made absolute.

    Args:
        module: Its syntax tree.
        package: The package that relative names start from.
        functions: Also the statements inside functions.
    """
    pending: list[ast.AST] = [module]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from _imported_from(node, package)
        elif isinstance(node, ast.If) and _is_type_checking(node.test):
            pending += reversed(node.orelse)
        elif functions or not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            children = [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.expr)]
            pending += reversed(children)


def _imported_from(node: ast.ImportFrom, package: str) -> Iterator[str]:
    try:
        base = resolve_name("." * node.level + (node.module or ""), package)
    except ImportError:
        return
    yield base
    yield from (f"{base}.{alias.name}" for alias in node.names if alias.name != "*")


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", None)
    return name == "TYPE_CHECKING"
