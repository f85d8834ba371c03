"""What a store can do, and which kind of store an address means."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from lambdapack.errors import ConfigurationError
from lambdapack.model import Location
from lambdapack.progress import QUIET, Progress
from lambdapack.store.keys import BUCKET_RULE, bucket_and_prefix


class Store(Protocol):
    """Keeps packs. Every method raises ``ToolError`` when the store refuses or cannot be reached."""

    def push(self, pack_path: Path, pack_id: str, *, progress: Progress = QUIET) -> bool:
        """Store a pack; ``False``: the store had the pack already."""

    def exists(self, pack_id: str) -> bool:
        """Whether the store has the pack."""

    def location(self, pack_id: str) -> Location:
        """Where a function finds the pack."""


def open_store(url: str, *, region: str | None = None, environment: Mapping[str, str] | None = None) -> Store:
    """The store at ``url``, ``s3://BUCKET/PREFIX`` or a folder. Nothing is contacted yet.

    Args:
        url: The store's address.
        region: The bucket's region, by default the one that AWS's own settings give. A bucket in another
            region is found too.
        environment: Instead of ``os.environ``, for the endpoint and the region.

    Raises:
        ConfigurationError: Neither a bucket nor a folder.
    """
    if "://" not in url:
        from lambdapack.store.directory import DirectoryStore  # noqa: PLC0415 - only one of the two is used

        return DirectoryStore(Path(url).expanduser())
    parts = bucket_and_prefix(url)
    if parts is None:
        raise ConfigurationError(
            f"{url!r} is not a store: it must be s3://BUCKET/PREFIX or a folder", hint=BUCKET_RULE
        )
    from lambdapack.store.s3 import S3Store, connect  # noqa: PLC0415 - a folder needs nothing of it

    settings = os.environ if environment is None else environment
    bucket, prefix = parts
    return S3Store(bucket, prefix, lambda chosen: connect(chosen, settings), region=region)
