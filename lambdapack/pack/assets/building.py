"""Assets -> packs; the pack of an asset that has not changed is not made again."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path

import zstandard

from lambdapack import pack
from lambdapack.errors import LambdapackError, ToolError
from lambdapack.files import write_bytes
from lambdapack.limits import MIB
from lambdapack.pack.assembly import Extent, Label, Pack, assemble, check_level, compress
from lambdapack.pack.assets import record
from lambdapack.pack.assets.collect import Asset, Content, collect, digest, settled
from lambdapack.pack.assets.record import BuiltAsset
from lambdapack.pack.stream import Stream
from lambdapack.progress import QUIET, Progress
from runtime_shim import _index

_TOOL = "lambdapack asset 1"
"""In the index, and so in the id: a new version of lambdapack does not upload the same model again."""
_FRAME = 8 * MIB
_NO_LOCK = hashlib.sha256().hexdigest()
_PROBE_LEVEL = 1
_WORTH = 0.95
"""A frame that the fastest level leaves above this share of its size is kept as that level made it: weights
are noise, and the best level takes a hundred times as long to save the last per cent of it."""


def check(assets: Sequence[Asset]) -> None:
    """Look whether ``assets`` can be built, before anything slow is done; raises as ``build`` does."""
    for asset in assets:
        collect(asset)


def build(
    assets: Sequence[Asset], directory: Path, *, jobs: int | None = None, progress: Progress = QUIET
) -> tuple[BuiltAsset, ...]:
    """Build each asset's pack into ``directory``/assets and write ``directory``/assets.json.

    An asset whose content is that of an earlier build there is not compressed again; packs of assets that
    are gone are removed.

    Raises:
        ConfigurationError: A path does not exist, is empty, or holds what a pack cannot carry.
        ToolError: A file cannot be read or changed meanwhile; the folder cannot be written to.
    """
    before: dict[str, BuiltAsset] = {}
    with suppress(LambdapackError):
        before = {asset.inputs: asset for asset in record.read(directory)}
    known = record.read_stamps(directory)
    fresh: record.Known = {}
    built = []
    for asset in assets:
        began = time.time_ns()
        content = collect(asset)
        digests = digest(content, known.get(asset.name, {}))
        stamps = settled(content, began)
        fresh[asset.name] = {name: (stamp, digests[name]) for name, stamp in stamps.items()}
        built.append(_build(asset, content, digests, before, directory, jobs=jobs, progress=progress))
    _publish(built, fresh, directory)
    return tuple(built)


def _build(
    asset: Asset,
    content: Content,
    digests: Mapping[str, str],
    before: Mapping[str, BuiltAsset],
    directory: Path,
    *,
    jobs: int | None,
    progress: Progress,
) -> BuiltAsset:
    inputs = _inputs(asset, content, digests)
    earlier = before.get(inputs)
    if earlier is not None and _sound(earlier, directory):
        progress.note(f"asset {asset.name}: unchanged, reused")
        pack_id, size = earlier.id, earlier.bytes
    else:
        made = _write(asset, content, directory / record.FOLDER, jobs=jobs, progress=progress)
        if collect(asset).files != content.files:
            raise ToolError(f"asset {asset.name} changed while it was packed", hint="run the build again")
        pack_id, size = made.id, made.path.stat().st_size
    return BuiltAsset(
        name=asset.name,
        id=pack_id,
        pack=f"{record.FOLDER}/{pack_id}.tar.zst",
        index=f"{record.FOLDER}/{pack_id}.index.json",
        file=content.single,
        fetch=asset.fetch,
        inputs=inputs,
        bytes=size,
        unpacked_bytes=content.size,
        files=len(content.files),
    )


def _write(asset: Asset, content: Content, directory: Path, *, jobs: int | None, progress: Progress) -> Pack:
    """Write the pack into ``directory``: the same bytes for the same files, wherever they lie.

    A thin sibling of ``lambdapack.pack.write``: no classes, no bands, no trace. Frames are of one size, and
    what does not become smaller is not squeezed for long.
    """
    check_level(asset.level)
    stream = Stream(content.files)
    extents = list(pairwise([*_cuts([*stream.starts, stream.files_end]), stream.end]))
    label = Label(
        target=_index.ANY_TARGET,
        lock=_NO_LOCK,
        tool=_TOOL,
        glibc="",
        hot=0,
        eager=len(extents),
        classes=_index.DATA * len(content.files),
    )
    return assemble(
        stream,
        extents,
        label,
        directory,
        compressor=partial(_compress, level=asset.level),
        jobs=jobs,
        progress=progress,
        doing=f"compress {asset.name}",
    )


def _cuts(starts: Sequence[int]) -> Iterator[int]:
    """Where frames begin: before a header, or inside a large file; ``starts`` end where the files do."""
    begin = 0
    yield begin
    for start, stop in pairwise(starts):
        if start > begin and stop - begin > _FRAME:
            begin = start
            yield begin
        pieces = -(-(stop - start) // _FRAME)
        for piece in range(1, pieces):
            begin = start + (stop - start) * piece // pieces
            yield begin


def _compress(data: bytearray, _extent: Extent, *, level: int) -> bytes:
    quick = compress(data, min(level, _PROBE_LEVEL))
    return quick if len(quick) > len(data) * _WORTH or level <= _PROBE_LEVEL else compress(data, level)


def _inputs(asset: Asset, content: Content, digests: Mapping[str, str]) -> str:
    """SHA-256 over everything that decides the bytes: not the asset's name, nor its path."""
    inputs = {
        "tool": _TOOL,
        "zstandard": zstandard.__version__,
        "level": asset.level,
        "files": [[file.name, file.executable, digests[file.name]] for file in content.files],
    }
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()


def _sound(asset: BuiltAsset, directory: Path) -> bool:
    """Whether an earlier pack is still there, whole. Its frames are not read: functions verify them."""
    path = directory / asset.pack
    try:
        return (
            path.stat().st_size == asset.bytes
            and pack.read_index(path)[0] == asset.id
            and hashlib.sha256((directory / asset.index).read_bytes()).hexdigest() == asset.id
        )
    except (OSError, LambdapackError):
        return False


def _publish(built: Sequence[BuiltAsset], stamps: record.Known, directory: Path) -> None:
    """assets.json makes the packs current; then packs that it does not name are removed."""
    folder = directory / record.FOLDER
    if not built:
        (directory / record.FILE_NAME).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        return
    document = json.dumps(record.document(built), indent=2)
    write_bytes(directory / record.FILE_NAME, document.encode() + b"\n")
    record.write_stamps(stamps, directory)
    kept = {Path(name).name for asset in built for name in (asset.pack, asset.index)}
    for path in folder.glob("*"):
        if path.name not in kept and path.name.endswith((".tar.zst", ".index.json")):
            path.unlink(missing_ok=True)
