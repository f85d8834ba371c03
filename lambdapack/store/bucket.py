"""A bucket for packs: what it must be, what it is, and the calls between the two. The plan is pure.

Nothing of an existing bucket is replaced but what is looser than it must be: a policy's other statements and
a lifecycle's other rules stay as they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "ABANDONED_DAYS", "LIFECYCLE_ID", "POLICY_SID", "BucketCall", "BucketState", "BucketWish", "plan",
]  # fmt: skip

POLICY_SID = "LambdapackTlsOnly"
LIFECYCLE_ID = "lambdapack-abandoned-uploads"
ABANDONED_DAYS = 7
"""After so long an upload in parts is given up; a push that goes on with one may rest for a week."""
_BLOCKED = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
_OWNER = "BucketOwnerEnforced"
_KMS = "aws:kms"
_NO_CONSTRAINT = "us-east-1"
"""The one region that S3 refuses to be told as a constraint.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html"""


@dataclass(frozen=True)
class BucketWish:
    """The bucket as it should be.

    Attributes:
        name: The bucket's name.
        prefix: What the keys of packs begin with; the lifecycle rule is for these alone.
        region: Where the bucket is to be.
        partition: ``aws``, ``aws-cn`` or ``aws-us-gov``.
        kms_key: A key of KMS by its ARN, id or alias; ``None``: S3's own keys, or what is set already.
    """

    name: str
    prefix: str
    region: str
    partition: str = "aws"
    kms_key: str | None = None


@dataclass(frozen=True)
class BucketState:
    """The bucket as it is, in S3's words; what is not set is empty.

    Attributes:
        exists: Whether there is such a bucket, of this account.
        public_access: ``PublicAccessBlockConfiguration``.
        encryption: The first ``ApplyServerSideEncryptionByDefault``.
        ownership: ``ObjectOwnership``, ``""`` where none is set.
        policy: The bucket's policy.
        lifecycle: The rules.
    """

    exists: bool
    public_access: Mapping[str, bool] = field(default_factory=dict)
    encryption: Mapping[str, str] = field(default_factory=dict)
    ownership: str = ""
    policy: Mapping[str, Any] = field(default_factory=dict)
    lifecycle: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class BucketCall:
    """A call to S3: boto3's method, its arguments, and what it is for, e.g. ``block public access``."""

    operation: str
    parameters: Mapping[str, Any]
    why: str


def plan(wish: BucketWish, state: BucketState) -> tuple[BucketCall, ...]:
    """The calls that make the bucket what it should be; none where it is so already."""
    calls = [] if state.exists else [_create(wish)]
    calls += [*_public_access(wish, state), *_ownership(wish, state), *_encryption(wish, state)]
    return (*calls, *_policy(wish, state), *_lifecycle(wish, state))


def _create(wish: BucketWish) -> BucketCall:
    parameters: dict[str, Any] = {"Bucket": wish.name, "ObjectOwnership": _OWNER}
    if wish.region != _NO_CONSTRAINT:
        parameters["CreateBucketConfiguration"] = {"LocationConstraint": wish.region}
    return BucketCall("create_bucket", parameters, f"there is no such bucket yet; in {wish.region}")


def _public_access(wish: BucketWish, state: BucketState) -> Iterator[BucketCall]:
    missing = [name for name in _BLOCKED if not state.public_access.get(name)]
    if missing:
        wanted = dict.fromkeys(_BLOCKED, True)
        why = (
            "public access is not blocked"
            if len(missing) == len(_BLOCKED)
            else f"{', '.join(missing)} is off"
        )
        yield _put(wish, "public_access_block", {"PublicAccessBlockConfiguration": wanted}, why)


def _ownership(wish: BucketWish, state: BucketState) -> Iterator[BucketCall]:
    # A bucket that is created gets this with its creation.
    if state.exists and state.ownership != _OWNER:
        rules = {"OwnershipControls": {"Rules": [{"ObjectOwnership": _OWNER}]}}
        why = f"objects may belong to others than the bucket's owner ({state.ownership or 'not set'})"
        yield _put(wish, "bucket_ownership_controls", rules, why)


