"""From requirements to a lock: which C library, which builds, and what is left out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lambdapack.errors import ConfigurationError, LambdapackError, ToolError
from lambdapack.lock.requirements.locked import Asked
from lambdapack.lock.requirements.read import Requirements
from lambdapack.lock.resolver.addressed import addressed
from lambdapack.lock.resolver.explain import cuda_error, explain, only_sdists
from lambdapack.lock.resolver.left_out import Choice, choice
from lambdapack.lock.resolver.pinned import Pinned, Ready, ready
from lambdapack.lock.resolver.place import Place, Wheelwright
from lambdapack.lock.resolver.process import Failure, Found, Query, Solution, resolve_once
from lambdapack.lock.sources.downloads import Downloads
from lambdapack.lock.sources.prepare import Preparer
from lambdapack.model import AL2023_GLIBC, Lock, Pin, Target
from lambdapack.progress import QUIET, Progress
from lambdapack.python import toolchain, wheel_tags
from lambdapack.python.interpreter import Interpreter

__all__ = ["is_cuda", "resolve"]

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
    runtime_provided: bool = False,
    cache_dir: Path,
    place: Place | None = None,
    wheelwright: Wheelwright | None = None,
    downloads: Downloads | None = None,
    progress: Progress = QUIET,
) -> Lock:
    """Pin and hash everything that ``requirements`` need on ``target``.

    Wheels only; where ``place`` can build, sdists too, of those packages of which no wheel fits. Of lock
    files, the versions and the files that they hold, and nothing else.

    Args:
        requirements: What ``read_requirements`` read.
        target: What to resolve for.
        interpreter: A Python of the target's version; its own architecture does not matter.
        glibc: The newest C library that a wheel may ask for; ``None`` for the runtime's own, and where
            that has no solution, for Amazon Linux 2023's, with a warning.
        exclude: Names to leave out, with what only they need.
        runtime_provided: Leave out too what Lambda's runtime has, where it is known to be as it is needed.
        cache_dir: Where pip-tools, and files that are named themselves, are kept.
        place: Where the target's Python is, if not here: ``interpreter`` then says which it is.
        wheelwright: Builds local packages; ``None`` where none can be built.
        downloads: What was fetched already.
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
    if requirements.nothing:
        return Lock(target, glibc or target.glibc, (), (), requirements.options)
    preparer = Preparer(
        *(target, interpreter, wheelwright),
        cache_dir=cache_dir,
        options=requirements.options,
        downloads=downloads or Downloads(cache_dir, requirements.options, progress),
        progress=progress,
    )
    asked = Asked(target.markers(interpreter.version), requirements.extras, requirements.groups)
    wanted = ready(requirements, asked, preparer, place is not None)
    left_out = choice(exclude, target if runtime_provided else None, wanted.wishes)
    query = Query(
        *(wanted.requirements, target, interpreter, cache_dir / "nowhere", cache_dir, progress),
        leaf_prefixes=() if wanted.alone else _CUDA_PREFIXES,
        leaf_names=() if wanted.alone else tuple(sorted(left_out.excluded)),
        place=place,
        alone=wanted.alone,
        weighed=left_out.weighed,
    )
    return _best(_Job(query, wanted, left_out), glibc)


class _Job:
    """One lock to be made; pip-tools are fetched when they are needed."""

    def __init__(self, query: Query, wanted: Ready, left_out: Choice) -> None:
        self.query = query
        self.wanted = wanted
        self.left_out = left_out

    def pinned(self, glibc: tuple[int, int]) -> Pinned:
        query = self.query
        facts = bool(self.left_out.excluded or self.left_out.target)
        return self.wanted.pin(query.target, glibc, builds=query.place is not None, facts=facts)

    def equipped(self, pinned: Pinned) -> Query:
        query = self.query
        tools = toolchain.ensure(query.interpreter, query.cache_dir, query.progress)
        return replace(query, requirements=pinned.requirements, tools=tools)


def _best(job: _Job, glibc: tuple[int, int] | None) -> Lock:
    """The lock for the runtime's own C library; where there is none, for a newer one, with a warning."""
    target = job.query.target
    first = _solve(job, glibc or target.glibc)
    if isinstance(first, Lock):
        return first
    if glibc is None and target.glibc < AL2023_GLIBC and not first.final:
        second = _solve(job, AL2023_GLIBC)
        if isinstance(second, Lock):
            job.query.progress.warn(_newer_glibc_warning(target, first))
            return second
        raise second.error if second.is_cuda and not first.is_cuda else first.error
    raise first.error


