"""``lambdapack policy`` and ``doctor --cloud aws``, as a user types them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.support import packing
from tests.support.aws_world import BUCKET, REGION, empty_aws
from tests.support.command_line import Run, shown

CONFIGURATION = f"""\
[build]
python = "3.11"
[function]
name = "entities"
[store]
location = "s3://{BUCKET}/team"
region = "{REGION}"
"""
UNSET = ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with empty_aws() as url:
        location: Any = {"LocationConstraint": REGION}
        client: Any = boto3.client  # one of a hundred overloads
        s3 = client(
            "s3", region_name=REGION, endpoint_url=url, aws_access_key_id="k", aws_secret_access_key="s"
        )
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=location)
        yield url


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that has been built."""
    (tmp_path / "lambdapack.toml").write_text(CONFIGURATION)
    made = packing.pack(tmp_path / "made", packing.SAMPLE, *packing.SAMPLE_TOUCHED)
    build = tmp_path / ".lambdapack" / "build"
    build.mkdir(parents=True)
    for path in (made.path, made.index_path):
        path.rename(build / path.name)
    return tmp_path


def reaching(url: str) -> tuple[tuple[str, str], ...]:
    return (
        ("AWS_ENDPOINT_URL", url), ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "secret"),
    )  # fmt: skip


def test_the_functions_own_policy_is_one_key_and_one_log(
    run_lambdapack: Run, project: Path, endpoint: str
) -> None:
    """At most GetObject on one key and writing one log group; in layers no S3 at all."""
    policy = shown_policy(run_lambdapack, project, endpoint, "--function")
    pack = next((project / ".lambdapack/build").glob("*.tar.zst")).name.removesuffix(".tar.zst")
    log = f"arn:aws:logs:{REGION}:123456789012:log-group:/aws/lambda/entities:*"
    assert [(item["Sid"], item["Action"], item["Resource"]) for item in policy["Statement"]] == [
        ("ReadItsPack", "s3:GetObject", [f"arn:aws:s3:::{BUCKET}/team/packs/{pack[:2]}/{pack}.tar.zst"]),
        ("WriteItsLog", ["logs:CreateLogStream", "logs:PutLogEvents"], log),
    ]
    in_layers = shown_policy(run_lambdapack, project, endpoint, "--function", "--place", "layer")
    assert [item["Sid"] for item in in_layers["Statement"]] == ["WriteItsLog"]


def shown_policy(run_lambdapack: Run, project: Path, url: str, *arguments: str) -> dict[str, Any]:
    """What is printed, which is what ``aws iam`` takes."""
    done = run_lambdapack("policy", *arguments, cwd=project, environment=reaching(url), unset=UNSET)
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["Version"] == "2012-10-17"
    return document


def test_the_deployers_policy_names_this_very_project(
    run_lambdapack: Run, project: Path, endpoint: str
) -> None:
    """The account is the one whose credentials these are; the resources are the project's."""
    policy = shown_policy(run_lambdapack, project, endpoint)
    statements = {item["Sid"]: item for item in policy["Statement"]}
    assert statements["DeployPassRole"]["Resource"] == (
        f"arn:aws:iam::123456789012:role/lambdapack-entities-{REGION}"
    )
    assert statements["DeployPacks"]["Resource"] == f"arn:aws:s3:::{BUCKET}/team/packs/*"
    layers = shown_policy(run_lambdapack, project, endpoint, "--place", "layer")
    assert not [item for item in layers["Statement"] if "s3" in json.dumps(item)]


def test_without_aws_the_account_is_a_placeholder_and_that_is_said(
    run_lambdapack: Run, project: Path
) -> None:
    """The policy can be printed before there are credentials; --json says why each action is needed."""
    environment = reaching("http://127.0.0.1:9")
    done = run_lambdapack("policy", cwd=project, environment=environment, unset=UNSET)
    assert "arn:aws:lambda:eu-central-1:ACCOUNT:function:entities" in done.stdout
    assert "--account" in done.stderr
    given = ("policy", "--for", "gc", "--account", "210987654321", "--json")
    document = shown(run_lambdapack(*given, cwd=project, environment=environment, unset=UNSET))
    assert document["features"] == ["gc"]
    assert {row["sid"] for row in document["why"]} == {
        item["Sid"] for policy in document["policies"] for item in policy["Statement"]
    }
    assert "210987654321" in json.dumps(document["policies"])
    wrong = run_lambdapack("policy", "--for", "deply", cwd=project, status=2)
    assert "there is no policy for 'deply'" in wrong.stderr


