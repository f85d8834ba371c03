"""From requirements to a lock: which C library, which builds, and what is left out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lambdapack import toolchain, wheel_tags
from lambdapack.errors import ConfigurationError, LambdapackError, ToolError
from lambdapack.interpreter import Interpreter
from lambdapack.lock.explain import cuda_error, explain, only_sdists
from lambdapack.lock.process import Failure, Found, Query, Solution, resolve_once
from lambdapack.lock.requirements import Requirements
from lambdapack.lockdriver import Place
from lambdapack.model import Lock, Pin
from lambdapack.progress import QUIET, Progress
from lambdapack.target import Target

__all__ = ["is_cuda", "resolve"]

# Amazon Linux 2023's; what a container image can offer a Python whose zip runtime has an older one.
_NEWER_GLIBC = (2, 34)
_CUDA_PREFIXES = ("nvidia-", "cuda-", "triton", "pytorch-triton")
# Bindings in plain Python, which do no harm where there is no GPU.
_NOT_CUDA = frozenset(("nvidia-ml-py", "tritonclient"))
_CPU_ATTEMPTS = 4
# Failures that another C library cannot mend; nor can it where there is no file at all.
_FINAL_KINDS = frozenset(("network", "hash", "pip"))


def resolve(
    requirements: Requirements,
    target: Target,
    interpreter: Interpreter,
    *,
    glibc: tuple[int, int] | None = None,
    exclude: Collection[str] = (),
    cache_dir: Path,
    place: Place | None = None,
    progress: Progress = QUIET,
) -> Lock:
    """Pin and hash everything that ``requirements`` need on ``target``.

    Wheels only; where ``place`` can build, sdists too, of those packages of which no wheel fits.

    Args:
        requirements: What ``read_requirements`` read.
        target: What to resolve for.
        interpreter: A Python of the target's version; its own architecture does not matter.
        glibc: The newest C library that a wheel may ask for; ``None`` for the runtime's own, and where
            that has no solution, for Amazon Linux 2023's, with a warning.
        exclude: Names to leave out, with what only they need.
        cache_dir: Where pip-tools is kept.
        place: Where the target's Python is, if not here: ``interpreter`` then says which it is.
        progress: Told what is looked up, and of every choice made for the user.

    Raises:
        ConfigurationError: The requirements have no solution for this target; says why and what helps.
        ToolError: The package index could not be reached, or pip failed.
    """
    if interpreter.python != target.python:
        raise ConfigurationError(
            f"a lock for {target} needs Python {target.python} to resolve it, and {interpreter.path} is "
            f"{interpreter.version}",
            hint=f"choose another Python, or --python {interpreter.python}",
        )
    tools = toolchain.ensure(interpreter, cache_dir, progress)
    excluded = frozenset(canonicalize_name(name) for name in exclude)
    query = Query(
        *(requirements, target, interpreter, tools, cache_dir, progress),
        leaf_prefixes=_CUDA_PREFIXES,
        leaf_names=tuple(sorted(excluded)),
        place=place,
    )
    first = _solve(query, glibc or target.glibc, excluded)
    if isinstance(first, Lock):
        return first
    if glibc is None and target.glibc < _NEWER_GLIBC and not first.final:
        second = _solve(query, _NEWER_GLIBC, excluded)
        if isinstance(second, Lock):
            progress.warn(_newer_glibc_warning(target, first))
            return second
        raise second.error if second.is_cuda and not first.is_cuda else first.error
    raise first.error


def _resolve(query: Query, glibc: tuple[int, int], constraints: Sequence[str] = ()) -> Solution | Failure:
    """Resolve with wheels; as long as that fails for want of one, with an sdist in its place."""
    built: set[str] = set()
    while True:
        outcome = resolve_once(query, glibc, constraints, built)
        if query.place is None or not isinstance(outcome, Failure):
            return outcome
        more = only_sdists(outcome) - built
        if not more:
            return outcome
        query.progress.note(f"no wheel fits: building {', '.join(sorted(more))} from its sdist")
        built |= more


class _Refused:
    """Why one C library gave no lock."""

    def __init__(self, error: LambdapackError, *, is_cuda: bool = False, final: bool = False) -> None:
        self.error = error
        self.is_cuda = is_cuda
        self.final = final


def _solve(query: Query, glibc: tuple[int, int], excluded: frozenset[str]) -> Lock | _Refused:
    """A lock for this C library, without CUDA."""
    outcome = _resolve(query, glibc)
    if isinstance(outcome, Failure):
        final = outcome.kind in _FINAL_KINDS or not all(outcome.facts["files"].values())
        return _Refused(explain(outcome, query.target, glibc), final=final)
    kept = _without(outcome.found, query.requirements, excluded)
    if any(is_cuda(found.name) for found in kept):
        cpu = _solve_for_cpu(query, glibc, excluded, kept)
        if cpu is None:
            return _Refused(cuda_error(kept, is_cuda, query.target), is_cuda=True)
        outcome, kept = cpu
    if outcome.unreachable:
        # pip would go on with the indexes that answer, and lock other versions than tomorrow.
        failure = Failure("network", {"unreachable": outcome.unreachable})
        return _Refused(explain(failure, query.target, glibc), final=True)
    return _lock(query, glibc, kept)


def _solve_for_cpu(
    query: Query, glibc: tuple[int, int], excluded: frozenset[str], kept: tuple[Found, ...]
) -> tuple[Solution, tuple[Found, ...]] | None:
    """The same again with builds for the CPU in place of those for CUDA, if there are any that fit."""
    for constraints in _cpu_constraints(query.requirements, kept):
        outcome = _resolve(query, glibc, constraints)
        if isinstance(outcome, Failure):
            continue
        found = _without(outcome.found, query.requirements, excluded)
        if not any(is_cuda(one.name) for one in found):
            chosen = ", ".join(constraints)
            query.progress.note(
                f"took the build for the CPU alone ({chosen}): the newest needs CUDA, and Lambda has no GPU"
            )
            return outcome, found
    return None


def _cpu_constraints(requirements: Requirements, kept: tuple[Found, ...]) -> Iterator[tuple[str, ...]]:
    """Constraints to try: for what needs CUDA and what builds on it, then for the first alone."""
    needs_cuda = {parent for found in kept if is_cuda(found.name) for parent in found.parents}
    options = {
        found.name: [v for v in found.cpu if _allowed(found.name, v, requirements)]
        for found in kept
        if not is_cuda(found.name)
    }
    options = {name: versions for name, versions in options.items() if versions}
    direct = {name: versions for name, versions in options.items() if name in needs_cuda}
    if not direct:
        return
    for number in range(_CPU_ATTEMPTS):
        for group in (options, direct) if len(options) > len(direct) else (direct,):
            if any(number < len(versions) for versions in group.values()):
                yield tuple(
                    f"{name}=={versions[min(number, len(versions) - 1)]}"
                    for name, versions in sorted(group.items())
                )


def _allowed(name: str, version: str, requirements: Requirements) -> bool:
    """Whether the user's own lines take this version."""
    for line in (*requirements.lines, *requirements.constraints):
        asked = Requirement(line.split(" --hash=", maxsplit=1)[0])
        if canonicalize_name(asked.name) == name and not asked.specifier.contains(version, prereleases=True):
            return False
    return True


