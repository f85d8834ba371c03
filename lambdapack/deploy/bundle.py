"""The function's zip: the handler's code, the shim, its decoder, and the pack's index. And its layers.

Its bytes depend on its contents alone: entries sorted, times of 1980, modes 0644 and 0755.
"""

from __future__ import annotations

import hashlib
import json
import stat
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType

import runtime_shim
from lambdapack import limits
from lambdapack.deploy import decoder, placement
from lambdapack.deploy.function import Dependencies, FunctionOptions
from lambdapack.deploy.handler import SHIM, check_entry
from lambdapack.deploy.sources import SourceFile, collect_sources
from lambdapack.elf import strip
from lambdapack.errors import CheckError, ConfigurationError
from lambdapack.files import part_file, scratch_folder
from lambdapack.model import Files, FunctionSettings, Location, Target
from lambdapack.progress import QUIET, Progress
from lambdapack.python import bytecode
from lambdapack.python.interpreter import Interpreter
from runtime_shim._index import ASSETS_FOLDER, INDEX_NAME, LOCATION_NAME, Index, IndexFormatError, decode

_EPOCH = (1980, 1, 1, 0, 0, 0)
_UNIX = 3


@dataclass(frozen=True)
class Bundle:
    """A function's zip.

    Attributes:
        path: The file.
        size: Its size in bytes.
        unzipped: What Lambda counts against its limit: the sizes of the files in zip and layers, in bytes.
        layers: The zips of the function's layers, in order.
    """

    path: Path
    size: int
    unzipped: int
    layers: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Entry:
    """A file in a zip; ``compressed`` says that its content is so already."""

    name: str
    data: bytes
    executable: bool = False
    compressed: bool = False


def make_zip(
    function: FunctionOptions,
    dependencies: Dependencies | None,
    *,
    interpreter: Interpreter | None,
    output: Path,
    cache_dir: Path,
    progress: Progress = QUIET,
) -> Bundle:
    """Write the function's zip to ``output``, and its layers beside the zip.

    Args:
        function: The function; none of its code is run.
        dependencies: Its packs; ``None`` for a function without any.
        interpreter: The target's Python, to compile bytecode with; ``None`` leaves the bytecode out.
        output: The zip; replaced at once when it is complete.
        cache_dir: Where the decoder is kept between runs.
        progress: Where to report to.

    Raises:
        ConfigurationError: The handler does not exist, the pack is for another target, or a file shadows
            the shim.
        CheckError: The index does not have the id, or the zip is larger than Lambda takes.
        ToolError: The decoder could not be fetched.
    """
    target = function.target
    index = None if dependencies is None else read_index(dependencies, target)
    assets = (function.assets or {}).values()
    files = collect_sources(function.source, function.ignore, leave_out=[output, *assets, *function.private])
    check_entry(function, files, index, progress)
    entries = code_entries(files, interpreter, target, progress)
    pieces: dict[int, list[placement.Piece]] = {}
    if dependencies is not None:
        extension = decoder.extension(target, cache_dir, progress=progress)
        entries += pack_entries(dependencies, extension, _said(function.settings))
        pieces = placement.layers(dependencies)
    bundle = _bundle(entries, output, progress, placement.size(pieces))
    contents = {number: cut(each) for number, each in pieces.items()}
    return replace(bundle, layers=write_layers(contents, f"{output.stem}.layer%d.zip", output.parent))


def _said(settings: FunctionSettings) -> dict[str, object]:
    """What the shim is said of how the function is started."""
    return {"snapshot": "all"} if settings.snap_start and settings.snapshot == "all" else {}


def read_index(dependencies: Dependencies, target: Target) -> Index:
    """The pack's index, which must be for ``target``."""
    path = dependencies.index
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"packaging: cannot read the pack's index {path}: {error.strerror}",
            hint="lambdapack build writes it beside the pack",
        ) from error
    _check_id(path, data, dependencies.pack_id)
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


def _check_id(path: Path, data: bytes, pack_id: str) -> None:
    digest = hashlib.sha256(data).hexdigest()
    if digest != pack_id:
        raise CheckError(
            f"packaging: {path} is not the index of pack {pack_id}: its digest is {digest}",
            hint="build the pack again: lambdapack build",
        )


def code_entries(
    files: Sequence[SourceFile], interpreter: Interpreter | None, target: Target, progress: Progress
) -> list[Entry]:
    """The handler's files and the shim's, with bytecode."""
    shim = Path(runtime_shim.__file__).parent
    entries = [Entry(file.name, _read(file.path), file.executable) for file in files]
    entries += [
        Entry(f"{SHIM}/{path.relative_to(shim).as_posix()}", _read(path))
        for path in sorted(shim.rglob("*.py"))
    ]
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
        return entries + [Entry(path.relative_to(root).as_posix(), path.read_bytes()) for path in compiled]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"packaging: cannot read {path}: {error.strerror}") from error


