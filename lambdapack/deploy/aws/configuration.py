"""A function's settings in AWS's words: as they should be, and as AWS describes them.

One module writes and reads them, so that a setting cannot be sent and then not be compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lambdapack import limits
from lambdapack.deploy.aws.models import FunctionState, Result
from lambdapack.model import FunctionSpec

# What a description spells as a request does.
_SAME_IN_BOTH = ("Role", "Runtime", "Handler", "MemorySize", "Timeout")


def intended(spec: FunctionSpec, role: str | Result) -> dict[str, Any]:
    """The arguments of ``update_function_configuration`` that make the function what ``spec`` says."""
    return {
        "Role": role,
        "Runtime": spec.target.runtime,
        "Handler": spec.handler,
        "MemorySize": spec.settings.memory_mb,
        "Timeout": spec.settings.timeout,
        "EphemeralStorage": {"Size": spec.settings.tmp_mb},
        "Environment": {"Variables": dict(spec.settings.environment)},
    }


def described(configuration: Mapping[str, Any]) -> FunctionState:
    """The function or the version that ``get_function_configuration`` or a list of versions describes."""
    storage = configuration.get("EphemeralStorage", {})
    settings = {name: configuration.get(name) for name in _SAME_IN_BOTH} | {
        "EphemeralStorage": {"Size": storage.get("Size", limits.TMP_DEFAULT_MB)},
        "Environment": {"Variables": dict(configuration.get("Environment", {}).get("Variables", {}))},
    }
    architecture = (configuration.get("Architectures") or ["x86_64"])[0]
    return FunctionState(str(configuration.get("CodeSha256", "")), settings, architecture)
