"""AWS SAM: a template to merge into the project's own, and the parameters that change with each build.

https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lambdapack.deploy.aws.naming import ASSETS, PACK_VARIABLE
from lambdapack.deploy.export.fragment import Fragment
from lambdapack.deploy.export.yaml import Tagged, dump

TEMPLATE = "sam.yaml"
PARAMETERS = "sam-parameters.yaml"
# Environment variable -> the parameter that has its value.
_PARAMETERS = {
    PACK_VARIABLE: ("LambdapackPack", "The pack, so that lambdapack gc keeps it"),
    ASSETS: ("LambdapackAssets", "The assets, so that lambdapack gc keeps them"),
}
_OBJECTS = "LambdapackObjects"


def write(fragment: Fragment) -> dict[str, str]:
    """The files' names and texts."""
    resources = {_layer_id(number): _layer(fragment, number) for number in range(len(fragment.layers))}
    document = {
        "Parameters": _parameters(fragment),
        "Resources": {
            **resources,
            fragment.function: {"Type": "AWS::Serverless::Function", "Properties": _properties(fragment)},
        },
    }
    return {TEMPLATE: dump(document), PARAMETERS: dump(_values(fragment))}


def _values(fragment: Fragment) -> dict[str, str]:
    """Parameter -> value, for ``sam deploy --parameter-overrides file://…``."""
    values = {_PARAMETERS[name][0]: text for name, text in fragment.records.items()}
    if fragment.arns:
        values[_OBJECTS] = ",".join(fragment.arns)
    return values


def _parameters(fragment: Fragment) -> dict[str, Any]:
    """Parameters without a default: a template that was merged once must not deploy the pack of that day."""
    told = dict(_PARAMETERS.values())
    told[_OBJECTS] = "What the function reads from S3, as ARNs"
    return {
        name: {
            "Type": "CommaDelimitedList" if name == _OBJECTS else "String",
            "Description": told[name],
        }
        for name in _values(fragment)
    }


def _layer_id(number: int) -> str:
    return "LambdapackLayer" + (str(number + 1) if number else "")


def _layer(fragment: Fragment, number: int) -> dict[str, Any]:
    suffix = f"-{number + 1}" if number else ""
    return {
        "Type": "AWS::Serverless::LayerVersion",
        "Properties": {
            "LayerName": Tagged("Sub", "${AWS::StackName}-lambdapack" + suffix),
            "ContentUri": fragment.path(fragment.layers[number]),
            "CompatibleRuntimes": [fragment.target.runtime],
            "CompatibleArchitectures": [fragment.target.arch],
            # Another layer makes another version of the function.
            "PublishLambdaVersion": True,
            "RetentionPolicy": "Retain",
        },
    }


def _properties(fragment: Fragment) -> dict[str, Any]:
    """The function's properties; a key is absent where the template's own stays."""
    variables = {
        name: Tagged("Ref", _PARAMETERS[name][0]) if name in fragment.records else text
        for name, text in fragment.variables.items()
    }
    given: dict[str, Any] = {
        "Runtime": fragment.target.runtime,
        "Architectures": [fragment.target.arch],
        "CodeUri": fragment.path(fragment.code) if fragment.code else None,
        "Handler": fragment.handler,
        "Layers": [Tagged("Ref", _layer_id(number)) for number in range(len(fragment.layers))] or None,
        "Environment": {"Variables": variables},
        "EphemeralStorage": {"Size": fragment.tmp_mb} if fragment.tmp_mb else None,
        "MemorySize": fragment.memory_mb,
        "Timeout": fragment.timeout,
        "SnapStart": {"ApplyOn": "PublishedVersions"} if fragment.snap_start else None,
        "Policies": [_policy(fragment)] if fragment.statements else None,
        "AutoPublishAlias": fragment.alias,
        "AutoPublishAliasAllProperties": True,
    }
    return {key: value for key, value in given.items() if value is not None}


def _policy(fragment: Fragment) -> Mapping[str, Any]:
    """A policy that names the objects by their parameter: another build changes no template."""
    statements = [{**statement, "Resource": Tagged("Ref", _OBJECTS)} for statement in fragment.statements]
    return {"Version": "2012-10-17", "Statement": statements}
