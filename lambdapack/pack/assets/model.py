"""An asset as its user names it, and as it was built."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Fetch = Literal["start", "use"]


@dataclass(frozen=True)
class Asset:
    """An asset of the configuration.

    Attributes:
        name: What ``runtime_shim.path`` takes.
        path: A file or a folder.
        fetch: ``start``: in the background of a cold start; ``use``: when it is first asked for.
        ignore: Patterns of files of a folder to leave out.
        level: zstd level.
    """

    name: str
    path: Path
    fetch: Fetch = "start"
    ignore: tuple[str, ...] = ()
    level: int = 19


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
