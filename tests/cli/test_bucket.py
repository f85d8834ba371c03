"""``lambdapack bucket``, as a user runs it, against moto's server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
from click.testing import CliRunner

from lambdapack import store
from lambdapack.cli.group import cli
from lambdapack.errors import CheckError, ConfigurationError, ToolError
from tests.support.aws_world import BUCKET, REGION, empty_aws

URL = f"s3://{BUCKET}/team"


@pytest.fixture(autouse=True)
def _aws(project: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(project(f'[store]\nlocation = "{URL}"\nregion = "{REGION}"\n'))
    with empty_aws() as url:
        for name, value in {
            "AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        yield


def run(*arguments: str, **given):
    return CliRunner().invoke(cli, ["bucket", *arguments], **given)


def buckets() -> list[str]:
    return [one["Name"] for one in boto3.client("s3", region_name=REGION).list_buckets()["Buckets"]]


def test_a_bucket_is_made_once_and_then_checked() -> None:
    """A dry run makes nothing; check fails before and not after; creating again changes nothing."""
    assert "there is no such bucket yet" in run("create", "--dry-run").stdout
    assert buckets() == []
    assert isinstance(run("check").exception, CheckError)
    made = run("create")
    assert made.exit_code == 0, made.exception
    assert buckets() == [BUCKET]
    assert run("check").exit_code == 0
    again = json.loads(run("create", "--json").stdout)
    assert (again["document"], again["ok"], again["calls"]) == ("lambdapack.bucket", True, [])


def test_an_existing_bucket_is_changed_after_a_yes_alone() -> None:
    """What differs is shown first."""
    client = boto3.client("s3", region_name=REGION)
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    refused = run("create", input="n\n")
    assert isinstance(refused.exception, ConfigurationError)
    assert "put_public_access_block: public access is not blocked" in refused.stdout
    assert isinstance(run("check").exception, CheckError)
    assert run("create", "--yes").exit_code == 0
    assert run("check").exit_code == 0


def test_a_bucket_cannot_be_moved_to_another_region() -> None:
    """Asked for a region, an existing bucket elsewhere is refused with the region where it is."""
    run("create")
    refused = run("create", "--region", "eu-west-1")
    assert isinstance(refused.exception, (ConfigurationError, ToolError))
    assert f"is in {REGION}, not in eu-west-1" in str(refused.exception)


def test_a_push_to_no_bucket_names_the_command_that_makes_one() -> None:
    """The hint can be pasted."""
    with pytest.raises(ToolError) as caught:
        store.open_store(URL, region=REGION).exists("c0" * 32)
    assert f"lambdapack bucket create s3://{BUCKET}" in str(caught.value.hint)
