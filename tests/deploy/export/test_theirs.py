"""A SAM project of somebody else's gets a pack, its code stays, and it answers in the local cloud."""

from __future__ import annotations

import json
import sys
import textwrap
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from lambdapack.deploy import SHIM_HANDLER, WRAPPED_VARIABLE
from lambdapack.local import LocalCloud
from lambdapack.model import FunctionSettings, FunctionSpec, Location, Target
from lambdapack.pack import Pack, write
from lambdapack.python import interpreter
from tests.support.command_line import Run, shown
from tests.support.other_tools.templates import merge, read
from tests.support.shim_world import make_tree

RUNNING = interpreter.find("{}.{}".format(*sys.version_info))
REGION = "us-east-1"
# In the shape of the samples that `sam init` writes: a function behind an API, with globals and outputs.
TEMPLATE = f"""\
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Description: An answer over HTTP
Globals:
  Function:
    Timeout: 9
    MemorySize: 512
    LoggingConfig:
      LogFormat: JSON
Resources:
  HelloWorldFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: hello_world/
      Handler: app.lambda_handler
      Runtime: python{RUNNING.python}
      Architectures:
        - x86_64
      Policies: AWSXRayDaemonWriteAccess
      Environment:
        Variables:
          GREETING: hello
      Events:
        HelloWorld:
          Type: Api
          Properties:
            Path: /hello
            Method: get
Outputs:
  HelloWorldApi:
    Value: !Sub "https://${{ServerlessRestApi}}.execute-api.${{AWS::Region}}.amazonaws.com/Prod/hello/"
  HelloWorldFunction:
    Value: !GetAtt HelloWorldFunction.Arn
"""
APP = """
    import json
    import os

    from heavy.second import leaf


    def lambda_handler(event, context):
        name = event["queryStringParameters"]["name"]
        body = {"message": f"{os.environ['GREETING']} {name}", "from_the_pack": leaf.LEAF}
        return {"statusCode": 200, "body": json.dumps(body)}
    """
EVENT = {"httpMethod": "GET", "path": "/hello", "queryStringParameters": {"name": "world"}}


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """The project: nothing in it is lambdapack's."""
    folder = tmp_path / "theirs"
    (folder / "hello_world").mkdir(parents=True)
    (folder / "template.yaml").write_text(TEMPLATE)
    (folder / "hello_world/app.py").write_text(textwrap.dedent(APP))
    (folder / "hello_world/__init__.py").write_text("")
    return folder


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    folder = tmp_path_factory.mktemp("pack")
    tree, trace = make_tree(folder / "tree", RUNNING)
    return write(tree, trace, "0" * 64, folder / "built", level=1)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, lambdapack_cache: Path) -> Iterator[LocalCloud]:
    state = tmp_path_factory.mktemp("cloud") / "state"
    with LocalCloud(state, cache_dir=lambdapack_cache) as cloud:
        yield cloud


def export(run: Run, theirs: Path, pack: Pack, *options: str) -> Any:
    """What the export says; the template is merged with what it wrote."""
    arguments = ("--pack", str(pack.path.parent), "--function", "HelloWorldFunction", "--json", *options)
    done = run("export", "sam", *arguments, cwd=theirs)
    return shown(done)


def properties(template: Mapping[str, Any], name: str) -> dict[str, Any]:
    own: dict[str, Any] = template["Resources"][name]["Properties"]
    return merge(template["Globals"]["Function"], own) if name == "HelloWorldFunction" else own


def spec_of(
    theirs: Path, template: Mapping[str, Any], parameters: Mapping[str, str], where: Location | None
) -> FunctionSpec:
    """The function that a stack of the template would have."""
    function = properties(template, "HelloWorldFunction")
    code = theirs / function["CodeUri"]
    with zipfile.ZipFile(theirs.parent / "code.zip", "w") as archive:
        for path in sorted(code.rglob("*.py")):
            archive.write(path, path.relative_to(code))
    variables = {
        name: parameters[value["Ref"]] if isinstance(value, dict) else value
        for name, value in function["Environment"]["Variables"].items()
    }
    layers = [properties(template, layer["Ref"])["ContentUri"] for layer in function.get("Layers", ())]
    tmp = function.get("EphemeralStorage", {"Size": 512})["Size"]
    settings = FunctionSettings(function["MemorySize"], tmp, function["Timeout"], variables)
    assert function["Runtime"] == f"python{RUNNING.python}"
    assert function["Architectures"] == ["x86_64"]
    return FunctionSpec(
        "theirs", function["Handler"], Target(RUNNING.python), theirs.parent / "code.zip", None, where,
        settings, layers=tuple(theirs / layer for layer in layers),
    )  # fmt: skip


