"""Look at a handler's source before anything slow: what Lambda could not import is told at once."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from lambdapack.deploy import Modules, check_handler, collect_sources, imported_names
from lambdapack.errors import ConfigurationError
from lambdapack.model import Target
from lambdapack.python.interpreter import find

_COMPILE = """
import json, sys
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        source = file.read()
    try:
        compile(source, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        print(json.dumps([path, getattr(error, "lineno", None), getattr(error, "msg", str(error))]))
        break
"""


_Fault = tuple[str, int | None, str]
"""Why a file is not Python: its path, the line where it is known, and what is wrong."""


def check_source(handler: str, source: Path, ignore: Sequence[str], target: Target) -> None:
    """That the handler's module, and what it imports of its own folder, compile, and that it is there.

    The target's Python compiles them, where this machine has it; else this Python parses them by its grammar.

    Args:
        handler: ``module.function``.
        source: The folder that holds it.
        ignore: What of it does not belong to the function.
        target: Where it will run.

    Raises:
        ConfigurationError: File, line and what is wrong.
    """
    modules = Modules.of({file.name: file.path for file in collect_sources(source, ignore)}, target.version)
    module = handler.replace("/", ".").rpartition(".")[0]
    paths = [str(modules.files[name]) for name in _imported(module, modules)]
    fault = _fault(paths, target)
    if fault is not None:
        path, number, what = fault
        line = f", line {number}," if number else ""
        raise ConfigurationError(
            f"the handler's module {path}{line} is not Python {target.python}: {what}",
            hint="mend it and build again: nothing has been built yet",
        )
    try:
        check_handler(handler, modules)
    except ConfigurationError as error:
        # Newer grammar than this Python's: the target's own has compiled it, or it cannot be checked here.
        if not isinstance(error.__cause__, SyntaxError):
            raise


def _imported(module: str, modules: Modules) -> Iterator[str]:
    """Modules of the folder that importing ``module`` imports for sure: no ``try``, ``if`` or function."""
    waiting, seen = [module], set()
    while waiting:
        parts = waiting.pop().split(".")
        for depth in range(1, len(parts) + 1):
            name = ".".join(parts[:depth])
            if name in seen or name not in modules.files:
                continue
            seen.add(name)
            yield name
            try:
                body = modules.parse(name).body
            except ConfigurationError:
                continue
            package = modules.files[name].name == "__init__.py"
            waiting += [wanted for node in body for wanted in imported_names(node, name, package)]


def _fault(paths: Sequence[str], target: Target) -> _Fault | None:
    """The first fault of these files."""
    if target.version != sys.version_info[:2]:
        try:
            python = find(target.python)
        except ConfigurationError:
            if target.version > sys.version_info[:2]:
                return None
        else:
            done = subprocess.run(
                [str(python.path), "-I", "-S", "-W", "ignore", "-c", _COMPILE, *paths],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            return tuple(json.loads(done.stdout)) if done.stdout else None
    return next(filter(None, (_compiled(path, target) for path in paths)), None)


def _compiled(path: str, target: Target) -> _Fault | None:
    """The fault that this Python finds, by an older target's grammar."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if target.version == sys.version_info[:2]:
                compile(Path(path).read_bytes(), path, "exec", dont_inherit=True)
            else:
                ast.parse(Path(path).read_bytes(), path, feature_version=target.version)
    except SyntaxError as error:
        return path, error.lineno, error.msg
    except ValueError as error:
        return path, None, str(error)
    return None
