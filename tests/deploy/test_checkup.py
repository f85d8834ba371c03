"""What a look at an account and a bucket says, and what it says to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from lambdapack.deploy import aws
from lambdapack.deploy.aws import checkup, identity, permissions
from lambdapack.deploy.aws.bucket_checks import check_bucket
from lambdapack.deploy.aws.permissions import Project
from tests.support.aws_world import BUCKET, REGION
from tests.support.iam import Account, Guard, listen

TODAY = date(2026, 11, 26)
LIMITS = {"TotalCodeSize": 80_000_000_000, "CodeSizeUnzipped": 262144000, "CodeSizeZipped": 52428800,
          "ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 900}  # fmt: skip


def by_name(findings: Iterator[aws.Finding]) -> dict[str, aws.Finding]:
    return {finding.name: finding for finding in findings}


@pytest.fixture
def stub(cloud: aws.Clients) -> Iterator[Stubber]:
    """Lambda as the account's owner sees it: what moto lacks is answered by hand."""
    with Stubber(cloud["lambda"]) as stubber:
        yield stubber


def answer(stub: Stubber, used: int = 1_000_000_000, runtimes: tuple[str, ...] = (), **limits: int) -> None:
    usage = {"TotalCodeSize": used, "FunctionCount": len(runtimes)}
    stub.add_response("get_account_settings", {"AccountLimit": {**LIMITS, **limits}, "AccountUsage": usage})
    functions = [{"FunctionName": f"f{n}", "Runtime": runtime} for n, runtime in enumerate(runtimes)]
    stub.add_response("list_functions", {"Functions": functions})


def look(cloud: aws.Clients, bucket: tuple[str, str] | None = None, **more: Any) -> dict[str, aws.Finding]:
    return by_name(aws.check_account(aws.CheckUp(REGION, bucket, TODAY), clients=cloud, **more))


def test_a_sound_account_is_ok(cloud: aws.Clients, stub: Stubber) -> None:
    """Who calls, where, by which clock, and how much room there is."""
    answer(stub, runtimes=("python3.13", "nodejs20.x"))
    found = look(cloud)
    assert {finding.state for name, finding in found.items() if name != "credentials"} == {"ok"}
    assert "123456789012" in found["credentials"].found
    assert found["region"].found == REGION
    assert found["concurrency"].found == "1,000 environments at once, 100 of them reserved, 900 left"
    assert found["code storage"].found.startswith("1.0 of 80 GB of zips and layers, 1%, in 2 functions")
    assert found["runtimes"].found.startswith("none of 1 Python functions")


@pytest.mark.parametrize(("share", "state"), [(0.79, "ok"), (0.8, "warn"), (0.98, "fail")])
def test_full_code_storage_is_told_before_a_deployment_fails_on_it(
    cloud: aws.Clients, stub: Stubber, share: float, state: str
) -> None:
    """With the command that makes room."""
    answer(stub, used=round(80_000_000_000 * share))
    found = look(cloud)["code storage"]
    assert found.state == state
    assert ("lambdapack gc" in found.fix) == (state != "ok")


def test_little_concurrency_is_a_warning(cloud: aws.Clients, stub: Stubber) -> None:
    """A new account has 10 environments; the fix names the quota."""
    answer(stub, ConcurrentExecutions=10, UnreservedConcurrentExecutions=10)
    found = look(cloud)["concurrency"]
    assert (found.state, "L-B99A9384" in found.fix) == ("warn", True)


def test_runtimes_that_end_are_named_with_their_functions(cloud: aws.Clients, stub: Stubber) -> None:
    """A line for each Python that ends; those that do not end soon are not told of."""
    answer(stub, runtimes=("python3.9", "python3.13", "python3.9"))
    found = look(cloud)["runtimes"]
    assert found.state == "warn"
    assert "python3.9" in found.found
    assert found.found.endswith(": f0, f2")
    assert "f1" not in found.found


