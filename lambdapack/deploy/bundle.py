"""The function's zip: the handler's code, the shim, its decoder, and the pack's index.

Its bytes depend on its contents alone: entries sorted, times of 1980, modes 0644 and 0755.
"""

from __future__ import annotations

import hashlib
import json
import stat
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import runtime_shim
from lambdapack import limits
from lambdapack.deploy import decoder
from lambdapack.deploy import handler as handlers
from lambdapack.deploy.sources import SourceFile, collect
from lambdapack.elf import strip
from lambdapack.errors import CheckError, ConfigurationError
from lambdapack.files import part_file, scratch_folder
from lambdapack.model import FunctionAsset, Location, Target
from lambdapack.progress import QUIET, Progress
from lambdapack.python import bytecode
from lambdapack.python.interpreter import Interpreter
from runtime_shim._index import (
    ASSETS_FOLDER,
    CODE,
    EXTENSION,
    INDEX_NAME,
    LOCATION_NAME,
    SOURCE,
    Index,
    IndexFormatError,
    decode,
)

__all__ = ["Bundle", "make_zip"]

_EPOCH = (1980, 1, 1, 0, 0, 0)
_UNIX = 3


@dataclass(frozen=True)
class Bundle:
    """A function's zip.

    Attributes:
        path: Where it is.
        size: Its size in bytes.
        unzipped: What Lambda counts against its limit: the sizes of its files, in bytes.
    """

    path: Path
    size: int
    unzipped: int


@dataclass(frozen=True)
class _Entry:
    name: str
    data: bytes
    executable: bool = False


def make_zip(
    source: Path,
    *,
    handler: str,
    pack: Path | None = None,
    pack_id: str | None = None,
    location: Location | None = None,
    assets: Sequence[FunctionAsset] = (),
    target: Target,
    interpreter: Interpreter | None = None,
    output: Path,
    cache_dir: Path,
    ignore: Sequence[str] = (),
    leave_out: Sequence[Path] = (),
    environment: Mapping[str, str] | None = None,
    progress: Progress = QUIET,
) -> Bundle:
    """Write the function's zip to ``output``.

    Args:
        source: The folder that holds the handler's code.
        handler: ``module.function``, or ``runtime_shim.handler``.
        pack: The pack's index file (``<id>.index.json``); ``None`` for a function without a pack.
        pack_id: Its id, checked against the file.
        location: Where the pack is in S3.
        assets: The function's assets; those to be fetched at the start in that order.
        target: The function's Python and architecture.
        interpreter: The target's Python, to compile bytecode with; ``None`` leaves the bytecode out.
        output: The zip; replaced at once when it is complete.
        cache_dir: Where the decoder is kept between runs.
        ignore: Further patterns of files to leave out (``sources.collect``).
        leave_out: Files and folders to leave out: the assets' own.
        environment: The function's variables, where they are known: says which handler
            ``runtime_shim.handler`` wraps.
        progress: Where to report to.

    Raises:
        ConfigurationError: The handler does not exist, the pack is for another target, or a file shadows
            the shim.
        CheckError: The index does not have the id, or the zip is larger than Lambda takes.
        ToolError: The decoder could not be fetched.
    """
    index = None if pack is None else _read_index(pack, pack_id, target)
    files = collect(source, ignore, leave_out=[output, *leave_out])
    _check_shadowing(files)
    _check_handler(handler, files, index, target, environment=environment, progress=progress)
    entries = _compiled(files, interpreter, target, progress)
    if index is not None and pack is not None:
        begun = [asset.name for asset in assets if asset.fetch == "start"]
        entries += _pack_entries(pack, location, begun, target, cache_dir=cache_dir, progress=progress)
        for asset in assets:
            entries += _asset_entries(asset)
    unzipped = sum(len(entry.data) for entry in entries)
    _check_unzipped(unzipped, entries)
    with progress.step("zip the function", total=len(entries), unit="files") as advance:
        size = _write(entries, output)
        advance(len(entries))
    if size > limits.ZIP_DIRECT_UPLOAD:
        progress.warn(
            f"{output.name} is {_mib(size)}, over the {_mib(limits.ZIP_DIRECT_UPLOAD)} of a direct upload: "
            "a deployment goes through S3"
        )
    return Bundle(output, size, unzipped)


