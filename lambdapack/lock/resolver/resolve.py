"""Requirements -> a lock: for the runtime's C library or, where that has no solution, for a newer one.

For one C library, builds for the CPU stand in place of CUDA, and sdists in place of wheels that do not fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lambdapack.errors import ConfigurationError, ToolError
from lambdapack.lock.requirements import direct
from lambdapack.lock.requirements.read import Requirements
from lambdapack.lock.resolver.cuda import cpu_constraints, cuda_error, is_cuda
from lambdapack.lock.resolver.driver_process import Driver, Place
from lambdapack.lock.resolver.explain import explain, only_sdists
from lambdapack.lock.resolver.left_out import Exclusions
from lambdapack.lock.resolver.solution import Candidate, Failure, NoLockError, Question, Solution
from lambdapack.lock.resolver.target_requirements import TargetRequirements
from lambdapack.lock.sources.downloads import Downloads
from lambdapack.lock.sources.prepare import Preparer, Wheelwright
from lambdapack.model import Lock, Pin, PipOptions, Target
from lambdapack.model.runtimes import AL2023_GLIBC
from lambdapack.progress import QUIET, Progress
from lambdapack.python import wheel_tags
from lambdapack.python.interpreter import Interpreter

# Failures that another C library cannot mend.
_FINAL_KINDS = frozenset(("network", "hash", "pip"))


@dataclass(frozen=True)
class LockOptions:
    """What the user decides about a lock besides its requirements and its target.

    Attributes:
        glibc: The newest C library that a wheel may ask for; ``None`` for the runtime's own, and where
            that has no solution, for Amazon Linux 2023's, with a warning.
        exclude: Names to leave out, with what only they need.
        runtime_provided: Whether to leave out what Lambda's runtime has in a version that fits.
        unbuilt: Whether to lock sdists that nobody will build, as if they needed nothing: for an estimate.
    """

    glibc: tuple[int, int] | None = None
    exclude: frozenset[str] = frozenset()
    runtime_provided: bool = False
    unbuilt: bool = False


_DEFAULTS = LockOptions()


def resolve(
    requirements: Requirements,
    target: Target,
    interpreter: Interpreter,
    *,
    options: LockOptions = _DEFAULTS,
    cache_dir: Path,
    place: Place | None = None,
    builds: bool = False,
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
        builds: Whether sdists can be built on this machine.
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
    builds = builds or place is not None
    preparer = Preparer(target, interpreter, wheelwright, cache_dir, sources, downloads, progress)
    roots = TargetRequirements.read(requirements, preparer, builds=builds or options.unbuilt)
    names = frozenset(map(canonicalize_name, options.exclude))
    exclusions = Exclusions(names, target if options.runtime_provided else None, roots.declared)
    driver = Driver(interpreter, place, cache_dir, progress)
    attempts = Attempts(roots, exclusions, driver, progress, unbuilt=options.unbuilt)
    return attempts.first_lock(options.glibc)


def _check_python(interpreter: Interpreter, target: Target) -> None:
    if interpreter.python != target.python:
        raise ConfigurationError(
            f"a lock for {target} needs Python {target.python} to resolve it, and {interpreter.path} is "
            f"{interpreter.version}",
            hint=f"choose another Python, or --python {interpreter.python}",
        )


@dataclass(frozen=True)
class Attempts:
    """Attempts to lock the same requirements, each for another C library.

    Attributes:
        roots: The requirements.
        exclusions: What is left out.
        driver: Answers questions.
        progress: Told of every choice made for the user.
        unbuilt: Whether sdists are locked without a look at what they need.
    """

    roots: TargetRequirements
    exclusions: Exclusions
    driver: Driver
    progress: Progress
    unbuilt: bool = False

    def first_lock(self, glibc: tuple[int, int] | None) -> Lock:
        """The lock for the C library that user or runtime name; else for a newer one, with a warning."""
        target = self.roots.target
        try:
            return self.lock(glibc or target.glibc)
        except NoLockError as error:
            first = error
        if glibc is not None or target.glibc >= AL2023_GLIBC or first.is_final:
            raise first.error
        try:
            lock = self.lock(AL2023_GLIBC)
        except NoLockError as second:
            raise (second.error if second.is_cuda and not first.is_cuda else first.error) from None
        have, need = ".".join(map(str, target.glibc)), ".".join(map(str, AL2023_GLIBC))
        why = "CUDA alone" if first.is_cuda else "nothing that fits"
        self.progress.warn(
            f"for glibc {have}, which {target.operating_system} has, there is {why}; these wheels need up to "
            f"glibc {need}. They run in a container image and in the local cloud, but not as a zip on "
            f"{target.runtime}; --python 3.12 or later avoids this"
        )
        return lock

    def lock(self, glibc: tuple[int, int]) -> Lock:
        """The lock for a C library, without CUDA.

        Raises:
            NoLockError: There is none for this C library.
            LambdapackError: There is none for any.
        """
        question, answer = self.roots.question(glibc, self.exclusions)
        solution = answer or self._solution(question)
        if any(is_cuda(candidate.name) for candidate in self._packed(solution, question)):
            solution = self._solution_for_cpu(solution, question)
        if solution.unreachable:
            # pip would go on with the indexes that answer, and lock other versions than tomorrow.
            failure = Failure("network", {"unreachable": solution.unreachable})
            raise NoLockError(explain(failure, self.roots.target, glibc), is_final=True)
        return self._lock(solution, question)

    def _packed(self, solution: Solution, question: Question) -> tuple[Candidate, ...]:
        return self.exclusions.packed(solution.candidates, question.requirements.names)

    def _solution(self, question: Question) -> Solution:
        outcome = self._ask_with_sdists(question)
        if isinstance(outcome, Solution):
            return outcome
        # Nor can another C library help where the index has no file at all of a package.
        is_final = outcome.kind in _FINAL_KINDS or not all(outcome.facts["files"].values())
        raise NoLockError(explain(outcome, self.roots.target, question.glibc), is_final=is_final)

    def _solution_for_cpu(self, solution: Solution, question: Question) -> Solution:
        """A solution with builds for the CPU in place of those for CUDA."""
        packed = self._packed(solution, question)
        # A lock file's versions are not ours to change.
        constraint_sets = () if self.roots.selections else cpu_constraints(question.requirements, packed)
        for constraints in constraint_sets:
            outcome = self._ask_with_sdists(replace(question, constraints=constraints))
            if isinstance(outcome, Failure):
                continue
            if not any(is_cuda(candidate.name) for candidate in self._packed(outcome, question)):
                self.progress.note(
                    f"took the build for the CPU alone ({', '.join(constraints)}): the newest needs CUDA, "
                    f"and a zip gets no GPU in Lambda"
                )
                return outcome
        raise NoLockError(cuda_error(packed, self.roots.target), is_cuda=True)

    def _ask_with_sdists(self, question: Question) -> Solution | Failure:
        """Ask, and while no solution is found for want of a wheel, ask again with an sdist in its place."""
        wheels_only = set(question.requirements.only_binary)
        while True:
            if self.unbuilt:
                question = replace(question, leaf_names=(*question.leaf_names, *sorted(question.sdists)))
            outcome = self.driver.ask(question)
            if not self.roots.builds or isinstance(outcome, Solution) or ":all:" in wheels_only:
                return outcome
            more = only_sdists(outcome) - question.sdists - wheels_only
            if not more:
                return outcome
            if not self.unbuilt:
                self.progress.note(f"no wheel fits: building {', '.join(sorted(more))} from its sdist")
            question = replace(question, sdists=question.sdists | more)

    def _lock(self, solution: Solution, question: Question) -> Lock:
        """The lock, once every file is known to fit and to have a hash that the user's lines allow."""
        packed = self._packed(solution, question)
        if not packed:
            raise ConfigurationError(
                f"nothing is left to install for {self.roots.target}: every requirement is excluded or has a "
                f"marker that does not hold there",
                hint="look at --exclude and at the markers after ';' in the requirements",
            )
        packed, pages = _prepared(packed, self.roots.preparer)
        for candidate in packed:
            is_wheel = candidate.filename.endswith(".whl")
            if is_wheel and not wheel_tags.fits(candidate.filename, self.roots.target, question.glibc):
                raise ToolError(
                    f"resolving chose {candidate.filename}, which does not fit {self.roots.target}"
                )
            _check_hash(candidate, question.requirements)
        names = {candidate.name for candidate in packed}
        # Of a lock that does not tell what was asked for: the packages that no other package needs.
        roots = [candidate.name for candidate in solution.candidates if not candidate.parents]
        everything = [candidate.name for candidate in solution.candidates]
        requested = question.requirements.names or roots or everything
        return Lock(
            self.roots.target,
            question.glibc,
            pins=tuple(sorted(Pin(file.name, file.version, (file.hash,)) for file in packed)),
            requested=tuple(name for name in requested if name in names),
            sources=question.requirements.options + pages,
            built=tuple(sorted(file.name for file in packed if not file.filename.endswith(".whl"))),
            left_out=self.exclusions.report(solution.candidates, packed, self.progress),
            addressed=tuple(file.name for file in packed if file.url),
        )


