"""Where each pack of a function is: in S3, in its zip, in its layers, or on a file system that it mounts.

A layer is at most as large as one call to Lambda takes, so that no layer needs a bucket; packs are cut
between frames to fill them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lambdapack import limits
from lambdapack.deploy.function import Dependencies, FunctionOptions
from lambdapack.errors import CheckError, ConfigurationError
from lambdapack.model import Files, Location, Place
from lambdapack.store import key
from runtime_shim._index import ASSETS_FOLDER, Index, IndexFormatError, decode

OPT = "/opt/"
"""Where Lambda puts the files of layers."""
_FOLDER = "lambdapack"


@dataclass(frozen=True)
class Piece:
    """Consecutive bytes of a pack, for one layer: from ``start`` to before ``end``, under ``name``."""

    name: str
    pack: Path
    start: int
    end: int


def arrange(
    function: FunctionOptions,
    dependencies: Dependencies,
    locate: Callable[[str], Location | None],
    *,
    reserved: int = 0,
) -> Dependencies:
    """Give the pack and each asset its place.

    Args:
        function: Which place each has.
        dependencies: The packs, without locations.
        locate: Where in S3 the pack of an id is, or will be.
        reserved: Bytes of the first layer that something else takes.

    Raises:
        ConfigurationError: There is nothing mounted that a pack could be on.
        CheckError: The packs do not fit into five layers.
    """
    assert dependencies.pack is not None
    places = _Places(function, locate, _Cutter(reserved))
    own = places.of(function.place, "", dependencies.pack_id, dependencies.pack, dependencies.index)
    assets = tuple(
        replace(
            asset,
            location=places.of(
                function.asset_places.get(asset.name, function.place),
                asset.name, asset.pack_id, asset.pack, asset.index,
            ),
        )
        for asset in dependencies.assets
    )  # fmt: skip
    return replace(dependencies, location=own, assets=assets)


def _mount(function: FunctionOptions) -> str:
    if function.settings.mount is None:
        raise ConfigurationError(
            f"packaging {function.name}: its pack is to be on a mounted file system, and none is mounted",
            hint='set mount = "/mnt/packs" in [function], and for AWS file_system to an access point\'s ARN',
        )
    return function.settings.mount


class _Cutter:
    """Fills layers with frames, one layer after the other."""

    def __init__(self, reserved: int) -> None:
        self.layer = 1
        self.left = limits.LAYER_SIZE - reserved

    def parts(self, pack_id: str, stored: Sequence[int], pack: Path) -> Iterable[tuple[str, int]]:
        """The files that a pack becomes: each one's path, which ends in its layer's number."""
        # What follows the frames goes with the last one: the parts in a row are the pack.
        sizes = [*stored[:-1], pack.stat().st_size - sum(stored[:-1])]
        begun = False
        for frame, size in enumerate(sizes):
            if size > self.left:
                self.layer += 1
                self.left = limits.LAYER_SIZE
                begun = False
            if size > self.left or self.layer > limits.LAYERS:
                raise CheckError(
                    f"packaging: the packs are larger than the {limits.LAYERS} layers of "
                    f"{limits.LAYER_SIZE / limits.MIB:.1f} MiB that a function can have",
                    hint='set place = "s3" for the pack or for an asset: lambdapack plan shows what fits',
                )
            if not begun:
                yield f"{OPT}{_FOLDER}/{pack_id}.{self.layer}", frame
                begun = True
            self.left -= size


@dataclass(frozen=True)
class _Places:
    """Where the packs of one function go; those for layers fill what ``cutter`` has left of them."""

    function: FunctionOptions
    locate: Callable[[str], Location | None]
    cutter: _Cutter

    def of(self, where: Place, name: str, pack_id: str, pack: Path, index: Path) -> Location | Files | None:
        """The place of one pack: of the asset ``name``, or of the function's own where that is empty."""
        if where == "s3":
            return self.locate(pack_id)
        if where == "zip":
            return Files("zip", ((f"{ASSETS_FOLDER}/{name}/pack.tar.zst" if name else "pack.tar.zst", 0),))
        if where == "mount":
            return Files("mount", ((f"{_mount(self.function)}/{key('', pack_id)}", 0),))
        return Files("layer", tuple(self.cutter.parts(pack_id, _decode(index).frame_stored, pack)))


def layers(dependencies: Dependencies) -> dict[int, list[Piece]]:
    """What goes into each layer, by its number from 1, from the places that ``arrange`` gave."""
    packs = [(dependencies.location, dependencies.pack, dependencies.index)]
    packs += [(asset.location, asset.pack, asset.index) for asset in dependencies.assets]
    found: dict[int, list[Piece]] = {}
    for location, pack, index in packs:
        if not isinstance(location, Files) or location.place != "layer" or pack is None:
            continue
        starts = _decode(index).frame_stored_start
        edges = [*(starts[first] for _, first in location.parts), pack.stat().st_size]
        for (path, _), start, end in zip(location.parts, edges, edges[1:], strict=False):
            number = int(path.rpartition(".")[2])
            found.setdefault(number, []).append(Piece(path.removeprefix(OPT), pack, start, end))
    return found


def size(pieces: Mapping[int, Iterable[Piece]]) -> int:
    """The bytes that the pieces of all layers have together."""
    return sum(piece.end - piece.start for layer in pieces.values() for piece in layer)


def in_zip(dependencies: Dependencies) -> dict[str, Path]:
    """The packs that are in the function's zip, by their path below the shim's folder."""
    packs = [(dependencies.location, dependencies.pack)]
    packs += [(asset.location, asset.pack) for asset in dependencies.assets]
    return {
        location.parts[0][0]: pack
        for location, pack in packs
        if isinstance(location, Files) and location.place == "zip" and pack is not None
    }


def _decode(path: Path) -> Index:
    try:
        return decode(path.read_bytes())
    except (OSError, IndexFormatError) as error:
        raise CheckError(
            f"packaging: {path}: {error}", hint="build the pack again: lambdapack build"
        ) from error
