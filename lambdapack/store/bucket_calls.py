"""Looks at a bucket and changes it: every call names the account whose bucket it must be."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from lambdapack.errors import ConfigurationError, ToolError
from lambdapack.progress import QUIET, Progress
from lambdapack.store import patience
from lambdapack.store.aws_errors import Explanation, Service, code_of, status_of, translate
from lambdapack.store.bucket import BucketCall, BucketState
from lambdapack.store.s3 import region_of

__all__ = ["OwnBucket", "Owner", "whose"]

_UNSET = frozenset(
    ["NoSuchPublicAccessBlockConfiguration", "ServerSideEncryptionConfigurationNotFoundError",
     "OwnershipControlsNotFoundError", "NoSuchBucketPolicy", "NoSuchLifecycleConfiguration"]
)  # fmt: skip
_S3 = Service(
    (
        Explanation(
            frozenset({"BucketAlreadyExists"}),
            "another account has a bucket {bucket!r}: names are shared by all accounts",
            "choose another name, e.g. {bucket}-{account}",
            ConfigurationError,
        ),
        Explanation(
            frozenset({"InvalidBucketName"}),
            "{bucket!r} is no name for a bucket ({said})",
            kind=ConfigurationError,
        ),
        Explanation(
            frozenset({"TooManyBuckets"}),
            "the account has as many buckets as it may ({said})",
            "have the quota raised (Service Quotas, Amazon S3), or use a bucket that is there",
        ),
        Explanation(
            frozenset({"OperationAborted"}),
            "another change of the bucket, or of one of that name, is in progress ({said})",
            "wait some minutes and run it again",
        ),
        Explanation(
            frozenset({"AccessDenied", "403"}),
            "these credentials may not do this to bucket {bucket!r} ({said})",
            "lambdapack bucket needs {action} on arn:aws:s3:::{bucket}",
        ),
    ),
    otherwise="S3 refused it ({code}: {said})",
)  # fmt: skip
# boto3's method -> IAM's action, where the names differ.
_ACTIONS = {
    "get_public_access_block": "GetBucketPublicAccessBlock",
    "put_public_access_block": "PutBucketPublicAccessBlock",
    "get_bucket_encryption": "GetEncryptionConfiguration",
    "put_bucket_encryption": "PutEncryptionConfiguration",
    "get_bucket_lifecycle_configuration": "GetLifecycleConfiguration",
    "put_bucket_lifecycle_configuration": "PutLifecycleConfiguration",
    "head_bucket": "ListBucket",
}
_DONE_ALREADY = frozenset({"BucketAlreadyOwnedByYou"})
_SEEN_AFTER = 60
"""Seconds for a new bucket to be seen everywhere."""
_BUSY = "OperationAborted"
_BUSY_TRIES, _BUSY_PAUSE = 15, 2.0


@dataclass(frozen=True)
class Owner:
    """Whose bucket it must be.

    Attributes:
        account: The account's number.
        partition: ``aws``, ``aws-cn`` or ``aws-us-gov``.
    """

    account: str
    partition: str


class OwnBucket:
    """A bucket of one's own account, reached in the region where the bucket is.

    Args:
        connect: Makes a client of S3 for a region.
        name: The bucket's name.
        owner: Whose bucket it must be.
        sleep: How a change that is in progress is waited for.
    """

    def __init__(
        self,
        connect: Callable[[str | None], Any],
        name: str,
        owner: Owner,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._connect = connect
        self._client = connect(None)
        self._name, self._owner, self._sleep = name, owner, sleep

    @property
    def region(self) -> str:
        """Where the bucket is, or would be made."""
        return str(self._client.meta.region_name)

    @property
    def partition(self) -> str:
        """The partition of the account."""
        return self._owner.partition

    def observe(self) -> BucketState:
        """What the bucket is.

        Raises:
            ConfigurationError: The bucket is another account's.
            ToolError: S3 refused or was not reached.
        """
        if not self._exists():
            return BucketState(exists=False)
        public = self._get("get_public_access_block", "PublicAccessBlockConfiguration")
        encryption = self._get("get_bucket_encryption", "ServerSideEncryptionConfiguration")
        ownership = self._get("get_bucket_ownership_controls", "OwnershipControls")
        policy = self._get("get_bucket_policy", "Policy")
        lifecycle = self._get("get_bucket_lifecycle_configuration", "Rules")
        by_default = [
            rule.get("ApplyServerSideEncryptionByDefault", {}) for rule in (encryption or {}).get("Rules", ())
        ]
        owners = [rule.get("ObjectOwnership", "") for rule in (ownership or {}).get("Rules", ())]
        return BucketState(
            exists=True,
            public_access=public or {},
            encryption=by_default[0] if by_default else {},
            ownership=owners[0] if owners else "",
            policy=json.loads(policy) if policy else {},
            lifecycle=tuple(lifecycle or ()),
        )

    def apply(self, calls: Sequence[BucketCall], *, progress: Progress = QUIET) -> None:
        """Make the calls of a plan, in order; after a failure, the next plan goes on from there."""
        for call in calls:
            with progress.step(f"{call.operation.replace('_', ' ')} {self._name}") as advance:
                owned = {} if call.operation == "create_bucket" else self._owned
                self._patiently(call.operation, {**call.parameters, **owned})
                if call.operation == "create_bucket":
                    self._await()
                advance()

    @property
    def _owned(self) -> dict[str, str]:
        # S3 answers 403 where the bucket is another account's, whatever that account allows.
        return {"ExpectedBucketOwner": self._owner.account}

    def _exists(self) -> bool:
        which = {"Bucket": self._name}
        with self._errors("head_bucket", f"looking for bucket {self._name}"):
            try:
                answer = self._client.head_bucket(**which, **self._owned)
            except ClientError as error:
                if status_of(error) == 404:
                    return False
                region = region_of(error)
                if region and region != self.region:
                    self._client = self._connect(region)
                    return self._exists()
                if status_of(error) == 403:
                    self._refuse_others(error)
                raise
        region = answer.get("BucketRegion")
        if region and region != self.region:
            self._client = self._connect(region)
        return True

    def _refuse_others(self, error: ClientError) -> None:
        """Raise where the bucket can be seen, so that only its owner can be what S3 objects to."""
        try:
            self._client.head_bucket(Bucket=self._name)
        except ClientError:
            raise ToolError(
                f"bucket {self._name!r} is another account's, or these credentials of account "
                f"{self._owner.account} may not see it",
                hint=f"choose another name, or allow s3:ListBucket on arn:{self.partition}:s3:::{self._name}",
            ) from error
        raise ConfigurationError(
            f"bucket {self._name!r} is not of account {self._owner.account}, whose credentials these are: "
            "lambdapack changes buckets of one's own account alone",
            hint="use the credentials of its account (AWS_PROFILE), or choose another name",
        ) from error

    def _get(self, operation: str, field: str) -> Any:
        with self._errors(operation, f"looking at bucket {self._name}"):
            try:
                return getattr(self._client, operation)(Bucket=self._name, **self._owned).get(field)
            except ClientError as error:
                if code_of(error) in _UNSET:
                    return None
                raise

    def _patiently(self, operation: str, parameters: Mapping[str, Any]) -> None:
        doing = f"{operation.replace('_', ' ')} {self._name}"
        for attempt in range(_BUSY_TRIES):
            with self._errors(operation, doing):
                try:
                    getattr(self._client, operation)(**parameters)
                except ClientError as error:
                    if code_of(error) in _DONE_ALREADY:
                        return
                    # S3 makes one change of a bucket at a time.
                    if code_of(error) != _BUSY or attempt == _BUSY_TRIES - 1:
                        raise
                else:
                    return
            self._sleep(_BUSY_PAUSE)

    def _await(self) -> None:
        with self._errors("head_bucket", f"waiting for bucket {self._name}"):
            patience.wait(self._client, "bucket_exists", _SEEN_AFTER, {"Bucket": self._name})

    @contextmanager
    def _errors(self, operation: str, doing: str) -> Iterator[None]:
        action = _ACTIONS.get(operation, "".join(part.capitalize() for part in operation.split("_")))
        facts = {"bucket": self._name, "account": self._owner.account, "action": f"s3:{action}"}
        try:
            yield
        except (BotoCoreError, ClientError, ResponseParserError) as error:
            raise translate(error, doing, _S3, **facts) from error


def whose(region: str | None) -> Owner:
    """The account of the credentials.

    Raises:
        LambdapackError: There are none, or AWS does not know them.
    """
    doing = "asking AWS whose credentials these are"
    try:
        session = boto3.Session(region_name=region)
        identity = patience.make_client(session, "sts", patience.CALLS).get_caller_identity()
    except (BotoCoreError, ClientError, ResponseParserError) as error:
        raise translate(error, doing, Service((), "AWS refused it ({code}: {said})")) from error
    return Owner(str(identity["Account"]), str(identity["Arn"]).split(":")[1])
