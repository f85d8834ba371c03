"""Checks on the handler's folder before it is zipped: would Lambda find the handler and the pack?

The modules are read as syntax trees: none of the user's code is run.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lambdapack.deploy.function import FunctionOptions
from lambdapack.deploy.sources import SourceFile
from lambdapack.errors import ConfigurationError
from lambdapack.progress import Progress
from runtime_shim._index import CODE, EXTENSION, SOURCE, Index

SHIM = "runtime_shim"
SHIM_HANDLER = "runtime_shim.handler"
"""The function's handler where the user's code does not import the shim itself."""
WRAPPED_VARIABLE = "LAMBDAPACK_HANDLER"
"""The environment variable that names the user's handler then."""


# Lazy imports are PEP 810's; the variable makes all of them lazy.
_LAZY_SINCE = (3, 15)
_LAZY_VARIABLE = "PYTHON_LAZY_IMPORTS"
_LAZY = re.compile(rb"^([ \t]*)lazy[ \t]+(?=(?:import|from)\b)", re.MULTILINE)
_UNREADABLE = f"import {SHIM}\ndef __getattr__(name): ..."


@dataclass(frozen=True)
class Modules:
    """The Python modules of a handler's folder.

    Attributes:
        files: Dotted name -> file; a package is its ``__init__.py``.
        version: The target's Python, for its grammar.
    """

    files: Mapping[str, Path]
    version: tuple[int, int]

    @classmethod
    def of(cls, files: Mapping[str, Path], version: tuple[int, int]) -> Modules:
        """From the paths in the zip, ``{"pkg/app.py": Path(…)}``."""
        modules = {}
        for name, path in files.items():
            if name.endswith(".py"):
                dotted = name.removesuffix(".py").replace("/", ".")
                # A package wins over a module of the same name, as it does for Python.
                if dotted.endswith(".__init__"):
                    modules[dotted.removesuffix(".__init__")] = path
                else:
                    modules.setdefault(dotted, path)
        return cls(modules, version)

    def parse(self, module: str) -> ast.Module:
        """The syntax tree of ``module``; of one that only a newer Python can read, a tree that passes checks.

        Raises:
            ConfigurationError: The file is not Python.
        """
        path = self.files[module]
        # A lazy import is an import to these checks.
        source = _LAZY.sub(rb"\1", path.read_bytes()) if self.version >= _LAZY_SINCE else path.read_bytes()
        try:
            return ast.parse(source, str(path), feature_version=self.version)
        except (SyntaxError, ValueError) as error:
            if self.version > sys.version_info[:2]:
                return ast.parse(_UNREADABLE)
            line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
            raise ConfigurationError(
                f"the handler's module {path}{line} is not Python {'.'.join(map(str, self.version))}: {error}"
            ) from error


def check_entry(
    function: FunctionOptions, files: Sequence[SourceFile], index: Index | None, progress: Progress
) -> None:
    """That Lambda would find the function's handler, and the shim would be imported before the pack.

    Args:
        function: The function.
        files: What goes into its zip.
        index: Its pack's, ``None`` for a function without a pack.
        progress: Warned of what works, but hardly as its user meant.

    Raises:
        ConfigurationError: The handler does not exist, or a file shadows the shim.
    """
    for file in files:
        top = file.name.split("/")[0]
        if top == SHIM or ("/" not in file.name and top.split(".")[0] == SHIM):
            raise ConfigurationError(
                f"packaging: {file.path} would hide the shim, which lambdapack adds as {SHIM}/",
                hint="rename it, or name it under ignore if it is an old copy",
            )
    wrapped = function.handler == SHIM_HANDLER
    handler = _wrapped(function.settings.environment) if wrapped else function.handler
    packed = _top_level(index) if index is not None else frozenset()
    if wrapped and handler.replace("/", ".").split(".")[0] in packed:
        return
    modules = Modules.of({file.name: file.path for file in files}, function.target.version)
    module = check_handler(handler, modules)
    for name in sorted(packed & {name.split(".")[0] for name in modules.files}):
        progress.warn(f"{name} is both in the handler's folder and in the pack: the handler's folder wins")
    if index is not None and not wrapped:
        _warn_of_lazy_imports(function, progress)
    early = None if wrapped or index is None else first_of_pack(module, modules, packed)
    if early is not None:
        what = "never imports runtime_shim" if early == "*" else f"imports {early} before runtime_shim"
        progress.warn(
            f"the handler's module {module} {what}, so the pack will not be there: make "
            f"'import runtime_shim' its first line, or set the handler to {SHIM_HANDLER} and "
            f"{WRAPPED_VARIABLE}={handler}"
        )


def _warn_of_lazy_imports(function: FunctionOptions, progress: Progress) -> None:
    lazy = function.settings.environment.get(_LAZY_VARIABLE) == "all"
    if lazy and function.target.version >= _LAZY_SINCE:
        progress.warn(
            f"{_LAZY_VARIABLE}=all makes 'import runtime_shim' lazy too, and the pack will not be there: set "
            f"the handler to {SHIM_HANDLER} and {WRAPPED_VARIABLE}={function.handler}"
        )