def _read_index(path: Path, pack_id: str | None, target: Target) -> Index:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"packaging: cannot read the pack's index {path}: {error.strerror}",
            hint="lambdapack build writes it beside the pack",
        ) from error
    found = hashlib.sha256(data).hexdigest()
    _check_id(path, found, pack_id)
    try:
        index = decode(data)
    except IndexFormatError as error:
        raise CheckError(
            f"packaging: {path}: {error}", hint="build the pack again: lambdapack build"
        ) from error
    if index.target != str(target):
        raise ConfigurationError(
            f"packaging: the pack is for {index.target} and the function for {target}",
            hint=f"build the pack with --python {target.python} --arch {target.arch}, or change the function",
        )
    return index


def _check_id(path: Path, found: str, wanted: str | None) -> None:
    if wanted is not None and found != wanted:
        raise CheckError(
            f"packaging: {path} is not the index of pack {wanted}: its digest is {found}",
            hint="build the pack again: lambdapack build",
        )


def _check_shadowing(files: Iterable[SourceFile]) -> None:
    for file in files:
        top = file.name.split("/")[0]
        if top == handlers.SHIM or ("/" not in file.name and top.split(".")[0] == handlers.SHIM):
            raise ConfigurationError(
                f"packaging: {file.path} would hide the shim, which lambdapack adds as {handlers.SHIM}/",
                hint="rename it, or name it under ignore if it is an old copy",
            )


def _check_handler(
    handler: str,
    files: Sequence[SourceFile],
    index: Index | None,
    target: Target,
    *,
    environment: Mapping[str, str] | None,
    progress: Progress,
) -> None:
    wrapped = handler == handlers.SHIM_HANDLER
    if wrapped:
        if environment is None:
            return
        handler = _wrapped(environment)
    packed = _top_level(index) if index is not None else frozenset()
    if wrapped and handler.replace("/", ".").split(".")[0] in packed:
        return
    modules = handlers.Modules.of({file.name: file.path for file in files}, target.version)
    module = handlers.check(handler, modules)
    for name in sorted(packed & {name.split(".")[0] for name in modules.files}):
        progress.warn(f"{name} is both in the handler's folder and in the pack: the handler's folder wins")
    early = None if wrapped or index is None else handlers.first_of_pack(module, modules, packed)
    if early is not None:
        what = "never imports runtime_shim" if early == "*" else f"imports {early} before runtime_shim"
        progress.warn(
            f"the handler's module {module} {what}, so the pack will not be there: make "
            f"'import runtime_shim' its first line, or set the handler to {handlers.SHIM_HANDLER} and "
            f"{handlers.WRAPPED_VARIABLE}={handler}"
        )


def _wrapped(environment: Mapping[str, str]) -> str:
    if handlers.WRAPPED_VARIABLE not in environment:
        raise ConfigurationError(
            f"the handler {handlers.SHIM_HANDLER} does not know which handler to call: "
            f"{handlers.WRAPPED_VARIABLE} is not set",
            hint=f"set {handlers.WRAPPED_VARIABLE}=app.handler in the function's environment",
        )
    return environment[handlers.WRAPPED_VARIABLE]


def _top_level(index: Index) -> frozenset[str]:
    """The names that the pack adds to ``import``."""
    names = set()
    for path, letter in zip(index.paths, index.classes, strict=True):
        first, slash, _ = path.partition("/")
        if letter in (CODE, SOURCE, EXTENSION):
            names.add(path.rpartition("/")[2].split(".")[0] if first == "__pycache__" or not slash else first)
    return frozenset(names)


