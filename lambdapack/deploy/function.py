"""A function as its user describes it, and the packs that it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lambdapack.model import Files, FunctionAsset, FunctionSettings, Location, Place, Target
from lambdapack.pack import Pack, assets


@dataclass(frozen=True)
class FunctionOptions:
    """What a user says of a function.

    Attributes:
        name: The function's name.
        handler: ``module.function``, or ``runtime_shim.handler``.
        source: Folder with the function's code.
        target: Python and architecture.
        settings: How Lambda runs it.
        ignore: Patterns of files of ``source`` to leave out of the zip, as in ``.gitignore``.
        assets: Name -> file or folder of each asset that the configuration names. The zip leaves them out,
            and the assets that were built beside the pack must be these. ``None``: whichever were built.
        place: Where the function reads its pack from.
        asset_places: The same for assets, by name; the others are where the pack is.
        private: Files that never go into the zip, whatever ``ignore`` says.
    """

    name: str
    handler: str
    source: Path
    target: Target
    settings: FunctionSettings = field(default_factory=FunctionSettings)
    ignore: tuple[str, ...] = ()
    assets: Mapping[str, Path] | None = None
    place: Place = "s3"
    asset_places: Mapping[str, Place] = field(default_factory=dict)
    private: tuple[Path, ...] = ()

    @property
    def places(self) -> frozenset[Place]:
        """Every place that it reads packs from."""
        return frozenset((self.place, *self.asset_places.values()))


@dataclass(frozen=True)
class Dependencies:
    """The packs that a function reads, as its zip names them.

    Attributes:
        pack_id: The pack's id.
        index: The pack's index file on this machine, ``<id>.index.json``.
        location: Where the pack is; ``None`` where that is not known.
        assets: The function's assets; those to be fetched at the start in that order.
        pack: The pack on this machine; only a pack among the function's files is read.
    """

    pack_id: str
    index: Path
    location: Location | Files | None = None
    assets: tuple[FunctionAsset, ...] = ()
    pack: Path | None = None

    @classmethod
    def built(cls, pack: Pack, function: FunctionOptions) -> Dependencies:
        """The pack and the assets that were built into the same folder, without locations.

        Raises:
            ConfigurationError: The assets that were built are not those of ``function``.
        """
        beside = assets.placed(pack.path.parent, lambda _: None, function.assets)
        return cls(pack.id, pack.index_path, assets=beside, pack=pack.path)
