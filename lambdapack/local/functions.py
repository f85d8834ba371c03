"""The local cloud's functions on disk: versions, aliases, code and packs below the state folder."""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from lambdapack.errors import ConfigurationError
from lambdapack.files import part_file, write_bytes
from lambdapack.local.code import CodeFolders, check_size
from lambdapack.local.function import Function
from lambdapack.local.records import Records
from lambdapack.local.versions import Alias, Versions
from lambdapack.model import FUNCTION_NAME, Files, FunctionAsset, FunctionSpec, Location, Routing

_REMOVED = ".removed"
_PIECE = 1024 * 1024


class Functions:
    """The functions of one state folder. Safe to use from several processes.

    Attributes:
        state: The folder.
        objects, mounts: Its folders for S3 and for mounted file systems.
        records: What invocations have left.
    """

    def __init__(self, state: Path) -> None:
        self.state = state
        self.objects = state / "s3"
        self.mounts = state / "mounts"
        self.records = Records(state)
        self._codes = CodeFolders(state / "code")
        self._lock = state / "functions.lock"

    def put(self, spec: FunctionSpec, pack: Path | None, *, live: bool) -> str:
        """Store a version with its pack, and with ``live`` send every call there; the version's number.

        Both take place at once or not at all. What is a version already becomes no other one. The caller has
        seen to it that Lambda would take the settings (``check_settings``).

        Raises:
            ConfigurationError: A file is not a zip, or there is no place for a pack.
            CheckError: Zip and layers are larger than Lambda takes.
        """
        if pack and not spec.location:
            raise ConfigurationError(f"deploying {spec.name}: there is a pack, but no location for it")
        with locked(self._lock):
            check_size(spec)
            function = self._store(spec, pack)
            before = self.find(spec.name) or Versions(spec.name)
            after, number = before.published(function)
            self._write(before, after.routed(Routing(number)) if live else after)
        return number

    def _store(self, spec: FunctionSpec, pack: Path | None) -> Function:
        """Put everything of a version in its place, where nothing refers to it yet."""
        code = self._codes.unpack(spec.zip_path)
        opt = self._codes.unpack(*spec.layers) if spec.layers else ""
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
        return function

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

    def find(self, name: str) -> Versions | None:
        """A function by name, ``None`` where there is no such function."""
        return self._read(name) if FUNCTION_NAME.fullmatch(name) else None

    def get(self, name: str) -> Versions:
        """A function by name.

        Raises:
            ConfigurationError: There is no such function.
        """
        found = self.find(name)
        if found is None:
            names = ", ".join(versions.name for versions in self.all())
            raise ConfigurationError(
                f"there is no function {name!r} in the local cloud {self.state} "
                f"(there are: {names or 'none'})",
                hint="deploy it first: lambdapack deploy --cloud local",
            )
        return found

    def all(self) -> list[Versions]:
        """The functions, sorted by name."""
        paths = sorted((self.state / "functions").glob("*.json"))
        return [found for path in paths if (found := self._read(path.stem))]

    def route(self, name: str, routing: Routing, note: str, *, seen: int | None) -> Alias:
        """Change the alias and its note at once, if its revision is ``seen`` (``None``: it is not there).

        Raises:
            AliasMovedError: It was changed meanwhile; nothing was done.
            ConfigurationError: There is no such function.
            ToolError: There is no such version, or the note is too long.
        """
        return self._change(name, lambda before: before.rerouted(routing, note, seen))

    def point(self, name: str, number: str) -> Alias:
        """Send every call to one version, whatever the alias was before.

        Raises:
            ConfigurationError: There is no such function.
            ToolError: There is no such version.
        """
        return self._change(name, lambda before: before.routed(Routing(number)))

    def _change(self, name: str, change: Callable[[Versions], Versions]) -> Alias:
        with locked(self._lock):
            before = self.get(name)
            after = change(before)
            self._write(before, after)
        assert after.alias is not None
        return after.alias

    def remove(self, name: str) -> None:
        """Forget a function, its logs, and its packs where no other function uses them.

        Raises:
            ConfigurationError: There is no such function.
        """
        with locked(self._lock):
            self._finish_removals()
            self.get(name)
            self._path(name).replace(self._path(name).with_suffix(_REMOVED))
            self._finish_removals()

    def remove_versions(self, name: str, numbers: Collection[str]) -> None:
        """Forget versions of a function, and their packs where no version of any function uses them.

        Raises:
            ConfigurationError: There is no such function or version, or the alias sends calls there.
        """
        with locked(self._lock):
            self._finish_removals()
            before = self.get(name)
            gone = Versions(name, tuple(before.get(number) for number in numbers))
            after = before.without(numbers)
            # First what is to be removed afterwards, should this process be killed between.
            write_bytes(self._path(f"{name}.versions").with_suffix(_REMOVED), _document(gone))
            self._write(before, after)
            self._finish_removals()

    def _finish_removals(self) -> None:
        """Remove the packs of what was removed; a killed command may not have come so far."""
        for path in (self.state / "functions").glob(f"*{_REMOVED}"):
            with contextlib.suppress(ValueError, KeyError, TypeError):
                gone = Versions.from_dict(json.loads(path.read_bytes()))
                used = {place for other in self.all() for each in other.functions for place in each.locations}
                for place in {place for each in gone.functions for place in each.locations}.difference(used):
                    if stored := self._file(place):
                        stored.unlink(missing_ok=True)
                self._forget_records()
            path.unlink(missing_ok=True)

    def size(self, function: Function) -> int | None:
        """Bytes of a version's pack; ``None`` for one that its zip or its layers hold, and without a pack."""
        stored = self._file(function.location) if function.location else None
        return stored.stat().st_size if stored and stored.is_file() else None

    def missing_packs(self, function: Function) -> list[Path]:
        """The packs of a version that ought to be in the state folder and are not."""
        stored = (self._file(location) for location in function.locations)
        return [path for path in stored if path and not path.is_file()]

    def code(self, function: Function) -> Path:
        """The folder with the unpacked zip."""
        return self._codes.root / function.code

    def opt(self, function: Function) -> Path | None:
        """The folder with the unpacked layers; ``None`` without layers."""
        return self._codes.root / function.opt if function.opt else None

    def mount(self, function: Function) -> Path:
        """The folder that stands for the file system that the function mounts."""
        return self.mounts / str(function.settings.mount).lstrip("/")

    def forget_unused(self) -> None:
        """Remove unpacked code that no version refers to; only while no environment is alive."""
        with locked(self._lock):
            self._finish_removals()
            functions = [function for versions in self.all() for function in versions.functions]
            self._codes.keep({name for function in functions for name in (function.code, function.opt)})
            self._forget_records()

    def _forget_records(self) -> None:
        self.records.keep({versions.name for versions in self.all()})

    def _path(self, name: str) -> Path:
        return self.state / "functions" / f"{name}.json"

    def _read(self, name: str) -> Versions | None:
        """A function's versions, ``None`` where there is no such function."""
        path = self._path(name)
        try:
            return Versions.from_dict(json.loads(path.read_bytes()))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(
                f"reading {path}: not a function of this version of lambdapack ({error})",
                hint=f"remove it and deploy again: rm {path}",
            ) from None

    def _write(self, before: Versions, after: Versions) -> None:
        if after != before:
            write_bytes(self._path(after.name), _document(after))


def _document(versions: Versions) -> bytes:
    return json.dumps(versions.as_dict(), indent=2).encode() + b"\n"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Inside the block no other process holds the lock file ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _copy(source: Path, destination: Path) -> None:
    try:
        file = source.open("rb")
    except FileNotFoundError:
        raise ConfigurationError(f"deploying: there is no pack {source}") from None
    with file, part_file(destination.parent) as part:
        shutil.copyfileobj(file, part.file, _PIECE)
        part.publish(destination)
