"""What the pages on permissions and CI tell people to paste is sound."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from lambdapack.cli import group
from lambdapack.deploy import policy
from lambdapack.deploy.aws import permissions

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str, language: str) -> list[str]:
    """The blocks of code of a page that are in a language."""
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize("page", ["permissions.md", "ci.md"])
def test_documents_are_json(page: str) -> None:
    """Whoever pastes one gets no error of syntax from AWS."""
    documents = [json.loads(block) for block in blocks(page, "json")]
    assert len(documents) >= 2


def test_the_trust_policies_name_who_may_deploy() -> None:
    """Without a condition on ``sub`` every repository there is could; ``aud`` belongs to it."""
    github, gitlab = (json.loads(block) for block in blocks("ci.md", "json"))
    conditions = github["Statement"][0]["Condition"]["StringEquals"] | gitlab["StringEquals"]
    for provider in ("token.actions.githubusercontent.com", "gitlab.com"):
        assert conditions[f"{provider}:aud"]
        assert "*" not in conditions[f"{provider}:sub"]


def test_the_workflows_get_a_token_and_run_commands_that_there_are() -> None:
    """GitHub gives a token only where ``id-token: write`` asks for one."""
    github, gitlab = (yaml.safe_load(block) for block in blocks("ci.md", "yaml"))
    assert github["permissions"]["id-token"] == "write"
    steps: list[dict[str, Any]] = github["jobs"]["deploy"]["steps"]
    lines = [step["run"] for step in steps if "run" in step] + gitlab["deploy"]["script"]
    commands = [line.split()[1] for line in lines if line.startswith("lambdapack ")]
    assert commands == ["build", "plan", "deploy"] * 2
    assert set(commands) <= set(group.COMMANDS)


def test_the_page_knows_every_feature() -> None:
    """All that ``--for`` takes is in the table, and nothing else."""
    table = (DOCS / "permissions.md").read_text("utf-8").partition("| `--for` |")[2].partition("\n\n")[0]
    rows = [line.split("|")[1] for line in table.splitlines()[2:]]
    named = {name for row in rows for name in re.findall(r"`([a-z]+)`", row)}
    # Builds are known as build alone.
    assert named == {*permissions.FEATURES, *policy.GROUPS} - {"codebuild"}
