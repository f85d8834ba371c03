"""The S3 endpoint's grants, its objects, and the entries of its log."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from lambdapack.local.link import Link
from lambdapack.local.s3.sigv4 import Credentials, RefusedError

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)\Z")


@dataclass(frozen=True)
class Grant:
    """What a client with one pair of keys may do.

    Attributes:
        credentials: The keys.
        read: ``bucket/key`` names that the client may GET; ``None``: every object.
        write: Whether the client may PUT.
        list: Whether the client may know that an object does not exist (``s3:ListBucket``): S3 answers a
            GET of a missing object with 404 to a client that may list, and with 403 to any other.
        link: The client's network.
    """

    credentials: Credentials
    read: frozenset[str] | None
    write: bool = False
    list: bool = False
    link: Link = field(default_factory=Link)


class Objects:
    """A folder of objects, ``root/<bucket>/<key>``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, bucket: str, key: str) -> Path:
        """Where an object is kept.

        Raises:
            RefusedError: S3 does not allow such names, or they would leave the folder.
        """
        parts = key.split("/")
        if not _BUCKET.match(bucket):
            raise RefusedError(400, "InvalidBucketName", "The specified bucket is not valid.")
        if not key or len(key.encode()) > 1024 or any(p in ("", ".", "..") for p in parts) or "\0" in key:
            raise RefusedError(400, "InvalidURI", "Couldn't parse the specified URI.", {"URI": key})
        return self.root / bucket / key

    def open(self, bucket: str, key: str, *, may_list: bool) -> int:
        """A descriptor of the object, for reading.

        Raises:
            RefusedError: There is none: 404, or 403 if the client may not list.
        """
        path = self.path(bucket, key)
        try:
            if path.is_file():
                return os.open(path, os.O_RDONLY)
        except (OSError, ValueError):
            pass
        if not may_list:
            raise RefusedError(403, "AccessDenied", "Access Denied")
        self._check_bucket(bucket)
        raise RefusedError(404, "NoSuchKey", "The specified key does not exist.", {"Key": key})

    def put(self, bucket: str, key: str, body: bytes, *, only_new: bool) -> str:
        """Store an object whole or not at all; its ETag.

        Raises:
            RefusedError: The bucket does not exist, or the object does and ``only_new`` is set.
        """
        path = self.path(bucket, key)
        self._check_bucket(bucket)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / f".{secrets.token_hex(8)}.part"
        temporary.write_bytes(body)
        try:
            if only_new:
                os.link(temporary, path)
            else:
                temporary.replace(path)
        except FileExistsError:
            raise RefusedError(
                412,
                "PreconditionFailed",
                "At least one of the pre-conditions you specified did not hold",
                {"Condition": "If-None-Match"},
            ) from None
        finally:
            temporary.unlink(missing_ok=True)
        return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'

    def _check_bucket(self, bucket: str) -> None:
        if not (self.root / bucket).is_dir():
            raise RefusedError(
                404, "NoSuchBucket", "The specified bucket does not exist", {"BucketName": bucket}
            )


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """``(first, length)`` of a Range header; ``None`` where S3 ignores it and sends everything.

    Raises:
        RefusedError: 416.
    """
    match = _RANGE.match(header.strip())
    if not match or match.groups() == ("", ""):
        return None
    first_text, last_text = match.groups()
    if not first_text:
        length = min(int(last_text), size)
        first = size - length
    else:
        first = int(first_text)
        last = min(int(last_text), size - 1) if last_text else size - 1
        if last_text and int(last_text) < first:
            return None
        length = last - first + 1
    if length <= 0 or first >= size:
        raise RefusedError(
            416,
            "InvalidRange",
            "The requested range is not satisfiable",
            {"RangeRequested": header, "ActualObjectSize": str(size)},
        )
    return first, length


@dataclass(frozen=True)
class Entry:
    """One answered request.

    Attributes:
        connection: Number of the TCP connection it came over, from 1.
        access_key: The client's, ``""`` where the signature was not accepted.
        method, path, range: As sent; ``range`` is ``""`` without the header.
        status: The answer's status; 0 where a fault closed the connection instead.
        sent: Bytes of the body that were sent.
        fault: Kind of the fault that struck, or ``""``.
    """

    connection: int
    access_key: str
    method: str
    path: str
    range: str
    status: int
    sent: int
    fault: str
