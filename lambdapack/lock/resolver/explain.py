"""Turn a failed resolution into one message that says what the index has and what helps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from lambdapack.errors import ConfigurationError, LambdapackError, ToolError
from lambdapack.lock.resolver.index_files import IndexFile, describe_files, ways_out
from lambdapack.lock.resolver.solution import Failure
from lambdapack.model import Target
from lambdapack.python import pip

_NEAREST = 3
_DEMANDS_SHOWN = 8


@dataclass(frozen=True)
class _Demand:
    """One requirement for a package.

    Attributes:
        requirement: As it is written, e.g. ``shared<2``.
        who: A distribution, or a place in the user's files.
        python: Pythons that ``who`` can run on, where these are what is demanded; else empty.
        there: Every file that the index has of the package, oldest versions first.
    """

    name: str
    requirement: str
    who: str
    python: str = ""
    there: tuple[IndexFile, ...] = ()

    @property
    def specifier(self) -> SpecifierSet:
        return Requirement(self.requirement).specifier

    def takes(self, version: Version) -> bool:
        return self.specifier.contains(version, prereleases=True)


def explain(failure: Failure, target: Target, glibc: tuple[int, int]) -> LambdapackError:
    """The error for ``failure``: unknown package, impossible pin, no wheel, conflict, network, pip."""
    facts = failure.facts
    doing = f"resolving the requirements for {target}"
    unreachable = "\n".join(facts["unreachable"][:_NEAREST]) or None
    if failure.kind == "network":
        return pip.network_error(doing, pip.tail(str(facts.get("message", ""))) or unreachable)
    if failure.kind == "hash":
        return ConfigurationError(
            f"none of the hashes of {facts['name']} in the requirements is that of the wheel for {target}",
            hint="lock the requirements again for this target, or leave the hashes out",
            detail=pip.tail(str(facts["message"])),
        )
    if failure.kind == "pip":
        return ToolError(f"{doing} failed in pip", detail=pip.tail(str(facts.get("message", ""))))
    demands = _demands(facts)
    limits = _limits(facts)
    for demand in demands:
        if demand.name and not any(file.fits for file in demand.there) and unreachable:
            return pip.network_error(doing, unreachable)
        same = [other for other in demands if other.name == demand.name]
        error = (
            (_conflict(same, limits, target, "") if _contradict(same) else None)
            or _alone(demand, target, glibc)
            or _limited(demand, limits)
        )
        if error is not None:
            return error
    return _conflict(demands, limits, target, str(facts.get("message", "")))


def only_sdists(failure: Failure) -> set[str]:
    """Names of the demanded packages of which no wheel fits and there is an sdist."""
    if failure.kind != "unsatisfiable":
        return set()
    names = set()
    for demand in _demands(failure.facts):
        if not demand.name or demand.python:
            continue
        there = [file for file in demand.there if demand.takes(file.version)]
        if not any(file.fits for file in there) and any(not file.tags for file in there):
            names.add(demand.name)
    return names


def _demands(facts: Mapping[str, Any]) -> list[_Demand]:
    files: dict[str, tuple[IndexFile, ...]] = {}
    for name, entries in facts["files"].items():
        of_package = [IndexFile(**{**entry, "version": Version(entry["version"])}) for entry in entries]
        files[canonicalize_name(name)] = tuple(
            sorted(of_package, key=lambda file: (file.version, file.filename))
        )
    demands: dict[_Demand, None] = {}
    for cause in facts["causes"]:
        who = cause["parent"] or cause["origin"] or "the requirements"
        name = canonicalize_name(cause["name"])
        there = files.get(name, ())
        demands[_Demand(name, cause["requirement"], who, cause["python"], there)] = None
    return list(demands)


def _limits(facts: Mapping[str, Any]) -> list[_Demand]:
    return [
        _Demand(canonicalize_name(limit["name"]), limit["requirement"], f"constraint in {limit['origin']}")
        for limit in facts["constraints"]
    ]


def _alone(demand: _Demand, target: Target, glibc: tuple[int, int]) -> LambdapackError | None:
    """The error where the index has no file for ``demand``, whatever else is demanded; else ``None``."""
    there = demand.there
    if demand.python:
        return None
    if not there:
        return ConfigurationError(
            f"there is no package {demand.name!r} in the package index (wanted by {demand.who})",
            hint="check its spelling; for a private index set PIP_EXTRA_INDEX_URL or pip's configuration",
        )
    versions = sorted({file.version for file in there})
    matching = [v for v in versions if demand.takes(v)]
    if not matching:
        return ConfigurationError(
            f"no version of {demand.name} satisfies {demand.requirement!r} (wanted by {demand.who}); "
            f"there are: {_nearest(demand.specifier, versions)}",
            hint=f"change it to a version that there is, e.g. '{demand.name}=={_newest(versions)}'",
        )
    if any(file.fits for file in there if file.version in matching):
        return None
    version = _newest(matching)
    files = [file for file in there if file.version == version]
    libc = f"glibc {glibc[0]}.{glibc[1]}"
    return ConfigurationError(
        f"{demand.name} {version} has no wheel for {target} with {libc} (wanted by {demand.who}); "
        f"there is {describe_files(files, target, glibc)}",
        hint=ways_out(files, target, glibc),
    )


def _contradict(demands: Sequence[_Demand]) -> bool:
    """Whether each of ``demands`` has a version, wheel or not, and no version suits them all."""
    if any(demand.python for demand in demands):
        return False
    suits = [{f.version for f in demand.there if demand.takes(f.version)} for demand in demands]
    return all(suits) and not set.intersection(*suits)


def _limited(demand: _Demand, limits: Sequence[_Demand]) -> LambdapackError | None:
    """The error where constraints leave nothing of what ``demand`` asks for."""
    mine = [limit for limit in limits if limit.name == demand.name]
    if demand.python or not mine:
        return None
    fitting = [f.version for f in demand.there if f.fits and demand.takes(f.version)]
    if any(all(limit.takes(v) for limit in mine) for v in fitting):
        return None
    listed = ", ".join(f"{limit.requirement!r} ({limit.who})" for limit in mine)
    return ConfigurationError(
        f"{demand.requirement!r} (wanted by {demand.who}) conflicts with {listed}",
        hint="change one of them; pip's own constraints are shown by: pip config list",
    )


def _conflict(
    demands: Sequence[_Demand], limits: Sequence[_Demand], target: Target, message: str
) -> LambdapackError:
    python = [demand for demand in demands if demand.python]
    if python:
        return ConfigurationError(
            f"{python[0].who} needs Python {python[0].python}, and the target is {target}",
            hint="choose another Python with --python, or another version of the package",
        )
    names = {demand.name for demand in demands}
    involved = [*demands, *(limit for limit in limits if limit.name in names)]
    about = ", ".join(sorted(name for name in names if name)) or "these packages"
    listed = "".join(f"\n  {demand.who} wants {demand.requirement}" for demand in involved[:_DEMANDS_SHOWN])
    return ConfigurationError(
        f"no version of {about} satisfies everybody who needs it:{listed}",
        hint="loosen one of these requirements, or choose versions of the packages that agree",
        detail=None if demands else pip.tail(message),
    )


def _newest(versions: Sequence[Version]) -> Version:
    """The newest release, or the newest of all where there are only pre-releases."""
    return max([v for v in versions if not v.is_prerelease] or versions)


def _nearest(specifier: SpecifierSet, versions: Sequence[Version]) -> str:
    """The versions around the first one that ``specifier`` names, and the newest."""
    named: list[Version] = []
    for clause in specifier:
        try:
            named.append(Version(clause.version.removesuffix(".*")))
        except (InvalidSpecifier, ValueError):
            continue
    pivot = named[0] if named else max(versions)
    below = [v for v in versions if v < pivot][-_NEAREST:]
    above = [v for v in versions if v >= pivot][:_NEAREST]
    shown = [*below, *above]
    newest = _newest(versions)
    text = ", ".join(map(str, shown))
    return text if newest in shown else f"{text}; the newest is {newest}"
