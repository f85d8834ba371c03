"""A pack from one bucket to another, inside S3, and the proof that the copy is the file on this machine."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lambdapack.errors import CheckError
from lambdapack.files import sha256_of
from lambdapack.limits import MIB
from lambdapack.progress import Advance
from lambdapack.store import multipart
from lambdapack.store.multipart import S3Object

PART_SIZE = 64 * MIB
SINGLE_MAX = 4 * PART_SIZE
"""Larger packs are copied in parts, side by side: S3 answers a single copy only once all of it is written."""


def copy(source: S3Object, target: S3Object, path: Path, advance: Advance) -> None:
    """Copy an object between buckets, also of two regions; nothing passes through this machine.

    Args:
        source: The pack where it is.
        target: Where the copy goes; its client must be allowed to read the source too.
        path: The same pack on this machine, which the copy must equal.
        advance: Told the bytes that were copied.

    Raises:
        CheckError: What S3 copied is not that file; the copy is removed.
        ClientError, BotoCoreError: S3 refused or could not be reached.
    """
    size = path.stat().st_size
    if size > SINGLE_MAX:
        _in_parts(source, target, path, advance)
        return
    answer = target.client.copy_object(
        Bucket=target.bucket,
        Key=target.key,
        CopySource={"Bucket": source.bucket, "Key": source.key},
        ChecksumAlgorithm="SHA256",
    )
    with path.open("rb") as file:
        sha256 = multipart.base64_of(bytes.fromhex(sha256_of(file)))
    _check(target, answer["CopyObjectResult"], sha256, lambda: hashlib.md5(path.read_bytes()))
    advance(size)


def _in_parts(source: S3Object, target: S3Object, path: Path, advance: Advance) -> None:
    made = target.client.create_multipart_upload(
        Bucket=target.bucket, Key=target.key, ContentType=multipart.CONTENT_TYPE, ChecksumAlgorithm="SHA256"
    )
    upload = multipart.Upload(target, path, made["UploadId"], {})

    def send(piece: multipart.Piece) -> int:
        answer = target.client.upload_part_copy(
            Bucket=target.bucket,
            Key=target.key,
            UploadId=upload.id,
            PartNumber=piece.number,
            CopySource={"Bucket": source.bucket, "Key": source.key},
            CopySourceRange=f"bytes={piece.offset}-{piece.offset + piece.size - 1}",
        )
        data = multipart.read(path, piece)
        digest = multipart.sha256(data)
        result = answer["CopyPartResult"]
        _check(target, result, digest, lambda: hashlib.md5(data))
        upload.there[piece.number] = multipart.sent_part(piece, result["ETag"], digest)
        return piece.size

    try:
        multipart.send_all(send, multipart.pieces(path.stat().st_size, PART_SIZE), advance)
        upload.complete()
    except BaseException:
        # A later copy does not go on with parts: they cost no transfer from here.
        upload.abort()
        raise


def _check(target: S3Object, result: Mapping[str, Any], sha256: str, md5: Any) -> None:
    """Refuse a copy, or a part of one, that is not what it must be."""
    there = result.get("ChecksumSHA256")
    # S3-compatible stores that keep no checksums have the MD5 as ETag.
    same = there == sha256 if there else str(result["ETag"]).strip('"') == md5().hexdigest()
    if not same:
        target.client.delete_object(Bucket=target.bucket, Key=target.key)
        raise CheckError(
            f"the copy at s3://{target.bucket}/{target.key} is not the pack on this machine: somebody "
            "changed the pack that was copied",
            hint="remove the pack in S3 and push again",
        )
