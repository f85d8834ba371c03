"""The keys that packs are encrypted with in S3: who reads such a pack must be allowed to use its key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from lambdapack.deploy.aws import naming
from lambdapack.deploy.aws.clients import Clients
from lambdapack.deploy.aws.errors import failures_of_aws
from lambdapack.deploy.aws.models import Account, AwsState
from lambdapack.model import Location

_KMS = ("aws:kms", "aws:kms:dsse")
_AWS_MANAGED = "alias/aws/"
"""Keys that AWS keeps for a service: their own policy lets everybody use them who may use the service."""


def with_keys(observed: AwsState, packs: Iterable[Location], clients: Clients) -> AwsState:
    """The state with the keys of ``packs``, beside those that the role may use already.

    A key stays although its bucket has another one by now: packs of earlier versions are encrypted with it.
    """
    policies = observed.role.policies if observed.role else {}
    before = naming.keys_in(policies.get(naming.POLICY, {}))
    return replace(observed, keys=tuple(dict.fromkeys((*before, *keys_of(packs, observed.account, clients)))))


def keys_of(packs: Iterable[Location], account: Account, clients: Clients) -> tuple[str, ...]:
    """ARNs of their owners' keys with which S3 encrypts, one bucket asked about after the other.

    Where AWS tells these credentials nothing, there counts as no key: what is denied in the end says so.
    """
    by_bucket = {pack.bucket: pack for pack in packs}
    found = (_key(pack, account, clients) for pack in by_bucket.values())
    return tuple(dict.fromkeys(key for key in found if key is not None))


def _key(pack: Location, account: Account, clients: Clients) -> str | None:
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow

    s3 = clients["s3"]
    try:
        try:
            return _default_key(s3.get_bucket_encryption(Bucket=pack.bucket), pack, account, clients)
        except ClientError:
            # Who may not see how the bucket is set up may still see how one object is.
            said = s3.head_object(Bucket=pack.bucket, Key=pack.key)
            return said.get("SSEKMSKeyId") if said.get("ServerSideEncryption") in _KMS else None
    except failures_of_aws():
        return None


def _default_key(said: Mapping[str, Any], pack: Location, account: Account, clients: Clients) -> str | None:
    """The key in an answer of ``get_bucket_encryption``."""
    for rule in said["ServerSideEncryptionConfiguration"]["Rules"]:
        default = rule.get("ApplyServerSideEncryptionByDefault", {})
        key = str(default.get("KMSMasterKeyID", ""))
        if default.get("SSEAlgorithm") not in _KMS or not key or _AWS_MANAGED in key:
            continue
        if "alias/" in key:
            # A policy takes an alias for no key.
            key = str(clients["kms"].describe_key(KeyId=key)["KeyMetadata"]["Arn"])
        if ":key/" in key:
            return key
        return f"arn:{account.partition}:kms:{pack.region}:{account.id}:key/{key}"
    return None
