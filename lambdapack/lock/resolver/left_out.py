"""What is not packed: what the user excludes, and what Lambda's runtime has itself."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from lambdapack.lock.resolver.process import Found
from lambdapack.model import LeftOut, Target
from lambdapack.progress import Progress

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Choice", "Kept", "choice", "needed", "provided", "runtime_has"]

_MB = 1_000_000
_REASONS = (
    ("because the runtime has it", "runtime"),
    ("as asked", "excluded"),
    ("because only those need it", "unneeded"),
)


@dataclass(frozen=True)
class Kept:
    """A package that the runtime has, but maybe not as it is needed: it stays in the pack."""

    name: str
    wish: str
    who: str
    floor: str


@cache
def runtime_has(target: Target) -> dict[str, str]:
    """Name -> version that the runtime is known to have had; today's may be newer."""
    text = resources.files("lambdapack.lock.resolver").joinpath("runtimes.toml").read_text("utf-8")
    found: dict[str, str] = tomllib.loads(text)["runtimes"][target.runtime]
    return found


def provided(
    found: Sequence[Found], lines: Iterable[tuple[str, str]], target: Target
) -> tuple[frozenset[str], tuple[Kept, ...]]:
    """Which of ``found`` the runtime has as it is needed, and which it may not.

    A package that stays brings its own wishes: boto3 that is packed needs its own botocore.

    Args:
        found: The whole solution.
        lines: What the user wrote, with where.
        target: Whose runtime.
    """
    floors = runtime_has(target)
    out = {one.name for one in found if one.name in floors}
    kept: list[Kept] = []
    written = list(_written(lines))
    while True:
        wishes = [*written, *(wish for one in found if one.name not in out for wish in _wishes(one))]
        unmet = [
            Kept(wish.name, str(wish.specifier), who, floors[wish.name])
            for wish, who in wishes
            if wish.name in out and not wish.specifier.contains(floors[wish.name], prereleases=True)
        ]
        if not unmet:
            return frozenset(out), tuple(kept)
        for one in unmet:
            if one.name in out:
                out.discard(one.name)
                kept.append(one)


def _written(lines: Iterable[tuple[str, str]]) -> Iterator[tuple[Requirement, str]]:
    for line, origin in lines:
        yield from _parsed(line.split(" --hash=", maxsplit=1)[0], origin)


def _wishes(found: Found) -> Iterator[tuple[Requirement, str]]:
    for need in found.needs:
        yield from _parsed(need, f"{found.name} {found.version}")


def _parsed(text: str, who: str) -> Iterator[tuple[Requirement, str]]:
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return
    requirement.name = canonicalize_name(requirement.name)
    requirement.specifier = requirement.specifier or SpecifierSet()
    yield requirement, who


def needed(found: Sequence[Found], requested: Sequence[str], excluded: Collection[str]) -> tuple[Found, ...]:
    """What is still needed once ``excluded`` is left out: a dependency of it alone goes with it."""
    everything = {one.name: one for one in found}
    if not set(excluded) & set(everything):
        return tuple(everything.values())
    roots = {name for name in requested if name in everything}
    roots |= {one.name for one in found if not one.parents}
    # Packages that only need each other, and nobody them.
    roots |= set(everything) - _reached(everything, roots, frozenset())
    kept = _reached(everything, roots - set(excluded), excluded)
    return tuple(one for one in everything.values() if one.name in kept)


def _reached(everything: Mapping[str, Found], roots: Collection[str], excluded: Collection[str]) -> set[str]:
    reached = set(roots)
    grown = True
    while grown:
        more = {
            one.name
            for one in everything.values()
            if one.name not in reached and one.name not in excluded and not reached.isdisjoint(one.parents)
        }
        reached |= more
        grown = bool(more)
    return reached


@dataclass(frozen=True)
class Choice:
    """What a build leaves out.

    Attributes:
        excluded: Canonical names that the user named.
        target: Whose runtime's packages are left out; ``None`` for nobody's.
        lines: What the user wrote, with where; the exact pins of lock files are nobody's wish.
    """

    excluded: frozenset[str]
    target: Target | None
    lines: tuple[tuple[str, str], ...]

    @property
    def weighed(self) -> tuple[str, ...]:
        """Names of which the size is to be looked up: those that may be left out for the runtime's sake."""
        return tuple(sorted(runtime_has(self.target))) if self.target else ()

    def kept(self, found: Sequence[Found], requested: Sequence[str]) -> tuple[Found, ...]:
        """What is packed of ``found``."""
        return needed(found, requested, self.excluded | self._provided(found)[0])

    def _provided(self, found: Sequence[Found]) -> tuple[frozenset[str], tuple[Kept, ...]]:
        if self.target is None:
            return frozenset(), ()
        there = [one for one in found if one.name not in self.excluded]
        return provided(there, self.lines, self.target)

    def tell(self, found: Sequence[Found], kept: Sequence[Found], progress: Progress) -> tuple[LeftOut, ...]:
        """Say what is left out and what that saves, and what had to stay."""
        names, stayed = self._provided(found)
        packed = {one.name for one in kept}
        out = []
        for one in sorted(found, key=lambda one: one.name):
            why: Literal["excluded", "runtime", "unneeded"] = "unneeded"
            if one.name in self.excluded:
                why = "excluded"
            elif one.name in names:
                why = "runtime"
            if one.name not in packed:
                out.append(LeftOut(one.name, one.version, why, one.bytes))
        for word, reason in _REASONS:
            mine = [one for one in out if one.why == reason]
            if mine:
                saved = sum(one.bytes for one in mine)
                much = f", {saved / _MB:.1f} MB less" if saved else ""
                progress.note(f"left out, {word}: {', '.join(one.name for one in mine)}{much}")
        for stays in stayed:
            if stays.name in packed:
                progress.note(
                    f"packed although the runtime has it: {stays.name}; {stays.who} wants "
                    f"{stays.name}{stays.wish}, and the runtime is only known to have {stays.floor} or newer"
                )
        return tuple(out)


def choice(exclude: Iterable[str], target: Target | None, lines: Iterable[tuple[str, str]] = ()) -> Choice:
    """Leave out ``exclude`` and, where ``target`` is given, what its runtime has."""
    return Choice(frozenset(canonicalize_name(name) for name in exclude), target, tuple(lines))
