"""The printed policies are enough, and hold nothing that is not needed."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lambdapack.deploy import FunctionOptions, aws, policy
from lambdapack.deploy.aws import naming, permissions
from lambdapack.deploy.aws.permissions import Project
from lambdapack.errors import ConfigurationError, LambdapackError, ToolError
from lambdapack.model import Files, FunctionSettings, FunctionSpec, SecretReference, Target
from lambdapack.store import open_store
from tests.deploy.test_aws import make_spec
from tests.support.aws_world import BUCKET, REGION
from tests.support.iam import Account, Guard, listen

ACCOUNT = "123456789012"
PROJECT = Project(
    "demo", REGION, ACCOUNT, buckets=((BUCKET, "team"),), settings=FunctionSettings(log_retention=7)
)


def test_the_printed_policy_is_enough_with_a_role_of_ones_own(
    cloud: aws.Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To look at the role, to ask IAM what the role may do, and to hand the role to Lambda."""
    arn = f"arn:aws:iam::{ACCOUNT}:role/theirs"
    spec = make_spec(tmp_path, cloud, role=arn)
    needed = naming.policy(where(), "demo", [spec.location])
    iam = cloud["iam"]
    iam.create_role(RoleName="theirs", AssumeRolePolicyDocument=json.dumps(naming.TRUST))
    iam.put_role_policy(RoleName="theirs", PolicyName="p", PolicyDocument=json.dumps(needed))
    project = replace(PROJECT, settings=spec.settings)
    watch = guard(monkeypatch, permissions.statements(project, ["deploy"]))
    assert aws.deploy(spec, clients=cloud).version == "1"
    asked = {action for action, resource in watch.asked if resource == arn}
    assert {"iam:GetRole", "iam:SimulatePrincipalPolicy", "iam:PassRole"} <= asked