def is_cuda(name: str) -> bool:
    """Whether the distribution is a part of CUDA."""
    return name.startswith(_CUDA_PREFIXES) and name not in _NOT_CUDA


def _without(
    found: Iterable[Found], requirements: Requirements, excluded: frozenset[str]
) -> tuple[Found, ...]:
    """What is still needed once ``excluded`` is left out: a dependency of it alone goes with it."""
    everything = {one.name: one for one in found}
    if not excluded:
        return tuple(everything.values())
    needed = {name for name in requirements.names if name in everything} - excluded
    grown = True
    while grown:
        more = {
            one.name
            for one in everything.values()
            if one.name not in needed and one.name not in excluded and not needed.isdisjoint(one.parents)
        }
        needed |= more
        grown = bool(more)
    return tuple(one for one in everything.values() if one.name in needed)


def _lock(query: Query, glibc: tuple[int, int], kept: tuple[Found, ...]) -> Lock:
    """The lock, once every file is known to be a wheel that fits and that the input's hashes allow."""
    if not kept:
        raise ConfigurationError(
            f"nothing is left to install for {query.target}: every requirement is excluded or has a marker "
            f"that does not hold there",
            hint="look at --exclude and at the markers after ';' in the requirements",
        )
    built = tuple(sorted(found.name for found in kept if not found.filename.endswith(".whl")))
    for found in kept:
        if found.name not in built and not wheel_tags.fits(found.filename, query.target, glibc):
            raise ToolError(f"resolving chose {found.filename}, which does not fit {query.target}")
        _check_hash(found, query.requirements)
    pins = tuple(sorted(Pin(found.name, found.version, (found.hash,)) for found in kept))
    names = {pin.name for pin in pins}
    requested = tuple(name for name in query.requirements.names if name in names)
    return Lock(query.target, glibc, pins, requested, query.requirements.options, built)


def _check_hash(found: Found, requirements: Requirements) -> None:
    for line, origin in zip(requirements.lines, requirements.origins, strict=True):
        text, *hashes = line.split(" --hash=")
        asked = canonicalize_name(Requirement(text).name)
        if asked == found.name and hashes and found.hash not in hashes:
            raise ConfigurationError(
                f"{origin}: none of the hashes of {found.name} is that of {found.filename}, the wheel that "
                f"fits (its hash is {found.hash})",
                hint="lock the requirements again for this target, or leave the hashes out",
            )


def _newer_glibc_warning(target: Target, first: _Refused) -> str:
    have, need = ".".join(map(str, target.glibc)), ".".join(map(str, _NEWER_GLIBC))
    why = "CUDA alone" if first.is_cuda else "nothing that fits"
    return (
        f"for glibc {have}, which {target.operating_system} has, there is {why}; these wheels need up to "
        f"glibc {need}. They run in a container image and in the local cloud, but not as a zip on "
        f"{target.runtime}; --python 3.12 or later avoids this"
    )
