"""What a builder can do, and which builder a build gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from lambdapack.errors import ConfigurationError
from lambdapack.install.docker import BuildLimits, DockerBuilder, engine
from lambdapack.install.local import LocalBuilder
from lambdapack.lock import Place
from lambdapack.model import NO_OPTIONS, Lock, MissingLibrary, PipOptions, Target, Tree
from lambdapack.progress import QUIET, Progress
from lambdapack.python import interpreter, machine
from lambdapack.python.interpreter import Interpreter
from lambdapack.python.worker import Elsewhere

_NAMES = ("auto", "docker", "local")
Loader = Callable[[Path, Path, Sequence[str], Path, Progress], Mapping[str, str]]
"""Tree of originals, tree of stripped ones, paths, the worker's file, progress -> path and why it fails."""


class Workshop(Protocol):
    """What a builder opens for one target: the target's Python, and what installs for that Python."""

    @property
    def interpreter(self) -> Interpreter:
        """The target's Python: this machine's, or the image's."""

    @property
    def place(self) -> Place | None:
        """Where the resolver runs; ``None`` for this machine."""

    @property
    def identity(self) -> Mapping[str, str]:
        """What built things depend on besides their inputs, e.g. an image's id."""

    @property
    def compiles(self) -> bool:
        """Whether ``unpack`` builds sdists with code that has to be compiled."""

    @property
    def load_elsewhere(self) -> Loader | None:
        """Loads stripped libraries where ``interpreter`` is; ``None`` for this machine."""

    @property
    def ask_elsewhere(self) -> Elsewhere | None:
        """Runs workers where ``interpreter`` is; ``None`` for this machine."""

    def compile_tree(self, root: Path, *, jobs: int | None = None, progress: Progress = QUIET) -> None:
        """Compile every module under ``root`` to bytecode, with at most ``jobs`` processes."""

    def wheel(self, source: Path, destination: Path, *, label: str, progress: Progress = QUIET) -> Path:
        """Build a wheel of a folder or an sdist; see ``lock.Wheelwright``."""

    def unpack(self, lock: Lock, destination: Path, *, progress: Progress = QUIET) -> Tree:
        """Put the files of the distributions of ``lock`` into the new folder ``destination``.

        Raises:
            ConfigurationError: ``destination`` is not empty.
            ToolError: pip failed, an sdist cannot be built, or a wheel is not for the target.
        """

    def bundle(
        self,
        tree: Tree,
        lock: Lock,
        *,
        opened: Sequence[MissingLibrary] | None = None,
        progress: Progress = QUIET,
    ) -> Tree:
        """Add the shared libraries that the tree of ``lock`` needs and Lambda lacks; note the missing ones.

        These are what the tree's files link to; with ``opened``, what a program opened by name instead.
        """


class Builder(Protocol):
    """Opens workshops."""

    name: str

    def identify(
        self, target: Target, *, progress: Progress = QUIET
    ) -> tuple[Mapping[str, str], Interpreter | None]:
        """The identity of the workshop that ``open`` gives, and its interpreter where that is known yet."""

    def open(
        self,
        target: Target,
        *,
        sources: PipOptions = NO_OPTIONS,
        cache_dir: Path,
        progress: Progress = QUIET,
    ) -> AbstractContextManager[Workshop]:
        """Get ready to build for ``target``; ``sources`` are pip's options of the requirements.

        Tools and built wheels are kept in ``cache_dir``.
        """


def choose(
    name: str,
    target: Target,
    *,
    image: str | None = None,
    limits: BuildLimits | None = None,
    packages: Sequence[str] = (),
) -> tuple[Builder, str]:
    """The builder called ``name`` (``auto``, ``local``, ``docker``) and the reason, for people.

    ``auto`` is the local builder where this machine is Linux with the target's Python and neither an image
    nor system packages were named, the docker builder where it is not and an engine answers.

    Raises:
        ConfigurationError: There is no such builder; or ``auto`` finds neither Python nor engine.
    """
    if name not in _NAMES:
        raise ConfigurationError(
            f"there is no builder {name!r} (there are: {', '.join(_NAMES)})", hint="use --builder auto"
        )
    if name == "local" and packages:
        raise ConfigurationError(
            f"the local builder cannot install system packages ({', '.join(packages)})",
            hint="build in an image, with --builder docker",
        )
    if name == "local":
        return LocalBuilder(), f"asked for: wheels for {target}, no Docker"
    docker = DockerBuilder(image, limits, packages)
    if name == "docker":
        return docker, "asked for"
    if image is not None:
        return docker, f"the image {image} was named"
    if packages:
        return docker, "system packages were named"
    return _available(target, docker)


def _available(target: Target, docker: DockerBuilder) -> tuple[Builder, str]:
    """The local builder where this machine has the target's Python and is Linux, else ``docker``."""
    if not machine.is_linux() and engine.answers():
        return docker, "this machine runs no Linux, and Docker answers"
    try:
        interpreter.find(target.python)
    except ConfigurationError as error:
        if not engine.answers():
            raise ConfigurationError(
                f"{error.message}; and no Docker engine answers that could build in an image with it",
                hint=error.hint,
            ) from None
        return docker, f"no Python {target.python} on this machine, and Docker answers"
    if not machine.is_linux():
        return LocalBuilder(), "no Docker engine answers: wheels alone, and nothing of the target can be run"
    return LocalBuilder(), f"wheels for {target} need no Docker"
