"""Assets that were built -> assets of a function, each with its place in S3."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from lambdapack.errors import ConfigurationError
from lambdapack.model import FunctionAsset, Location
from lambdapack.pack.assets import record


def placed(
    directory: Path, locate: Callable[[str], Location | None], wanted: Collection[str] | None = None
) -> tuple[FunctionAsset, ...]:
    """The assets that were built into ``directory``, at the places that ``locate`` gives for their ids.

    Args:
        directory: The build's folder.
        locate: Where a pack is, or will be.
        wanted: The names in the configuration; ``None`` where there is none.

    Raises:
        ConfigurationError: The configuration names others than were built, or a pack is gone.
    """
    built = record.read(directory)
    if wanted is not None and set(wanted) != {asset.name for asset in built}:
        changed = sorted(set(wanted) ^ {asset.name for asset in built})
        raise ConfigurationError(
            f"the assets in {directory} are not those of the configuration: {', '.join(changed)}",
            hint="build them: lambdapack build",
        )
    for asset in built:
        if not (directory / asset.pack).is_file() or not (directory / asset.index).is_file():
            raise ConfigurationError(
                f"asset {asset.name}: its pack is not in {directory / record.FOLDER}", hint="lambdapack build"
            )
    return tuple(
        FunctionAsset(
            name=asset.name,
            pack_id=asset.id,
            pack=directory / asset.pack,
            index=directory / asset.index,
            location=locate(asset.id),
            file=asset.file,
            fetch=asset.fetch,
        )
        for asset in built
    )
