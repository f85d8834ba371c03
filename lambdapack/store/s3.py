"""A store that is a bucket."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from lambdapack.errors import CheckError
from lambdapack.model import Location
from lambdapack.progress import QUIET, Progress
from lambdapack.store import multipart
from lambdapack.store.aws_errors import code_of, status_of
from lambdapack.store.keys import key
from lambdapack.store.s3_errors import errors_of_s3, region_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SINGLE_MAX = 2 * multipart.PART_SIZE
"""Larger packs go in parts: they can be resumed, and several connections are faster than one."""
_MISSING = ("404", "NoSuchKey", "NotFound")


def connect(region: str | None, environment: Mapping[str, str]) -> S3Client:
    """A client for ``region``, by default the one that AWS's own settings give.

    A custom endpoint (``AWS_ENDPOINT_URL_S3``, ``AWS_ENDPOINT_URL``) is addressed path-style, as the shim
    does it.
    """
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    session = boto3.session.Session()
    # boto3 reads AWS_DEFAULT_REGION alone; Lambda, CI systems and the other SDKs set AWS_REGION.
    region = region or environment.get("AWS_REGION") or session.region_name or "us-east-1"
    config = Config(
        retries={"mode": "standard", "total_max_attempts": 5},
        connect_timeout=10,
        read_timeout=60,
        max_pool_connections=multipart.CONCURRENCY,
        s3={"addressing_style": "path" if endpoint else "auto"},
    )
    return session.client("s3", region_name=region, endpoint_url=endpoint or None, config=config)


class S3Store:
    """Packs in a bucket.

    Args:
        bucket: The bucket's name.
        prefix: What the keys begin with.
        connect: Makes a client for a region; called once, and once more when the bucket is elsewhere.
        region: Where the bucket should be.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str,
        connect: Callable[[str | None], S3Client],
        *,
        region: str | None = None,
    ) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._connect = connect
        self._expected_region = region
        self._opened: tuple[S3Client, str] | None = None

    def push(self, pack_path: Path, pack_id: str, *, progress: Progress = QUIET) -> bool:
        """Upload a pack; ``False``: the bucket had the pack already, or another push was faster."""
        name = key(self._prefix, pack_id)
        size = pack_path.stat().st_size
        with errors_of_s3(f"cannot push {pack_path.name} to s3://{self._bucket}/{name}", self._bucket):
            client, _ = self._open(progress)
            if self._is_there(client, name, size):
                return False
            with progress.step("upload", total=size, unit="B") as advance:
                if size > SINGLE_MAX:
                    return multipart.upload(
                        multipart.S3Object(client, self._bucket, name), pack_path, advance, progress
                    )
                sent = self._put(client, name, pack_path.read_bytes())
                advance(size)
                return sent

    def _put(self, client: S3Client, name: str, data: bytes) -> bool:
        try:
            client.put_object(
                Bucket=self._bucket,
                Key=name,
                Body=data,
                ContentType=multipart.CONTENT_TYPE,
                ChecksumSHA256=base64.b64encode(hashlib.sha256(data).digest()).decode(),
                IfNoneMatch="*",
            )
        except ClientError as error:
            if status_of(error) not in multipart.LOST_RACE:
                raise
            return False
        return True

    def _is_there(self, client: S3Client, name: str, size: int) -> bool:
        """Whether the object is in the bucket, with the size that it must have.

        Raises:
            CheckError: It has another size.
        """
        there = self._size_of(client, name, may_be_hidden=True)
        if there is not None and there != size:
            raise CheckError(
                f"s3://{self._bucket}/{name} has {there:,} bytes, the pack of that digest has {size:,}: "
                "somebody else wrote it",
                hint=f"remove it and push again: aws s3 rm s3://{self._bucket}/{name}",
            )
        return there is not None

    def _size_of(self, client: S3Client, name: str, *, may_be_hidden: bool = False) -> int | None:
        """Size of an object in bytes, ``None`` where the bucket has no such object.

        Who may not list the bucket gets 403 for a missing object; with ``may_be_hidden`` that counts as
        missing, and the conditional write that follows settles the question.
        """
        try:
            return client.head_object(Bucket=self._bucket, Key=name)["ContentLength"]
        except ClientError as error:
            if code_of(error) in _MISSING or (may_be_hidden and status_of(error) == 403):
                return None
            raise

    def exists(self, pack_id: str) -> bool:
        """Whether the bucket has the pack."""
        name = key(self._prefix, pack_id)
        with errors_of_s3(f"cannot look for s3://{self._bucket}/{name}", self._bucket):
            client, _ = self._open(QUIET)
            return self._size_of(client, name) is not None

    def location(self, pack_id: str) -> Location:
        """Where a function finds the pack: with the region where the bucket really is."""
        with errors_of_s3(f"cannot find bucket {self._bucket}", self._bucket):
            _, region = self._open(QUIET)
        return Location(self._bucket, key(self._prefix, pack_id), region)

    def _open(self, progress: Progress) -> tuple[S3Client, str]:
        """A client for the bucket's own region, and that region; S3 is asked for it once."""
        if self._opened is None:
            client = self._connect(self._expected_region)
            used = client.meta.region_name
            region = self._bucket_region(client) or used
            if region != used:
                progress.note(f"bucket {self._bucket} is in {region}, not in {used}: using {region}")
                client = self._connect(region)
                self._bucket_region(client)
            self._opened = client, region
        return self._opened

    def _bucket_region(self, client: S3Client) -> str | None:
        """The region that S3 says the bucket is in, ``None`` where S3 does not say.

        Raises:
            ClientError: The bucket does not exist, or the credentials are no good.
        """
        try:
            answer = client.head_bucket(Bucket=self._bucket)
        except ClientError as error:
            region = region_of(error)
            if region and region != client.meta.region_name:
                return region
            # The answer to a HEAD has no body and so gives no reason but a number.
            self._raise_reason(client, error)
            return region
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        return answer.get("BucketRegion") or headers.get("x-amz-bucket-region")

    def _raise_reason(self, client: S3Client, head: ClientError) -> None:
        """Ask again in a way whose answer has a body, and raise what S3 says there."""
        try:
            client.list_objects_v2(Bucket=self._bucket, Prefix=key(self._prefix, ""), MaxKeys=1)
        except ClientError as error:
            # Credentials that may not list may still be allowed to write.
            if code_of(error) != "AccessDenied":
                raise error from head
