"""A function as it should be, and where its packs are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lambdapack.model.target import Target

__all__ = ["FunctionAsset", "FunctionSpec", "Location"]


@dataclass(frozen=True)
class Location:
    """Where a pack is in S3.

    Attributes:
        bucket: The bucket.
        key: The object's key, ``PREFIX/packs/<first 2>/<id>.tar.zst``.
        region: The bucket's region.
    """

    bucket: str
    key: str
    region: str


@dataclass(frozen=True)
class FunctionAsset:
    """An asset that a function has.

    Attributes:
        name: What ``runtime_shim.path`` takes.
        pack_id: Its pack.
        pack, index: That pack's two files on this machine.
        location: Where the pack is in S3, if that is known.
        file: The file's name; ``""`` for a folder.
        fetch: ``start``: in the background of a cold start; ``use``: when it is first asked for.
    """

    name: str
    pack_id: str
    pack: Path
    index: Path
    location: Location | None
    file: str = ""
    fetch: Literal["start", "use"] = "start"


@dataclass(frozen=True)
class FunctionSpec:
    """A function as it should be, whichever cloud it goes to.

    Attributes:
        name: The function's name.
        handler: ``module.function``.
        target: Python and architecture.
        zip_path: The function's zip on this machine.
        pack_id: The pack that its index names, or ``None`` for a function without one.
        location: Where that pack is.
        memory_mb, tmp_mb, timeout: Lambda's settings; ``timeout`` in seconds.
        environment: Environment variables.
        role: ARN of an existing role, or ``None`` to have one made.
        assets: Its assets, each with a location.
    """

    name: str
    handler: str
    target: Target
    zip_path: Path
    pack_id: str | None
    location: Location | None
    memory_mb: int = 1769
    tmp_mb: int = 512
    timeout: int = 30
    environment: Mapping[str, str] = field(default_factory=dict)
    role: str | None = None
    assets: tuple[FunctionAsset, ...] = ()