def _encryption(wish: BucketWish, state: BucketState) -> Iterator[BucketCall]:
    seen = state.encryption
    if wish.kms_key is None:
        if seen.get("SSEAlgorithm"):
            return
        default: dict[str, Any] = {"SSEAlgorithm": "AES256"}
        why = "encrypt with S3's own keys by default"
    else:
        if _same_key(seen, wish.kms_key):
            return
        default = {"SSEAlgorithm": _KMS, "KMSMasterKeyID": wish.kms_key}
        why = f"encrypt with {wish.kms_key} by default"
    rule: dict[str, Any] = {"ApplyServerSideEncryptionByDefault": default}
    if wish.kms_key is not None:
        # One key of the bucket's instead of a call to KMS for each read of a pack.
        rule["BucketKeyEnabled"] = True
    yield _put(wish, "bucket_encryption", {"ServerSideEncryptionConfiguration": {"Rules": [rule]}}, why)


def _same_key(seen: Mapping[str, str], key: str) -> bool:
    there = seen.get("KMSMasterKeyID", "")
    return str(seen.get("SSEAlgorithm", "")).startswith(_KMS) and (
        there == key or there.endswith((f"/{key}", f":{key}"))
    )


def tls_statement(wish: BucketWish) -> dict[str, Any]:
    """The statement that refuses every request without TLS."""
    arn = f"arn:{wish.partition}:s3:::{wish.name}"
    return {
        "Sid": POLICY_SID,
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def _policy(wish: BucketWish, state: BucketState) -> Iterator[BucketCall]:
    statements = list(state.policy.get("Statement", ()))
    wanted = tls_statement(wish)
    if any(_as_strict(statement, wanted) for statement in statements):
        return
    others = [each for each in statements if each.get("Sid") != POLICY_SID]
    document = {"Version": "2012-10-17", **state.policy, "Statement": [*others, wanted]}
    why = "requests without TLS are not refused"
    if others:
        why += f"; {len(others)} other statement{'s stay' if len(others) > 1 else ' stays'}"
    yield _put(wish, "bucket_policy", {"Policy": json.dumps(document)}, why)


def _as_strict(statement: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether somebody's own statement says the same, under whatever name."""

    def listed(value: Any) -> set[str]:
        return {value} if isinstance(value, str) else set(value or ())

    condition = statement.get("Condition", {})
    flag = condition.get("Bool", {}).get("aws:SecureTransport") if set(condition) == {"Bool"} else None
    return (
        statement.get("Effect") == "Deny"
        and statement.get("Principal") in ("*", {"AWS": "*"})
        and bool(listed(statement.get("Action")) & {"s3:*", "*"})
        and listed(statement.get("Resource")) >= set(wanted["Resource"])
        and set(condition.get("Bool", {})) == {"aws:SecureTransport"}
        and str(flag[0] if isinstance(flag, list) else flag).lower() == "false"
    )


def _lifecycle(wish: BucketWish, state: BucketState) -> Iterator[BucketCall]:
    prefix = wish.prefix.strip("/")
    prefix = f"{prefix}/" if prefix else ""
    if any(_gives_up(rule, prefix) for rule in state.lifecycle):
        return
    others = [rule for rule in state.lifecycle if rule.get("ID") != LIFECYCLE_ID]
    ours = {
        "ID": LIFECYCLE_ID,
        "Status": "Enabled",
        "Filter": {"Prefix": prefix},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": ABANDONED_DAYS},
    }
    why = f"uploads that do not end are kept for ever; give them up after {ABANDONED_DAYS} days"
    if others:
        why += f"; {len(others)} other rule{'s stay' if len(others) > 1 else ' stays'}"
    rules = {"LifecycleConfiguration": {"Rules": [*others, ours]}}
    yield _put(wish, "bucket_lifecycle_configuration", rules, why)


def _gives_up(rule: Mapping[str, Any], prefix: str) -> bool:
    """Whether a rule, of whomever, gives abandoned uploads under the prefix up in some time."""
    chosen = rule.get("Filter") or {}
    # A filter by tags or sizes does not reach uploads.
    covers = set(chosen) <= {"Prefix"} and prefix.startswith(chosen.get("Prefix", rule.get("Prefix", "")))
    return rule.get("Status") == "Enabled" and "AbortIncompleteMultipartUpload" in rule and covers


def _put(wish: BucketWish, what: str, parameters: Mapping[str, Any], why: str) -> BucketCall:
    return BucketCall(f"put_{what}", {"Bucket": wish.name, **parameters}, why)
