"""Checks on the handler's folder before it is zipped: would Lambda find the handler and the pack?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from lambdapack.deploy.function import FunctionOptions
from lambdapack.deploy.handler import (
    SHIM,
    SHIM_HANDLER,
    WRAPPED_VARIABLE,
    Modules,
    check_handler,
    first_of_pack,
)
from lambdapack.deploy.sources import SourceFile
from lambdapack.errors import ConfigurationError
from lambdapack.progress import Progress
from runtime_shim._index import CODE, EXTENSION, SOURCE, Index


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
    _check_shadowing(files)
    wrapped = function.handler == SHIM_HANDLER
    handler = _wrapped(function.settings.environment) if wrapped else function.handler
    packed = _top_level(index) if index is not None else frozenset()
    if wrapped and handler.replace("/", ".").split(".")[0] in packed:
        return
    modules = Modules.of({file.name: file.path for file in files}, function.target.version)
    module = check_handler(handler, modules)
    for name in sorted(packed & {name.split(".")[0] for name in modules.files}):
        progress.warn(f"{name} is both in the handler's folder and in the pack: the handler's folder wins")
    early = None if wrapped or index is None else first_of_pack(module, modules, packed)
    if early is not None:
        what = "never imports runtime_shim" if early == "*" else f"imports {early} before runtime_shim"
        progress.warn(
            f"the handler's module {module} {what}, so the pack will not be there: make "
            f"'import runtime_shim' its first line, or set the handler to {SHIM_HANDLER} and "
            f"{WRAPPED_VARIABLE}={handler}"
        )


def _check_shadowing(files: Iterable[SourceFile]) -> None:
    for file in files:
        top = file.name.split("/")[0]
        if top == SHIM or ("/" not in file.name and top.split(".")[0] == SHIM):
            raise ConfigurationError(
                f"packaging: {file.path} would hide the shim, which lambdapack adds as {SHIM}/",
                hint="rename it, or name it under ignore if it is an old copy",
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
