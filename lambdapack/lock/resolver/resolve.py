"""Requirements -> a lock: for the runtime's C library or, where that has no solution, for a newer one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from lambdapack.errors import ConfigurationError
from lambdapack.lock.requirements.read import Requirements
from lambdapack.lock.resolver.attempts import Attempts
from lambdapack.lock.resolver.driver_process import Driver, Place
from lambdapack.lock.resolver.left_out import Exclusions
from lambdapack.lock.resolver.solution import NoLockError
from lambdapack.lock.resolver.target_requirements import TargetRequirements
from lambdapack.lock.sources.downloads import Downloads
from lambdapack.lock.sources.prepare import Preparer, Wheelwright
from lambdapack.model import AL2023_GLIBC, Lock, Target
from lambdapack.progress import QUIET, Progress
from lambdapack.python.interpreter import Interpreter


@dataclass(frozen=True)
class LockOptions:
    """What the user decides about a lock besides its requirements and its target.

    Attributes:
        glibc: The newest C library that a wheel may ask for; ``None`` for the runtime's own, and where
            that has no solution, for Amazon Linux 2023's, with a warning.
        exclude: Names to leave out, with what only they need.
        runtime_provided: Whether to leave out what Lambda's runtime has in a version that fits.
    """

    glibc: tuple[int, int] | None = None
    exclude: frozenset[str] = frozenset()
    runtime_provided: bool = False


_DEFAULTS = LockOptions()


def resolve(
    requirements: Requirements,
    target: Target,
    interpreter: Interpreter,
    *,
    options: LockOptions = _DEFAULTS,
    cache_dir: Path,
    place: Place | None = None,
    wheelwright: Wheelwright | None = None,
    downloads: Downloads | None = None,
    progress: Progress = QUIET,
) -> Lock:
    """Pin and hash everything that ``requirements`` need on ``target``; of lock files, just what they hold.

    Args:
        requirements: What ``read_requirements`` read.
        target: What to resolve for.
        interpreter: A Python of the target's version; its own architecture does not matter.
        options: Which C library, and what to leave out.
        cache_dir: Where pip-tools, and files that are named by an address or a path, are kept.
        place: Where ``interpreter`` is, if not on this machine; sdists can be built there.
        wheelwright: Builds local packages; ``None`` where none can be built.
        downloads: What was fetched already.
        progress: Told what is looked up, and of every choice made for the user.

    Raises:
        ConfigurationError: The requirements have no solution for this target; says why and what helps.
        ToolError: The package index could not be reached, or pip failed.
    """
    _check_python(interpreter, target)
    sources = requirements.options
    if requirements.is_empty:
        return Lock(target, options.glibc or target.glibc, (), (), sources)
    downloads = downloads or Downloads(cache_dir, sources, progress)
    preparer = Preparer(target, interpreter, wheelwright, cache_dir, sources, downloads, progress)
    roots = TargetRequirements.read(requirements, preparer, builds=place is not None)
    names = frozenset(map(canonicalize_name, options.exclude))
    exclusions = Exclusions(names, target if options.runtime_provided else None, roots.declared)
    attempts = Attempts(roots, exclusions, Driver(interpreter, place, cache_dir, progress), progress)
    return _first_lock(attempts, options.glibc)


def _check_python(interpreter: Interpreter, target: Target) -> None:
    if interpreter.python != target.python:
        raise ConfigurationError(
            f"a lock for {target} needs Python {target.python} to resolve it, and {interpreter.path} is "
            f"{interpreter.version}",
            hint=f"choose another Python, or --python {interpreter.python}",
        )


def _first_lock(attempts: Attempts, glibc: tuple[int, int] | None) -> Lock:
    """The lock for the C library that the user or the runtime names; else for a newer one, with a warning."""
    target = attempts.roots.target
    try:
        return attempts.lock(glibc or target.glibc)
    except NoLockError as error:
        first = error
    if glibc is not None or target.glibc >= AL2023_GLIBC or first.is_final:
        raise first.error
    try:
        lock = attempts.lock(AL2023_GLIBC)
    except NoLockError as second:
        raise (second.error if second.is_cuda and not first.is_cuda else first.error) from None
    have, need = ".".join(map(str, target.glibc)), ".".join(map(str, AL2023_GLIBC))
    why = "CUDA alone" if first.is_cuda else "nothing that fits"
    attempts.progress.warn(
        f"for glibc {have}, which {target.operating_system} has, there is {why}; these wheels need up to "
        f"glibc {need}. They run in a container image and in the local cloud, but not as a zip on "
        f"{target.runtime}; --python 3.12 or later avoids this"
    )
    return lock
