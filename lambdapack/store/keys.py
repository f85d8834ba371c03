"""Where a pack is in a store."""

from __future__ import annotations

import re

from lambdapack.errors import ConfigurationError
from lambdapack.model import Location

_S3_URL = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?\Z")
BUCKET_RULE = "a bucket's name has 3 to 63 lower-case letters, digits, dots and hyphens"


def bucket_and_prefix(url: str) -> tuple[str, str] | None:
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
    parts = bucket_and_prefix(url)
    if parts is None:
        raise ConfigurationError(f"{url!r} is not a location like s3://BUCKET/PREFIX ({BUCKET_RULE})")
    bucket, prefix = parts
    return Location(bucket, key(prefix, pack_id), region)
