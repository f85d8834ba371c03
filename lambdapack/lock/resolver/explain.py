"""Turn a resolution that failed into one message that says what there is and what helps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from lambdapack.errors import ConfigurationError, LambdapackError, ToolError
from lambdapack.lock.resolver.process import Failure, Found
from lambdapack.lock.resolver.wheels import File, describe_files, ways_out
from lambdapack.model import Target
from lambdapack.python import pip

__all__ = ["cuda_error", "explain", "only_sdists"]

_NEAREST = 3
_WANTS_SHOWN = 8


@dataclass(frozen=True)
class _Want:
    """Somebody's wish for a package: ``requirement`` as text, and who has it."""

    name: str
    requirement: str
    who: str
    python: str = ""

    @property
    def specifier(self) -> SpecifierSet:
        return Requirement(self.requirement).specifier


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
    wants = _wants(facts)
    limits = _limits(facts)
    files = {str(canonicalize_name(name)): _files(found) for name, found in facts["files"].items()}
    for want in wants:
        there = files.get(want.name, ())
        if want.name and not any(file.fits for file in there) and unreachable:
            return pip.network_error(doing, unreachable)
        same = [other for other in wants if other.name == want.name]
        error = (
            (_conflict(same, limits, target, "") if _contradict(same, there) else None)
            or _alone(want, there, target, glibc)
            or _limited(want, limits, there)
        )
        if error is not None:
            return error
    return _conflict(wants, limits, target, str(facts.get("message", "")))


def only_sdists(failure: Failure) -> set[str]:
    """Names of packages that somebody wants, of which no wheel fits and there is an sdist."""
    if failure.kind != "unsatisfiable":
        return set()
    files = {str(canonicalize_name(name)): _files(found) for name, found in failure.facts["files"].items()}
    found = set()
    for want in _wants(failure.facts):
        if not want.name or want.python:
            continue
        there = [f for f in files.get(want.name, ()) if want.specifier.contains(f.version, prereleases=True)]
        if not any(file.fits for file in there) and any(not file.tags for file in there):
            found.add(want.name)
    return found


def _wants(facts: Mapping[str, Any]) -> list[_Want]:
    found: dict[_Want, None] = {}
    for cause in facts["causes"]:
        who = cause["parent"] or cause["origin"] or "the requirements"
        found[_Want(canonicalize_name(cause["name"]), cause["requirement"], who, cause["python"])] = None
    return list(found)


def _limits(facts: Mapping[str, Any]) -> list[_Want]:
    return [
        _Want(canonicalize_name(limit["name"]), limit["requirement"], f"constraint in {limit['origin']}")
        for limit in facts["constraints"]
    ]


def _files(found: Iterable[Mapping[str, Any]]) -> tuple[File, ...]:
    files = [File(f["filename"], Version(f["version"]), f["requires_python"], f["fits"]) for f in found]
    return tuple(sorted(files, key=lambda file: (file.version, file.filename)))


def _alone(
    want: _Want, there: Sequence[File], target: Target, glibc: tuple[int, int]
) -> LambdapackError | None:
    """The error where ``want`` cannot be met even by itself, else ``None``."""
    if want.python:
        return None
    if not there:
        return ConfigurationError(
            f"there is no package {want.name!r} in the package index (wanted by {want.who})",
            hint="check its spelling; for a private index set PIP_EXTRA_INDEX_URL or pip's configuration",
        )
    versions = sorted({file.version for file in there})
    matching = [v for v in versions if want.specifier.contains(v, prereleases=True)]
    if not matching:
        return ConfigurationError(
            f"no version of {want.name} satisfies {want.requirement!r} (wanted by {want.who}); "
            f"there are: {_nearest(want.specifier, versions)}",
            hint=f"change it to a version that there is, e.g. '{want.name}=={_newest(versions)}'",
        )
    if any(file.fits for file in there if file.version in matching):
        return None
    version = _newest(matching)
    files = [file for file in there if file.version == version]
    libc = f"glibc {glibc[0]}.{glibc[1]}"
    return ConfigurationError(
        f"{want.name} {version} has no wheel for {target} with {libc} (wanted by {want.who}); "
        f"there is {describe_files(files, target, glibc)}",
        hint=ways_out(files, target, glibc),
    )


