"""How a collection of what is not needed and those who rely on a pack keep out of each other's way.

Two kinds of small objects beside the packs:

- ``PREFIX/leases/ID``: somebody relies on the pack ``ID`` and may have no function yet that names the pack.
  A push or a deployment writes the lease *before* it looks whether the pack is there.
- ``PREFIX/gc/RUN``: a collection removes packs at this moment. A collection writes its mark *before* it lists
  leases and asks Lambda who needs what, renews the mark while it works, and takes it away at the end.

Each side writes first and reads then, and S3 shows a write to every read that comes after the write. So of
the two at least one sees the other: a collection that sees the lease leaves the pack alone; a deployment that
sees the mark waits until the collection has ended, and only then looks whether the pack is there.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from lambdapack.errors import ToolError
from lambdapack.progress import Progress
from lambdapack.store.aws_errors import status_of
from lambdapack.store.contents import keys_under, server_time
from lambdapack.store.patience import Patience

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MARK_LIFE = 300
"""Seconds after which a mark that was not renewed counts for nothing: its collection has died."""
_RENEW = 30
_STALE = 200
_SLOW = 60
REMOVAL = Patience(attempts=3)
"""How long a collection waits for S3: what begins with a mark of a minute ends before the mark is dead."""
_WAIT = 900
_LOOK_EVERY = 2


def lease_key(prefix: str, pack_id: str) -> str:
    """``PREFIX/leases/<id>``."""
    return keys_under(prefix, f"leases/{pack_id}")


@dataclass(frozen=True)
class Shelf:
    """Where packs are kept: a prefix of a bucket, and the client that reaches the bucket."""

    client: S3Client
    bucket: str
    prefix: str


def take(shelf: Shelf, pack_id: str, *, progress: Progress, sleep: Callable[[float], None]) -> None:
    """Say that somebody relies on the pack, and wait for the end of a collection that may not know it yet.

    Credentials that may not do this are told of the risk, and go on.

    Raises:
        ToolError: A collection goes on for more than a quarter of an hour.
        ClientError, BotoCoreError: S3 failed or could not be reached.
    """
    try:
        shelf.client.put_object(Bucket=shelf.bucket, Key=lease_key(shelf.prefix, pack_id), Body=b"")
        _await_collections(shelf, progress, sleep)
    except ClientError as error:
        if status_of(error) != 403:
            raise
        leases = keys_under(shelf.prefix, "leases/*")
        progress.warn(
            f"cannot leave a lease on pack {pack_id[:12]} in s3://{shelf.bucket}: a lambdapack gc that runs "
            f"at this moment might remove the pack (s3:PutObject on {leases} and s3:ListBucket prevent that)"
        )


def _await_collections(shelf: Shelf, progress: Progress, sleep: Callable[[float], None]) -> None:
    waited = 0
    while (mark := _mark(shelf)) is not None:
        if not waited:
            progress.note(f"waiting for the end of a lambdapack gc (s3://{shelf.bucket}/{mark})")
        if waited >= _WAIT:
            raise ToolError(
                f"a lambdapack gc is at work in s3://{shelf.bucket}: waited for {_WAIT} s until it ends",
                hint="run it again when the gc has ended",
            )
        sleep(_LOOK_EVERY)
        waited += _LOOK_EVERY


def _mark(shelf: Shelf) -> str | None:
    """The key of a mark that is alive."""
    under = keys_under(shelf.prefix, "gc/")
    for page in shelf.client.get_paginator("list_objects_v2").paginate(Bucket=shelf.bucket, Prefix=under):
        for item in page.get("Contents", []):
            if server_time(page) - item["LastModified"].timestamp() < MARK_LIFE:
                return str(item["Key"])
    return None


@dataclass
class Mark:
    """The mark of a collection that is at work; ``renew`` is to be called between all of its steps."""

    client: S3Client
    bucket: str
    key: str
    clock: Callable[[], float] = time.monotonic
    _renewed: float | None = field(default=None, init=False)

    def renew(self) -> None:
        """Write the mark again where that is due.

        Raises:
            ToolError: The mark is so old that deployments may soon not heed it any more: nothing more may be
                removed under it.
        """
        # The time before the request: S3 may have written the mark right then.
        now = self.clock()
        age = 0.0 if self._renewed is None else now - self._renewed
        self._refuse(age, _STALE)
        if self._renewed is None or age > _RENEW:
            self.client.put_object(Bucket=self.bucket, Key=self.key, Body=b"")
            self._renewed = now
            # The next step begins with this mark, and must end while deployments heed the mark.
            self._refuse(self.clock() - now, _SLOW)

    def _refuse(self, age: float, limit: float) -> None:
        if age > limit:
            raise ToolError(
                f"collecting in s3://{self.bucket}: a step took {age:.0f} s of at most {limit} s, so "
                "deployments may soon not heed this collection any more; nothing more is removed",
                hint="run it again",
            )


@contextmanager
def collecting(shelf: Shelf) -> Iterator[Mark]:
    """Tell deployments of a collection for as long as the block runs, also where the block fails."""
    mark = Mark(shelf.client, shelf.bucket, keys_under(shelf.prefix, f"gc/{uuid.uuid4().hex}"))
    try:
        mark.renew()
        yield mark
    finally:
        # A mark that stays counts for nothing after some minutes.
        with contextlib.suppress(ClientError, BotoCoreError):
            mark.client.delete_object(Bucket=mark.bucket, Key=mark.key)
