"""What is kept under a prefix of a bucket: listed by what each key says, and removed in batches."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["Contents", "Kind", "Stored", "Upload", "delete", "keys_under", "read", "server_time"]

Kind = Literal["pack", "zip", "lease"]
"""``packs/xx/ID.tar.zst``, also an asset's; ``functions/DIGEST.zip``; ``leases/ID``."""
_KEYS: Mapping[Kind, tuple[str, re.Pattern[str]]] = {
    "pack": ("packs/", re.compile(r"[0-9a-f]{2}/([0-9a-f]{64})\.tar\.zst")),
    "zip": ("functions/", re.compile(r"([0-9a-f]{64})\.zip")),
    "lease": ("leases/", re.compile(r"([0-9a-f]{64})")),
}
_BATCH = 1000
"""https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html"""


@dataclass(frozen=True)
class Stored:
    """An object that lambdapack put there.

    Attributes:
        kind: What the object is.
        digest: The pack's id, the zip's SHA-256, or the id of the pack that the lease is for.
        bucket, key: Where the object is.
        size: In bytes.
        modified: When the object was written, in seconds since 1970, by S3's clock.
    """

    kind: Kind
    digest: str
    bucket: str
    key: str
    size: int
    modified: float

    @property
    def url(self) -> str:
        """``s3://BUCKET/KEY``."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True)
class Upload:
    """An upload in parts that has neither ended nor been given up; S3 charges for its parts."""

    key: str
    begun: float


@dataclass(frozen=True)
class Contents:
    """What is under a prefix.

    Attributes:
        objects: By key. Keys of another form are somebody else's, and are not in here.
        uploads: Unfinished ones of packs.
        now: When this was read, by S3's clock.
    """

    objects: tuple[Stored, ...]
    uploads: tuple[Upload, ...]
    now: float


def keys_under(prefix: str, name: str) -> str:
    """``name`` below the prefix of a location, which may be empty."""
    prefix = prefix.strip("/")
    return f"{prefix}/{name}" if prefix else name


def server_time(answer: Mapping[str, Any]) -> float:
    """The Date of an answer, in seconds since 1970: S3's clock, whatever this machine's says."""
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    return parsedate_to_datetime(headers["date"]).timestamp()


def read(client: S3Client, bucket: str, prefix: str, beat: Callable[[], None]) -> Contents:
    """List everything of ours under the prefix; ``beat`` is called after each page."""
    objects: list[Stored] = []
    now = 0.0
    for kind, (folder, pattern) in _KEYS.items():
        under = keys_under(prefix, folder)
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=under):
            beat()
            now = now or server_time(page)
            for item in page.get("Contents", []):
                match = pattern.fullmatch(item["Key"].removeprefix(under))
                if match is not None:
                    modified = _seconds(item["LastModified"])
                    objects.append(Stored(kind, match[1], bucket, item["Key"], item["Size"], modified))
    return Contents(tuple(objects), tuple(_uploads(client, bucket, prefix, beat)), now)


def _uploads(client: S3Client, bucket: str, prefix: str, beat: Callable[[], None]) -> Iterator[Upload]:
    pages = client.get_paginator("list_multipart_uploads").paginate(
        Bucket=bucket, Prefix=keys_under(prefix, "packs/")
    )
    for page in pages:
        beat()
        for upload in page.get("Uploads", []):
            yield Upload(upload["Key"], _seconds(upload["Initiated"]))


def _seconds(moment: datetime) -> float:
    return moment.timestamp()


def delete(
    client: S3Client, objects: Sequence[Stored], beat: Callable[[], None]
) -> tuple[list[Stored], list[tuple[Stored, str]]]:
    """Remove objects of one bucket, a thousand a call; ``beat`` is called before each.

    Returns:
        What was removed, and what S3 did not remove, with S3's reason.
    """
    gone: list[Stored] = []
    refused: list[tuple[Stored, str]] = []
    for start in range(0, len(objects), _BATCH):
        batch = objects[start : start + _BATCH]
        beat()
        answer = client.delete_objects(
            Bucket=batch[0].bucket,
            Delete={"Objects": [{"Key": one.key} for one in batch], "Quiet": True},
        )
        errors = {str(error.get("Key")): error for error in answer.get("Errors", [])}
        for one in batch:
            error = errors.get(one.key)
            if error is None:
                gone.append(one)
            else:
                refused.append((one, f"{error.get('Code')}: {error.get('Message')}"))
    return gone, refused
