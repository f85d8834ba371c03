"""Multipart uploads that go on where an earlier one stopped.

S3 keeps the parts of an unfinished upload until the upload is completed or aborted. So an upload that failed
is not aborted: the next push of the same pack finds it under the same key, checks the digests of the parts
that S3 has, and sends the others.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from lambdapack.errors import ToolError
from lambdapack.limits import MIB
from lambdapack.progress import Advance, Progress
from lambdapack.store.aws_errors import code_of, status_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef, PartTypeDef

PART_SIZE = 8 * MIB
CONCURRENCY = 4
CONTENT_TYPE = "application/zstd"
LOST_RACE = (409, 412)
"""Answers to a write with ``If-None-Match: *``: the object appeared meanwhile, and under a digest it can
only be the same one (S3 user guide, "Prevent object overwrites with conditional writes")."""
_ATTEMPTS = 3


@dataclass(frozen=True)
class S3Object:
    """A bucket and a key, and the client that reaches them; the object itself may not be there yet."""

    client: S3Client
    bucket: str
    key: str


@dataclass(frozen=True)
class Piece:
    """A range of the file's bytes; ``number`` counts from 1, as S3's part numbers do."""

    number: int
    offset: int
    size: int


def pieces(size: int, part_size: int = PART_SIZE) -> list[Piece]:
    """Cut ``size`` bytes into parts; the cuts depend on the size alone, so a later push makes the same."""
    return [
        Piece(number, offset, min(part_size, size - offset))
        for number, offset in enumerate(range(0, size, part_size), 1)
    ]


def send_all(send: Callable[[Piece], int], pieces: Sequence[Piece], advance: Advance) -> None:
    """Call ``send``, which returns the bytes that it sent, for each piece, four at a time.

    The first failure, or Ctrl-C, cancels the pieces that have not begun and lets the others end.
    """
    with ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="s3") as pool:
        futures = [pool.submit(send, piece) for piece in pieces]
        try:
            for future in as_completed(futures):
                advance(future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def upload(target: S3Object, path: Path, advance: Advance, progress: Progress) -> bool:
    """Upload a file in parts; ``False``: another push completed the same object first.

    Raises:
        ClientError, BotoCoreError: S3 refused or could not be reached; S3 keeps the parts that it has.
        ToolError: Another push ended this upload again and again.
    """
    parts = pieces(path.stat().st_size)
    for attempt in range(_ATTEMPTS):
        unfinished = _resume_or_begin(target, path, parts)
        kept = sum(part.size for part in parts if part.number in unfinished.there)
        if kept and not attempt:
            progress.note(f"{kept / MIB:.0f} MiB of {path.name} were sent before and are kept")
        # A second attempt must not count twice what the first one sent.
        report = _silent if attempt else advance
        report(kept)
        try:
            missing = [part for part in parts if part.number not in unfinished.there]
            send_all(unfinished.send, missing, report)
            unfinished.complete()
        except ClientError as error:
            # A request may have done its work although S3 then answers with a failure of its own.
            unclear = status_of(error) >= 500
            if not unclear and code_of(error) != "NoSuchUpload" and status_of(error) not in LOST_RACE:
                raise
            if status_of(error) == 412 or size_of(target) is not None:
                unfinished.abort()
                return False
            if unclear:
                raise
        else:
            _free_others(target)
            return True
    raise ToolError(
        f"cannot push to s3://{target.bucket}/{target.key}: somebody else keeps ending the upload",
        hint="wait until the other push has ended and run it again",
    )


def _silent(amount: int = 1, *, note: str | None = None) -> None:
    return None


@dataclass(frozen=True)
class Upload:
    """An unfinished upload; ``there`` holds the parts that S3 has, by number."""

    target: S3Object
    path: Path
    id: str
    there: dict[int, CompletedPartTypeDef]

    def send(self, piece: Piece) -> int:
        """Send a part from this machine; the bytes that were sent."""
        data = read(self.path, piece)
        digest = sha256(data)
        sent = self.target.client.upload_part(
            Bucket=self.target.bucket,
            Key=self.target.key,
            UploadId=self.id,
            PartNumber=piece.number,
            Body=data,
            ChecksumSHA256=digest,
        )
        self.there[piece.number] = sent_part(piece, sent["ETag"], digest)
        return piece.size

    def complete(self) -> None:
        """Make the object of the parts, unless there is one already."""
        self.target.client.complete_multipart_upload(
            Bucket=self.target.bucket,
            Key=self.target.key,
            UploadId=self.id,
            MultipartUpload={"Parts": [self.there[number] for number in sorted(self.there)]},
            IfNoneMatch="*",
        )

    def abort(self) -> None:
        """Free the parts, which are of no use any more."""
        with contextlib.suppress(ClientError):
            self.target.client.abort_multipart_upload(
                Bucket=self.target.bucket, Key=self.target.key, UploadId=self.id
            )


def sha256(data: bytes) -> str:
    """A digest in base64, as in S3's headers."""
    return base64_of(hashlib.sha256(data).digest())


