"""What a store can do, and which kind of store an address means.

A folder is one too: for trying things, and for networks without S3.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from lambdapack.errors import ConfigurationError
from lambdapack.files import part_file
from lambdapack.limits import MIB
from lambdapack.model import Location
from lambdapack.progress import QUIET, Progress
from lambdapack.store.keys import BUCKET_RULE, bucket_and_prefix, key


class Store(Protocol):
    """Keeps packs. Every method raises ``ToolError`` when the store refuses or cannot be reached."""

    def push(self, pack_path: Path, pack_id: str, *, progress: Progress = QUIET) -> bool:
        """Store a pack; ``False``: the store had the pack already."""

    def exists(self, pack_id: str) -> bool:
        """Whether the store has the pack."""

    def location(self, pack_id: str) -> Location:
        """Where a function finds the pack."""


class DirectoryStore:
    """Packs below ``root``, in the same layout as in a bucket."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def _path(self, pack_id: str) -> Path:
        return self._root / key("", pack_id)

    def push(self, pack_path: Path, pack_id: str, *, progress: Progress = QUIET) -> bool:
        """Copy a pack into the folder; ``False``: the folder had the pack already."""
        if self.exists(pack_id):
            return False
        path = self._path(pack_id)
        with part_file(path.parent) as part, pack_path.open("rb") as file:
            with progress.step("copy", total=pack_path.stat().st_size, unit="B") as advance:
                while chunk := file.read(MIB):
                    part.file.write(chunk)
                    advance(len(chunk))
            part.publish(path)
        return True

    def exists(self, pack_id: str) -> bool:
        """Whether the folder has the pack; a file takes its name only when it is complete."""
        return self._path(pack_id).is_file()

    def location(self, pack_id: str) -> Location:
        """A folder is nowhere in S3, so a function could not find the pack."""
        raise ConfigurationError(
            f"{self._root} is a folder: a function in AWS cannot fetch packs from it",
            hint="push to a bucket: lambdapack push DIR s3://BUCKET/PREFIX",
        )


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
