"""What the user asks for, for one target: lock files' packages with their files, local packages built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from lambdapack.errors import ConfigurationError
from lambdapack.lock.requirements.direct import DirectReference
from lambdapack.lock.requirements.locked import LockedFile, LockedPackage, Scope, Selection
from lambdapack.lock.requirements.read import Requirements
from lambdapack.lock.resolver.cuda import CUDA_PREFIXES
from lambdapack.lock.resolver.index_files import best_file
from lambdapack.lock.resolver.left_out import Exclusions
from lambdapack.lock.resolver.solution import Candidate, Question, Solution
from lambdapack.lock.sources.prepare import DirectWheel, Preparer
from lambdapack.model import PipOptions, Target

_ALL = ":all:"
_Files: TypeAlias = list[tuple[LockedPackage, LockedFile | None]]


@dataclass(frozen=True)
class TargetRequirements:
    """Requirements for one target.

    Attributes:
        requirements: With what is named by itself as exact lines, and the pages that link to it as options.
        selections: What each lock file says to install.
        alone: Whether the user asks for one lock file and nothing besides, so that dependencies are known.
        builds: Whether sdists can be built.
        preparer: Fetches and builds files that lock files name by an address or a path.
    """

    requirements: Requirements
    selections: tuple[Selection, ...]
    alone: bool
    builds: bool
    preparer: Preparer

    @classmethod
    def read(cls, requirements: Requirements, preparer: Preparer, *, builds: bool) -> TargetRequirements:
        """Select from lock files, and fetch or build what is named by itself."""
        if requirements.no_binary and not builds:
            raise ConfigurationError(
                f"--no-binary {', '.join(requirements.no_binary)} asks for builds from source, and the local "
                f"builder takes wheels",
                hint="use --builder docker, or leave --no-binary out",
            )
        scope = requirements.scope(preparer.target, preparer.interpreter.version)
        wheels = [
            preparer.prepare(reference) for reference in requirements.direct if _holds(reference, scope)
        ]
        selections = tuple(lock.select(scope) for lock in requirements.locks)
        alone = len(selections) == 1 and not (requirements.lines or requirements.direct)
        names = dict.fromkeys((*requirements.names, *(wheel.name for wheel in wheels)))
        complete = replace(_with_wheels(requirements, wheels), names=tuple(names))
        return cls(complete, selections, alone, builds, preparer)

    @property
    def target(self) -> Target:
        """What the requirements are for."""
        return self.preparer.target

    @property
    def declared(self) -> tuple[tuple[str, str], ...]:
        """What the user and locked projects wrote, with where; without the exact pins of lock files."""
        written = zip(self.requirements.lines, self.requirements.origins, strict=True)
        return (*written, *(line for selection in self.selections for line in selection.declared))

    def question(self, glibc: tuple[int, int], exclusions: Exclusions) -> tuple[Question, Solution | None]:
        """What to resolve, with one exact line a locked package, and what else the user asks for.

        Returns:
            The question; and its answer, where lock files leave nothing to resolve.
        """
        files, wheels = self._files(glibc)
        sdists = {package.name for package, file in files if file and not file.name.endswith(".whl")}
        names = self._names()
        requirements = replace(self.requirements, names=names or ())
        question = Question(
            _with_wheels(_with_files(requirements, files), wheels),
            self.target,
            glibc,
            sdists=frozenset({*self.requirements.no_binary, *sdists}),
            leaf_prefixes=() if self.alone else CUDA_PREFIXES,
            leaf_names=() if self.alone else tuple(sorted(exclusions.names)),
            alone=self.alone,
            weighed=exclusions.weighed,
        )
        # Lock files do not tell which package needs which, and what is left out is found by that.
        settled = self.alone and names is not None and not exclusions and all(file for _, file in files)
        return question, _solution(files, wheels) if settled else None

    def _files(self, glibc: tuple[int, int]) -> tuple[_Files, list[DirectWheel]]:
        """Each locked package of an index with its one file, where that is known; wheels of the others."""
        files: _Files = []
        wheels: list[DirectWheel] = []
        no_binary = self.requirements.no_binary
        for package in (package for selection in self.selections for package in selection.packages):
            reference, file = package.direct, None
            if reference is None and package.files and all(known.name for known in package.files):
                sdist = package.name in no_binary or _ALL in no_binary
                file = best_file(package, self.target, glibc, builds=self.builds, sdist=sdist)
                if file.location:
                    hashes = (file.hash,)
                    reference = DirectReference(file.location, package.where, package.name, hashes=hashes)
            if reference is None:
                files.append((package, file))
            else:
                wheels.append(self.preparer.prepare(reference))
        return files, wheels

    def _names(self) -> tuple[str, ...] | None:
        """Names that the user and the locked projects ask for; ``None`` where a lock does not tell them."""
        names = list(self.requirements.names)
        for selection in self.selections:
            if selection.requested is None:
                return None
            names += selection.requested
        return tuple(dict.fromkeys(names))


def _holds(reference: DirectReference, scope: Scope) -> bool:
    try:
        return scope.holds(reference.marker)
    except ValueError as error:
        raise ConfigurationError(f"{reference.origin}: {error}") from None


def _with_files(requirements: Requirements, files: _Files) -> Requirements:
    """``requirements`` and an exact line for each package; any of its hashes where its file is not known."""
    lines = dict(zip(requirements.lines, requirements.origins, strict=True))
    for package, file in files:
        hashes = [file.hash] if file else sorted(known.hash for known in package.files)
        line = " ".join([f"{package.name}=={package.version}", *(f"--hash={value}" for value in hashes)])
        lines.setdefault(line, package.where)
    return replace(requirements, lines=tuple(lines), origins=tuple(lines.values()))


def _with_wheels(requirements: Requirements, wheels: Sequence[DirectWheel]) -> Requirements:
    """``requirements`` and an exact line for each wheel, with the pages that link to them."""
    return replace(
        requirements,
        lines=(*requirements.lines, *(wheel.line for wheel in wheels)),
        origins=(*requirements.origins, *(wheel.direct.origin for wheel in wheels)),
        options=requirements.options + PipOptions.find_links(*(wheel.page for wheel in wheels)),
    )


def _solution(files: _Files, wheels: Sequence[DirectWheel]) -> Solution:
    candidates = [
        Candidate(package.name, package.version, file.name, file.hash) for package, file in files if file
    ]
    candidates += [Candidate(wheel.name, wheel.version, wheel.filename, wheel.hash) for wheel in wheels]
    return Solution(tuple(sorted(candidates, key=lambda candidate: candidate.name)))