def test_the_printed_policy_is_enough_for_layers_in_a_network(
    cloud: aws.Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any S3, and with a look at the subnets; a second deployment finds the layer."""
    made = cloud["ec2"].create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = cloud["ec2"].create_subnet(VpcId=made, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    group = cloud["ec2"].create_security_group(GroupName="g", Description="g", VpcId=made)["GroupId"]
    layer = tmp_path / "layer.zip"
    with zipfile.ZipFile(layer, "w") as archive:
        archive.writestr("lambdapack/pack.1", b"pack")
    spec = make_spec(tmp_path, subnets=(subnet,), security_groups=(group,), tags={"team": "ours"})
    place = Files("layer", (("/opt/lambdapack/pack.1", 0),))
    spec = replace(spec, location=place, layers=(layer,))
    project = replace(PROJECT, settings=spec.settings, places=frozenset({"layer"}), buckets=())
    statements = permissions.statements(project, ["deploy"])
    watch = guard(monkeypatch, statements)
    assert aws.deploy(spec, clients=cloud).version == "1"
    assert aws.deploy(replace(spec, settings=replace(spec.settings, memory_mb=900)), clients=cloud).calls
    actions = {action for action, _ in watch.asked}
    assert {"lambda:PublishLayerVersion", "lambda:GetLayerVersion"} <= actions
    assert not [action for action in actions if action.startswith("s3:")]


_DONE_WITHOUT = {
    "DeployBucket": "looking into the bucket makes an upload resumable and an answer clearer",
    "DeployLeases": "the risk is told: a collection at that moment may not know of the pack",
    "DestroyCodeDeployRole": "it is told that what was made for CodeDeploy, if anything was, stays",
}
"""What a deployment goes on without, and what for it is."""


def lifecycle(spec: FunctionSpec, clients: aws.Clients, pack: Path) -> None:
    """Deploy, deploy a change, put a role that somebody changed right, roll back, go, remove."""
    store = open_store(f"s3://{BUCKET}/team", region=REGION)
    aws.deploy(spec, clients=clients, pack=pack, store=store)
    anybody = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [anybody]})
    clients["iam"].update_assume_role_policy(RoleName=f"lambdapack-demo-{REGION}", PolicyDocument=trust)
    changed = replace(spec, settings=replace(spec.settings, memory_mb=1024))
    aws.deploy(changed, clients=clients, pack=pack, store=store)
    longer = replace(changed.settings, timeout=60)
    code = make_spec(pack.parent, salt="2", log_retention=7).zip_path
    aws.deploy(replace(changed, zip_path=code, settings=longer), clients=clients, pack=pack, store=store)
    aws.rollback("demo", clients=clients)
    aws.destroy("demo", clients=clients)


def guard(monkeypatch: pytest.MonkeyPatch, statements: Sequence[permissions.Statement]) -> Guard:
    """Whoever calls from here on may do what ``statements`` allow."""
    made = Guard(Account(ACCOUNT, REGION), permissions.documents(statements))
    listen(monkeypatch, made)
    return made


@pytest.fixture
def project(cloud: aws.Clients, tmp_path: Path) -> tuple[FunctionSpec, Path]:
    """A function, and its pack on this machine."""
    pack = tmp_path / "pack.tar.zst"
    pack.write_bytes(b"pack")
    return make_spec(tmp_path, log_retention=7), pack


def test_the_printed_policy_is_enough_for_a_whole_life(
    cloud: aws.Clients, project: tuple[FunctionSpec, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call of deploy, rollback and destroy is allowed by it, on the resources that it names."""
    statements = permissions.statements(PROJECT, ["deploy", "rollback", "destroy"])
    watch = guard(monkeypatch, statements)
    lifecycle(project[0], cloud, project[1])
    assert len(watch.asked) > 20
    assert cloud["lambda"].list_functions()["Functions"] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "sid",
    [each.sid for each in permissions.statements(PROJECT, ["deploy", "rollback", "destroy"])],
)
def test_without_any_one_statement_it_fails_and_names_that_statement(
    cloud: aws.Clients, project: tuple[FunctionSpec, Path], monkeypatch: pytest.MonkeyPatch, sid: str
) -> None:
    """No statement is there for nothing, and whoever lacks one is told its name."""
    features = ["deploy", "rollback", "destroy"]
    guard(monkeypatch, [each for each in permissions.statements(PROJECT, features) if each.sid != sid])
    if sid in _DONE_WITHOUT:
        lifecycle(project[0], cloud, project[1])
        return
    with pytest.raises(LambdapackError) as caught:
        lifecycle(project[0], cloud, project[1])
    assert type(caught.value) is ToolError
    assert re.search(rf"statements? .*\b{sid}\b.* of `lambdapack policy --for", caught.value.hint or "")


def options(**changes: Any) -> FunctionOptions:
    return FunctionOptions("demo", "app.handler", Path(), Target("3.12"), **changes)


def where(number: str = ACCOUNT) -> aws.Account:
    return aws.Account(number, "aws", REGION)


def test_a_pack_in_layers_needs_no_s3_at_all() -> None:
    """Neither the deployer's policy nor one that is told of a bucket names S3."""
    for locations in ([], ["s3://packs/team"]):
        statements = policy.of_deployer(
            where(),
            options(place="layer"),
            ["deploy", "rollback"],
            locations=locations,
            zip_path=Path("none"),
        )
        text = json.dumps(permissions.documents(statements))
        assert "s3" not in text
        assert "lambda:PublishLayerVersion" in text


