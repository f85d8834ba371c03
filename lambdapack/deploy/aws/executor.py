"""Makes the calls of a plan in order. It records nothing: the next plan observes how far AWS came."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from lambdapack.deploy.aws import provisioned
from lambdapack.deploy.aws.clients import Clients
from lambdapack.deploy.aws.errors import errors_of_aws
from lambdapack.deploy.aws.models import ApiCall, FileBytes, Result
from lambdapack.errors import ToolError
from lambdapack.progress import QUIET, Progress
from lambdapack.store import patience
from lambdapack.store.aws_errors import code_of

_PATIENCE = 90.0
"""Seconds for a new role to be known everywhere, and for another deployment's update to end."""
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 8.0
# What Lambda says of a role that IAM has not spread yet, and of its policies.
_ROLE_NOT_READY = ("cannot be assumed by Lambda", "does not have permissions to call")
# What CodeBuild says of the same.
_BUILD_ROLE_NOT_READY = "not authorized to perform: sts:AssumeRole"
# Errors that mean that an interrupted run has made the call already.
_DONE_ALREADY: Mapping[str, frozenset[str]] = {
    "create_log_group": frozenset({"ResourceAlreadyExistsException"}),
    "delete_function": frozenset({"ResourceNotFoundException"}),
    "delete_role": frozenset({"NoSuchEntity"}),
    "delete_role_policy": frozenset({"NoSuchEntity"}),
    "detach_role_policy": frozenset({"NoSuchEntity"}),
    "delete_log_group": frozenset({"ResourceNotFoundException"}),
    "create_application": frozenset({"ApplicationAlreadyExistsException"}),
    "create_deployment_group": frozenset({"DeploymentGroupAlreadyExistsException"}),
    "stop_deployment": frozenset({"DeploymentAlreadyCompletedException"}),
    "remove_permission": frozenset({"ResourceNotFoundException"}),
    "delete_provisioned_concurrency_config": frozenset(
        {"ProvisionedConcurrencyConfigNotFoundException", "ResourceNotFoundException"}
    ),
}


def execute(
    calls: tuple[ApiCall, ...],
    clients: Clients,
    *,
    progress: Progress = QUIET,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Mapping[str, Any]]:
    """Make the calls, in order.

    Returns:
        The answers, by the calls' keys.

    Raises:
        LambdapackError: AWS refused one; those before it stand, and the next plan begins from there.
    """
    answers: dict[str, Mapping[str, Any]] = {}
    for call in calls:
        subject = _subject(call)
        # IAM's name for the call: lambda:CreateFunction.
        action = "".join(part.capitalize() for part in call.operation.split("_"))
        with (
            progress.step(f"{call.operation.replace('_', ' ')} {subject}".strip()) as advance,
            errors_of_aws(_doing(call, subject), action=f"{call.service}:{action}", resource=subject),
        ):
            parameters = {key: _resolve(value, answers) for key, value in call.parameters.items()}
            answers[call.key] = _call(call, clients[call.service], parameters, sleep)
            if call.waiter == provisioned.READY:
                tell = partial(advance, 0)
                provisioned.wait(clients[call.service], parameters, call.patience, sleep=sleep, tell=tell)
            elif call.waiter is not None:
                _wait(call, clients[call.service], parameters, answers[call.key])
            advance()
    return answers


def _call(
    call: ApiCall, client: Any, parameters: dict[str, Any], sleep: Callable[[float], None]
) -> Mapping[str, Any]:
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow

    waited = 0.0
    pause = _FIRST_PAUSE
    while True:
        try:
            answer: Mapping[str, Any] = getattr(client, call.operation)(**parameters)
            return answer
        except ClientError as error:
            if _is_done(call, error):
                return {}
            if not _will_pass(error) or waited >= _PATIENCE:
                raise
        # Jitter, so that deployments started together do not come back together.
        jittered = pause * random.uniform(0.75, 1.25)
        sleep(jittered)
        waited += jittered
        pause = min(pause * 2, _LONGEST_PAUSE)


def _is_done(call: ApiCall, error: Any) -> bool:
    """Whether the call was made before: by an interrupted run, or by botocore, which repeats lost ones."""
    if call.operation == "add_permission":
        # A statement's id is its digest: a statement of that id is this one.
        return code_of(error) == "ResourceConflictException" and "already exist" in str(error)
    return code_of(error) in _DONE_ALREADY.get(call.operation, ())


def _will_pass(error: Any) -> bool:
    """Whether the same call will succeed after a while."""
    code = code_of(error)
    said = str(error)
    if code == "InvalidRoleException":
        # CodeDeploy does not know its new role yet.
        return True
    if code == "InvalidParameterValueException":
        return any(words in said for words in _ROLE_NOT_READY)
    if code == "InvalidInputException":
        return _BUILD_ROLE_NOT_READY in said
    # An existing function stays; "an update is in progress" and "in the following state: Pending" pass.
    return code == "ResourceConflictException" and "already exist" not in said


def _wait(call: ApiCall, client: Any, parameters: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
    """Wait until the call has taken effect."""
    key = "RoleName" if call.service == "iam" else "FunctionName"
    subject = {key: parameters[key]}
    if call.operation == "publish_version":
        subject["Qualifier"] = answer["Version"]
    elif "Qualifier" in parameters:
        subject["Qualifier"] = parameters["Qualifier"]
    patience.wait(client, str(call.waiter), call.patience, subject)


def _resolve(value: Any, answers: Mapping[str, Mapping[str, Any]]) -> Any:
    """A parameter's value: ``FileBytes`` and ``Result`` stand for values that only now are known."""
    if isinstance(value, FileBytes):
        try:
            return value.path.read_bytes()
        except OSError as error:
            raise ToolError(f"cannot read {value.path}: {error.strerror}") from error
    if isinstance(value, Result):
        answer: Any = answers[value.call]
        for part in value.field.split("."):
            answer = answer[part]
        return answer
    if isinstance(value, Mapping):
        return {key: _resolve(item, answers) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolve(item, answers) for item in value]
    return value


def _subject(call: ApiCall) -> str:
    for key in (
        "FunctionName",
        "RoleName",
        "logGroupName",
        "LayerName",
        "Key",
        "Resource",
        "applicationName",
        "deploymentId",
        "name",
    ):
        if key in call.parameters:
            return str(call.parameters[key])
    return ""


def _doing(call: ApiCall, subject: str) -> str:
    """``create_function`` -> ``creating function demo``."""
    verb, _, what = call.operation.partition("_")
    ending = f"{verb}{verb[-1]}ing" if verb in ("put", "get", "tag") else verb.removesuffix("e") + "ing"
    return f"{ending} {what.replace('_', ' ')} {subject}".strip()
