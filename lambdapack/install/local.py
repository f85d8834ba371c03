"""The builder that needs no Docker: pip unpacks the target's own wheels, whatever this machine is."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from lambdapack.errors import ConfigurationError
from lambdapack.files import disk_errors
from lambdapack.install import syslibs
from lambdapack.install.check import check
from lambdapack.install.local_wheel import pure_wheel
from lambdapack.install.records import read_tree
from lambdapack.lock import Place
from lambdapack.model import NO_OPTIONS, Lacking, Lock, PipOptions, Target, Tree
from lambdapack.progress import QUIET, Progress
from lambdapack.python import bytecode, pip, toolchain, wheel_tags
from lambdapack.python.interpreter import Interpreter, find

__all__ = ["LocalBuilder"]


class LocalBuilder:
    """Installs wheels for the target's platform tags with pip; nothing of them is run.

    Attributes:
        runs_here: ``interpreter`` is this machine's.
        place: The resolver runs on this machine.
        identity: Nothing of this machine is in what it installs.
    """

    name = "local"
    runs_here = True
    ask_elsewhere = None
    load_elsewhere = None
    place: Place | None = None
    identity: Mapping[str, str] = MappingProxyType({})

    def __init__(self, interpreter: Interpreter | None = None, cache_dir: Path | None = None) -> None:
        self._interpreter = interpreter
        self._cache_dir = cache_dir
        self._sources = NO_OPTIONS

    @property
    def interpreter(self) -> Interpreter:
        """The target's Python on this machine."""
        if self._interpreter is None:
            raise ConfigurationError("the local builder was not opened for a target")
        return self._interpreter

    def identify(
        self, target: Target, *, progress: Progress = QUIET
    ) -> tuple[Mapping[str, str], Interpreter | None]:
        """What ``identity`` and ``interpreter`` will be once it is open.

        Raises:
            ConfigurationError: This machine has no such Python.
        """
        return self.identity, find(target.python)

    @contextmanager
    def open(
        self,
        target: Target,
        *,
        sources: PipOptions = NO_OPTIONS,
        cache_dir: Path,
        progress: Progress = QUIET,
    ) -> Iterator[LocalBuilder]:
        """Find the target's Python.

        Raises:
            ConfigurationError: There is none on this machine.
        """
        opened = LocalBuilder(find(target.python), cache_dir)
        opened._sources = sources
        yield opened

    def compile_tree(self, root: Path, *, jobs: int | None = None, progress: Progress = QUIET) -> None:
        """Compile every module under ``root`` to bytecode."""
        bytecode.compile_tree(root, self.interpreter, jobs=jobs, progress=progress)

    def wheel(self, source: Path, destination: Path, *, label: str, progress: Progress = QUIET) -> Path:
        """Build a wheel of pure Python of ``source``, with the target's Python; see ``Wheelwright``."""
        return pure_wheel(
            *(self.interpreter, source, destination),
            label=label,
            sources=self._sources,
            tools=toolchain.ensure(self.interpreter, self._cache_dir or destination, progress),
        )

    def install(self, lock: Lock, destination: Path, *, progress: Progress = QUIET) -> Tree:
        """Install ``lock`` into ``destination``, which must not exist or be empty.

        Nothing of this machine goes along: the tree says which shared libraries it and Lambda lack.

        Raises:
            ConfigurationError: ``destination`` has something in it.
            ToolError: pip failed, a hash did not match, or a file is not for the target.
        """
        return self.complete(self.unpack(lock, destination, progress=progress), lock)

    def complete(self, tree: Tree, lock: Lock, *, progress: Progress = QUIET) -> Tree:
        """Say which shared libraries the tree of a lock and Lambda lack."""
        has = syslibs.provided(lock.target)
        return replace(tree, lacking=syslibs.merged(syslibs.lacking(tree, has), has))

    def bring(self, tree: Tree, opened: Sequence[Lacking], lock: Lock, *, progress: Progress = QUIET) -> Tree:
        """Say which shared libraries a program opened by name: this machine's are not what Lambda runs."""
        has = syslibs.provided(lock.target)
        return replace(tree, lacking=syslibs.merged((*tree.lacking, *opened), has))

    def unpack(self, lock: Lock, destination: Path, *, progress: Progress = QUIET) -> Tree:
        """Unpack the wheels of ``lock`` into ``destination``, without a look at what they link to.

        Raises:
            ConfigurationError: ``destination`` has something in it.
            ToolError: pip failed, a hash did not match, or a file is not for the target.
        """
        if destination.exists() and any(destination.iterdir()):
            raise ConfigurationError(
                f"{destination} is not empty: installing there would mix two trees",
                hint="remove it, or name another folder",
            )
        with _beside(destination) as work:
            part = work / "tree"
            self._run_pip(lock, part, work, progress)
            tree = read_tree(part, lock.target)
            check(tree, lock)
            part.replace(destination)
        return replace(tree, root=destination)

    def _run_pip(self, lock: Lock, part: Path, work: Path, progress: Progress) -> None:
        wanted = work / "lock.txt"
        wanted.write_text(lock.text)
        scratch = work / "tmp"
        scratch.mkdir()
        doing = f"installing {len(lock.pins)} wheels for {lock.target}"
        with progress.step(f"install {len(lock.pins)} wheels"):
            pip.run(
                [*_ARGUMENTS, *_platform(lock), *lock.sources.arguments, "--target", part, "-r", wanted],
                doing=doing,
                # pip unpacks there and then renames: the same disk makes that free of copying.
                variables={"TMPDIR": str(scratch)},
            )


_ARGUMENTS = (
    "install",
    "--require-hashes",
    "--no-deps",
    "--only-binary=:all:",
    "--no-compile",
    # The resolver has looked at it, with the full version; all that pip is told here is 3.11.
    "--ignore-requires-python",
    "--ignore-installed",
    "--no-warn-script-location",
    "--root-user-action=ignore",
)


def _platform(lock: Lock) -> Iterator[str]:
    """pip's options that say what the wheels are for."""
    yield from ("--implementation", "cp")
    yield from ("--python-version", lock.target.python)
    yield from ("--abi", "cp{}{}".format(*lock.target.version))
    for name in wheel_tags.platforms(lock.target, lock.glibc):
        yield from ("--platform", name)


@contextmanager
def _beside(destination: Path) -> Iterator[Path]:
    """A hidden work folder next to ``destination``, gone afterwards."""
    with disk_errors(destination.parent):
        destination.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{destination.name}-", dir=destination.parent))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
