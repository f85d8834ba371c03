"""A function's ``$LATEST`` at another memory setting, and back again. What ``live`` points to is not touched.

Lambda starts new environments after each change of the configuration, so that the next invocation is a cold
start. A variable is changed each time, and holds the memory of before: where a run was killed, the next one
reads there what to go back to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lambdapack.deploy.aws.clients import Clients
from lambdapack.deploy.aws.errors import errors_of_aws
from lambdapack.deploy.aws.executor import execute
from lambdapack.deploy.aws.models import ApiCall, FunctionState
from lambdapack.errors import ConfigurationError, ToolError
from lambdapack.store.aws_errors import code_of

LATEST = "$LATEST"
"""The version that is changed, and that callers of the alias do not reach."""
_MARK = "LAMBDAPACK_TUNE"


@dataclass(frozen=True)
class Latest:
    """``$LATEST`` as it was before it was tuned.

    Attributes:
        name: The function's name.
        memory_mb, tmp_mb, timeout: Its settings.
        variables: Its environment variables.
        state: All of that, and its code.
    """

    name: str
    memory_mb: int
    tmp_mb: int
    timeout: int
    variables: Mapping[str, str]
    state: FunctionState


def read_latest(name: str, clients: Clients) -> Latest:
    """What ``$LATEST`` is, and was before a run that was killed.

    Raises:
        ConfigurationError: There is no such function.
        ToolError: AWS refused, was not reached, or does not show the variables.
    """
    configuration = _configuration(name, clients)
    if configuration.get("Environment", {}).get("Error"):
        # An update sends all variables anew, and would lose them.
        raise ToolError(
            f"tuning {name}: these credentials may not read the function's environment variables",
            hint="allow kms:Decrypt with the key of the function",
        )
    state = FunctionState.described(configuration)
    variables = dict(state.settings["Environment"]["Variables"])
    before = variables.pop(_MARK, "").partition("/")[0]
    memory = int(before) if before.isdigit() else int(configuration["MemorySize"])
    storage = int(state.settings["EphemeralStorage"]["Size"])
    return Latest(name, memory, storage, int(configuration["Timeout"]), variables, state)


def _configuration(name: str, clients: Clients) -> Mapping[str, Any]:
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow

    doing = {"action": "lambda:GetFunctionConfiguration", "resource": name}
    with errors_of_aws(f"looking at the function {name}", **doing):
        try:
            found: Mapping[str, Any] = clients["lambda"].get_function_configuration(FunctionName=name)
            return found
        except ClientError as error:
            if code_of(error) == "ResourceNotFoundException":
                raise ConfigurationError(
                    f"tuning {name}: there is no such function in {clients.region}",
                    hint="lambdapack deploy --cloud aws",
                ) from error
            raise


def restart(latest: Latest, memory_mb: int, run: int, clients: Clients) -> None:
    """Let the next invocation of ``$LATEST`` be a cold start with ``memory_mb``; ``run`` tells runs apart."""
    variables = {**latest.variables, _MARK: f"{latest.memory_mb}/{memory_mb}/{run}"}
    _update(latest.name, memory_mb, variables, clients)


def restore(latest: Latest, clients: Clients) -> None:
    """Make ``$LATEST`` what it was."""
    _update(latest.name, latest.memory_mb, latest.variables, clients)


def _update(name: str, memory_mb: int, variables: Mapping[str, str], clients: Clients) -> None:
    settings = {"MemorySize": memory_mb, "Environment": {"Variables": dict(variables)}}
    call = ApiCall(
        "lambda",
        "update_function_configuration",
        {"FunctionName": name, **settings},
        f"memory {memory_mb} MB",
        "function_updated_v2",
    )
    execute((call,), clients)
