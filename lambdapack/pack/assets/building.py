"""Assets -> packs; the pack of an asset that has not changed is not made again."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import zstandard

from lambdapack import pack
from lambdapack.errors import LambdapackError, ToolError
from lambdapack.pack.assets import record, writing
from lambdapack.pack.assets.collect import Asset, Content, collect, digest, settled
from lambdapack.pack.assets.record import BuiltAsset
from lambdapack.progress import QUIET, Progress


def check(assets: Sequence[Asset]) -> None:
    """Look whether ``assets`` can be built, before anything slow is done.

    Raises:
        ConfigurationError: As ``build``.
    """
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
    before = {asset.inputs: asset for asset in _earlier(directory)}
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
        made = writing.write(
            content, directory / record.FOLDER, level=asset.level, jobs=jobs, progress=progress,
            name=asset.name,
        )  # fmt: skip
        if collect(asset).stamps != content.stamps:
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


def _inputs(asset: Asset, content: Content, digests: Mapping[str, str]) -> str:
    """SHA-256 over everything that decides the bytes: not the asset's name, nor its path."""
    inputs = {
        "tool": writing.TOOL,
        "zstandard": zstandard.__version__,
        "level": asset.level,
        "files": [[file.name, file.executable, digests[file.name]] for file in content.files],
    }
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()


def _earlier(directory: Path) -> tuple[BuiltAsset, ...]:
    try:
        return record.read(directory)
    except LambdapackError:
        return ()


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
    record.write(built, directory)
    record.write_stamps(stamps, directory)
    kept = {Path(name).name for asset in built for name in (asset.pack, asset.index)}
    for path in folder.glob("*"):
        if path.name not in kept and path.name.endswith((".tar.zst", ".index.json")):
            path.unlink(missing_ok=True)
