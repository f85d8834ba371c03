"""A bucket for packs: made as it should be, left as it is where it is so, refused where it is not ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from lambdapack import store
from lambdapack.errors import ConfigurationError, ToolError
from lambdapack.store import bucket
from lambdapack.store.bucket import BucketCall, BucketState, BucketWish
from lambdapack.store.bucket_calls import OwnBucket, Owner
from tests.support.aws_world import empty_aws

NAME = "packs-to-be"
ACCOUNT = "123456789012"
WISH = BucketWish(NAME, "team", "eu-central-1")


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with empty_aws() as url:
        for name, value in {
            "AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
            monkeypatch.delenv(name, raising=False)
        yield url


def made(region: str, wish: BucketWish = WISH) -> tuple[BucketCall, ...]:
    """Make the bucket; the calls that it took."""
    wish = replace(wish, region=region)
    client = store.open_bucket(f"s3://{NAME}/team", region=region)
    calls = bucket.plan(wish, client.observe())
    client.apply(calls)
    return calls


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_a_new_bucket_is_as_it_should_be_and_a_second_run_changes_nothing(endpoint: str, region: str) -> None:
    """In us-east-1 too, whose name S3 does not take for a constraint."""
    assert made(region)[0].operation == "create_bucket"
    client = boto3.client("s3", region_name=region)
    answer = client.get_public_access_block(Bucket=NAME)["PublicAccessBlockConfiguration"]
    assert set(answer.values()) == {True} and len(answer) == 4
    rules = client.get_bucket_encryption(Bucket=NAME)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    ownership = client.get_bucket_ownership_controls(Bucket=NAME)["OwnershipControls"]["Rules"]
    assert ownership == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    policy = json.loads(client.get_bucket_policy(Bucket=NAME)["Policy"])
    assert policy["Statement"][0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    lifecycle = client.get_bucket_lifecycle_configuration(Bucket=NAME)["Rules"]
    assert lifecycle[0]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert lifecycle[0]["Filter"] == {"Prefix": "team/"}
    assert made(region) == ()


def test_what_others_set_stays(endpoint: str) -> None:
    """Statements, rules and a key of KMS that are there are kept; ours come beside them."""
    client = boto3.client("s3", region_name="us-east-1")
    client.create_bucket(Bucket=NAME)
    theirs = {
        "Sid": "Theirs", "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{NAME}/*",
    }  # fmt: skip
    client.put_bucket_policy(Bucket=NAME, Policy=json.dumps({"Version": "2012-10-17", "Statement": [theirs]}))
    rule = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 3}}
    client.put_bucket_lifecycle_configuration(Bucket=NAME, LifecycleConfiguration={"Rules": [rule]})
    encryption = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "alias/theirs"}
    client.put_bucket_encryption(
        Bucket=NAME,
        ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": encryption}]},
    )
    calls = made("us-east-1")
    assert "put_bucket_encryption" not in [call.operation for call in calls]
    policy = json.loads(client.get_bucket_policy(Bucket=NAME)["Policy"])
    assert policy["Statement"][0] == theirs and len(policy["Statement"]) == 2
    rules = client.get_bucket_lifecycle_configuration(Bucket=NAME)["Rules"]
    assert [one["ID"] for one in rules] == ["theirs", bucket.LIFECYCLE_ID]
    assert made("us-east-1") == ()


def test_a_bucket_in_another_region_is_looked_at_there(endpoint: str) -> None:
    """The region is where the bucket is, whatever was asked for."""
    made("eu-west-1")
    client = store.open_bucket(f"s3://{NAME}", region="eu-west-1")
    assert client.observe().exists
    assert client.region == "eu-west-1"


GOOD = BucketState(
    True,
    dict.fromkeys(
        ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
    ),
    {"SSEAlgorithm": "AES256"},
    "BucketOwnerEnforced",
    {"Version": "2012-10-17", "Statement": [bucket.tls_statement(WISH)]},
    (
        {"ID": "any", "Status": "Enabled", "Filter": {"Prefix": ""},
         "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 3}},
    ),
)  # fmt: skip


def operations(state: BucketState, wish: BucketWish = WISH) -> list[str]:
    return [call.operation for call in bucket.plan(wish, state)]


def test_a_good_bucket_needs_nothing() -> None:
    """Also where somebody's own statement or rule says the same under another name."""
    assert operations(GOOD) == []
    own = {**bucket.tls_statement(WISH), "Sid": "Theirs", "Action": ["s3:*"], "Principal": {"AWS": "*"}}
    assert operations(replace(GOOD, policy={"Statement": [own]})) == []


STATEMENT = bucket.tls_statement(WISH)
RULE = GOOD.lifecycle[0]


