"""The examples, validated by the tools that they are for: SAM, Serverless, Terraform's parser, the CDK."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from lambdapack import pack
from tests.deploy.export import test_theirs
from tests.deploy.export.conftest import EXAMPLES, RUNNING, Project, copy
from tests.support.aws_world import REGION, empty_aws
from tests.support.command_line import Run, shown
from tests.support.other_tools import install, terraform
from tests.support.other_tools.templates import merge, read

pytestmark = pytest.mark.slow
NO_TALK = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": REGION,
    "SAM_CLI_TELEMETRY": "0", "SLS_TELEMETRY_DISABLED": "1", "SLS_NOTIFICATIONS_MODE": "off",
    "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1", "JSII_SILENCE_WARNING_DEPRECATED_NODE_VERSION": "1",
}  # fmt: skip


def call(command: Sequence[str | Path], folder: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env={**environment, **NO_TALK}, capture_output=True, text=True,
        timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def lacking(part: Any, whole: Any, where: str = "") -> Iterator[str]:
    """What a fragment has and the file that it was merged into has not."""
    if isinstance(part, dict) and isinstance(whole, dict):
        for key, value in part.items():
            if key in whole:
                yield from lacking(value, whole[key], f"{where}.{key}")
            else:
                yield f"{where}.{key}"
    elif isinstance(part, list) and isinstance(whole, list):
        yield from (f"{where}: {each}" for each in part if each not in whole)
    elif part != whole:
        yield f"{where}: {whole} is not {part}"


def by_type(template: Mapping[str, Any], kind: str) -> dict[str, Any]:
    (resource,) = (each for each in template["Resources"].values() if each["Type"] == kind)
    properties: dict[str, Any] = resource["Properties"]
    return properties


def test_sam_builds_the_example(project: Project, run_lambdapack: Run, on_path: dict[str, str]) -> None:
    """The template is the merged one, and valid to cfn-lint, sam validate and sam build."""
    folder = project("sam")
    run_lambdapack("export", "sam", "--function", "MonthsFunction", cwd=folder)
    written = read(folder / "lambdapack_export/sam.yaml")
    assert list(lacking(written, read(folder / "template.yaml"))) == []
    assert set(read(folder / "lambdapack_export/sam-parameters.yaml")) == set(written["Parameters"])
    sam = install.python_tool("sam") / "sam"
    call([sam.with_name("cfn-lint"), "template.yaml", "makefile.yaml"], folder, on_path)
    call([sam, "validate", "--lint"], folder, on_path)
    call([sam, "build"], folder, on_path)
    built = read(folder / ".aws-sam/build/template.yaml")["Resources"]
    layer = folder / ".aws-sam/build" / built["LambdapackLayer"]["Properties"]["ContentUri"]
    assert layer.resolve() == (folder / "lambdapack_export/layer.zip").resolve()
    assert (folder / ".aws-sam/build/MonthsFunction/app.py").is_file()


def test_sam_builds_a_project_of_somebody_else(
    months: Path, run_lambdapack: Run, on_path: dict[str, str], tmp_path: Path
) -> None:
    """A sample's template with the fragment merged in is as valid as before, and is built."""
    folder = tmp_path / "theirs"
    (folder / "hello_world").mkdir(parents=True)
    (folder / "hello_world/app.py").write_text("def lambda_handler(event, context): ...\n")
    (folder / "template.yaml").write_text(test_theirs.TEMPLATE)
    run_lambdapack(
        "export", "sam", "--pack", months, "--function", "HelloWorldFunction", "--location", "s3://packs/x",
        cwd=folder,
    )  # fmt: skip
    merged = merge(read(folder / "template.yaml"), read(folder / "lambdapack_export/sam.yaml"))
    (folder / "template.yaml").write_text(json.dumps(merged))
    sam = install.python_tool("sam") / "sam"
    parameters = ["--parameter-overrides", "file://lambdapack_export/sam-parameters.yaml"]
    call([sam, "validate", "--lint"], folder, on_path)
    call([sam, "build", *parameters], folder, on_path)
    assert (folder / ".aws-sam/build/HelloWorldFunction/app.py").is_file()


