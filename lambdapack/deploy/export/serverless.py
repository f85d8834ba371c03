"""The Serverless Framework 3: a file whose parts a ``serverless.yml`` takes with ``${file(…)}``.

https://www.serverless.com/framework/docs/providers/aws/guide/serverless.yml
"""

from __future__ import annotations

from typing import Any

from lambdapack.deploy.export.fragment import Fragment
from lambdapack.deploy.export.yaml import dump

FILE = "serverless.yml"
_LAYER_NAME = "${self:service}-${sls:stage}-lambdapack"


def write(fragment: Fragment) -> dict[str, str]:
    """The files' names and texts."""
    document: dict[str, Any] = {
        "layers": {_layer_key(number): _layer(fragment, number) for number in range(len(fragment.layers))},
        "function": _function(fragment),
        "statements": fragment.statements,
    }
    return {FILE: dump(document)}


def _layer_key(number: int) -> str:
    return "lambdapack" + (str(number + 1) if number else "")


def layer_id(number: int) -> str:
    """The logical id that Serverless makes of a layer's key."""
    key = _layer_key(number)
    return f"{key[0].upper()}{key[1:]}LambdaLayer"


def _layer(fragment: Fragment, number: int) -> dict[str, Any]:
    return {
        "name": _LAYER_NAME + (f"-{number + 1}" if number else ""),
        "package": {"artifact": fragment.path(fragment.layers[number])},
        "compatibleRuntimes": [fragment.target.runtime],
        "compatibleArchitectures": [fragment.target.arch],
        # No "retain": the layer's logical id would end in a digest then, and no function could refer to it.
    }


def _function(fragment: Fragment) -> dict[str, Any]:
    """The function's properties; a key is absent where the project's own stays."""
    given: dict[str, Any] = {
        "runtime": fragment.target.runtime,
        "architecture": fragment.target.arch,
        "handler": fragment.handler,
        "package": {"artifact": fragment.path(fragment.code)} if fragment.code else None,
        "layers": [{"Ref": layer_id(number)} for number in range(len(fragment.layers))] or None,
        "environment": fragment.variables,
        "ephemeralStorageSize": fragment.tmp_mb,
        "memorySize": fragment.memory_mb,
        "timeout": fragment.timeout,
        "snapStart": True if fragment.snap_start else None,
    }
    return {key: value for key, value in given.items() if value is not None}
