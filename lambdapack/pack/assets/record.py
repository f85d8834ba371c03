"""``assets.json``: which assets were built, beside ``build.json``.

Documented in ``docs/assets.md``; this is the only place that knows its keys by name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from lambdapack.errors import ConfigurationError
from lambdapack.files import write_bytes
from lambdapack.model import FunctionAsset, Location
from lambdapack.pack.assets.collect import Fetch, Stamp

FILE_NAME = "assets.json"
FOLDER = "assets"
"""Of the assets' packs, in the build's folder."""
_VERSION = 1
_STAMPS = ".stamps.json"
_AGAIN = "build it again: lambdapack build"
Known = dict[str, dict[str, tuple[Stamp, str]]]
"""Asset -> name of a file -> its stamp and digest."""


@dataclass(frozen=True)
class BuiltAsset:
    """An asset in its pack. Sizes in bytes.

    Attributes:
        name: What ``runtime_shim.path`` takes.
        id: The pack's id.
        pack, index: The pack's two files, relative to the build's folder.
        file: The file's name; ``""`` for a folder.
        fetch: As in ``Asset``.
        inputs: SHA-256 over the content and all else that decides the pack's bytes.
        bytes: Size of the ``.tar.zst``.
        unpacked_bytes: Sum of the files' sizes.
        files: How many there are.
    """

    name: str
    id: str
    pack: str
    index: str
    file: str
    fetch: Fetch
    inputs: str
    bytes: int
    unpacked_bytes: int
    files: int


def document(assets: Iterable[BuiltAsset]) -> dict[str, Any]:
    """The document, ready for ``json.dumps``."""
    listed = [asdict(asset) for asset in assets]
    return {"document": "lambdapack.assets", "version": _VERSION, "assets": listed}


def read(directory: Path) -> tuple[BuiltAsset, ...]:
    """The assets that were built into ``directory``; none where there is no assets.json.

    Raises:
        ConfigurationError: This version cannot read the file.
    """
    path = directory / FILE_NAME
    try:
        content = json.loads(path.read_bytes())
        if content["document"] != "lambdapack.assets" or content["version"] != _VERSION:
            raise ConfigurationError(
                f"{path} has version {content['version']!r}; this lambdapack reads {_VERSION}", hint=_AGAIN
            )
        return tuple(BuiltAsset(**fields) for fields in content["assets"])
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"cannot read {path}: {error}", hint=_AGAIN) from None


def read_stamps(directory: Path) -> Known:
    """What ``write_stamps`` wrote; empty where it cannot be read."""
    try:
        return TypeAdapter(Known).validate_json((directory / FOLDER / _STAMPS).read_bytes())
    except (OSError, ValueError):
        return {}


def write_stamps(known: Known, directory: Path) -> None:
    """Remember how this machine's files looked when they were hashed; no deployment carries this."""
    write_bytes(directory / FOLDER / _STAMPS, json.dumps(known).encode())


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
    built = read(directory)
    if wanted is not None and set(wanted) != {asset.name for asset in built}:
        changed = sorted(set(wanted) ^ {asset.name for asset in built})
        raise ConfigurationError(
            f"the assets in {directory} are not those of the configuration: {', '.join(changed)}",
            hint="build them: lambdapack build",
        )
    for asset in built:
        if not (directory / asset.pack).is_file() or not (directory / asset.index).is_file():
            raise ConfigurationError(
                f"asset {asset.name}: its pack is not in {directory / FOLDER}", hint="lambdapack build"
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