def test_sam_build_calls_lambdapack_through_the_makefile(
    project: Project, run_lambdapack: Run, on_path: dict[str, str]
) -> None:
    """What becomes the function's zip has the code, the shim and the whole pack, and runs the handler."""
    folder = project("sam")
    sam = install.python_tool("sam") / "sam"
    call([sam, "validate", "--lint", "-t", "makefile.yaml"], folder, on_path)
    call([sam, "build", "--config-env", "makefile"], folder, on_path)
    built = folder / ".aws-sam/build/MonthsFunction"
    packed = json.loads((built / "runtime_shim/location.json").read_text())
    assert pack.read_index(built / "runtime_shim/pack.tar.zst")[0] == packed["id"]
    handler = "import runtime_shim as s; print(s.handler({'month': 'Setpember'}, None)['month'])"
    answered = subprocess.run(
        [sys.executable, "-c", handler], cwd=built, check=True, capture_output=True, text=True,
        env={
            **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            "LAMBDAPACK_HANDLER": "app.handler", "LAMBDAPACK_ROOT": str(folder / "tmp"),
        },
    )  # fmt: skip
    # Above it stands the line of the cold start.
    assert answered.stdout.splitlines()[-1] == "September"


def serverless(folder: Path, environment: Mapping[str, str], *options: str) -> dict[str, Any]:
    """What ``serverless package`` wrote for CloudFormation."""
    modules = install.node_modules()
    with empty_aws() as url:
        call(
            ["node", "--require", install.PINS.with_name("endpoint.js"),
             modules / "serverless/bin/serverless.js", "package", "--package", "packaged", *options],
            folder,
            {**environment, "NODE_MODULES": str(modules), "AWS_ENDPOINT_URL": url},
        )  # fmt: skip
    written = (folder / "packaged/cloudformation-template-update-stack.json").read_text()
    template: dict[str, Any] = json.loads(written)
    return template


def test_serverless_packages_the_example(
    project: Project, run_lambdapack: Run, on_path: dict[str, str]
) -> None:
    """The plugin builds and exports; without it the files of an export give the same function and layer."""
    folder = project("serverless")
    plugged = serverless(folder, on_path)
    fragment = shown(run_lambdapack("export", "serverless", "--function", "months", "--json", cwd=folder))[
        "fragment"
    ]
    function = by_type(plugged, "AWS::Lambda::Function")
    assert function["Environment"]["Variables"] == fragment["environment"]
    assert function["Layers"] == [{"Ref": "LambdapackLambdaLayer"}]
    assert (function["Handler"], function["Runtime"]) == ("src/app.handler", f"python{RUNNING}")
    alias = by_type(plugged, "AWS::Lambda::Alias")
    (version, _) = alias["FunctionVersion"]["Fn::GetAtt"]
    assert plugged["Resources"][version]["Type"] == "AWS::Lambda::Version"
    assert alias["Name"] == "live"
    with zipfile.ZipFile(folder / "packaged/months.zip") as archive:
        assert archive.namelist() == ["src/app.py"]
    static = serverless(folder, on_path, "--config", "static.yml")
    for kind in ("AWS::Lambda::Function", "AWS::Lambda::LayerVersion"):
        assert without_time(by_type(static, kind)) == without_time(by_type(plugged, kind))


