"""The packs in a function's zip and its layers, as files again: what ``lambdapack verify`` checks."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lambdapack.deploy.handler import SHIM
from lambdapack.deploy.placement import OPT
from lambdapack.errors import ConfigurationError
from runtime_shim._index import ASSETS_FOLDER, LOCATION_NAME


@dataclass(frozen=True)
class Shipped:
    """A pack that a function's zip, or the first layer of ``lambdapack layer``, names.

    Attributes:
        asset: The asset's name; ``""`` for the function's own pack.
        pack_id: The id.
        path: The pack, put together from its parts; ``None`` where it is not among these files.
        where: Where the pack is read from, for people.
        missing: The parts that are in none of the files.
    """

    asset: str
    pack_id: str
    path: Path | None
    where: str
    missing: tuple[str, ...] = ()


def shipped(path: Path, folder: Path) -> list[Shipped]:
    """The packs that the zip ``path`` names, those in it or in the layers beside it written to ``folder``.

    Raises:
        ConfigurationError: It is not such a zip.
    """
    try:
        with ExitStack() as opened:
            zips = [opened.enter_context(zipfile.ZipFile(each)) for each in (path, *_layers(path))]
            named = list(_named(zips[0]))
            if not named:
                raise ConfigurationError(
                    f"{path} names no pack", hint="lambdapack package and lambdapack layer write such zips"
                )
            return [_join(zips, shim, asset, location, folder) for shim, asset, location in named]
    except (zipfile.BadZipFile, OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{path} is not a function's zip: {error}") from error


def _layers(path: Path) -> list[Path]:
    """The layers that were written with the zip: by ``package`` and ``deploy``, or by ``layer``."""
    return sorted(
        other
        for other in path.parent.glob("*.zip")
        if other.name.startswith(f"{path.stem}.") and other != path
        if other.name.removeprefix(f"{path.stem}.").removeprefix("layer").removesuffix(".zip").isdigit()
    )


def _named(archive: zipfile.ZipFile) -> Iterator[tuple[str, str, dict[str, object]]]:
    """Shim's folder, asset and location of each pack."""
    for name in sorted(archive.namelist()):
        parts = PurePosixPath(name).parts
        shim = "/".join(parts[: parts.index(SHIM) + 1]) if SHIM in parts else ""
        below = name.removeprefix(f"{shim}/").split("/")
        if not shim or below[-1] != LOCATION_NAME:
            continue
        if len(below) == 1 or (len(below) == 3 and below[0] == ASSETS_FOLDER):
            yield shim, below[1] if len(below) == 3 else "", json.loads(archive.read(name))


def _join(
    zips: list[zipfile.ZipFile], shim: str, asset: str, location: dict[str, object], folder: Path
) -> Shipped:
    pack_id = str(location["id"])
    parts = location.get("parts")
    if not isinstance(parts, list):
        return Shipped(asset, pack_id, None, f"s3://{location['bucket']}/{location['key']}")
    paths = [str(path) for path, _ in parts]
    if paths[0].startswith("/") and not paths[0].startswith(OPT):
        return Shipped(asset, pack_id, None, paths[0])
    # In a zip an absolute path is one below /opt, a relative one is one below the shim.
    names = [path.removeprefix(OPT) if path.startswith(OPT) else f"{shim}/{path}" for path in paths]
    have = {name: archive for archive in zips for name in archive.namelist()}
    missing = tuple(path for path, name in zip(paths, names, strict=True) if name not in have)
    if missing:
        return Shipped(asset, pack_id, None, ", ".join(paths), missing)
    joined = folder / f"{pack_id}.tar.zst"
    with joined.open("wb") as file:
        for name in names:
            file.write(have[name].read(name))
    return Shipped(asset, pack_id, joined, ", ".join(paths))