@pytest.mark.parametrize(
    ("changes", "operation"),
    [
        ({"public_access": {"BlockPublicAcls": True}}, "put_public_access_block"),
        ({"encryption": {}}, "put_bucket_encryption"),
        ({"ownership": "ObjectWriter"}, "put_bucket_ownership_controls"),
        ({"policy": {"Statement": [{**STATEMENT, "Effect": "Allow"}]}}, "put_bucket_policy"),
        ({"policy": {"Statement": [{**STATEMENT, "Action": "s3:GetObject"}]}}, "put_bucket_policy"),
        (
            {"policy": {"Statement": [{**STATEMENT, "Resource": STATEMENT["Resource"][:1]}]}},
            "put_bucket_policy",
        ),
        (
            {"policy": {"Statement": [{**STATEMENT, "Condition": {
                **STATEMENT["Condition"], "StringEquals": {"aws:username": "x"}}}]}},
            "put_bucket_policy",
        ),
        ({"lifecycle": ({**RULE, "Status": "Disabled"},)}, "put_bucket_lifecycle_configuration"),
        ({"lifecycle": ({**RULE, "Filter": {"Prefix": "logs/"}},)}, "put_bucket_lifecycle_configuration"),
        (
            {"lifecycle": ({**RULE, "Filter": {"Tag": {"Key": "a", "Value": "b"}}},)},
            "put_bucket_lifecycle_configuration",
        ),
    ],
)  # fmt: skip
def test_each_thing_that_is_looser_is_put_right_alone(changes: dict[str, Any], operation: str) -> None:
    """One call for one difference; a statement or rule that only resembles ours does not count."""
    assert operations(replace(GOOD, **changes)) == [operation]


def test_a_key_of_kms_is_set_where_it_is_another() -> None:
    """An alias, an id or an ARN that is set already changes nothing."""
    key = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/abc"
    wish = replace(WISH, kms_key=key)
    assert operations(GOOD, wish) == ["put_bucket_encryption"]
    kms = replace(GOOD, encryption={"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key})
    assert operations(kms, wish) == operations(kms, replace(WISH, kms_key="abc")) == operations(kms) == []


class Stubbed:
    """A bucket whose client answers as told; the answers are checked against S3's service model."""

    def __init__(self, region: str = "eu-central-1") -> None:
        self.client = boto3.client(
            "s3", region_name=region, aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="secret"
        )
        self.stub = Stubber(self.client)
        self.stub.activate()
        self.slept: list[float] = []
        owner = Owner(ACCOUNT, "aws")
        self.bucket = OwnBucket(lambda _: self.client, NAME, owner, sleep=self.slept.append)

    def refuse(self, operation: str, code: str, status: int, **expected: Any) -> None:
        self.stub.add_client_error(operation, code, http_status_code=status, expected_params=expected or None)


def test_a_bucket_of_another_account_is_refused() -> None:
    """S3 is told whose bucket it must be; where that alone is wrong, the account is named."""
    stubbed = Stubbed()
    stubbed.refuse("head_bucket", "403", 403, Bucket=NAME, ExpectedBucketOwner=ACCOUNT)
    stubbed.stub.add_response("head_bucket", {}, {"Bucket": NAME})
    with pytest.raises(ConfigurationError, match=f"is not of account {ACCOUNT}"):
        stubbed.bucket.observe()


def test_a_bucket_that_may_not_be_seen_is_refused() -> None:
    """Without any right both reasons are named, and what would help."""
    stubbed = Stubbed()
    stubbed.refuse("head_bucket", "403", 403)
    stubbed.refuse("head_bucket", "403", 403)
    with pytest.raises(ToolError, match="is another account's, or these credentials") as caught:
        stubbed.bucket.observe()
    assert "s3:ListBucket on arn:aws:s3:::packs-to-be" in str(caught.value.hint)


def test_a_name_that_another_account_took_is_refused() -> None:
    """The hint is a name that is free, most likely."""
    stubbed = Stubbed()
    stubbed.refuse("create_bucket", "BucketAlreadyExists", 409)
    with pytest.raises(ConfigurationError, match="another account has a bucket") as caught:
        stubbed.bucket.apply(bucket.plan(WISH, BucketState(exists=False)))
    assert caught.value.hint == f"choose another name, e.g. {NAME}-{ACCOUNT}"


def test_a_denied_call_names_the_right_that_lacks() -> None:
    """IAM's names are not those of the API."""
    stubbed = Stubbed()
    stubbed.refuse("put_bucket_encryption", "AccessDenied", 403)
    calls = bucket.plan(WISH, replace(GOOD, encryption={}))
    with pytest.raises(ToolError) as caught:
        stubbed.bucket.apply(calls)
    assert (
        caught.value.hint == f"lambdapack bucket needs s3:PutEncryptionConfiguration on arn:aws:s3:::{NAME}"
    )


def test_a_change_that_is_in_progress_is_waited_for() -> None:
    """S3 makes one change of a bucket at a time."""
    stubbed = Stubbed()
    stubbed.refuse("put_bucket_encryption", "OperationAborted", 409)
    stubbed.stub.add_response("put_bucket_encryption", {})
    stubbed.bucket.apply(bucket.plan(WISH, replace(GOOD, encryption={})))
    assert stubbed.slept == [2.0]
