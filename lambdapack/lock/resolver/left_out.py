"""What is not packed: what the user excludes, and what Lambda's runtime has itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from lambdapack.lock.requirements.fields import read_toml
from lambdapack.lock.resolver.solution import Candidate
from lambdapack.model import LeftOut, Target
from lambdapack.progress import Progress

_MB = 1_000_000
_REASONS = (
    ("because the runtime has it", "runtime"),
    ("as asked", "excluded"),
    ("because only those need it", "unneeded"),
)


@cache
def runtime_has(target: Target) -> dict[str, str]:
    """Name -> version of each package that the runtime had when it was looked at; today's may be newer."""
    runtimes = read_toml(Path(__file__).with_name("runtimes.toml")).table["runtimes"]
    versions: dict[str, str] = runtimes[target.runtime]
    return versions


@dataclass(frozen=True)
class Exclusions:
    """What a build leaves out.

    Attributes:
        names: Canonical names that the user excludes.
        runtime: The target whose runtime's packages are left out; ``None`` to leave out none.
        declared: What the user wrote, with where: the runtime's version has to fit these lines too.
    """

    names: frozenset[str]
    runtime: Target | None
    declared: tuple[tuple[str, str], ...]

    def __bool__(self) -> bool:
        return bool(self.names or self.runtime)

    @property
    def weighed(self) -> tuple[str, ...]:
        """Names of which the size has to be looked up, to tell what leaving them out saves."""
        return tuple(sorted(runtime_has(self.runtime))) if self.runtime else ()

    def packed(self, candidates: Sequence[Candidate], requested: Sequence[str]) -> tuple[Candidate, ...]:
        """Those of ``candidates`` that are packed."""
        return needed(candidates, requested, self.names | self._provided(candidates)[0])

    def report(
        self, candidates: Sequence[Candidate], packed: Sequence[Candidate], progress: Progress
    ) -> tuple[LeftOut, ...]:
        """Tell the user what is left out, what that saves, and what had to stay; returns what is left out."""
        provided, reasons = self._provided(candidates)
        kept = {candidate.name for candidate in packed}
        left_out = tuple(
            LeftOut(candidate.name, candidate.version, self._why(candidate.name, provided), candidate.bytes)
            for candidate in sorted(candidates, key=lambda candidate: candidate.name)
            if candidate.name not in kept
        )
        for words, why in _REASONS:
            group = [package for package in left_out if package.why == why]
            if group:
                saved = sum(package.bytes for package in group)
                less = f", {saved / _MB:.1f} MB less" if saved else ""
                progress.note(f"left out, {words}: {', '.join(package.name for package in group)}{less}")
        for name, why_not in reasons.items():
            if name in kept:
                progress.note(f"packed although the runtime has it: {name}; {why_not}")
        return left_out

    def _why(self, name: str, provided: Collection[str]) -> Literal["excluded", "runtime", "unneeded"]:
        if name in self.names:
            return "excluded"
        return "runtime" if name in provided else "unneeded"

    def _provided(self, candidates: Sequence[Candidate]) -> tuple[frozenset[str], dict[str, str]]:
        """Names that the runtime has in a version that fits; and of the others, why it maybe does not fit.

        A package that stays brings its own dependencies: boto3 that is packed needs its own botocore.
        """
        if self.runtime is None:
            return frozenset(), {}
        known = runtime_has(self.runtime)
        others = [candidate for candidate in candidates if candidate.name not in self.names]
        provided = {candidate.name for candidate in others if candidate.name in known}
        reasons: dict[str, str] = {}
        declared = [(line.split(" --hash=", maxsplit=1)[0], origin) for line, origin in self.declared]
        while True:
            stays = [candidate for candidate in others if candidate.name not in provided]
            needs = [(need, f"{one.name} {one.version}") for one in stays for need in one.needs]
            new: dict[str, str] = {}
            for need, who in _parsed((*declared, *needs)):
                name, version = need.name, known.get(need.name, "")
                if name in provided and not need.specifier.contains(version, prereleases=True):
                    wants = f"{who} wants {name}{need.specifier}"
                    new.setdefault(name, f"{wants}, and the runtime is only known to have {version} or newer")
            if not new:
                return frozenset(provided), reasons
            provided -= set(new)
            reasons |= new


def needed(
    candidates: Sequence[Candidate], requested: Sequence[str], excluded: Collection[str]
) -> tuple[Candidate, ...]:
    """What is still needed without ``excluded``: what only those depend on is left out with them."""
    by_name = {candidate.name: candidate for candidate in candidates}
    if not set(excluded) & set(by_name):
        return tuple(by_name.values())
    roots = {name for name in requested if name in by_name}
    roots |= {candidate.name for candidate in candidates if not candidate.parents}
    # A circle of packages that only need each other has no root of its own.
    roots |= set(by_name) - _reached(by_name, roots, frozenset())
    kept = _reached(by_name, roots - set(excluded), excluded)
    return tuple(candidate for candidate in by_name.values() if candidate.name in kept)


def _reached(by_name: Mapping[str, Candidate], roots: Collection[str], excluded: Collection[str]) -> set[str]:
    """Names that ``roots`` depend on, and the roots, without going through ``excluded``."""
    reached = set(roots)
    while True:
        more = {
            candidate.name
            for candidate in by_name.values()
            if candidate.name not in reached
            and candidate.name not in excluded
            and not reached.isdisjoint(candidate.parents)
        }
        if not more:
            return reached
        reached |= more


def _parsed(needs: Iterable[tuple[str, str]]) -> Iterator[tuple[Requirement, str]]:
    """Those of ``needs`` that are requirements, with the same ``who`` each, under canonical names."""
    for text, who in needs:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        requirement.name = canonicalize_name(requirement.name)
        yield requirement, who
