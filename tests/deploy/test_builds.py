"""The CodeBuild project: made once with the least rights, changed only where it differs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from lambdapack.deploy import aws
from lambdapack.deploy.aws import BuildPlace, builds, naming
from lambdapack.deploy.aws.builds import BuildsState
from lambdapack.deploy.aws.executor import execute
from lambdapack.deploy.aws.models import Account, ApiCall, RoleState
from lambdapack.errors import ToolError
from tests.support.aws_world import BUCKET

ACCOUNT = Account("123456789012", "aws", "eu-central-1")
PLACE = BuildPlace(BUCKET, "ours")
IMAGE = "public.ecr.aws/sam/build-python3.12:latest-x86_64"


def complete(**changes: Any) -> BuildsState:
    """All that is needed is there, but for ``changes``."""
    arn = f"arn:aws:iam::{ACCOUNT.id}:role/{naming.build_role(PLACE.project, ACCOUNT.region)}"
    role = RoleState(
        arn, builds.trust(ACCOUNT, PLACE.project), {naming.POLICY: builds.policy(ACCOUNT, PLACE)}
    )
    project = builds.project_document(PLACE, "spec", IMAGE, arn)
    return replace(BuildsState(ACCOUNT, role, True, 30, project), **changes)


def operations(observed: BuildsState, buildspec: str = "spec", image: str = IMAGE) -> list[str]:
    return [call.operation for call in builds.plan_builds(PLACE, buildspec, image, observed)]


def test_everything_is_made_once(cloud: aws.Clients) -> None:
    """In an empty account role, log and project are made, the project last; a second time nothing is."""
    first = aws.prepare_builds(PLACE, "spec", IMAGE, cloud)
    assert [call.operation for call in first.calls] == [
        "create_role", "put_role_policy", "create_log_group", "put_retention_policy", "create_project",
    ]  # fmt: skip
    second = aws.prepare_builds(PLACE, "spec", "another:image", cloud)
    assert second.calls == ()
    (project,) = cloud["codebuild"].batch_get_projects(names=[first.name])["projects"]
    assert project["serviceRole"].endswith(f"role/{first.name}-{cloud.region}")


def test_a_dry_run_makes_nothing(cloud: aws.Clients) -> None:
    """The calls are told, and none is made."""
    planned = aws.prepare_builds(PLACE, "spec", IMAGE, cloud, dry_run=True)
    assert len(planned.calls) == 5
    assert cloud["codebuild"].batch_get_projects(names=[planned.name])["projects"] == []
    assert cloud["iam"].list_roles()["Roles"] == []


def test_only_what_differs_is_changed() -> None:
    """Each thing that somebody changed is mended alone; what CodeBuild adds, and days that a person chose for
    the log, are left alone."""
    there = complete()
    assert there.project is not None and there.role is not None
    assert operations(there) == []
    described = {**there.project, "arn": "arn:…", "created": 1, "badge": {"badgeEnabled": False}}
    described["environment"] = {**described["environment"], "environmentVariables": []}
    assert operations(replace(there, project=described)) == []
    assert operations(replace(there, retention=7)) == []
    assert operations(there, buildspec="another") == ["update_project"]
    environment = {**there.project["environment"], "privilegedMode": True}
    changed = {**there.project, "environment": environment}
    assert operations(replace(there, project=changed)) == ["update_project"]
    assert operations(complete(role=replace(there.role, trust={}))) == ["update_assume_role_policy"]
    assert operations(complete(role=replace(there.role, policies={}))) == ["put_role_policy"]
    assert operations(complete(log_group=False, retention=None)) == [
        "create_log_group", "put_retention_policy",
    ]  # fmt: skip


def test_codebuild_takes_the_change(cloud: aws.Clients) -> None:
    """The document fits CodeBuild's service model, for a new project and for one that is there."""
    (call,) = builds.plan_builds(PLACE, "another", IMAGE, complete())
    with Stubber(cloud["codebuild"]) as stub:
        stub.add_response("update_project", {"project": {"name": PLACE.project}}, dict(call.parameters))
        execute((call,), cloud)
        stub.assert_no_pending_responses()


def test_the_role_may_do_what_a_build_does_and_no_more() -> None:
    """It reads sources, writes results, asks whose the bucket is and writes its log; it cannot be taken on
    behalf of another project."""
    document = builds.policy(ACCOUNT, PLACE)
    assert {(action, each["Resource"]) for each in document["Statement"] for action in each["Action"]} == {
        ("s3:GetObject", f"arn:aws:s3:::{BUCKET}/ours/builds/sources/*"),
        ("s3:GetObjectVersion", f"arn:aws:s3:::{BUCKET}/ours/builds/sources/*"),
        ("s3:PutObject", f"arn:aws:s3:::{BUCKET}/ours/builds/output/*"),
        ("s3:GetBucketAcl", f"arn:aws:s3:::{BUCKET}"),
        ("s3:GetBucketLocation", f"arn:aws:s3:::{BUCKET}"),
        ("logs:CreateLogStream",
         f"arn:aws:logs:eu-central-1:123456789012:log-group:/aws/codebuild/{PLACE.project}:*"),
        ("logs:PutLogEvents",
         f"arn:aws:logs:eu-central-1:123456789012:log-group:/aws/codebuild/{PLACE.project}:*"),
    }  # fmt: skip
    (trusted,) = builds.trust(ACCOUNT, PLACE.project)["Statement"]
    assert trusted["Principal"] == {"Service": "codebuild.amazonaws.com"}
    assert trusted["Condition"]["StringEquals"]["aws:SourceArn"].endswith(f":project/{PLACE.project}")


@pytest.mark.parametrize("prefix", ["", "ours", "a/b"])
def test_another_place_has_another_project(prefix: str) -> None:
    """A role may write below its own place alone, so no two places share one; names fit IAM's limit."""
    place = BuildPlace(BUCKET, prefix)
    others = [BuildPlace(BUCKET, "other"), BuildPlace("another-bucket", prefix)]
    assert place.project not in {other.project for other in others}
    assert place.root == (f"{prefix}/builds/" if prefix else "builds/")
    assert len(naming.build_role(place.project, "ap-southeast-3")) <= 64


def test_a_new_role_is_waited_for(cloud: aws.Clients) -> None:
    """CodeBuild refuses a role that IAM has not spread yet; the same call is made again until it knows it."""
    call = ApiCall(
        "codebuild", "create_project", builds.project_document(PLACE, "s", IMAGE, "arn:aws:iam::1:role/r"), ""
    )
    said = "CodeBuild is not authorized to perform: sts:AssumeRole on arn:aws:iam::123456789012:role/r"
    pauses: list[float] = []
    with Stubber(cloud["codebuild"]) as stub:
        for _ in range(2):
            stub.add_client_error("create_project", "InvalidInputException", said)
        stub.add_response("create_project", {"project": {"name": PLACE.project}})
        execute((call,), cloud, sleep=pauses.append)
        stub.assert_no_pending_responses()
    assert len(pauses) == 2


def test_an_account_without_builds_is_told_where_to_ask() -> None:
    """A new account may run none: the message has AWS's words, and the hint the quota's name."""
    error = ClientError(
        {
            "Error": {
                "Code": "AccountLimitExceededException",
                "Message": "Cannot have more than 0 builds in queue",
            }
        },
        "StartBuild",
    )
    with (
        pytest.raises(ToolError, match="may not run more builds at a time") as caught,
        aws.errors_of_aws("x"),
    ):
        raise error
    assert "Service Quotas" in (caught.value.hint or "")
