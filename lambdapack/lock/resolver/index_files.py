"""The files of one version: which one a target takes, and in words what there is and what would help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from lambdapack import limits
from lambdapack.errors import ConfigurationError
from lambdapack.lock.requirements.locked import LockedFile, LockedPackage
from lambdapack.lock.resolver.solution import NoLockError
from lambdapack.model import Target
from lambdapack.model.runtimes import PYTHONS
from lambdapack.python import wheel_tags


@dataclass(frozen=True)
class IndexFile:
    """A file that the index has.

    Attributes:
        filename: Of a wheel or an sdist.
        version: The package's version.
        requires_python: E.g. ``>=3.10``; empty for any Python.
        fits: Whether pip would take it for the target.
    """

    filename: str
    version: Version
    requires_python: str
    fits: bool

    @property
    def tags(self) -> frozenset[Tag]:
        """A wheel's tags; none for an sdist."""
        try:
            return parse_wheel_filename(self.filename)[3]
        except InvalidWheelFilename:
            return frozenset()


def describe_files(files: Sequence[IndexFile], target: Target, glibc: tuple[int, int]) -> str:
    """``an sdist, and wheels for glibc 2.28 or newer, for Python 3.12, 3.13`` and the like."""
    kinds: dict[str, None] = {}
    if any(not file.tags for file in files):
        kinds["an sdist"] = None
    refusing = {file.requires_python for file in files if not _takes_python(file, target)}
    if refusing:
        kinds[f"that it needs Python {', '.join(sorted(refusing))}"] = None
    newer = _needed_glibc(files, target, glibc)
    if newer:
        kinds[f"a wheel for glibc {newer[0]}.{newer[1]} or newer"] = None
    pythons = _other_pythons(files, target, glibc)
    if pythons:
        kinds[f"a wheel for Python {', '.join(pythons)}"] = None
    if _other_arch(files, target, glibc):
        kinds[f"a wheel for {_other(target).arch}"] = None
    if not newer and not pythons and any(file.tags for file in files):
        systems = sorted({_system(tag) for file in files for tag in file.tags} - {"Linux", "any system"})
        if systems:
            kinds[f"a wheel for {', '.join(systems)}"] = None
    if files and not any(kind.startswith("a wheel") for kind in kinds) and any(file.tags for file in files):
        others = sorted({tag.interpreter for file in files for tag in file.tags})
        kinds[f"a wheel for {', '.join(others)}"] = None
    if kinds == {"an sdist": None}:
        return "only an sdist"
    return ", ".join(kinds) or "nothing else"


def ways_out(files: Sequence[IndexFile], target: Target, glibc: tuple[int, int]) -> str:
    """The options that would find a file, the surest first."""
    ways = []
    newer = _needed_glibc(files, target, glibc)
    if newer:
        ways.append(f"--glibc {newer[0]}.{newer[1]} if it will run in a container image")
    pythons = _other_pythons(files, target, glibc)
    if pythons:
        ways.append(f"--python {pythons[-1]}")
    if _other_arch(files, target, glibc):
        ways.append(f"--arch {_other(target).arch}")
    if any(not file.tags for file in files):
        ways.append("--builder docker, which builds sdists")
    ways.append("another version of the package, or your own wheel of it in a folder (PIP_FIND_LINKS)")
    return "; or ".join(ways)


def _takes_python(file: IndexFile, target: Target) -> bool:
    try:
        return SpecifierSet(file.requires_python).contains(f"{target.python}.99", prereleases=True)
    except InvalidSpecifier:
        return True


def _needed_glibc(
    files: Sequence[IndexFile], target: Target, glibc: tuple[int, int]
) -> tuple[int, int] | None:
    """The oldest C library above ``glibc`` that one of the wheels would run with on this target."""
    minors = [
        wheel_tags.glibc_minor(tag.platform, target.machine) or 0
        for file in files
        if _usable(file, target, wheel_tags.ANY_GLIBC)
        for tag in file.tags
    ]
    above = [minor for minor in minors if minor > glibc[1]]
    return (2, min(above)) if above else None


def _other_pythons(files: Sequence[IndexFile], target: Target, glibc: tuple[int, int]) -> list[str]:
    """Lambda's Pythons that one of the wheels would run on, on this architecture."""
    others = [Target(python, target.arch) for python in PYTHONS]
    return [
        other.python
        for other in others
        if other != target and any(_usable(file, other, max(glibc, other.glibc)) for file in files)
    ]


def _usable(file: IndexFile, target: Target, glibc: tuple[int, int]) -> bool:
    return _takes_python(file, target) and wheel_tags.fits(file.filename, target, glibc)


def _other(target: Target) -> Target:
    return Target(target.python, next(arch for arch in limits.ARCHITECTURES if arch != target.arch))


def _other_arch(files: Sequence[IndexFile], target: Target, glibc: tuple[int, int]) -> bool:
    return any(_usable(file, _other(target), glibc) for file in files)


def _system(tag: Tag) -> str:
    if tag.platform == "any":
        return "any system"
    if tag.platform.startswith("win"):
        return "Windows"
    if tag.platform.startswith("macosx"):
        return "macOS"
    if tag.platform.startswith("musllinux"):
        return "musl (Alpine)"
    return "Linux"


def best_file(
    package: LockedPackage, target: Target, glibc: tuple[int, int], *, builds: bool, sdist: bool = False
) -> LockedFile:
    """The best file of ``package``, whose files all have names: as pip would choose, a wheel before an sdist.

    ``builds`` says whether sdists can be built, and ``sdist`` that the file has to be one.

    Raises:
        NoLockError: No file fits; final where none would with a newer C library either.
    """
    ranks = wheel_tags.ranks(target, glibc)
    ranked = [(rank, file) for file in package.files if (rank := _rank(file.name, ranks)) is not None]
    if ranked and not sdist:
        return min(ranked, key=lambda pair: pair[0])[1]
    sdists = [file for file in package.files if not file.name.endswith(".whl")]
    if sdists and builds:
        return min(sdists, key=lambda file: file.name)
    files = [IndexFile(file.name, Version(package.version), "", fits=False) for file in package.files]
    newer = any(wheel_tags.fits(file.name, target, wheel_tags.ANY_GLIBC) for file in package.files)
    there = describe_files(files, target, glibc) if files else "no file at all"
    error = ConfigurationError(
        f"{package.where}: {package.name} {package.version} has no {'sdist' if sdist else 'wheel'} for "
        f"{target} with glibc {glibc[0]}.{glibc[1]} in the lock; there is {there}",
        hint=f"{ways_out(files, target, glibc)}; or lock it again for this target",
    )
    raise NoLockError(error, is_final=not newer)


def _rank(filename: str, ranks: Mapping[Tag, int]) -> tuple[int, int] | None:
    """How well a wheel fits, the least is the best; among equals the highest build number comes first."""
    try:
        _, _, build, tags = parse_wheel_filename(filename)
    except (InvalidWheelFilename, InvalidVersion):
        return None
    fitting = [ranks[tag] for tag in tags if tag in ranks]
    return (min(fitting), -build[0] if build else 1) if fitting else None
