"""The store stage: where packs are kept, each under its own digest.

A pack's key follows from its id, so pushing one twice is free, two pushers cannot harm each other, and
nothing that is deployed ever changes under its function.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from lambdapack.errors import ConfigurationError
from lambdapack.model import Location
from lambdapack.progress import QUIET, Progress

__all__ = ["Store", "open_store"]

_S3 = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<prefix>.*))?\Z")


class Store(Protocol):
    """Keeps packs. Every method raises ``ToolError`` when the store refuses or cannot be reached."""

    def push(self, pack_path: Path, pack_id: str, *, progress: Progress = QUIET) -> bool:
        """Store a pack; ``False``: it was there already."""

    def exists(self, pack_id: str) -> bool:
        """Whether the pack is there."""

    def fetch(self, pack_id: str, destination: Path, *, progress: Progress = QUIET) -> None:
        """Copy a pack to the file ``destination``, which appears when all of it is there.

        The store checks sizes only; ``lambdapack.pack.verify`` checks what was fetched.
        """

    def delete(self, pack_id: str) -> None:
        """Remove a pack; not an error when it is not there."""

    def location(self, pack_id: str) -> Location:
        """Where a function finds the pack."""


def open_store(url: str, *, region: str | None = None, environment: Mapping[str, str] | None = None) -> Store:
    """The store at ``url``, ``s3://BUCKET/PREFIX`` or a folder. Nothing is contacted yet.

    Args:
        url: Where it is.
        region: The bucket's region, by default the one that AWS's own settings give. A bucket in another
            region is found too.
        environment: Instead of ``os.environ``, for the endpoint and the region.

    Raises:
        ConfigurationError: Neither a bucket nor a folder.
    """
    if "://" not in url:
        from lambdapack.store.directory import DirectoryStore  # noqa: PLC0415 - only one of the two is used

        return DirectoryStore(Path(url).expanduser())
    match = _S3.match(url)
    if match is None:
        raise ConfigurationError(
            f"{url!r} is not a store: it must be s3://BUCKET/PREFIX or a folder",
            hint="a bucket's name has 3 to 63 lower-case letters, digits, dots and hyphens",
        )
    from lambdapack.store.s3 import S3Store, connect  # noqa: PLC0415 - a folder needs nothing of it

    settings = os.environ if environment is None else environment
    return S3Store(
        match["bucket"], match["prefix"] or "", lambda found: connect(found, settings), region=region
    )