def test_only_what_the_project_has_is_allowed() -> None:
    """A VPC, a key, a role of one's own, a large zip: each has its statements, and only with it."""

    def sids(**changes: Any) -> set[str]:
        project = replace(PROJECT, settings=FunctionSettings(), **changes)
        return {each.sid for each in permissions.statements(project, ["deploy"])}

    bare = sids()
    assert sids(keys=("arn:aws:kms:eu-central-1:1:key/k",)) - bare == {"DeployKeys", "DeployBucketKeys"}
    assert sids(large_zip=True) - bare == {"DeployStagedZips"}
    secret = {"KEY": SecretReference("secretsmanager", "team/key")}
    settings = FunctionSettings(secrets=secret, layers=("arn:aws:lambda:eu-central-1:1:layer:theirs:1",))
    found = {
        s.sid: s.resources for s in permissions.statements(replace(PROJECT, settings=settings), ["deploy"])
    }
    assert found["DeploySecrets"] == (f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:team/key-??????",)
    assert found["DeployOtherLayers"] == settings.layers
    own = replace(PROJECT, settings=FunctionSettings(role=f"arn:aws:iam::{ACCOUNT}:role/theirs"))
    actions = {a for each in permissions.statements(own, ["deploy"]) for a in each.reasons}
    assert "iam:CreateRole" not in actions
    assert "iam:SimulatePrincipalPolicy" in actions
    passed = next(s for s in permissions.statements(own, ["deploy"]) if s.sid == "DeployPassRole")
    assert passed.resources == (f"arn:aws:iam::{ACCOUNT}:role/theirs",)
    assert passed.condition == {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}


def test_groups_are_taken_apart_and_unknown_ones_refused() -> None:
    """``ci`` is deploy and rollback; a wrong name is told what there is."""
    assert policy.chosen(["ci", "gc", "deploy"]) == ("deploy", "rollback", "gc")
    with pytest.raises(ConfigurationError, match="no policy for 'deply'") as caught:
        policy.chosen(["deply"])
    assert "deploy" in (caught.value.hint or "")


def test_a_shift_needs_what_looks_at_metrics() -> None:
    """Only a project that shifts, or watches, has these statements; CodeDeploy has its own."""
    assert policy.of_shift("all", watched=False) == ()
    assert (
        policy.of_shift("all", watched=True) == policy.of_shift("linear:10%,1m", watched=False) == ("shift",)
    )
    by_codedeploy = "codedeploy:Canary10Percent5Minutes"
    assert policy.of_shift(by_codedeploy, watched=False) == ("codedeploy",)
    assert policy.of_shift(by_codedeploy, watched=True) == ("codedeploy", "shift")
    statements = permissions.statements(PROJECT, ["deploy", "shift"])
    actions = {action for each in statements for action in each.reasons}
    assert {"cloudwatch:GetMetricData", "cloudwatch:DescribeAlarms"} <= actions


def test_the_account_is_awss_word_or_a_placeholder(
    cloud: aws.Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked of STS where there are credentials; China and GovCloud have partitions of their own."""
    assert policy.account_of(REGION) == where()
    assert policy.account_of("cn-north-1", "1" * 12).partition == "aws-cn"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert policy.account_of(REGION).id == permissions.PLACEHOLDER


def test_a_bucket_with_a_key_of_its_own_lets_the_function_decrypt(cloud: aws.Clients, tmp_path: Path) -> None:
    """The role may have S3 decrypt with that very key; it keeps the key of earlier packs."""
    first, second = (cloud["kms"].create_key()["KeyMetadata"]["Arn"] for _ in range(2))
    cloud["kms"].create_alias(AliasName="alias/packs", TargetKeyId=first)
    _encrypt(cloud, "alias/packs")
    spec = make_spec(tmp_path, cloud)
    aws.deploy(spec, clients=cloud)
    assert _decrypting(cloud) == [first]
    assert aws.deploy(spec, clients=cloud).calls == ()
    _encrypt(cloud, second)
    aws.deploy(make_spec(tmp_path, cloud, salt="2"), clients=cloud)
    assert _decrypting(cloud) == sorted([first, second])
    assert policy.bucket_keys(where(), [f"s3://{BUCKET}/team"]) == (second,)


def _encrypt(clients: aws.Clients, key: str) -> None:
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    clients["s3"].put_bucket_encryption(Bucket=BUCKET, ServerSideEncryptionConfiguration={"Rules": [rule]})


def _decrypting(clients: aws.Clients) -> list[str]:
    answer = clients["iam"].get_role_policy(RoleName=f"lambdapack-demo-{REGION}", PolicyName="lambdapack")
    statements = {item["Sid"]: item for item in answer["PolicyDocument"]["Statement"]}
    found = statements["DecryptItsPack"]
    assert found["Action"] == "kms:Decrypt"
    assert found["Condition"] == {"StringEquals": {"kms:ViaService": [f"s3.{REGION}.amazonaws.com"]}}
    keys: list[str] = found["Resource"]
    return keys