def without_time(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The properties but for the key in S3, which has the time in it."""
    return {name: value for name, value in properties.items() if name not in ("Code", "Content")}


def test_serverless_gets_what_a_pack_in_s3_needs(project: Project, on_path: dict[str, str]) -> None:
    """Its role may read the pack, once, however many functions have it; events call the alias."""
    folder = project("serverless")
    text = (folder / "serverless.yml").read_text()
    text = text.replace(
        "[months] #", "[months, again]\n    options: [--place, s3, --location, s3://packs/x] #"
    )
    text += "  again:\n    handler: src/app.handler\n    events:\n      - httpApi: GET /month\n"
    (folder / "serverless.yml").write_text(text)
    template = serverless(folder, on_path)
    (policy,) = by_type(template, "AWS::IAM::Role")["Policies"]
    ours = [each for each in policy["PolicyDocument"]["Statement"] if each.get("Sid") == "ReadItsPack"]
    assert [each["Action"] for each in ours] == [["s3:GetObject"]]
    assert ours[0]["Resource"][0].startswith("arn:aws:s3:::packs/x/packs/")
    called = by_type(template, "AWS::ApiGatewayV2::Integration")["IntegrationUri"]
    assert called == {"Fn::Join": [":", [{"Fn::GetAtt": ["AgainLambdaFunction", "Arn"]}, "live"]]}
    assert template["Resources"]["AgainAliasLive"]["Properties"]["Name"] == "live"


@pytest.mark.parametrize("place", ["layer", "s3", "zip"])
def test_terraform_reads_the_example(project: Project, run_lambdapack: Run, place: str) -> None:
    """Each type, attribute, block and reference is the provider's, each argument and output the module's."""
    folder = project("terraform")
    options = ["--place", place, "--location", "s3://packs/x", "--function", "months"]
    run_lambdapack("export", "terraform", *options, cwd=folder)
    own, module = terraform.read(folder / "main.tf"), terraform.read(folder / "lambdapack_export/main.tf")
    assert list(terraform.faults(own)) == []
    assert list(terraform.faults(module)) == []
    given = set(own["module"]["dependencies"][0]) - {"source"}
    variables = module["variable"]
    assert {name for name, (each,) in variables.items() if "default" not in each} <= given <= set(variables)
    used = set(re.findall(r"module\.dependencies\.(\w+)", json.dumps(own)))
    assert used <= set(module["output"])
    assert ("aws_iam_role_policy" in module["resource"]) == (place == "s3")
    assert ("handler" in module["output"]) == (place == "zip")


def test_a_mistake_in_terraform_is_found(tmp_path: Path) -> None:
    """What checks the files tells a wrong attribute, block, reference and a missing argument."""
    (tmp_path / "main.tf").write_text(
        'resource "aws_lambda_alias" "live" {\n  name = "live"\n  function = aws_lambda_alias.live.arm\n'
        "  function_version = aws_iam_role.other.arn\n  routing_config = 1\n}\n"
    )
    assert sorted(terraform.faults(terraform.read(tmp_path / "main.tf"))) == [
        "aws_lambda_alias has no arm to refer to",
        "aws_lambda_alias.live: function is not declared",
        "aws_lambda_alias.live: function_name is missing",
        "aws_lambda_alias.live: routing_config is a block",
        "resource aws_iam_role.other is referred to and not there",
    ]


def synth(folder: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """What the CDK's app writes for CloudFormation."""
    settings = {"CDK_OUTDIR": str(folder / "cdk.out"), "CDK_CONTEXT_JSON": json.dumps(context(folder))}
    call([install.python_tool("cdk") / "python", "app.py"], folder, {**environment, **settings})
    template: dict[str, Any] = json.loads((folder / "cdk.out/Months.template.json").read_text())
    return template


def context(folder: Path) -> Any:
    """What the ``cdk`` command gives the app of ``cdk.json``."""
    return json.loads((folder / "cdk.json").read_text())["context"]


def test_cdk_synthesizes_the_example(project: Project, run_lambdapack: Run, on_path: dict[str, str]) -> None:
    """The function has the layer; with the pack in S3 also the statement, and with a larger one more /tmp."""
    folder = project("cdk")
    configuration = folder / "lambdapack.toml"
    text = configuration.read_text().replace('place = "layer"', "tmp = 1024\ntimeout = 20")
    configuration.write_text(text)
    app = folder / "app.py"
    app.write_text(app.read_text().replace("            timeout=Duration.seconds(10),\n", ""))
    done = run_lambdapack("export", "cdk", "--place", "s3", "--location", "s3://packs", "--json", cwd=folder)
    fragment = shown(done)["fragment"]
    template = synth(folder, on_path)
    function = by_type(template, "AWS::Lambda::Function")
    assert function["Environment"]["Variables"] == fragment["environment"]
    assert (function["EphemeralStorage"], function["Timeout"]) == ({"Size": 1024}, 20)
    assert len(function["Layers"]) == 1
    (statement,) = by_type(template, "AWS::IAM::Policy")["PolicyDocument"]["Statement"]
    assert statement["Resource"] == fragment["statements"][0]["Resource"][0]
    assert statement["Action"] == "s3:GetObject"
    assert by_type(template, "AWS::Lambda::Alias")["Name"] == "live"


def test_the_examples_are_one_function(tmp_path: Path) -> None:
    """Code, event and configuration are the same beside each tool: the four READMEs differ in the tool."""
    names = ("sam", "serverless", "terraform", "cdk")
    for file in ("src/app.py", "event.json", "lambdapack.toml"):
        assert len({(EXAMPLES / name / file).read_bytes() for name in names}) == 1
    assert (copy("cdk", tmp_path / "cdk") / "src/app.py").is_file()
