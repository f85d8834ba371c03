"""The local cloud's functions on disk: configuration, code and packs below the state folder."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import shutil
import stat
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lambdapack import limits
from lambdapack.errors import CheckError, ConfigurationError
from lambdapack.files import locked_folder, part_file, sha256_of, sweep_folders, write_bytes
from lambdapack.model import (
    Files,
    FunctionAsset,
    FunctionSettings,
    FunctionSpec,
    Location,
    Target,
    refused_by_lambda,
)

_REMOVED = ".removed"
_UNPACKING = ".unpacking-"
_PIECE = 1024 * 1024
_FORMAT = 1
# The settings that the local cloud makes so. Roles belong to AWS.
_SETTINGS = ("memory_mb", "tmp_mb", "timeout", "environment", "mount", "snap_start")


@dataclass(frozen=True)
class Function:
    """A deployed function.

    Attributes:
        name, handler, target, settings: As in ``FunctionSpec``.
        code: SHA-256 of the zip, and the name of the folder that the zip was unpacked to.
        pack_id, location: The pack, or ``None``.
        assets: Name -> id and location of each asset.
        opt: The name of the folder that the layers were unpacked to, ``""`` without layers.
    """

    name: str
    handler: str
    target: Target
    code: str
    pack_id: str | None
    location: Location | Files | None
    settings: FunctionSettings
    assets: Mapping[str, tuple[str, Location | Files]] = field(default_factory=dict)
    opt: str = ""

    @property
    def locations(self) -> list[Location | Files]:
        """Where the function's packs are: its own and its assets'."""
        own = [self.location] if self.location else []
        return [*own, *(location for _, location in self.assets.values())]

    @property
    def objects(self) -> list[Location]:
        """The objects in S3 that the function may read."""
        return [location for location in self.locations if isinstance(location, Location)]

    @property
    def region(self) -> str:
        """The region that the function is told it runs in: the bucket's."""
        return self.location.region if isinstance(self.location, Location) else "us-east-1"

    @property
    def arn(self) -> str:
        """The function's ARN, with account 123456789012 as in AWS's own examples."""
        return f"arn:aws:lambda:{self.region}:123456789012:function:{self.name}"

    def as_dict(self) -> dict[str, Any]:
        """The function as a JSON document."""
        location = self.location
        return {
            "format": _FORMAT,
            "name": self.name,
            "handler": self.handler,
            "target": str(self.target),
            "code": self.code,
            "pack_id": self.pack_id,
            "location": asdict(location) if location else None,
            "assets": {
                name: {"id": pack_id, "location": asdict(place)}
                for name, (pack_id, place) in self.assets.items()
            },
            "opt": self.opt,
            **{name: getattr(self.settings, name) for name in _SETTINGS},
            "environment": dict(self.settings.environment),
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Function:
        """The function of such a document."""
        values = {key: value for key, value in document.items() if key not in ("format", *_SETTINGS)}
        values["settings"] = FunctionSettings(
            **{name: document[name] for name in _SETTINGS if name in document}
        )
        values["target"] = Target.parse(values["target"])
        values["location"] = _location(values["location"]) if values["location"] else None
        values["assets"] = {
            name: (asset["id"], _location(asset["location"]))
            for name, asset in values.get("assets", {}).items()
        }
        return cls(**values)


def _location(document: Mapping[str, Any]) -> Location | Files:
    if "parts" not in document:
        return Location(**document)
    return Files(document["place"], tuple((path, first) for path, first in document["parts"]))


class Functions:
    """The functions of one state folder."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.objects = state / "s3"
        self.mounts = state / "mounts"
        self._lock = state / "functions.lock"

    def put(self, spec: FunctionSpec, pack: Path | None) -> None:
        """Store a function and its pack; an earlier function of that name is replaced at once or not at all.

        The caller has seen to it that Lambda would take the settings (``check_settings``).

        Raises:
            ConfigurationError: A file is not a zip, or there is no place for a pack.
            CheckError: Zip and layers are larger than Lambda takes.
        """
        if pack and not spec.location:
            raise ConfigurationError(f"deploying {spec.name}: there is a pack, but no location for it")
        with locked(self._lock):
            _check_size(spec)
            code = self._unpack(spec.zip_path)
            opt = self._unpack(*spec.layers) if spec.layers else ""
            stored = self._file(spec.location) if spec.location else None
            if pack and stored:
                _copy(pack, stored)
            assets = {asset.name: (asset.pack_id, self._put_asset(spec.name, asset)) for asset in spec.assets}
            function = Function(
                spec.name, spec.handler, spec.target, code, spec.pack_id, spec.location, spec.settings,
                assets, opt,
            )  # fmt: skip
            if spec.settings.mount:
                self.mount(function).mkdir(parents=True, exist_ok=True)
            write_bytes(self._path(spec.name), json.dumps(function.as_dict(), indent=2).encode() + b"\n")

    def _file(self, location: Location | Files) -> Path | None:
        """Where a pack is kept for the function; ``None`` for one that its zip or its layers hold."""
        if isinstance(location, Location):
            return self.objects / location.bucket / location.key
        return self.mounts / location.parts[0][0].lstrip("/") if location.place == "mount" else None

    def _put_asset(self, name: str, asset: FunctionAsset) -> Location | Files:
        location = asset.location
        if location is None:
            raise ConfigurationError(f"deploying {name}: there is no location for the asset {asset.name}")
        stored = self._file(location)
        # A pack is named by its content, so a file of that name is the one that would be copied.
        if stored and not (stored.is_file() and stored.stat().st_size == asset.pack.stat().st_size):
            _copy(asset.pack, stored)
        return location

    def get(self, name: str) -> Function:
        """A function by name.

        Raises:
            ConfigurationError: There is no such function.
        """
        functions = {function.name: function for function in self.all()}
        if name not in functions:
            raise ConfigurationError(
                f"there is no function {name!r} in the local cloud {self.state} "
                f"(there are: {', '.join(sorted(functions)) or 'none'})",
                hint="deploy it first: lambdapack deploy --cloud local",
            )
        return functions[name]

    def all(self) -> list[Function]:
        """The functions, sorted by name."""
        functions = []
        for path in sorted((self.state / "functions").glob("*.json")):
            try:
                functions.append(Function.from_dict(json.loads(path.read_bytes())))
            except FileNotFoundError:
                continue
            except (ValueError, KeyError, TypeError) as error:
                raise ConfigurationError(
                    f"reading {path}: not a function of this version of lambdapack ({error})",
                    hint=f"remove it and deploy again: rm {path}",
                ) from None
        return functions

    def remove(self, name: str) -> None:
        """Forget a function, and its pack and assets where no other function uses them.

        Raises:
            ConfigurationError: There is no such function.
        """
        with locked(self._lock):
            self._finish_removals()
            self.get(name)
            self._path(name).replace(self._path(name).with_suffix(_REMOVED))
            self._finish_removals()

    def _finish_removals(self) -> None:
        """Remove the packs of functions that were removed; a killed ``remove`` may not have come so far."""
        for path in (self.state / "functions").glob(f"*{_REMOVED}"):
            with contextlib.suppress(ValueError, KeyError, TypeError):
                function = Function.from_dict(json.loads(path.read_bytes()))
                used = [location for other in self.all() for location in other.locations]
                for location in set(function.locations).difference(used):
                    if stored := self._file(location):
                        stored.unlink(missing_ok=True)
            path.unlink(missing_ok=True)

    def code(self, function: Function) -> Path:
        """The folder with the unpacked zip."""
        return self.state / "code" / function.code

    def opt(self, function: Function) -> Path | None:
        """The folder with the unpacked layers; ``None`` without layers."""
        return self.state / "code" / function.opt if function.opt else None

    def mount(self, function: Function) -> Path:
        """The folder that stands for the file system that the function mounts."""
        return self.mounts / str(function.settings.mount).lstrip("/")

    def _path(self, name: str) -> Path:
        return self.state / "functions" / f"{name}.json"

    def _unpack(self, *paths: Path) -> str:
        """Unpack zips into one folder; its name, which depends on their content alone."""
        # Swept although the zip may be unpacked already: by a process that was killed right after.
        sweep_folders(self.state / "code", _UNPACKING)
        try:
            digests = []
            for path in paths:
                with path.open("rb") as file:
                    digests.append(sha256_of(file))
            digest = digests[0] if len(digests) == 1 else sha256_of(io.BytesIO("".join(digests).encode()))
            destination = self.state / "code" / digest
            if not destination.is_dir():
                _extract(paths, destination)
        except FileNotFoundError:
            raise ConfigurationError(f"deploying: there is no file {path}") from None
        except (zipfile.BadZipFile, IsADirectoryError) as error:
            raise ConfigurationError(f"deploying: {path} is not a zip file ({error})") from None
        return digest

    def forget_unused(self) -> None:
        """Remove unpacked code that no function refers to; only while no environment is alive."""
        with locked(self._lock):
            used = {name for function in self.all() for name in (function.code, function.opt)}
            for folder in (self.state / "code").iterdir() if (self.state / "code").is_dir() else ():
                if folder.name not in used:
                    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Inside the block no other process holds the lock file ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def check_settings(name: str, settings: FunctionSettings, target: Target) -> None:
    """That Lambda would take a function's name and settings.

    Raises:
        ConfigurationError: Everything that Lambda would refuse.
    """
    if problems := list(refused_by_lambda(name, settings, target)):
        raise ConfigurationError("Lambda refuses these settings: " + "; ".join(problems))


def _check_size(spec: FunctionSpec) -> None:
    """That Lambda would take zip and layers together."""
    if len(spec.layers) > limits.LAYERS:
        raise CheckError(f"deploying {spec.name}: {len(spec.layers)} layers, Lambda takes {limits.LAYERS}")
    sizes = []
    for path in (spec.zip_path, *spec.layers):
        # What is no zip is refused where it is unpacked.
        with contextlib.suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
            sizes.append(sum(entry.file_size for entry in archive.infolist()))
    if sum(sizes) > limits.UNZIPPED:
        layers = f", {len(spec.layers)} layers included," if spec.layers else ""
        raise CheckError(
            f"deploying {spec.zip_path}: unzipped size{layers} is {sum(sizes)} bytes, more than Lambda's "
            f"{limits.UNZIPPED}",
            hint='set place = "s3" for the pack or an asset' if layers else "move dependencies into the pack",
        )


def _extract(paths: Sequence[Path], destination: Path) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    with locked_folder(destination.parent, _UNPACKING) as work:
        unpacked = work / "code"
        unpacked.mkdir()
        for path in paths:
            with zipfile.ZipFile(path) as archive:
                for entry in archive.infolist():
                    _extract_entry(archive, entry, unpacked)
        unpacked.chmod(0o755)
        unpacked.rename(destination)


def _extract_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, root: Path) -> None:
    path = root / entry.filename
    if ".." in entry.filename.split("/") or entry.filename.startswith("/"):
        raise ConfigurationError(f"deploying: the zip holds a path that leaves it: {entry.filename!r}")
    if entry.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        return
    mode = entry.external_attr >> 16
    if stat.S_ISLNK(mode):
        raise ConfigurationError(f"deploying: the zip holds a symbolic link: {entry.filename!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # of an earlier layer
    with archive.open(entry) as source, path.open("wb") as target:
        shutil.copyfileobj(source, target)
    # Lambda's own folder is read-only; so is this one, also where it cannot be mounted so.
    path.chmod(0o555 if mode & 0o111 else 0o444)


def _copy(source: Path, destination: Path) -> None:
    try:
        file = source.open("rb")
    except FileNotFoundError:
        raise ConfigurationError(f"deploying: there is no pack {source}") from None
    with file, part_file(destination.parent) as part:
        shutil.copyfileobj(file, part.file, _PIECE)
        part.publish(destination)
