"""What a store can do, which kind of store an address means, and where a store has a pack.

A folder is one too: for trying things, and for networks without S3.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lambdapack.errors import ConfigurationError
from lambdapack.files import part_file
from lambdapack.limits import MIB
from lambdapack.model import Location
from lambdapack.progress import QUIET, Progress
from lambdapack.store import patience
from lambdapack.store.bucket import BucketCall, BucketState
from lambdapack.store.contents import Contents, Stored

if TYPE_CHECKING:
    from lambdapack.store.s3 import S3Store

_S3_URL = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?\Z")
_BUCKET_RULE = "a bucket's name has 3 to 63 lower-case letters, digits, dots and hyphens"


class Store(Protocol):
    """Keeps packs. Every method raises ``ToolError`` when the store refuses or cannot be reached."""

    def push(self, pack_path: Path, pack_id: str, *, progress: Progress = QUIET) -> bool:
        """Store a pack; ``False``: the store had the pack already."""

    def exists(self, pack_id: str) -> bool:
        """Whether the store has the pack."""

    def location(self, pack_id: str) -> Location:
        """Where a function finds the pack."""


class BucketClient(Protocol):
    """A bucket of one's own account, reached in the region where the bucket is."""

    @property
    def region(self) -> str:
        """Where the bucket is, or would be made; after ``observe`` that is certain."""

    @property
    def partition(self) -> str:
        """The partition of the account: ``aws``, ``aws-cn`` or ``aws-us-gov``."""

    def observe(self) -> BucketState:
        """What the bucket is."""

    def apply(self, calls: Sequence[BucketCall], *, progress: Progress = QUIET) -> None:
        """Make the calls of a plan, in order."""


class PrunableStore(Store, Protocol):
    """A store from which packs can be removed while others push to the same place."""

    @property
    def url(self) -> str:
        """The store's address."""

    def contents(self, beat: Callable[[], None]) -> Contents:
        """Everything that lambdapack keeps there; ``beat`` is called between requests."""

    def remove(
        self, objects: Sequence[Stored], beat: Callable[[], None]
    ) -> tuple[list[Stored], list[tuple[Stored, str]]]:
        """Remove objects; what was removed, and what was not, with the reason."""

    def collecting(self) -> AbstractContextManager[Callable[[], None]]:
        """Let those wait who would rely on a pack, for as long as the block runs."""


@dataclass(frozen=True)
class DirectoryStore:
    """Packs below ``root``, in the same layout as in a bucket."""

    root: Path

    def _path(self, pack_id: str) -> Path:
        return self.root / key("", pack_id)

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
            f"{self.root} is a folder: a function in AWS cannot fetch packs from it",
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
    if _bucket_and_prefix(url) is None:
        raise ConfigurationError(
            f"{url!r} is not a store: it must be s3://BUCKET/PREFIX or a folder", hint=_BUCKET_RULE
        )
    return _open(url, region, environment, patience.CALLS)


def open_replicated(
    url: str, copies: Mapping[str, str], *, home: str | None = None, region: str | None = None
) -> Store:
    """The store at ``url``, with copies in other regions. Nothing is contacted yet.

    Args:
        url: ``s3://BUCKET/PREFIX``, or a folder where there are no copies.
        copies: Region -> ``s3://BUCKET/PREFIX`` of the copy there.
        home: The region of ``url``'s bucket, as for ``open_store``.
        region: Where the function is that reads the packs.

    Raises:
        ConfigurationError: An address is none, or two are the same.
    """
    if not copies:
        return open_store(url, region=home)
    urls = [url.rstrip("/"), *(copy.rstrip("/") for copy in copies.values())]
    twice = sorted({each for each in urls if urls.count(each) > 1})
    if twice:
        raise ConfigurationError(
            f"{twice[0]} is named twice among the locations of packs",
            hint="give each region of replicate a bucket or prefix of its own, other than location",
        )
    from lambdapack.store.replicas import ReplicatedStore  # noqa: PLC0415 - slow

    opened = {each: _open(copy, each, None, patience.CALLS) for each, copy in copies.items()}
    return ReplicatedStore(_open(url, home, None, patience.CALLS), opened, region)


def open_prunable(
    url: str, *, region: str | None = None, environment: Mapping[str, str] | None = None
) -> PrunableStore:
    """The store at ``s3://BUCKET/PREFIX`` for removing packs; arguments as for ``open_store``.

    Raises:
        ConfigurationError: ``url`` is not of that form.
    """
    from lambdapack.store.leases import REMOVAL  # noqa: PLC0415 - slow

    return _open(url, region, environment, REMOVAL)


def _open(
    url: str, region: str | None, environment: Mapping[str, str] | None, waiting: patience.Patience
) -> S3Store:
    from lambdapack.store.s3 import S3Store, connect  # noqa: PLC0415 - a folder needs nothing of it

    settings = os.environ if environment is None else environment
    bucket, prefix = split(url)
    return S3Store(bucket, prefix, lambda chosen: connect(chosen, settings, waiting), region=region)


def open_bucket(
    url: str, *, region: str | None = None, environment: Mapping[str, str] | None = None
) -> BucketClient:
    """The bucket of ``s3://BUCKET/PREFIX``, for looking at its settings and changing them.

    Raises:
        ConfigurationError: ``url`` is not of that form.
        LambdapackError: AWS does not know the credentials, or was not reached.
    """
    from lambdapack.store.bucket_calls import OwnBucket, whose  # noqa: PLC0415 - slow
    from lambdapack.store.s3 import connect  # noqa: PLC0415 - slow

    settings = os.environ if environment is None else environment
    bucket, _ = split(url)
    first = connect(region, settings)
    return OwnBucket(
        lambda chosen: connect(chosen, settings) if chosen else first,
        bucket,
        whose(first.meta.region_name),
    )


def split(url: str) -> tuple[str, str]:
    """Bucket and prefix of ``s3://BUCKET/PREFIX``.

    Raises:
        ConfigurationError: ``url`` is not of that form.
    """
    parts = _bucket_and_prefix(url)
    if parts is None:
        raise ConfigurationError(f"{url!r} is not a location like s3://BUCKET/PREFIX ({_BUCKET_RULE})")
    return parts


def _bucket_and_prefix(url: str) -> tuple[str, str] | None:
    """The two parts of ``s3://BUCKET/PREFIX``; ``None`` for any other text."""
    match = _S3_URL.match(url)
    return None if match is None else (match[1], match[2] or "")


def key(prefix: str, pack_id: str) -> str:
    """``PREFIX/packs/<first 2>/<id>.tar.zst``; the first two digits spread packs over S3's partitions."""
    name = f"packs/{pack_id[:2]}/{pack_id}.tar.zst"
    prefix = prefix.strip("/")
    return f"{prefix}/{name}" if prefix else name


def locate(url: str, pack_id: str, region: str) -> Location:
    """Where a pack is, or will be, under ``s3://BUCKET/PREFIX``, without asking S3.

    Raises:
        ConfigurationError: ``url`` is not of that form.
    """
    bucket, prefix = split(url)
    return Location(bucket, key(prefix, pack_id), region)
