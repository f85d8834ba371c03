"""The builder that needs no Docker: wheels for the target's platform tags, whatever this machine is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from lambdapack.errors import ConfigurationError, ToolError
from lambdapack.files import scratch_folder
from lambdapack.install import syslibs
from lambdapack.install.unpack import unpack_wheels
from lambdapack.lock import Place
from lambdapack.model import NO_OPTIONS, Lock, MissingLibrary, PipOptions, Target, Tree
from lambdapack.progress import QUIET, Progress
from lambdapack.python import bytecode, pip, toolchain
from lambdapack.python.interpreter import Interpreter, find
from lambdapack.python.wheel_recipe import build_environment

# As in the image: neither the clock nor the order of a set may show in what is built.
_VARIABLES = {"SOURCE_DATE_EPOCH": "315532800", "PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C.UTF-8"}


class LocalBuilder:
    """Opens workshops on this machine; see ``Builder``."""

    name = "local"

    def identify(
        self, target: Target, *, progress: Progress = QUIET
    ) -> tuple[Mapping[str, str], Interpreter | None]:
        """See ``Builder``; raises as ``open`` does."""
        return LocalWorkshop.identity, find(target.python)

    @contextmanager
    def open(
        self,
        target: Target,
        *,
        sources: PipOptions = NO_OPTIONS,
        cache_dir: Path,
        progress: Progress = QUIET,
    ) -> Iterator[LocalWorkshop]:
        """Find the target's Python.

        Raises:
            ConfigurationError: This machine has no such Python.
        """
        yield LocalWorkshop(find(target.python), cache_dir, sources)


class LocalWorkshop:
    """This machine, with the target's Python on it; see ``Workshop``.

    Args:
        interpreter: The target's Python.
        cache_dir: Where pip-tools are kept.
        sources: pip's options of the requirements.
    """

    compiles = False
    ask_elsewhere = None
    load_elsewhere = None
    place: Place | None = None
    # What is installed does not depend on this machine.
    identity: Mapping[str, str] = MappingProxyType({})

    def __init__(self, interpreter: Interpreter, cache_dir: Path, sources: PipOptions = NO_OPTIONS) -> None:
        self.interpreter = interpreter
        self._cache_dir = cache_dir
        self._sources = sources

    def compile_tree(self, root: Path, *, jobs: int | None = None, progress: Progress = QUIET) -> None:
        """Compile every module under ``root`` to bytecode."""
        bytecode.compile_tree(root, self.interpreter, jobs=jobs, progress=progress)

    def wheel(self, source: Path, destination: Path, *, label: str, progress: Progress = QUIET) -> Path:
        """Build a wheel of pure Python, which is the same everywhere; see ``lock.Wheelwright``."""
        doing = f"building a wheel of {label}"
        tools = toolchain.ensure(self.interpreter, self._cache_dir, progress)
        with scratch_folder() as scratch:
            try:
                pip.run(
                    ["wheel", "--no-deps", *self._sources.arguments, "--wheel-dir", destination, source],
                    doing=doing,
                    variables={**_VARIABLES, "TMPDIR": str(scratch)},
                    inherited=build_environment(),
                    pip=(self.interpreter.path, "-s", tools / "pip" / "__pip-runner__.py"),
                )
            except ToolError as error:
                error.hint = error.hint or "if it needs a compiler or a library, use --builder docker"
                raise
        wheels = list(destination.glob("*.whl"))
        if len(wheels) != 1:
            raise ToolError(f"{doing} failed: pip made {len(wheels)} files instead of one wheel")
        if not wheels[0].name.endswith("-any.whl"):
            raise ConfigurationError(
                f"{label} is not pure Python: its wheel is {wheels[0].name}, made for this machine",
                hint="use --builder docker, which builds in the target's image",
            )
        return wheels[0]

    def unpack(self, lock: Lock, destination: Path, *, progress: Progress = QUIET) -> Tree:
        """Unpack the wheels of ``lock`` into the new folder ``destination``; see ``unpack_wheels``."""
        return unpack_wheels(lock, destination, progress=progress)

    def bundle(
        self,
        tree: Tree,
        lock: Lock,
        *,
        opened: Sequence[MissingLibrary] | None = None,
        progress: Progress = QUIET,
    ) -> Tree:
        """Say which shared libraries are missing; this machine's own are not what Lambda runs."""
        has = syslibs.runtime_libraries(lock.target)
        missing = syslibs.missing_libraries(tree, has) if opened is None else opened
        return replace(tree, missing=syslibs.merged((*tree.missing, *missing), has))
