"""The examples as stacks in moto's CloudFormation, which knows all that they have but aliases.

Of a function it takes over no layers and no ephemeral storage: for these the templates are looked at.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest

from lambdapack import pack
from lambdapack.deploy import aws
from lambdapack.deploy.aws import naming
from lambdapack.deploy.gc.observer import versions
from lambdapack.model import Location
from tests.deploy.export.conftest import RUNNING, Project
from tests.deploy.export.test_tools import by_type, call, serverless, synth
from tests.support.aws_world import BUCKET, REGION
from tests.support.command_line import Run
from tests.support.other_tools import install
from tests.support.other_tools.templates import merge, read

pytestmark = pytest.mark.slow
STACK = "months"
IN_S3 = ("--place", "s3", "--location", f"s3://{BUCKET}/team")


def client(service: str) -> Any:
    """A client of moto's server, where the environment of this very test says it is."""
    return boto3.Session(region_name=REGION).client(service)


def make(template: Mapping[str, Any], parameters: Mapping[str, str], *, update: bool = False) -> None:
    """Make the stack; ``update``: change the stack that is there."""
    stacks = client("cloudformation")
    given = [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]
    change = stacks.update_stack if update else stacks.create_stack
    change(
        StackName=STACK, TemplateBody=json.dumps(template), Parameters=given,
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )  # fmt: skip
    (stack,) = stacks.describe_stacks(StackName=STACK)["Stacks"]
    assert stack["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), stack


def functions() -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = client("lambda").list_functions()["Functions"]
    return listed


def layer_digest() -> str:
    """Of the stack's one layer, as Lambda has it."""
    lambdas = client("lambda")
    (layer,) = lambdas.list_layers()["Layers"]
    (version,) = lambdas.list_layer_versions(LayerName=layer["LayerName"])["LayerVersions"]
    got = lambdas.get_layer_version(LayerName=layer["LayerName"], VersionNumber=version["Version"])
    digest: str = got["Content"]["CodeSha256"]
    return digest


def digest(path: Path) -> str:
    return base64.b64encode(hashlib.sha256(path.read_bytes()).digest()).decode()


def readable(role: str) -> set[str]:
    """What the inline policies of a role allow to be read from S3."""
    iam = client("iam")
    name = role.rpartition("/")[2]
    allowed: set[str] = set()
    for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        document = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
        if isinstance(document, str):
            # moto gives a policy of a role in a template as Python writes it, not as JSON.
            document = ast.literal_eval(document)
        for statement in document["Statement"]:
            actions = statement["Action"]
            if "s3:GetObject" in ([actions] if isinstance(actions, str) else actions):
                resources = statement["Resource"]
                allowed |= set([resources] if isinstance(resources, str) else resources)
    return allowed


def check(folder: Path, *, where: Location | None) -> None:
    """The stack's function reads the pack that was built, may read that alone, and says so to ``gc``."""
    made = pack.load(folder / ".lambdapack/build")
    (function,) = functions()
    variables = function["Environment"]["Variables"]
    assert naming.pack_of(variables[naming.PACK_VARIABLE]) == (made.id, where)
    # Neither $LATEST nor a published version may lose its pack.
    needed = [each.ids for each in versions(aws.Clients(), (), lambda: None)]
    assert needed
    assert all(made.id in ids for ids in needed)
    assert variables["AWS_LAMBDA_EXEC_WRAPPER"] == "/opt/lambdapack-wrapper"
    assert (function["Runtime"], function["MemorySize"]) == (f"python{RUNNING}", 1769)
    assert layer_digest() == digest(folder / "lambdapack_export/layer.zip")
    expected = set() if where is None else {f"arn:aws:s3:::{where.bucket}/{where.key}"}
    assert readable(function["Role"]) == expected


def in_s3(folder: Path) -> Location:
    made = pack.load(folder / ".lambdapack/build")
    return Location(BUCKET, f"team/packs/{made.id[:2]}/{made.id}.tar.zst", REGION)


def sam_stack(folder: Path, environment: dict[str, str], fragment: Any) -> tuple[Any, dict[str, str]]:
    """The merged template as ``sam package`` and SAM's transform make it, and its parameters."""
    template = read(folder / "template.yaml")
    # The example is merged already: with its own layer, what the fragment lacks would not be missed.
    del template["Resources"]["LambdapackLayer"]
    template = merge(template, fragment)
    (folder / "merged.json").write_text(json.dumps(template))
    sam = install.python_tool("sam")
    packaged = folder / "packaged.json"
    options = ["--s3-bucket", BUCKET, "--use-json", "--output-template-file", packaged, "--region", REGION]
    call([sam / "sam", "package", "-t", "merged.json", *options], folder, environment)
    parameters = read(folder / "lambdapack_export/sam-parameters.yaml")
    given = {"template": json.loads(packaged.read_text()), "parameters": parameters}
    done = subprocess.run(
        [sam / "python", install.PINS.with_name("translate.py")],
        input=json.dumps(given), capture_output=True, text=True, check=False,
        env={**environment, "AWS_DEFAULT_REGION": REGION},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), parameters


def version_id(template: Mapping[str, Any]) -> str:
    (name,) = (name for name, each in template["Resources"].items() if each["Type"] == "AWS::Lambda::Version")
    return name


def test_a_sam_stack(
    cloud: aws.Clients, project: Project, run_lambdapack: Run, on_path: dict[str, str]
) -> None:
    """With the pack in a layer, and in S3; another build changes layer and parameters, and not the template.

    Each publishes a version, and the alias points to it.
    """
    folder = project("sam")
    export = ("export", "sam", "--function", "MonthsFunction")
    run_lambdapack(*export, cwd=folder)
    template, parameters = sam_stack(folder, on_path, read(folder / "lambdapack_export/sam.yaml"))
    make(template, parameters)
    check(folder, where=None)
    (layer,) = by_type(template, "AWS::Lambda::Function")["Layers"]
    assert template["Resources"][layer["Ref"]]["Type"] == "AWS::Lambda::LayerVersion"
    alias = by_type(template, "AWS::Lambda::Alias")
    assert (alias["Name"], alias["FunctionVersion"]["Fn::GetAtt"][0]) == ("live", version_id(template))
    run_lambdapack(*export, *IN_S3, cwd=folder)
    fragment = read(folder / "lambdapack_export/sam.yaml")
    in_bucket, _ = sam_stack(folder, on_path, fragment)
    run_lambdapack("build", "--level", "2", cwd=folder)
    run_lambdapack(*export, *IN_S3, cwd=folder)
    assert read(folder / "lambdapack_export/sam.yaml") == fragment
    rebuilt, parameters = sam_stack(folder, on_path, fragment)
    assert len({version_id(each) for each in (template, in_bucket, rebuilt)}) == 3
    remove()
    make(rebuilt, parameters)
    check(folder, where=in_s3(folder))


def remove() -> None:
    """Remove the stack, and the layer that outlives it."""
    client("cloudformation").delete_stack(StackName=STACK)
    for each in client("lambda").list_layers()["Layers"]:
        client("lambda").delete_layer_version(LayerName=each["LayerName"], VersionNumber=1)


def test_a_cdk_stack(
    cloud: aws.Clients, project: Project, run_lambdapack: Run, on_path: dict[str, str]
) -> None:
    """The assets go where ``cdk deploy`` puts them; the rest is the template's."""
    folder = project("cdk")
    run_lambdapack("export", "cdk", *IN_S3, cwd=folder)
    template = synth(folder, on_path)
    bucket = f"cdk-hnb659fds-assets-123456789012-{REGION}"
    client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    for key, body in assets(folder / "cdk.out").items():
        client("s3").put_object(Bucket=bucket, Key=key, Body=body)
    # What `cdk bootstrap` leaves in an account is not looked at.
    del template["Rules"], template["Parameters"]
    make(template, {})
    check(folder, where=in_s3(folder))


def assets(output: Path) -> dict[str, bytes]:
    """Key -> bytes of the zips that a stack of the CDK refers to; what moto does not look into is empty."""
    listed = json.loads((output / "Months.assets.json").read_text())["files"]
    made = {}
    for each in listed.values():
        (destination,) = each["destinations"].values()
        path = output / each["source"]["path"]
        made[destination["objectKey"]] = path.read_bytes() if path.is_file() else _EMPTY
    return made


_EMPTY = b"PK\5\6" + bytes(18)


def test_a_serverless_stack(
    cloud: aws.Clients, project: Project, run_lambdapack: Run, on_path: dict[str, str]
) -> None:
    """The bucket first, then the artifacts into it, then the rest: as ``serverless deploy`` does."""
    folder = project("serverless")
    run_lambdapack("export", "serverless", "--function", "months", *IN_S3, cwd=folder)
    template = serverless(folder, on_path, "--config", "static.yml", "--region", REGION)
    packaged = folder / "packaged"
    make(json.loads((packaged / "cloudformation-template-create-stack.json").read_text()), {})
    (bucket,) = (
        each["PhysicalResourceId"]
        for each in client("cloudformation").list_stack_resources(StackName=STACK)["StackResourceSummaries"]
        if each["ResourceType"] == "AWS::S3::Bucket"
    )
    for kind, place, path in (
        ("AWS::Lambda::LayerVersion", "Content", folder / "lambdapack_export/layer.zip"),
        ("AWS::Lambda::Function", "Code", packaged / "months.zip"),
    ):
        key = by_type(template, kind)[place]["S3Key"]
        client("s3").put_object(Bucket=bucket, Key=key, Body=path.read_bytes())
    make(template, {}, update=True)
    check(folder, where=in_s3(folder))
