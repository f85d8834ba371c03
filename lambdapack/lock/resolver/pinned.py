"""What a build asks for, made ready for the resolver: lock files for the target, local packages built."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from lambdapack.errors import ConfigurationError
from lambdapack.lock.requirements.direct import Direct
from lambdapack.lock.requirements.locked import Asked, Locked, LockedFile, NoFile, Selection, choose
from lambdapack.lock.requirements.markers import holds
from lambdapack.lock.requirements.read import Requirements
from lambdapack.lock.resolver.process import Found, Solution
from lambdapack.lock.sources.prepare import Prepared, Preparer
from lambdapack.model import PipOptions, Target

__all__ = ["Pinned", "Ready", "ready"]

_ALL = ":all:"


@dataclass(frozen=True)
class Pinned:
    """The packages of lock files, each with the one file that is for the target.

    Attributes:
        requirements: What to resolve: one exact line a package, and what was asked for besides.
        solution: The answer, where the lock files say everything; else ``None``.
        built: Names of which an sdist is taken.
        refusal: Why there is no lock, instead of all that; ``newer`` where a newer C library would help.
    """

    requirements: Requirements
    solution: Solution | None = None
    built: frozenset[str] = frozenset()
    refusal: ConfigurationError | None = None
    newer: bool = False


@dataclass(frozen=True)
class Ready:
    """Requirements for one target.

    Attributes:
        requirements: With local things as exact lines, and the pages that link to them as options.
        selections: What lock files say to install.
        alone: Whether nothing is asked for besides one lock file, so that nothing is left to resolve.
        no_binary: Names of which an sdist has to be taken.
        preparer: Fetches the files that lock files know elsewhere.
    """

    requirements: Requirements
    selections: tuple[Selection, ...]
    alone: bool
    no_binary: frozenset[str]
    preparer: Preparer

    @property
    def wishes(self) -> tuple[tuple[str, str], ...]:
        """What somebody wrote, with where: the pins of lock files are not among it."""
        written = zip(self.requirements.lines, self.requirements.origins, strict=True)
        return (*written, *(wish for selection in self.selections for wish in selection.wishes))

    def pin(self, target: Target, glibc: tuple[int, int], *, builds: bool, facts: bool) -> Pinned:
        """Choose files for C library ``glibc``.

        Args:
            target: What they are for.
            glibc: The newest that wheels may ask for.
            builds: Whether sdists can be built.
            facts: Whether more is needed than lock files tell, such as what depends on what.
        """
        chosen: list[tuple[Locked, LockedFile | None]] = []
        built: set[str] = set(self.no_binary)
        local: list[Prepared] = []
        for package in (one for selection in self.selections for one in selection.packages):
            if package.direct is not None:
                local.append(self.preparer.prepare(package.direct))
                continue
            if not all(file.name for file in package.files) or not package.files:
                facts = True
                chosen.append((package, None))
                continue
            file = choose(package, target, glibc, builds=builds, sdist=_wanted(package.name, self.no_binary))
            if isinstance(file, NoFile):
                error = ConfigurationError(file.message, hint=file.hint)
                return Pinned(self.requirements, refusal=error, newer=file.newer)
            if file.location:
                direct = Direct(package.name, (), "", file.location, (file.hash,), package.where)
                local.append(self.preparer.prepare(direct))
                continue
            if not file.name.endswith(".whl"):
                built.add(package.name)
            chosen.append((package, file))
        requested = self._requested()
        facts = facts or requested is None or not self.alone
        solution = None if facts else _solution(chosen, local)
        return Pinned(self._with(chosen, local, requested or ()), solution, frozenset(built))

    def _requested(self) -> tuple[str, ...] | None:
        found: list[str] = list(self.requirements.names)
        for selection in self.selections:
            if selection.requested is None:
                return None
            found += selection.requested
        return tuple(dict.fromkeys(found))

    def _with(
        self,
        chosen: Sequence[tuple[Locked, LockedFile | None]],
        local: Sequence[Prepared],
        requested: Sequence[str],
    ) -> Requirements:
        lines = dict(zip(self.requirements.lines, self.requirements.origins, strict=True))
        for package, file in chosen:
            hashes = [file.hash] if file else sorted(one.hash for one in package.files)
            line = " ".join([f"{package.name}=={package.version}", *(f"--hash={one}" for one in hashes)])
            lines.setdefault(line, package.where)
        found = replace(
            self.requirements, lines=tuple(lines), origins=tuple(lines.values()), names=tuple(requested)
        )
        return _with_local(found, local, named=False)


def ready(requirements: Requirements, asked: Asked, preparer: Preparer, builds: bool) -> Ready:
    """Read lock files for the target, and build what is local.

    Raises:
        LambdapackError: A lock is not for the target, or a file cannot be had.
    """
    if requirements.no_binary and not builds:
        raise ConfigurationError(
            f"--no-binary {', '.join(requirements.no_binary)} asks for builds from source, and the local "
            f"builder takes wheels",
            hint="use --builder docker, or leave --no-binary out",
        )
    local = [preparer.prepare(one) for one in requirements.direct if _holds(one, asked)]
    selections = tuple(lock.select(asked) for lock in requirements.locks)
    alone = bool(selections) and not (requirements.lines or requirements.direct or len(selections) > 1)
    with_local = _with_local(requirements, local, named=True)
    return Ready(with_local, selections, alone, frozenset(requirements.no_binary), preparer)


def _holds(direct: Direct, asked: Asked) -> bool:
    try:
        return holds(direct.marker, asked.environment)
    except ValueError as error:
        raise ConfigurationError(f"{direct.origin}: {error}") from None


def _with_local(requirements: Requirements, local: Sequence[Prepared], *, named: bool) -> Requirements:
    if not local:
        return requirements
    names = [one.name for one in local] if named else []
    return replace(
        requirements,
        lines=(*requirements.lines, *(one.line for one in local)),
        origins=(*requirements.origins, *(one.direct.origin for one in local)),
        names=tuple(dict.fromkeys((*requirements.names, *names))),
        options=requirements.options + PipOptions.find_links(*(one.page for one in local)),
    )


def _solution(chosen: Sequence[tuple[Locked, LockedFile | None]], local: Sequence[Prepared]) -> Solution:
    found = [Found(one.name, one.version, file.name, file.hash, ()) for one, file in chosen if file]
    found += [Found(one.name, one.version, one.filename, one.hash, ()) for one in local]
    return Solution(tuple(sorted(found, key=lambda one: one.name)), ())


def _wanted(name: str, formats: Collection[str]) -> bool:
    return name in formats or _ALL in formats