def _resolve(
    query: Query,
    glibc: tuple[int, int],
    constraints: Sequence[str] = (),
    built: Collection[str] = (),
) -> Solution | Failure:
    """Resolve with wheels; as long as that fails for want of one, with an sdist in its place."""
    taken = set(built)
    never = set(query.requirements.only_binary)
    while True:
        outcome = resolve_once(query, glibc, constraints, taken)
        if query.place is None or not isinstance(outcome, Failure) or ":all:" in never:
            return outcome
        more = only_sdists(outcome) - taken - never
        if not more:
            return outcome
        query.progress.note(f"no wheel fits: building {', '.join(sorted(more))} from its sdist")
        taken |= more


class _Refused:
    """Why one C library gave no lock."""

    def __init__(self, error: LambdapackError, *, is_cuda: bool = False, final: bool = False) -> None:
        self.error = error
        self.is_cuda = is_cuda
        self.final = final


def _solve(job: _Job, glibc: tuple[int, int]) -> Lock | _Refused:
    """A lock for this C library, without CUDA."""
    pinned = job.pinned(glibc)
    if pinned.refusal is not None:
        return _Refused(pinned.refusal, final=not pinned.newer)
    if pinned.solution is not None:
        query = replace(job.query, requirements=pinned.requirements)
        outcome: Solution | Failure = pinned.solution
    else:
        query = job.equipped(pinned)
        outcome = _resolve(query, glibc, (), pinned.built)
    if isinstance(outcome, Failure):
        final = outcome.kind in _FINAL_KINDS or not all(outcome.facts["files"].values())
        return _Refused(explain(outcome, query.target, glibc), final=final)
    kept = job.left_out.kept(outcome.found, query.requirements.names)
    if any(is_cuda(found.name) for found in kept):
        cpu = None if job.wanted.selections else _solve_for_cpu(job, query, glibc, pinned, kept)
        if cpu is None:
            return _Refused(cuda_error(kept, is_cuda, query.target), is_cuda=True)
        outcome, kept = cpu
    if outcome.unreachable:
        # pip would go on with the indexes that answer, and lock other versions than tomorrow.
        failure = Failure("network", {"unreachable": outcome.unreachable})
        return _Refused(explain(failure, query.target, glibc), final=True)
    return _lock(job, query, glibc, kept, outcome)


def _solve_for_cpu(
    job: _Job, query: Query, glibc: tuple[int, int], pinned: Pinned, kept: tuple[Found, ...]
) -> tuple[Solution, tuple[Found, ...]] | None:
    """The same again with builds for the CPU in place of those for CUDA, if there are any that fit."""
    for constraints in _cpu_constraints(query.requirements, kept):
        outcome = _resolve(query, glibc, constraints, pinned.built)
        if isinstance(outcome, Failure):
            continue
        found = job.left_out.kept(outcome.found, query.requirements.names)
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


def _lock(
    job: _Job, query: Query, glibc: tuple[int, int], kept: tuple[Found, ...], outcome: Solution
) -> Lock:
    """The lock, once every file is known to be a wheel that fits and that the input's hashes allow."""
    if not kept:
        raise ConfigurationError(
            f"nothing is left to install for {query.target}: every requirement is excluded or has a marker "
            f"that does not hold there",
            hint="look at --exclude and at the markers after ';' in the requirements",
        )
    kept, pages = addressed(kept, job.wanted.preparer)
    built = tuple(sorted(found.name for found in kept if not found.filename.endswith(".whl")))
    for found in kept:
        if found.name not in built and not wheel_tags.fits(found.filename, query.target, glibc):
            raise ToolError(f"resolving chose {found.filename}, which does not fit {query.target}")
        _check_hash(found, query.requirements)
    pins = tuple(sorted(Pin(found.name, found.version, (found.hash,)) for found in kept))
    names = {pin.name for pin in pins}
    requested = tuple(name for name in _requested(query, outcome) if name in names)
    left_out = job.left_out.tell(outcome.found, kept, query.progress)
    sources = query.requirements.options + pages
    named = tuple(found.name for found in kept if found.url)
    return Lock(query.target, glibc, pins, requested, sources, built, left_out, named)


def _requested(query: Query, outcome: Solution) -> tuple[str, ...]:
    """What the user asked for; of a lock that does not tell, what nothing else needs."""
    roots = tuple(found.name for found in outcome.found if not found.parents)
    return query.requirements.names or roots or tuple(found.name for found in outcome.found)


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
    have, need = ".".join(map(str, target.glibc)), ".".join(map(str, AL2023_GLIBC))
    why = "CUDA alone" if first.is_cuda else "nothing that fits"
    return (
        f"for glibc {have}, which {target.operating_system} has, there is {why}; these wheels need up to "
        f"glibc {need}. They run in a container image and in the local cloud, but not as a zip on "
        f"{target.runtime}; --python 3.12 or later avoids this"
    )
