"""A bucket for packs: whether it is reached and may be used, and whether it is set up as it should be."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

from lambdapack.deploy.aws.clients import Clients
from lambdapack.deploy.aws.errors import failures_of_aws
from lambdapack.deploy.aws.findings import Finding, State, ask, unseen
from lambdapack.store.aws_errors import status_of

_PROBE = "packs/doctor"
"""Key, below the prefix, of an object that there never is."""
_NO_TAG = '"00000000000000000000000000000000"'
"""An ETag that no object has: what is written on the condition that an object has it is not written."""


def check_bucket(bucket: str, prefix: str, clients: Clients) -> Iterator[Finding]:
    """Findings on a bucket; only the first where the bucket cannot be reached.

    Args:
        bucket: The bucket's name.
        prefix: Where packs are kept in the bucket.
        clients: Whom to call, in the function's region.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - slow

    s3 = clients["s3"]
    try:
        yield _reached(bucket, s3.head_bucket(Bucket=bucket), clients.region)
    except ClientError as error:
        if (found := _not_reached(bucket, error, clients.region)).state == "fail":
            yield found
            return
        yield found
    except BotoCoreError as error:
        yield Finding("bucket", "fail", unseen("bucket", error, "").found, "check the network and the region")
        return
    yield _rights(bucket, prefix, s3)
    for name, action, look in _SETTINGS:
        try:
            yield look(bucket, s3)
        except failures_of_aws() as error:
            yield unseen(name, error, action, f"arn:aws:s3:::{bucket}")


def _reached(bucket: str, answer: Any, region: str) -> Finding:
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    where = answer.get("BucketRegion") or headers.get("x-amz-bucket-region") or region
    if where != region:
        return _elsewhere(bucket, where, region)
    return Finding("bucket", "ok", f"{bucket} in {where}")


def _elsewhere(bucket: str, where: str, region: str) -> Finding:
    return Finding(
        "bucket", "warn",
        f"{bucket} is in {where}, the function in {region}: each cold start crosses regions",
        f"keep packs in a bucket in {region}, or deploy to {where}",
    )  # fmt: skip


def _not_reached(bucket: str, error: Any, region: str) -> Finding:
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    where = headers.get("x-amz-bucket-region", "")
    if where and where != region:
        return _elsewhere(bucket, where, region)
    if status_of(error) == 404:
        return Finding(
            "bucket", "fail", f"there is no bucket {bucket}", f"lambdapack bucket create s3://{bucket}"
        )
    found = unseen("bucket", error, "s3:ListBucket", f"arn:aws:s3:::{bucket}")
    # A bucket that these credentials may not list can still be written to.
    return found if status_of(error) == 403 else Finding("bucket", "fail", found.found, found.fix)


def _rights(bucket: str, prefix: str, s3: Any) -> Finding:
    """Whether packs may be listed, read and written; nothing is left in the bucket."""
    key = f"{prefix}/{_PROBE}".lstrip("/")
    tried: list[tuple[str, Callable[[], object]]] = [
        ("s3:ListBucket", lambda: s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)),
        ("s3:GetObject", lambda: s3.head_object(Bucket=bucket, Key=key)),
        ("s3:PutObject", lambda: _write_nothing(bucket, key, s3)),
    ]
    denied = [action for action, attempt in tried if _is_denied(attempt)]
    # Who may not list is told 403 of a missing object as well: that says nothing of reading.
    if "s3:ListBucket" in denied and "s3:GetObject" in denied:
        denied.remove("s3:GetObject")
    where = f"s3://{bucket}/{prefix}".rstrip("/")
    if not denied:
        return Finding("bucket rights", "ok", f"list, read and write {where}")
    fix = (
        f"the statements DeployBucket and DeployPacks of `lambdapack policy --for deploy` allow {denied[-1]}"
    )
    # Without listing an upload starts anew instead of being resumed, and no more than that.
    state: State = "fail" if {"s3:PutObject", "s3:GetObject"} & set(denied) else "warn"
    return Finding("bucket rights", state, f"no {', no '.join(denied)} on {where}", fix)


