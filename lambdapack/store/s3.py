"""A store that is a bucket."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from lambdapack.errors import CheckError, ToolError
from lambdapack.model import Location
from lambdapack.progress import QUIET, Progress
from lambdapack.store import contents, copying, leases, multipart, patience
from lambdapack.store.aws_errors import Explanation, Service, code_of, status_of, translate
from lambdapack.store.contents import Contents, Stored
from lambdapack.store.multipart import S3Object
from lambdapack.store.patience import make_client
from lambdapack.store.protocol import key

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SINGLE_MAX = 2 * multipart.PART_SIZE
"""Larger packs go in parts: they can be resumed, and several connections are faster than one."""
_RESUME = "run it again: what was sent already is kept and not sent twice"
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_S3 = Service(
    (
        Explanation(
            frozenset({"NoSuchBucket"}),
            "there is no bucket {bucket!r}",
            "check its name, or make it: lambdapack bucket create s3://{bucket}",
        ),
        Explanation(
            frozenset({
                "AuthorizationHeaderMalformed", "InvalidAccessKeyId", "InvalidClientTokenId",
                "InvalidSecurity", "InvalidToken", "SignatureDoesNotMatch",
            }),
            "S3 does not accept the AWS credentials ({code})",
            "check which are in use: aws sts get-caller-identity",
        ),
        Explanation(
            frozenset({"AccessDenied", "AllAccessDisabled", "AccountProblem", "Forbidden", "403"}),
            "access to bucket {bucket!r} is forbidden ({said})",
            "the credentials need s3:ListBucket on arn:aws:s3:::{bucket}, and s3:PutObject, s3:GetObject, "
            "s3:ListMultipartUploadParts and s3:AbortMultipartUpload on arn:aws:s3:::{bucket}/*: the "
            "statements DeployBucket and DeployPacks of `lambdapack policy --for deploy`",
        ),
        Explanation(
            frozenset({"PermanentRedirect", "IllegalLocationConstraintException", "301"}),
            "bucket {bucket!r} is in {region}",
            "name its region with --region",
        ),
        Explanation(
            frozenset({"RequestTimeTooSkewed"}),
            "this machine's clock is wrong ({said})",
            "set the clock and run it again",
        ),
        Explanation(
            frozenset({
                "SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "500", "502", "503",
                "504",
            }),
            "S3 keeps failing ({code})",
            _RESUME,
        ),
        Explanation(
            frozenset({"HTTPClientError", "ConnectionError"}),
            "S3 cannot be reached: {said}",
            f"check the network and AWS_ENDPOINT_URL_S3, then {_RESUME}",
        ),
    ),
    otherwise="S3 answered {code}: {said}",
)  # fmt: skip


def connect(
    region: str | None, environment: Mapping[str, str], waiting: patience.Patience | None = None
) -> S3Client:
    """A client for ``region``, by default the one that AWS's own settings give.

    A custom endpoint (``AWS_ENDPOINT_URL_S3``, ``AWS_ENDPOINT_URL``) is addressed path-style, as the shim
    does it.
    """
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    session = boto3.session.Session()
    # boto3 reads AWS_DEFAULT_REGION alone; Lambda, CI systems and the other SDKs set AWS_REGION.
    region = region or environment.get("AWS_REGION") or session.region_name or "us-east-1"
    config = {
        "max_pool_connections": multipart.CONCURRENCY,
        "s3": {"addressing_style": "path" if endpoint else "auto"},
    }
    client: S3Client = make_client(
        session,
        "s3",
        waiting or patience.CALLS,
        region_name=region,
        endpoint_url=endpoint or None,
        config=config,
    )
    return client


@dataclass
class S3Store:
    """Packs in a bucket.

    Attributes:
        bucket: The bucket's name.
        prefix: What the keys begin with.
        connect: Makes a client for a region; called once, and once more when the bucket is elsewhere.
        region: Where the bucket should be.
        sleep: How a push waits for the end of a collection.
    """

    bucket: str
    prefix: str
    connect: Callable[[str | None], S3Client]
    region: str | None = None
    sleep: Callable[[float], None] = time.sleep
    _opened: tuple[S3Client, str] | None = field(default=None, init=False)

    def push(self, pack_path: Path, pack_id: str, *, progress: Progress = QUIET) -> bool:
        """Upload a pack; ``False``: the bucket had the pack already, or another push was faster."""
        name = key(self.prefix, pack_id)
        size = pack_path.stat().st_size
        with _errors_of_s3(f"cannot push {pack_path.name} to s3://{self.bucket}/{name}", self.bucket):
            client, _ = self._open(progress)
            target = S3Object(client, self.bucket, name)
            # Before the look: who sees the pack there relies on the pack.
            shelf = leases.Shelf(client, self.bucket, self.prefix)
            leases.take(shelf, pack_id, progress=progress, sleep=self.sleep)
            if _is_there(target, size):
                return False
            with progress.step("upload", total=size, unit="B") as advance:
                if size > SINGLE_MAX:
                    return multipart.upload(target, pack_path, advance, progress)
                sent = _put(target, pack_path.read_bytes())
                advance(size)
                return sent

    def copy_from(
        self, source: S3Store, pack_path: Path, pack_id: str, *, progress: Progress = QUIET
    ) -> bool:
        """Have S3 copy a pack that ``source`` has; ``False``: this bucket had the pack already.

        Raises:
            CheckError: The copy is not the file at ``pack_path``.
        """
        name, size = key(self.prefix, pack_id), pack_path.stat().st_size
        here = f"s3://{self.bucket}/{name}"
        there = S3Object(source._open(progress)[0], source.bucket, key(source.prefix, pack_id))
        with _errors_of_s3(f"cannot copy {pack_path.name} to {here}", self.bucket):
            client, region = self._open(progress)
            target = S3Object(client, self.bucket, name)
            shelf = leases.Shelf(client, self.bucket, self.prefix)
            leases.take(shelf, pack_id, progress=progress, sleep=self.sleep)
            if _is_there(target, size):
                return False
            with progress.step(f"copy to {region}", total=size, unit="B") as advance:
                copying.copy(there, target, pack_path, advance)
        return True

    def exists(self, pack_id: str) -> bool:
        """Whether the bucket has the pack."""
        name = key(self.prefix, pack_id)
        with _errors_of_s3(f"cannot look for s3://{self.bucket}/{name}", self.bucket):
            client, _ = self._open(QUIET)
            return multipart.size_of(S3Object(client, self.bucket, name)) is not None

    def location(self, pack_id: str) -> Location:
        """Where a function finds the pack: with the region where the bucket really is."""
        with _errors_of_s3(f"cannot find bucket {self.bucket}", self.bucket):
            _, region = self._open(QUIET)
        return Location(self.bucket, key(self.prefix, pack_id), region)

    def contents(self, beat: Callable[[], None]) -> Contents:
        """Everything that lambdapack keeps under the prefix; ``beat`` is called after each page."""
        with _errors_of_s3(f"cannot list {self.url}", self.bucket):
            client, _ = self._open(QUIET)
            return contents.read(client, self.bucket, self.prefix, beat)

    def remove(
        self, objects: Sequence[Stored], beat: Callable[[], None]
    ) -> tuple[list[Stored], list[tuple[Stored, str]]]:
        """Remove objects that ``contents`` has listed; ``beat`` is called before each request.

        Returns:
            What was removed, and what S3 did not remove, with S3's reason.
        """
        with _errors_of_s3(f"cannot remove from {self.url}", self.bucket):
            client, _ = self._open(QUIET)
            return contents.delete(client, objects, beat)

    @contextmanager
    def collecting(self) -> Iterator[Callable[[], None]]:
        """Let deployments wait for as long as the block runs.

        The block gets a function to be called between its steps.
        """
        with _errors_of_s3(f"cannot collect in {self.url}", self.bucket):
            client, _ = self._open(QUIET)
            with leases.collecting(leases.Shelf(client, self.bucket, self.prefix)) as mark:
                yield mark.renew

    @property
    def url(self) -> str:
        """``s3://BUCKET/PREFIX``."""
        return f"s3://{self.bucket}/{self.prefix.strip('/')}".rstrip("/")

    def _open(self, progress: Progress) -> tuple[S3Client, str]:
        """A client for the bucket's own region, and that region; S3 is asked for it once."""
        if self._opened is None:
            client = self.connect(self.region)
            used = client.meta.region_name
            region = self._bucket_region(client) or used
            if region != used:
                progress.note(f"bucket {self.bucket} is in {region}, not in {used}: using {region}")
                client = self.connect(region)
                self._bucket_region(client)
            self._opened = client, region
        return self._opened

    def _bucket_region(self, client: S3Client) -> str | None:
        """The region that S3 says the bucket is in, ``None`` where S3 does not say.

        Raises:
            ClientError: The bucket does not exist, or the credentials are no good.
        """
        try:
            answer = client.head_bucket(Bucket=self.bucket)
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
            client.list_objects_v2(Bucket=self.bucket, Prefix=key(self.prefix, ""), MaxKeys=1)
        except ClientError as error:
            # Credentials that may not list may still be allowed to write.
            if code_of(error) != "AccessDenied":
                raise error from head