def pack_entries(
    dependencies: Dependencies,
    extension: Path | None,
    said: Mapping[str, object] = MappingProxyType({}),
) -> Iterator[Entry]:
    """The pack's index and address, the decoder ``extension``, and the assets' indexes and addresses.

    Beside the pack's address stands what else the shim is ``said``.
    """
    yield Entry(f"{SHIM}/{INDEX_NAME}", dependencies.index.read_bytes())
    if extension is not None:
        code = extension.read_bytes()
        yield Entry(f"{SHIM}/{decoder.NAME}", strip(code) or code, executable=True)
    if dependencies.location is not None:
        # What the shim begins to fetch in the background of a cold start.
        begun = [asset.name for asset in dependencies.assets if asset.fetch == "start"]
        more = {**said, "assets": begun} if begun else said
        yield _location(SHIM, dependencies.pack_id, dependencies.location, more)
    for name, pack in placement.in_zip(dependencies).items():
        yield Entry(f"{SHIM}/{name}", _read(pack), compressed=True)
    for asset in dependencies.assets:
        folder = f"{SHIM}/{ASSETS_FOLDER}/{asset.name}"
        data = _read(asset.index)
        _check_id(asset.index, data, asset.pack_id)
        yield Entry(f"{folder}/{INDEX_NAME}", data)
        if asset.location is not None:
            yield _location(folder, asset.pack_id, asset.location, {"file": asset.file})


def _location(folder: str, pack_id: str, location: Location | Files, more: Mapping[str, object]) -> Entry:
    if isinstance(location, Files):
        where: Mapping[str, object] = {"parts": location.parts}
    elif location.key.endswith(f"{pack_id}.tar.zst"):
        where = asdict(location)
    else:
        raise ConfigurationError(
            f"packaging: s3://{location.bucket}/{location.key} is not where pack {pack_id} is kept",
            hint="push this pack (lambdapack push) and package with the same --location",
        )
    document = {"id": pack_id, **where, **more}
    return Entry(
        f"{folder}/{LOCATION_NAME}", json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    )


def _bundle(entries: Sequence[Entry], output: Path, progress: Progress, in_layers: int) -> Bundle:
    unzipped = sum(len(entry.data) for entry in entries) + in_layers
    if unzipped > limits.UNZIPPED:
        largest = max(entries, key=lambda entry: len(entry.data))
        packed = in_layers or largest.compressed
        what = f"the function's own files{f', {_mib(in_layers)} of layers included,' if in_layers else ''}"
        raise CheckError(
            f"{what} are {_mib(unzipped)} unzipped, over Lambda's {_mib(limits.UNZIPPED)}; "
            f"the largest is {largest.name} with {_mib(len(largest.data))}",
            hint='set place = "s3" for the pack, or for an asset'
            if packed
            else "name what the handler does not need under ignore, and move dependencies into the pack",
        )
    with progress.step("zip the function", total=len(entries), unit="files") as advance:
        size = _write(entries, output)
        advance(len(entries))
    if size > limits.ZIP_DIRECT_UPLOAD:
        progress.warn(
            f"{output.name} is {_mib(size)}, over the {_mib(limits.ZIP_DIRECT_UPLOAD)} of a direct upload: "
            "a deployment goes through S3"
        )
    return Bundle(output, size, unzipped)


def _write(entries: Iterable[Entry], output: Path) -> int:
    with part_file(output.parent) as made:
        with zipfile.ZipFile(made.file, "w") as archive:
            for entry in sorted(entries, key=lambda entry: entry.name):
                info = zipfile.ZipInfo(entry.name, _EPOCH)
                info.create_system = _UNIX
                info.external_attr = (stat.S_IFREG | (0o755 if entry.executable else 0o644)) << 16
                info.compress_type = zipfile.ZIP_STORED if entry.compressed else zipfile.ZIP_DEFLATED
                archive.writestr(info, entry.data, compresslevel=9)
        size = made.file.tell()
        made.publish(output)
    return size


def cut(pieces: Iterable[placement.Piece]) -> Iterator[Entry]:
    """The pieces of packs, read one after the other."""
    for piece in pieces:
        with piece.pack.open("rb") as file:
            file.seek(piece.start)
            yield Entry(piece.name, file.read(piece.end - piece.start), compressed=True)


def write_layers(contents: Mapping[int, Iterable[Entry]], name: str, folder: Path) -> tuple[Path, ...]:
    """Write each layer under ``name % number``; those of an earlier run that there are no more go."""
    for number in range(1, limits.LAYERS + 1):
        path = folder / (name % number)
        if number in contents:
            _write(contents[number], path)
        else:
            path.unlink(missing_ok=True)
    return tuple(folder / (name % number) for number in sorted(contents))


def _mib(size: int) -> str:
    return f"{size / limits.MIB:.1f} MiB"