def test_what_may_not_be_seen_is_a_warning_with_its_statement(cloud: aws.Clients, stub: Stubber) -> None:
    """No rights to look at the account's settings is no failure of a deployment."""
    stub.add_client_error("get_account_settings", "AccessDeniedException")
    stub.add_client_error("list_functions", "AccessDeniedException")
    found = look(cloud)
    assert found["quotas"].state == "warn"
    assert "`lambdapack policy --for doctor`" in found["quotas"].fix
    assert "lambda:ListFunctions" in found["runtimes"].found


@pytest.mark.parametrize(("minutes", "state"), [(4, "ok"), (6, "fail"), (-6, "fail")])
def test_a_wrong_clock_is_fatal(cloud: aws.Clients, stub: Stubber, minutes: int, state: str) -> None:
    """Measured against the ``Date`` of AWS's answer, five minutes either way."""
    answer(stub)
    found = look(cloud, now=datetime.now(timezone.utc) + timedelta(minutes=minutes))["clock"]
    assert found.state == state
    if state == "fail":
        assert ("behind" in found.found) == (minutes < 0)


def test_a_clock_for_which_aws_refuses_the_credentials_is_told_apart(
    cloud: aws.Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signature that seems expired says nothing of clocks; the date of the refusal does."""
    refusal = {
        "Error": {"Code": "InvalidSignatureException", "Message": "Signature expired"},
        "ResponseMetadata": {"HTTPHeaders": {"date": "Thu, 26 Nov 2026 12:00:00 GMT"}, "HTTPStatusCode": 403},
    }

    def refuse(_: str | None) -> identity.Identity:
        raise ClientError(refusal, "GetCallerIdentity")  # type: ignore[arg-type]

    monkeypatch.setattr(identity, "ask", refuse)
    found = look(cloud, now=datetime(2026, 11, 26, 13, 0, tzinfo=timezone.utc))
    assert [(name, each.state) for name, each in found.items()] == [
        ("credentials", "fail"),
        ("clock", "fail"),
    ]
    assert "60 minutes ahead of AWS's" in found["clock"].found


def test_credentials_that_end_soon_are_warned_of(cloud: aws.Clients, stub: Stubber) -> None:
    """A deployment takes minutes; and whoever is root has no policy that could be small."""
    now = datetime(2026, 11, 26, 12, tzinfo=timezone.utc)
    account = aws.Account("123456789012", "aws", REGION)

    def state(arn: str, minutes: int | None) -> str:
        expires = None if minutes is None else now + timedelta(minutes=minutes)
        return checkup._credentials(identity.Identity(account, arn, "sso", expires), now).state

    session = "arn:aws:sts::123456789012:assumed-role/dev/me"
    assert [state(session, minutes) for minutes in (None, 5, 60)] == ["ok", "warn", "ok"]
    assert state("arn:aws:iam::123456789012:root", None) == "warn"


def test_without_credentials_nothing_else_is_asked(
    cloud: aws.Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One failure with what helps, instead of ten with the same reason."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/none")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/none")
    found = look(cloud)
    assert [(name, each.state) for name, each in found.items()] == [("credentials", "fail")]
    assert "aws configure" in found["credentials"].fix


def test_a_bare_bucket_is_usable_and_warned_of(cloud: aws.Clients) -> None:
    """What a careful bucket has and this one lacks, with what mends it; nothing is left behind."""
    found = by_name(check_bucket(BUCKET, "team", cloud))
    assert found["bucket"] == aws.Finding("bucket", "ok", f"{BUCKET} in {REGION}")
    assert found["bucket rights"].state == "ok"
    assert {name for name, each in found.items() if each.state == "warn"} == {
        "public access", "TLS", "lifecycle",
    }  # fmt: skip
    assert f"lambdapack bucket create s3://{BUCKET}" in found["public access"].fix
    assert "Contents" not in cloud["s3"].list_objects_v2(Bucket=BUCKET)


def test_a_careful_bucket_is_ok(cloud: aws.Clients) -> None:
    """Public access blocked, TLS only, abandoned uploads removed."""
    s3 = cloud["s3"]
    block = dict.fromkeys(
        ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
    )
    s3.put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration=block)
    # The path, since moto heeds no condition of a policy.
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": f"arn:aws:s3:::{BUCKET}/none/*",
            "Condition": {"Bool": {"aws:SecureTransport": "false"}}}  # fmt: skip
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    _lifecycle(cloud, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 7})
    assert {each.state for each in check_bucket(BUCKET, "team", cloud)} == {"ok"}


def test_a_rule_that_deletes_packs_is_warned_of(cloud: aws.Clients) -> None:
    """A pack that a version needs would be gone after some days, and the next cold start would fail."""
    _lifecycle(cloud, Expiration={"Days": 30})
    found = by_name(check_bucket(BUCKET, "", cloud))["lifecycle"]
    assert (found.state, "ours" in found.found) == ("warn", True)
    assert "lambdapack gc" in found.fix


def _lifecycle(cloud: aws.Clients, **rule: Any) -> None:
    rules = {"Rules": [{"ID": "ours", "Status": "Enabled", "Filter": {"Prefix": ""}, **rule}]}
    cloud["s3"].put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration=rules)


def test_a_bucket_that_is_not_there_is_one_failure(cloud: aws.Clients) -> None:
    """Nothing else can be looked at."""
    findings = list(check_bucket("nowhere-at-all", "", cloud))
    assert [(each.name, each.state) for each in findings] == [("bucket", "fail")]
    assert "s3://nowhere-at-all" in findings[0].fix


@pytest.mark.parametrize(
    ("allowed", "state", "lacking"),
    [
        (["s3:ListBucket", "s3:GetObject"], "fail", "s3:PutObject"),
        (["s3:PutObject", "s3:GetObject"], "warn", "s3:ListBucket"),
        (["s3:ListBucket", "s3:PutObject"], "fail", "s3:GetObject"),
    ],
)
def test_rights_on_a_bucket_are_tried_and_named(
    cloud: aws.Clients, monkeypatch: pytest.MonkeyPatch, allowed: list[str], state: str, lacking: str
) -> None:
    """Whoever may not write is told so before a push fails; not listing alone is no failure."""
    statement = {"Effect": "Allow", "Action": allowed, "Resource": "*"}
    listen(monkeypatch, Guard(Account("123456789012", REGION), [{"Statement": [statement]}]))
    found = by_name(check_bucket(BUCKET, "team", cloud))["bucket rights"]
    assert (found.state, lacking in found.found) == (state, True)
    assert "lambdapack policy" in found.fix


def test_the_deployers_permissions_are_simulated(cloud: aws.Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    """A role that lacks one statement is told which, and one that has all is told so."""
    project = Project("demo", REGION, "123456789012", buckets=((BUCKET, "team"),))
    statements = permissions.statements(project, ["deploy"])
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    cloud["iam"].create_role(RoleName="ci", AssumeRolePolicyDocument=trust)
    account = aws.Account("123456789012", "aws", REGION)
    session = "arn:aws:sts::123456789012:assumed-role/ci/run"
    monkeypatch.setattr(identity, "identify", lambda _: identity.Identity(account, session))

    def verdict(allowed: Any) -> aws.Finding:
        document = json.dumps(permissions.documents(allowed)[0])
        cloud["iam"].put_role_policy(RoleName="ci", PolicyName="p", PolicyDocument=document)
        (finding,) = aws.check_permissions(statements, REGION, cloud)
        return finding

    assert verdict(statements).state == "ok"
    lacking = verdict([each for each in statements if each.sid != "DeployLogGroup"])
    assert (lacking.state, lacking.found) == ("fail", "no logs:CreateLogGroup")
    assert "DeployLogGroup" in lacking.fix