def _contradict(wants: Sequence[_Want], there: Sequence[File]) -> bool:
    """Whether each of ``wants`` has a version, wheel or not, and no version suits them all."""
    if any(want.python for want in wants):
        return False
    versions = {file.version for file in there}
    suits = [{v for v in versions if want.specifier.contains(v, prereleases=True)} for want in wants]
    return all(suits) and not set.intersection(*suits)


def _limited(want: _Want, limits: Sequence[_Want], there: Sequence[File]) -> LambdapackError | None:
    """The error where constraints leave nothing of what ``want`` asks for."""
    mine = [limit for limit in limits if limit.name == want.name]
    if want.python or not mine:
        return None
    fitting = [f.version for f in there if f.fits and want.specifier.contains(f.version, prereleases=True)]
    if any(all(limit.specifier.contains(v, prereleases=True) for limit in mine) for v in fitting):
        return None
    return ConfigurationError(
        f"{want.requirement!r} (wanted by {want.who}) conflicts with {_listed(mine)}",
        hint="change one of them; pip's own constraints are shown by: pip config list",
    )


def _conflict(
    wants: Sequence[_Want], limits: Sequence[_Want], target: Target, message: str
) -> LambdapackError:
    python = [want for want in wants if want.python]
    if python:
        return ConfigurationError(
            f"{python[0].who} needs Python {python[0].python}, and the target is {target}",
            hint="choose another Python with --python, or another version of the package",
        )
    names = {want.name for want in wants}
    everybody = [*wants, *(limit for limit in limits if limit.name in names)]
    about = ", ".join(sorted(name for name in names if name)) or "these packages"
    wishes = "".join(f"\n  {want.who} wants {want.requirement}" for want in everybody[:_WANTS_SHOWN])
    return ConfigurationError(
        f"no version of {about} satisfies everybody who needs it:{wishes}",
        hint="loosen one of these requirements, or choose versions of the packages that agree",
        detail=None if wants else pip.tail(message),
    )


def _listed(wants: Sequence[_Want]) -> str:
    return ", ".join(f"{want.requirement!r} ({want.who})" for want in wants)


def _newest(versions: Sequence[Version]) -> Version:
    """The newest release, or the newest of all where there are only pre-releases."""
    return max([v for v in versions if not v.is_prerelease] or versions)


def _nearest(specifier: SpecifierSet, versions: Sequence[Version]) -> str:
    """The versions around the first one that ``specifier`` names, and the newest."""
    named: list[Version] = []
    for one in specifier:
        try:
            named.append(Version(one.version.removesuffix(".*")))
        except (InvalidSpecifier, ValueError):
            continue
    pivot = named[0] if named else max(versions)
    below = [v for v in versions if v < pivot][-_NEAREST:]
    above = [v for v in versions if v >= pivot][:_NEAREST]
    shown = [*below, *above]
    newest = _newest(versions)
    text = ", ".join(map(str, shown))
    return text if newest in shown else f"{text}; the newest is {newest}"


def cuda_error(found: Sequence[Found], is_cuda: Callable[[str], bool], target: Target) -> ConfigurationError:
    """The refusal of CUDA: who needs it, and how to get a build without."""
    parts = sorted(one.name for one in found if is_cuda(one.name))
    parents = {parent for one in found if is_cuda(one.name) for parent in one.parents if not is_cuda(parent)}
    who = ", ".join(sorted(parents)) or "the requirements"
    shown = ", ".join(parts[:_NEAREST]) + (
        f" and {len(parts) - _NEAREST} more" if len(parts) > _NEAREST else ""
    )
    return ConfigurationError(
        f"{who} needs CUDA ({shown}), and Lambda has no GPU; pip finds no build for the CPU alone that fits "
        f"{target}",
        hint="point pip at the project's CPU wheels (their versions end in +cpu), with PIP_EXTRA_INDEX_URL "
        f"or PIP_FIND_LINKS; or leave the CUDA packages out if it works without: --exclude {parts[0]}",
    )
