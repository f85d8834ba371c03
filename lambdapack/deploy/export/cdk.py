"""The AWS CDK in Python: a package with one construct.

https://docs.aws.amazon.com/cdk/v2/guide/work-with-cdk-python.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from lambdapack.deploy.export.fragment import Fragment

FILE = "__init__.py"
_CONSTRUCT = '''\
from __future__ import annotations

from pathlib import Path
from typing import Any

from aws_cdk import {imports}
from constructs import Construct

_HERE = Path(__file__).parent


class Dependencies(Construct):
    """The function's dependencies.

    Attributes:
        settings: What ``aws_lambda.Function`` must be given: ``Function(…, **dependencies.settings)``.
    """

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        runtime = lambda_.Runtime({runtime}, lambda_.RuntimeFamily.PYTHON)
        architecture = lambda_.Architecture.{architecture}
{layers}        self.settings: dict[str, Any] = {{
            "runtime": runtime,
            "architecture": architecture,
{settings}        }}

    def attach(self, function: lambda_.Function) -> lambda_.Alias:
        """Let the function's role read what it needs, and move the alias to the function's newest version."""
{statements}        return lambda_.Alias(self, "Alias", alias_name={alias}, version=function.current_version)
'''
_LAYER = """\
            lambda_.LayerVersion(
                self,
                "{id}",
                code=lambda_.Code.from_asset(str(_HERE / "{name}")),
                compatible_runtimes=[runtime],
                compatible_architectures=[architecture],
                # Versions that were published before keep their layer's entry.
                removal_policy=RemovalPolicy.RETAIN,
            ),
"""


def write(fragment: Fragment) -> dict[str, str]:
    """The files' names and texts."""
    text = _CONSTRUCT.format(
        imports=", ".join(sorted(_imports(fragment), key=str.lower)),
        runtime=_text(fragment.target.runtime),
        architecture="ARM_64" if fragment.target.arch == "arm64" else "X86_64",
        layers=_layers(fragment),
        settings="".join(f"            {line}\n" for line in _settings(fragment)),
        statements=_statements(fragment),
        alias=_text(fragment.alias),
    )
    return {FILE: text}


def _imports(fragment: Fragment) -> Iterator[str]:
    if fragment.tmp_mb is not None:
        yield "Size"
    yield "aws_lambda as lambda_"
    if fragment.timeout is not None:
        yield "Duration"
    if fragment.layers:
        yield "RemovalPolicy"
    if fragment.statements:
        yield "aws_iam as iam"


def _layers(fragment: Fragment) -> str:
    if not fragment.layers:
        return ""
    each = "".join(
        _LAYER.format(id=f"Layer{number}", name=name) for number, name in enumerate(fragment.layers, 1)
    )
    return f"        layers = [\n{each}        ]\n"


def _settings(fragment: Fragment) -> Iterator[str]:
    if fragment.code is not None:
        yield f'"code": lambda_.Code.from_asset(str(_HERE / {_text(fragment.code)})),'
        yield f'"handler": {_text(fragment.handler)},'
    if fragment.layers:
        yield '"layers": layers,'
    yield '"environment": {'
    yield from (f"    {_text(name)}: {_text(text)}," for name, text in fragment.variables.items())
    yield "},"
    if fragment.tmp_mb is not None:
        yield f'"ephemeral_storage_size": Size.mebibytes({fragment.tmp_mb}),'
    if fragment.memory_mb is not None:
        yield f'"memory_size": {fragment.memory_mb},'
    if fragment.timeout is not None:
        yield f'"timeout": Duration.seconds({fragment.timeout}),'
    if fragment.snap_start:
        yield '"snap_start": lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS,'


def _statements(fragment: Fragment) -> str:
    return "".join(
        "        function.add_to_role_policy(\n"
        "            iam.PolicyStatement(\n"
        f"                sid={_text(statement['Sid'])},\n"
        f"                actions={_text(statement['Action'])},\n"
        f"                resources={_text(statement['Resource'])},\n"
        "            )\n"
        "        )\n"
        for statement in fragment.statements
    )


def _text(value: Any) -> str:
    """A text or a list of texts as Python has them, in double quotes."""
    return json.dumps(value, ensure_ascii=False)