def _compiled(
    files: Sequence[SourceFile], interpreter: Interpreter | None, target: Target, progress: Progress
) -> list[_Entry]:
    """The handler's files and the shim's, with bytecode."""
    shim = Path(runtime_shim.__file__).parent
    wanted = [
        *files,
        *(
            SourceFile(f"{handlers.SHIM}/{path.relative_to(shim).as_posix()}", path, False)
            for path in sorted(shim.rglob("*.py"))
        ),
    ]
    entries = [_Entry(file.name, _read(file.path), file.executable) for file in wanted]
    if interpreter is None:
        progress.note(f"no Python {target.python} here: the function's own code ships without bytecode")
        return entries
    with scratch_folder() as root:
        for entry in entries:
            if entry.name.endswith(".py"):
                path = root / entry.name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(entry.data)
        bytecode.compile_tree(root, interpreter, progress=progress)
        compiled = sorted(root.rglob("*.pyc"))
        entries += [_Entry(path.relative_to(root).as_posix(), path.read_bytes()) for path in compiled]
    return entries


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"packaging: cannot read {path}: {error.strerror}") from error


def _pack_entries(
    pack: Path,
    location: Location | None,
    begun: Sequence[str],
    target: Target,
    *,
    cache_dir: Path,
    progress: Progress,
) -> list[_Entry]:
    data = pack.read_bytes()
    pack_id = hashlib.sha256(data).hexdigest()
    extension = decoder.extension(target, cache_dir, progress=progress).read_bytes()
    entries = [
        _Entry(f"{handlers.SHIM}/{INDEX_NAME}", data),
        _Entry(f"{handlers.SHIM}/{decoder.NAME}", strip(extension) or extension, executable=True),
    ]
    if location is not None:
        more = {"assets": begun} if begun else {}
        entries.append(_location(handlers.SHIM, pack_id, location, more))
    return entries


def _location(folder: str, pack_id: str, location: Location, more: Mapping[str, object]) -> _Entry:
    if not location.key.endswith(f"{pack_id}.tar.zst"):
        raise ConfigurationError(
            f"packaging: s3://{location.bucket}/{location.key} is not where pack {pack_id} is kept",
            hint="push this pack (lambdapack push) and package with the same --location",
        )
    document = {"id": pack_id, **asdict(location), **more}
    return _Entry(
        f"{folder}/{LOCATION_NAME}", json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    )


def _asset_entries(asset: FunctionAsset) -> Iterator[_Entry]:
    folder = f"{handlers.SHIM}/{ASSETS_FOLDER}/{asset.name}"
    data = _read(asset.index)
    _check_id(asset.index, hashlib.sha256(data).hexdigest(), asset.pack_id)
    yield _Entry(f"{folder}/{INDEX_NAME}", data)
    if asset.location is not None:
        yield _location(folder, asset.pack_id, asset.location, {"file": asset.file})


def _check_unzipped(unzipped: int, entries: Iterable[_Entry]) -> None:
    if unzipped > limits.UNZIPPED:
        largest = max(entries, key=lambda entry: len(entry.data))
        raise CheckError(
            f"the function's own files are {_mib(unzipped)} unzipped, over Lambda's {_mib(limits.UNZIPPED)}; "
            f"the largest is {largest.name} with {_mib(len(largest.data))}",
            hint="name what the handler does not need under ignore, and move dependencies into the pack",
        )


def _write(entries: Iterable[_Entry], output: Path) -> int:
    with part_file(output.parent) as made:
        with zipfile.ZipFile(made.file, "w") as archive:
            for entry in sorted(entries, key=lambda entry: entry.name):
                info = zipfile.ZipInfo(entry.name, _EPOCH)
                info.create_system = _UNIX
                info.external_attr = (stat.S_IFREG | (0o755 if entry.executable else 0o644)) << 16
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, entry.data, compresslevel=9)
        size = made.file.tell()
        made.publish(output)
    return size


def _mib(size: int) -> str:
    return f"{size / limits.MIB:.1f} MiB"