def _wrapped(environment: Mapping[str, str]) -> str:
    """The user's handler, which the shim's own handler calls."""
    if WRAPPED_VARIABLE not in environment:
        raise ConfigurationError(
            f"the handler {SHIM_HANDLER} does not know which handler to call: {WRAPPED_VARIABLE} is not set",
            hint=f"set {WRAPPED_VARIABLE}=app.handler in the function's environment",
        )
    return environment[WRAPPED_VARIABLE]


def _top_level(index: Index) -> frozenset[str]:
    """The names that the pack adds to ``import``."""
    names = set()
    for path, letter in zip(index.paths, index.classes, strict=True):
        first, slash, _ = path.partition("/")
        if letter in (CODE, SOURCE, EXTENSION):
            names.add(path.rpartition("/")[2].split(".")[0] if first == "__pycache__" or not slash else first)
    return frozenset(names)


def check_handler(handler: str, modules: Modules) -> str:
    """That the folder has the handler ``module.function``; returns the dotted name of its module.

    Raises:
        ConfigurationError: No such module or function; the hint lists the functions that there are.
    """
    module, dot, function = handler.replace("/", ".").rpartition(".")
    if not dot or not all(part.isidentifier() for part in (*module.split("."), function)):
        raise ConfigurationError(
            f"the handler {handler!r} is not of the form module.function",
            hint="for def handler(event, context) in app.py it is app.handler",
        )
    if module not in modules.files:
        raise ConfigurationError(
            f"the handler {handler!r}: there is no module {module!r} in the handler's folder",
            hint=_offer(modules, sorted(modules.files, key=lambda name: (name.count("."), name))),
        )
    names, open_ended = _names(modules.parse(module).body)
    if function not in names and not open_ended:
        raise ConfigurationError(
            f"the handler {handler!r}: {modules.files[module].name} has no {function!r} at its top level",
            hint=_offer(modules, [module]),
        )
    return module


def _offer(modules: Modules, candidates: Collection[str]) -> str:
    """The handlers that the modules ``candidates`` have, for a hint."""
    handlers = []
    for module in candidates:
        try:
            body = modules.parse(module).body
        except ConfigurationError:
            continue
        handlers += [
            f"{module}.{node.name}"
            for node in body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_")
        ]
    if not handlers:
        return "it has no function at its top level: def handler(event, context): …"
    return "there are: " + ", ".join(handlers[:12]) + (" …" if len(handlers) > 12 else "")


def _names(body: list[ast.stmt]) -> tuple[set[str], bool]:
    """Names that a module's statements bind, and whether they may bind others that no list can name.

    ``from x import *`` binds such names, and ``__getattr__`` answers to any.
    """
    names: set[str] = set()
    open_ended = False
    for node in _statements(body):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
            open_ended |= node.name == "__getattr__"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
            open_ended |= any(alias.name == "*" for alias in node.names)
        else:
            names |= {
                child.id
                for child in ast.walk(node)
                if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store)
            }
    return names, open_ended


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that importing a module runs: into ``if``, ``try`` and ``with``, not into functions."""
    for node in body:
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for block in ("body", "orelse", "finalbody"):
                yield from _statements(getattr(node, block, []))
            for branch in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
                yield from _statements(branch.body)


def first_of_pack(module: str, modules: Modules, packed: Collection[str]) -> str | None:
    """What importing ``module`` imports too early: a top-level name of the pack, before the shim.

    Follows the imports into the other modules of the handler's folder.

    Returns:
        The name; ``"*"`` if nothing imports the shim at all; ``None`` if the shim comes first.
    """
    for name in _imports(module, modules, set()):
        if name == SHIM:
            return None
        if name in packed:
            return name
    return "*"


def _imports(module: str, modules: Modules, seen: set[str]) -> Iterator[str]:
    """Top-level names that importing ``module`` imports, in order, those of its own folder resolved."""
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        name = ".".join(parts[:depth])
        if name in seen or name not in modules.files:
            continue
        seen.add(name)
        try:
            body = modules.parse(name).body
        except ConfigurationError:
            # Another module than the handler's: it may never be imported on the target.
            continue
        is_package = modules.files[name].name == "__init__.py"
        for node in _statements(body):
            for imported in imported_names(node, name, is_package):
                if imported.split(".")[0] in {known.split(".")[0] for known in modules.files}:
                    yield from _imports(imported, modules, seen)
                else:
                    yield imported.split(".")[0]


def imported_names(node: ast.stmt, module: str, is_package: bool) -> list[str]:
    """Dotted names that the statement ``node`` of ``module`` imports, or may import.

    Whether ``x`` in ``from package import x`` is a module, only the package's files can tell.
    """
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ""
    if node.level:
        parts = module.split(".")
        parts = parts[: len(parts) - node.level + is_package]
        base = ".".join([*parts, base]) if base else ".".join(parts)
    # "from package import module" imports the module too.
    return [base, *(f"{base}.{alias.name}" for alias in node.names)] if base else [a.name for a in node.names]
