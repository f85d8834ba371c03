"""``lambdapack gc``, as a user runs it, against moto's server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import boto3
import pytest
from click.testing import CliRunner
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from lambdapack.cli.group import cli
from lambdapack.errors import ConfigurationError
from tests.support.aws_world import BUCKET, REGION, empty_aws

ID = "c0" * 32
KEY = f"team/packs/c0/{ID}.tar.zst"
TOML = f'[store]\nlocation = "s3://{BUCKET}/team"\nregion = "{REGION}"\n'


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    with empty_aws() as url:
        for name, value in {
            "AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        s3 = boto3.client("s3", region_name=REGION)
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"x" * 2_000_000)
        key = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[BUCKET].keys[KEY]
        key.last_modified = key.last_modified - timedelta(days=8)
        yield s3


@pytest.fixture
def run(client: object, project: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch):
    folder = project(TOML)
    monkeypatch.chdir(folder)

    def invoke(*arguments: str, **given):
        return CliRunner().invoke(cli, ["gc", *arguments], catch_exceptions=True, **given)

    return invoke


def there(client) -> bool:
    return bool(client.list_objects_v2(Bucket=BUCKET, Prefix=KEY).get("Contents"))


def test_a_dry_run_shows_what_would_go_and_leaves_everything(run, client) -> None:
    """The table names the object, its size and the reason."""
    done = run("--dry-run")
    assert done.exit_code == 0, done.output
    row = next(line for line in done.stdout.splitlines() if line.startswith(f"pack {ID[:12]}"))
    assert "2.0 MB" in row and "no version that was looked at names it" in row
    assert there(client)


def test_it_asks_before_it_removes(run, client) -> None:
    """Without --yes a no, or no answer at all, removes nothing, with exit status 2."""
    for answer in ("n\n", ""):
        refused = run(input=answer)
        assert isinstance(refused.exception, ConfigurationError)
        assert there(client)
    agreed = run(input="y\n")
    assert agreed.exit_code == 0
    assert "removed 1 thing, 2.0 MB" in agreed.stdout
    assert not there(client)
    assert "nothing to remove" in run("--yes").stdout


def test_the_document_says_what_went_and_why(run) -> None:
    """--json is one versioned document."""
    document = json.loads(run("--yes", "--json").stdout)
    assert (document["document"], document["version"]) == ("lambdapack.gc", 1)
    assert document["planned"] == [
        {"kind": "pack", "name": f"s3://{BUCKET}/{KEY}", "bytes": 2_000_000,
         "why": "no version that was looked at names it"}
    ]  # fmt: skip
    assert [row["name"] for row in document["removed"]] == [f"s3://{BUCKET}/{KEY}"]
    assert (document["locations"], document["regions"]) == ([f"s3://{BUCKET}/team"], [REGION])


@pytest.mark.parametrize("grace", ["0h", "30m", "soon"])
def test_a_grace_period_has_an_hour_at_least(run, client, grace: str) -> None:
    """A deployment may rely on a pack for a while before a version names the pack."""
    refused = run("--grace", grace, "--yes")
    assert isinstance(refused.exception, ConfigurationError)
    assert "from an hour on" in str(refused.exception)
    assert there(client)


def test_the_regions_of_copies_are_asked_and_their_copies_collected(
    run, client, project: Callable[[str], Path]
) -> None:
    """A function in another region needs its copy; a copy that no function needs goes too."""
    copies = boto3.client("s3", region_name="us-east-1")
    copies.create_bucket(Bucket="copies")
    copies.put_object(Bucket="copies", Key=f"packs/c0/{ID}.tar.zst", Body=b"x")
    old = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets["copies"].keys[f"packs/c0/{ID}.tar.zst"]
    old.last_modified = old.last_modified - timedelta(days=8)
    project(TOML + 'replicate = { us-east-1 = "s3://copies" }\n')
    document = json.loads(run("--dry-run", "--json").stdout)
    assert document["regions"] == [REGION, "us-east-1"]
    assert sorted(row["name"] for row in document["planned"]) == [
        f"s3://copies/packs/c0/{ID}.tar.zst", f"s3://{BUCKET}/{KEY}",
    ]  # fmt: skip
    role = boto3.client("iam", region_name=REGION).create_role(RoleName="r", AssumeRolePolicyDocument="{}")[
        "Role"
    ]["Arn"]
    boto3.client("lambda", region_name="us-east-1").create_function(
        FunctionName="there", Role=role, Runtime="python3.12", Handler="a.b", Code={"ZipFile": b"x"},
        Environment={"Variables": {"LAMBDAPACK_PACK": ID}},
    )  # fmt: skip
    assert json.loads(run("--dry-run", "--json").stdout)["planned"] == []
