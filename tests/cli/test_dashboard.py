"""``lambdapack dashboard``, as a user runs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.support.aws_world import REGION, empty_aws
from tests.support.command_line import Run, shown
from tests.support.logged import put_function


@pytest.fixture
def environment() -> Iterator[Any]:
    """How a command reaches an account with one function."""
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": REGION}
    with empty_aws() as url:
        names = ("iam", "lambda", "logs")
        clients = {name: boto3.client(name, endpoint_url=url, **keys) for name in names}  # type: ignore[call-overload]
        put_function(clients, "hello")
        yield (
            ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b"), ("AWS_REGION", REGION),
            ("AWS_ENDPOINT_URL", url),
        )  # fmt: skip


def test_it_prints_and_makes_and_removes(tmp_path: Path, run_lambdapack: Run, environment: Any) -> None:
    """Printing changes nothing; a dry run has the calls of the real one; the second time there is nothing."""

    def run(*words: str, status: int = 0) -> Any:
        return run_lambdapack(
            "dashboard", "hello", *words, cwd=tmp_path, environment=environment, status=status
        )

    document = shown(run())
    assert document["document"] == "lambdapack.dashboard" and len(document["alarms"]) == 6
    assert shown(run("--only", "dashboard")) == document["dashboard"]
    planned, made = shown(run("--apply", "--dry-run", "--json")), shown(run("--apply", "--json"))
    assert planned["calls"] == made["calls"] and len(made["calls"]) == 8
    assert "there is nothing to change" in run("--apply").stdout
    assert "delete_dashboards" in run("--delete").stdout
    assert "there is nothing to delete" in run("--delete").stdout
    assert "exclude each other" in run("--apply", "--delete", status=2).stderr
    assert "--apply or --delete" in run("--dry-run", status=2).stderr