def _check_hash(candidate: Candidate, requirements: Requirements) -> None:
    for line, origin in zip(requirements.lines, requirements.origins, strict=True):
        text, *hashes = line.split(" --hash=")
        is_same = canonicalize_name(Requirement(text).name) == candidate.name
        if is_same and hashes and candidate.hash not in hashes:
            raise ConfigurationError(
                f"{origin}: none of the hashes of {candidate.name} is that of {candidate.filename}, the "
                f"wheel that fits (its hash is {candidate.hash})",
                hint="lock the requirements again for this target, or leave the hashes out",
            )


def _prepared(
    candidates: Sequence[Candidate], preparer: Preparer
) -> tuple[tuple[Candidate, ...], PipOptions]:
    """All candidates, those known by an address fetched or built; pip's options for the pages of these."""
    complete, pages = [], []
    for candidate in candidates:
        known = candidate
        if candidate.url:
            wheel = preparer.prepare(_reference(candidate))
            pages.append(wheel.page)
            known = replace(candidate, version=wheel.version, filename=wheel.filename, hash=wheel.hash)
        complete.append(known)
    return tuple(complete), PipOptions.find_links(*pages)


def _reference(candidate: Candidate) -> direct.DirectReference:
    who = ", ".join(candidate.parents) or "a requirement"
    origin = f"{who} needs {candidate.name} @ {direct.shown(candidate.url)}"
    try:
        return direct.parse(f"{candidate.name} @ {candidate.url}", (), Path(), origin)
    except ValueError as error:
        raise ConfigurationError(
            f"{origin}: {error}",
            hint="name a wheel or a folder of it yourself: lambdapack build ... "
            f"'{candidate.name} @ file:///...'",
        ) from None
