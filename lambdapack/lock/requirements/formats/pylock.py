"""``pylock.toml`` (PEP 751), read and checked by the packaging library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from packaging.utils import canonicalize_name

from lambdapack.errors import ConfigurationError
from lambdapack.lock.requirements.fields import Fields, read_toml
from lambdapack.lock.requirements.locked import (
    LockedFile,
    LockedPackage,
    LockFile,
    Scope,
    Selection,
    from_repository,
)

if TYPE_CHECKING:
    from packaging.pylock import Package, PackageSdist, PackageWheel, Pylock

_PYPI_FILES = "files.pythonhosted.org"


@dataclass(frozen=True)
class PylockFile(LockFile):
    """A sound ``pylock.toml``."""

    lock: Pylock

    def select(self, scope: Scope) -> Selection:
        """The packages whose markers hold."""
        if self.lock.requires_python is not None:
            scope.check_python(self.fields, str(self.lock.requires_python))
        if self.lock.environments and not any(
            marker.evaluate(dict(scope.environment)) for marker in self.lock.environments
        ):
            raise ConfigurationError(
                f"{self.path}: environments: none of those that it was made for is the target's",
                hint="lock again for the target",
            )
        groups = {
            name for name in self.lock.dependency_groups or () if canonicalize_name(name) in scope.groups
        }
        variables: dict[str, Any] = {
            **scope.environment,
            "extras": scope.extras,
            "dependency_groups": frozenset(groups.union(self.lock.default_groups or ())),
        }
        chosen: dict[str, LockedPackage] = {}
        for number, package in enumerate(self.lock.packages):
            if package.marker is not None and not package.marker.evaluate(variables, context="lock_file"):
                continue
            fields = Fields(self.path, f"packages[{number}]", self.fields.table["packages"][number])
            if package.requires_python is not None:
                scope.check_python(fields, str(package.requires_python))
            if package.name in chosen:
                raise ConfigurationError(
                    f"{fields.where}: {package.name} is there twice for the target",
                    hint="extras or groups that conflict were asked for together",
                )
            chosen[package.name] = self._locked(package, fields)
        return Selection(tuple(chosen.values()), self._requested(chosen))

    def _requested(self, chosen: Mapping[str, LockedPackage]) -> tuple[str, ...] | None:
        """What no other package needs; unknown where the lock does not say what needs what."""
        lists = [package.dependencies for package in self.lock.packages if package.name in chosen]
        if all(dependencies is None for dependencies in lists):
            return None
        needed = {str(entry.get("name")) for dependencies in lists for entry in dependencies or ()}
        return tuple(name for name in chosen if name not in needed)

    def _locked(self, package: Package, fields: Fields) -> LockedPackage:
        version = str(package.version or "")
        if package.vcs is not None:
            raise from_repository(fields, package.name)
        if package.directory is not None:
            folder = str(Path(package.directory.path, package.directory.subdirectory or ""))
            return self.direct(fields, package.name, version, folder)
        if package.archive is not None:
            file = package.archive
            hashes = [f"sha256:{file.hashes['sha256']}"] if "sha256" in file.hashes else []
            return self.direct(fields, package.name, version, file.url or str(file.path), hashes)
        return LockedPackage(package.name, version, tuple(_files(package, fields)), None, fields.where)


def read(path: Path) -> PylockFile:
    """Read and check ``path``."""
    from packaging.pylock import Pylock, PylockValidationError  # noqa: PLC0415 - slow to import

    fields = read_toml(path)
    try:
        lock = Pylock.from_dict(fields.table)
    except PylockValidationError as error:
        key = f"{error.context}: " if error.context else ""
        raise ConfigurationError(
            f"{path}: {key}{error.message[:1].lower()}{error.message[1:]}",
            hint="make the lock again with the tool that wrote it",
        ) from None
    registries = dict.fromkeys(("", package.index) for package in lock.packages if package.index)
    groups = frozenset(canonicalize_name(name) for name in lock.dependency_groups or ())
    return PylockFile(path, fields, tuple(registries), frozenset(lock.extras or ()), groups, lock)


def _files(package: Package, fields: Fields) -> Iterator[LockedFile]:
    files: list[PackageWheel | PackageSdist] = [*(package.wheels or ())]
    files += [package.sdist] if package.sdist is not None else []
    for file in files:
        if "sha256" not in file.hashes:
            raise ConfigurationError(
                f"{fields.where}: {file.filename}: expected a sha256 hash, found "
                f"{', '.join(sorted(file.hashes))}"
            )
        location = ""
        # Nothing where the lock names an index, or the file is PyPI's.
        if not package.index and urlsplit(file.url or "").hostname != _PYPI_FILES:
            location = file.url or str((fields.path.parent / str(file.path)).resolve())
        yield LockedFile(file.filename, f"sha256:{str(file.hashes['sha256']).lower()}", location)