@pytest.mark.parametrize("place", ["layer", "s3"])
@pytest.mark.parametrize("wrapper", [True, False])
def test_it_answers(
    cloud: LocalCloud, run_lambdapack: Run, theirs: Path, pack: Pack, *, place: str, wrapper: bool
) -> None:
    """Cold and warm, with what only the pack has; where another layer is the wrapper, by the handler."""
    before = {path: path.read_bytes() for path in theirs.rglob("*") if path.is_file()}
    told = export(run_lambdapack, theirs, pack, "--place", place, "--location", "s3://packs/x")
    template = merge(read(theirs / "template.yaml"), read(theirs / "lambdapack_export/sam.yaml"))
    parameters = read(theirs / "lambdapack_export/sam-parameters.yaml")
    where = Location("packs", f"x/packs/{pack.id[:2]}/{pack.id}.tar.zst", REGION) if place == "s3" else None
    function = template["Resources"]["HelloWorldFunction"]["Properties"]
    assert function["Handler"] == "app.lambda_handler"
    if not wrapper:
        del function["Environment"]["Variables"]["AWS_LAMBDA_EXEC_WRAPPER"]
        function["Environment"]["Variables"][WRAPPED_VARIABLE] = function["Handler"]
        function["Handler"] = SHIM_HANDLER
    cloud.deploy(spec_of(theirs, template, parameters, where), pack.path if where else None)
    cloud.requests(clear=True)
    for cold in (True, False):
        answer = cloud.invoke("theirs", json.dumps(EVENT).encode(), cold=cold)
        assert (answer.error, answer.cold) == (False, cold), answer.log
        document = json.loads(answer.payload)
        assert document["statusCode"] == 200
        assert json.loads(document["body"]) == {"message": "hello world", "from_the_pack": "leaf"}
    asked = {request.path for request in cloud.requests()}
    assert asked == ({f"/packs/{where.key}"} if where else set())
    assert told["fragment"]["statements"] == ([] if where is None else [statement(where)])
    assert before == {path: path.read_bytes() for path in before}


def statement(where: Location) -> dict[str, Any]:
    resource = f"arn:aws:s3:::{where.bucket}/{where.key}"
    return {"Sid": "ReadItsPack", "Effect": "Allow", "Action": ["s3:GetObject"], "Resource": [resource]}


def test_without_the_layer_it_does_not(cloud: LocalCloud, theirs: Path) -> None:
    """The project as it is lacks its dependency: what answers above is the fragment's doing."""
    cloud.deploy(spec_of(theirs, read(theirs / "template.yaml"), {}, None), None)
    answer = cloud.invoke("theirs", json.dumps(EVENT).encode(), cold=True)
    assert answer.error
    assert "heavy" in answer.payload.decode()


def test_what_is_theirs_stays(run_lambdapack: Run, theirs: Path, pack: Pack) -> None:
    """Their variables, policies, events and outputs are there beside ours."""
    export(run_lambdapack, theirs, pack, "--place", "s3", "--location", "s3://packs")
    template = merge(read(theirs / "template.yaml"), read(theirs / "lambdapack_export/sam.yaml"))
    function = template["Resources"]["HelloWorldFunction"]["Properties"]
    assert function["Environment"]["Variables"]["GREETING"] == "hello"
    assert function["Policies"][0] == "AWSXRayDaemonWriteAccess"
    assert function["Policies"][1]["Statement"][0]["Action"] == ["s3:GetObject"]
    assert function["Events"]["HelloWorld"]["Type"] == "Api"
    assert function["Architectures"] == ["x86_64"]
    assert set(template["Outputs"]) == {"HelloWorldApi", "HelloWorldFunction"}