def _put(target: S3Object, data: bytes) -> bool:
    try:
        target.client.put_object(
            Bucket=target.bucket,
            Key=target.key,
            Body=data,
            ContentType=multipart.CONTENT_TYPE,
            ChecksumSHA256=multipart.sha256(data),
            IfNoneMatch="*",
        )
    except ClientError as error:
        if status_of(error) not in multipart.LOST_RACE:
            raise
        return False
    return True


def _is_there(target: S3Object, size: int) -> bool:
    """Whether the object is in the bucket; refuse one that has not the size that it must have."""
    there = multipart.size_of(target, may_be_hidden=True)
    url = f"s3://{target.bucket}/{target.key}"
    if there is not None and there != size:
        raise CheckError(
            f"{url} has {there:,} bytes, the pack of that digest has {size:,}: somebody else wrote it",
            hint=f"remove it and push again: aws s3 rm {url}",
        )
    return there is not None


def region_of(error: ClientError) -> str | None:
    """The bucket's region, which S3 tells even to those whom it refuses."""
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = headers.get("x-amz-bucket-region") or error.response.get("Error", {}).get("Region")
    return str(region) if region else None


@contextmanager
def _errors_of_s3(doing: str, bucket: str) -> Iterator[None]:
    """Turn what botocore raises while ``doing`` (``"cannot push …"``) into lambdapack's errors."""
    try:
        yield
    except ClientError as error:
        region = region_of(error) or "another region"
        raise translate(error, doing, _S3, bucket=bucket, region=region) from error
    except (BotoCoreError, ResponseParserError) as error:
        raise translate(error, doing, _S3, bucket=bucket) from error
    except OSError as error:
        raise ToolError(f"{doing}: {error}") from error