def base64_of(digest: bytes) -> str:
    """A digest as S3's headers spell digests."""
    return base64.b64encode(digest).decode()


def sent_part(piece: Piece, etag: str, digest: str) -> CompletedPartTypeDef:
    """A part that S3 has, as the completion of the upload names the part."""
    return {"PartNumber": piece.number, "ETag": etag, "ChecksumSHA256": digest}


def _resume_or_begin(target: S3Object, path: Path, parts: Sequence[Piece]) -> Upload:
    """The newest unfinished upload of this object whose parts are all of this file, else a new one."""
    for upload_id in _unfinished(target):
        try:
            there = _parts_there(target, upload_id, path, parts)
        except ClientError as error:
            if code_of(error) in ("NoSuchUpload", "AccessDenied"):
                continue
            raise
        if there is not None:
            return Upload(target, path, upload_id, there)
    made = target.client.create_multipart_upload(
        Bucket=target.bucket, Key=target.key, ContentType=CONTENT_TYPE, ChecksumAlgorithm="SHA256"
    )
    return Upload(target, path, made["UploadId"], {})


def _free_others(target: S3Object) -> None:
    """Free the parts of other uploads of the object, which can complete no more.

    One may have been begun by a request whose answer was lost. Another push that sends parts just now is told
    that its upload is gone, looks, and finds the object.
    """
    with contextlib.suppress(ClientError, BotoCoreError):
        for upload_id in _unfinished(target):
            Upload(target, Path(), upload_id, {}).abort()


def _unfinished(target: S3Object) -> list[str]:
    pages = target.client.get_paginator("list_multipart_uploads").paginate(
        Bucket=target.bucket, Prefix=target.key
    )
    uploads = []
    try:
        for page in pages:
            uploads += [upload for upload in page.get("Uploads", []) if upload["Key"] == target.key]
    except ClientError as error:
        # Who may not list unfinished uploads cannot resume one, but may still be allowed a new one.
        if code_of(error) != "AccessDenied":
            raise
    # An upload with another checksum algorithm, begun by another tool, takes no parts with ours.
    ours = [upload for upload in uploads if upload.get("ChecksumAlgorithm", "SHA256") == "SHA256"]
    ours.sort(key=lambda upload: upload["Initiated"], reverse=True)
    return [upload["UploadId"] for upload in ours]


def _parts_there(
    target: S3Object, upload_id: str, path: Path, parts: Sequence[Piece]
) -> dict[int, CompletedPartTypeDef] | None:
    """The parts that S3 has with this file's very bytes; ``None`` when a part is of another file."""
    ours = {part.number: part for part in parts}
    there: dict[int, CompletedPartTypeDef] = {}
    pages = target.client.get_paginator("list_parts").paginate(
        Bucket=target.bucket, Key=target.key, UploadId=upload_id
    )
    for page in pages:
        for part in page.get("Parts", []):
            piece = ours.get(part["PartNumber"])
            if piece is None:
                return None
            if part["Size"] == piece.size:
                data = read(path, piece)
                digest = sha256(data)
                if _is_same(data, digest, part):
                    there[piece.number] = sent_part(piece, part["ETag"], digest)
    return there


def size_of(target: S3Object, *, may_be_hidden: bool = False) -> int | None:
    """Size of an object in bytes, ``None`` where the bucket has no such object.

    Who may not list the bucket gets 403 for a missing object; with ``may_be_hidden`` that counts as
    missing, and the conditional write that follows settles the question.
    """
    try:
        return target.client.head_object(Bucket=target.bucket, Key=target.key)["ContentLength"]
    except ClientError as error:
        if status_of(error) == 404 or (may_be_hidden and status_of(error) == 403):
            return None
        raise


def _is_same(data: bytes, digest: str, part: PartTypeDef) -> bool:
    if "ChecksumSHA256" in part:
        return part["ChecksumSHA256"] == digest
    # S3-compatible stores that keep no checksums have the MD5 as ETag.
    return part["ETag"].strip('"') == hashlib.md5(data, usedforsecurity=False).hexdigest()


def read(path: Path, piece: Piece) -> bytes:
    """The piece's bytes."""
    with path.open("rb") as file:
        file.seek(piece.offset)
        return file.read(piece.size)