def _is_denied(attempt: Callable[[], object]) -> bool:
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - slow

    try:
        attempt()
    except ClientError as error:
        return status_of(error) == 403
    except BotoCoreError:
        return False
    return False


def _write_nothing(bucket: str, key: str, s3: Any) -> None:
    """A write on a condition that does not hold: S3 looks at the permission first, and writes nothing."""
    s3.put_object(Bucket=bucket, Key=key, Body=b"", IfMatch=_NO_TAG)
    # A store that knows no conditions has written it. Whoever may not delete leaves an empty object.
    with contextlib.suppress(Exception):
        s3.delete_object(Bucket=bucket, Key=key)


def _mend(bucket: str) -> str:
    return f"lambdapack bucket create s3://{bucket} shows what it would change, and asks"


def _public(bucket: str, s3: Any) -> Finding:
    answer = ask(s3.get_public_access_block, "NoSuchPublicAccessBlockConfiguration", Bucket=bucket)
    blocks = (answer or {}).get("PublicAccessBlockConfiguration", {})
    wanted = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    if all(blocks.get(name) for name in wanted):
        return Finding("public access", "ok", "blocked")
    return Finding("public access", "warn", "not all of it is blocked by the bucket itself", _mend(bucket))


def _encryption(bucket: str, s3: Any) -> Finding:
    answer = ask(s3.get_bucket_encryption, "ServerSideEncryptionConfigurationNotFoundError", Bucket=bucket)
    if answer is None:
        # S3 encrypts everything since January 2023; stores that only speak like S3 need not.
        return Finding("encryption", "ok", "as S3 does by itself")
    default = answer["ServerSideEncryptionConfiguration"]["Rules"][0]["ApplyServerSideEncryptionByDefault"]
    key = default.get("KMSMasterKeyID")
    found = f"{default['SSEAlgorithm']}{f' with {key}' if key else ''}"
    return Finding("encryption", "ok", found + (": the role gets kms:Decrypt" if key else ""))


def _tls(bucket: str, s3: Any) -> Finding:
    answer = ask(s3.get_bucket_policy, "NoSuchBucketPolicy", Bucket=bucket)
    statements = json.loads(answer["Policy"]).get("Statement", []) if answer else []
    for statement in statements if isinstance(statements, list) else [statements]:
        insecure = statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")
        if statement.get("Effect") == "Deny" and str(insecure).lower() == "false":
            return Finding("TLS", "ok", "the bucket's policy refuses plain HTTP")
    return Finding("TLS", "warn", "no policy of the bucket refuses plain HTTP", _mend(bucket))


def _lifecycle(bucket: str, s3: Any) -> Finding:
    answer = ask(s3.get_bucket_lifecycle_configuration, "NoSuchLifecycleConfiguration", Bucket=bucket)
    rules = [rule for rule in (answer or {}).get("Rules", []) if rule.get("Status") == "Enabled"]
    expiring = [str(rule.get("ID", "?")) for rule in rules if _removes(rule)]
    if expiring:
        return Finding(
            "lifecycle", "warn",
            f"the rule {', '.join(expiring)} deletes objects by their age, and so packs that versions need",
            "leave packs out of it; lambdapack gc deletes those that no version needs",
        )  # fmt: skip
    if any("AbortIncompleteMultipartUpload" in rule for rule in rules):
        return Finding("lifecycle", "ok", "abandoned uploads are removed")
    return Finding("lifecycle", "warn", "abandoned uploads are kept, and paid for", _mend(bucket))


def _removes(rule: Any) -> bool:
    """Whether a rule deletes current objects; one for markers of deleted versions deletes none."""
    expiration = rule.get("Expiration", {})
    return "Days" in expiration or "Date" in expiration


_SETTINGS = (
    ("public access", "s3:GetBucketPublicAccessBlock", _public),
    ("encryption", "s3:GetEncryptionConfiguration", _encryption),
    ("TLS", "s3:GetBucketPolicy", _tls),
    ("lifecycle", "s3:GetLifecycleConfiguration", _lifecycle),
)
