"""From assets that were built to those of a function: each with its place in S3."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from lambdapack.errors import ConfigurationError
from lambdapack.model import FunctionAsset, Location
from lambdapack.pack.assets import record

__all__ = ["placed"]


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
    if wanted is not None and set(wanted) != {one.name for one in built}:
        changed = sorted(set(wanted) ^ {one.name for one in built})
        raise ConfigurationError(
            f"the assets in {directory} are not those of the configuration: {', '.join(changed)}",
            hint="build them: lambdapack build",
        )
    for one in built:
        if not (directory / one.pack).is_file() or not (directory / one.index).is_file():
            raise ConfigurationError(
                f"asset {one.name}: its pack is not in {directory / record.FOLDER}", hint="lambdapack build"
            )
    return tuple(
        FunctionAsset(
            one.name, one.id, directory / one.pack, directory / one.index, locate(one.id), one.file, one.fetch
        )
        for one in built
    )