def test_a_shift_in_the_configuration_is_allowed(run_lambdapack: Run, project: Path) -> None:
    """The policy is that of this project: one that shifts calls may look at their metrics."""
    arguments = ("policy", "--account", "210987654321")
    assert "cloudwatch" not in run_lambdapack(*arguments, cwd=project).stdout
    with (project / "lambdapack.toml").open("a") as file:
        file.write('[deploy]\nshift = "canary:10%,5m"\n')
    assert "cloudwatch:GetMetricData" in run_lambdapack(*arguments, cwd=project).stdout


def test_the_remote_builder_in_the_configuration_is_allowed(run_lambdapack: Run, project: Path) -> None:
    """Whoever deploys a project that is built in CodeBuild may build it there."""
    arguments = ("policy", "--account", "210987654321")
    assert "codebuild" not in run_lambdapack(*arguments, cwd=project).stdout
    text = (project / "lambdapack.toml").read_text()
    (project / "lambdapack.toml").write_text(text.replace("[build]", '[build]\nbuilder = "codebuild"'))
    assert "codebuild:StartBuild" in run_lambdapack(*arguments, cwd=project).stdout


def test_copies_in_other_regions_are_allowed(run_lambdapack: Run, project: Path) -> None:
    """Each bucket that packs are copied to is named, and copying is allowed."""
    text = (project / "lambdapack.toml").read_text()
    (project / "lambdapack.toml").write_text(text + 'replicate = { eu-west-1 = "s3://packs-of-eu/p" }\n')
    done = run_lambdapack("policy", "--account", "210987654321", cwd=project)
    statements = {item["Sid"]: item for item in json.loads(done.stdout)["Statement"]}
    assert statements["DeployPacks"]["Resource"] == [
        f"arn:aws:s3:::{BUCKET}/team/packs/*", "arn:aws:s3:::packs-of-eu/p/packs/*",
    ]  # fmt: skip
    assert "ReplicatePacks" in statements


def test_explained_each_action_has_its_reason(run_lambdapack: Run, project: Path) -> None:
    """For people, instead of JSON."""
    done = run_lambdapack("policy", "--explain", "--account", "210987654321", cwd=project)
    assert "DeployFunction" in done.stdout
    line = next(line for line in done.stdout.splitlines() if "iam:PassRole" in line)
    assert line.split(maxsplit=1)[1] == "give the function its role"


def test_doctor_looks_at_the_account(run_lambdapack: Run, project: Path, endpoint: str) -> None:
    """Each row has its state, what was seen, and where that is not well what mends it."""
    done = run_lambdapack(
        "doctor", "--cloud", "aws", "--json", cwd=project, environment=reaching(endpoint), unset=UNSET
    )
    document = json.loads(done.stdout)
    assert (document["document"], document["cloud"]) == ("lambdapack.doctor", "aws")
    rows = {row["name"]: row for row in document["checks"]}
    assert rows["credentials"]["found"].endswith("from env")
    assert rows["bucket"]["found"] == f"{BUCKET} in {REGION}"
    assert rows["bucket rights"]["state"] == "ok"
    assert rows["lifecycle"]["state"] == "warn"
    assert all(row["fix"] for row in rows.values() if row["state"] != "ok")


def test_doctor_fails_where_a_deployment_cannot_work(
    run_lambdapack: Run, project: Path, endpoint: str
) -> None:
    """A bucket that is not there: exit status 1, the finding and its fix; no credentials likewise."""
    (project / "lambdapack.toml").write_text(CONFIGURATION.replace(BUCKET, "nowhere-at-all"))
    done = run_lambdapack(
        "doctor", "--cloud", "aws", cwd=project, status=1, environment=reaching(endpoint), unset=UNSET
    )
    assert "fix: lambdapack bucket create s3://nowhere-at-all" in done.stdout
    assert "a deployment to AWS cannot work with: bucket" in done.stderr
    nobody = (
        ("AWS_EC2_METADATA_DISABLED", "true"), ("AWS_SHARED_CREDENTIALS_FILE", "/none"),
        ("AWS_CONFIG_FILE", "/none"),
    )  # fmt: skip
    unset = (*UNSET, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    done = run_lambdapack("doctor", "--cloud", "aws", cwd=project, status=1, environment=nobody, unset=unset)
    assert "there are no AWS credentials" in done.stdout
    assert "Traceback" not in done.stderr
