"""Which of a locked package's files a target takes."""

from __future__ import annotations

from collections.abc import Mapping

from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from lambdapack.errors import ConfigurationError
from lambdapack.lock.requirements.locked import LockedFile, LockedPackage
from lambdapack.lock.resolver.index_files import IndexFile, describe_files, ways_out
from lambdapack.lock.resolver.solution import NoLockError
from lambdapack.model import Target
from lambdapack.python import wheel_tags


def best_file(
    package: LockedPackage, target: Target, glibc: tuple[int, int], *, builds: bool, sdist: bool = False
) -> LockedFile:
    """The best file of ``package`` for ``target``: as pip would choose, a wheel before an sdist.

    Args:
        package: A package whose files all have names.
        target: What the file is for.
        glibc: The newest C library that a wheel may ask for.
        builds: Whether sdists can be built.
        sdist: Whether the file has to be an sdist.

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
