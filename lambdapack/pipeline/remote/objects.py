"""The objects of builds in the bucket: sending, fetching and removing them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lambdapack.deploy.aws import Clients, errors_of_aws
from lambdapack.errors import ToolError
from lambdapack.files import disk_errors


@dataclass(frozen=True)
class Objects:
    """Objects of one bucket.

    Attributes:
        bucket: The bucket's name.
        clients: Whom to call.
    """

    bucket: str
    clients: Clients

    def has(self, key: str, size: int) -> bool:
        """Whether there is an object of this size, as far as these credentials may know."""
        from botocore.exceptions import ClientError  # noqa: PLC0415 - slow

        client: Any = self.clients["s3"]
        with _transfer(f"looking for s3://{self.bucket}/{key}", "s3:GetObject", key):
            try:
                return bool(client.head_object(Bucket=self.bucket, Key=key)["ContentLength"] == size)
            except ClientError:
                # Whoever may not look may still be allowed to write.
                return False

    def send(self, path: Path, key: str, advance: Callable[[int], None]) -> None:
        """Upload a file."""
        client: Any = self.clients["s3"]
        with _transfer(f"sending s3://{self.bucket}/{key}", "s3:PutObject", key):
            client.upload_file(str(path), self.bucket, key, Callback=advance)

    def fetch(self, key: str, path: Path, advance: Callable[[int], None]) -> None:
        """Download an object."""
        client: Any = self.clients["s3"]
        with _transfer(f"fetching s3://{self.bucket}/{key}", "s3:GetObject", key), disk_errors(path):
            client.download_file(self.bucket, key, str(path), Callback=advance)

    def remove(self, keys: Sequence[str]) -> None:
        """Remove objects; whoever may not leaves that to the bucket's lifecycle."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - slow

        client: Any = self.clients["s3"]
        with suppress(BotoCoreError, ClientError):
            client.delete_objects(Bucket=self.bucket, Delete={"Objects": [{"Key": key} for key in keys]})


@contextmanager
def _transfer(doing: str, action: str, key: str) -> Iterator[None]:
    """Errors of boto3's transfers as lambdapack's; they wrap what botocore raised."""
    from boto3.exceptions import Boto3Error  # noqa: PLC0415 - slow
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - slow

    with errors_of_aws(doing, action=action, resource=key):
        try:
            yield
        except Boto3Error as error:
            cause = getattr(error, "last_exception", None) or error.__context__
            if isinstance(cause, (BotoCoreError, ClientError)):
                raise cause from error
            raise ToolError(f"{doing}: {error}", hint="run it again") from error
