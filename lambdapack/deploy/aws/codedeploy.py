"""AWS CodeDeploy shifts the calls: it goes on without us, and rolls back by its alarms.

An application and a deployment group for each function, made on first use; the role may move that one alias.
"""

from __future__ import annotations

import hashlib
import json
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lambdapack.deploy.aws import naming
from lambdapack.deploy.aws.asking import ask
from lambdapack.deploy.aws.clients import Clients
from lambdapack.deploy.aws.errors import errors_of_aws
from lambdapack.deploy.aws.models import ALIAS, Account, ApiCall
from lambdapack.deploy.shifting import Clock, SystemClock
from lambdapack.errors import ToolError
from lambdapack.progress import QUIET, Progress

# https://docs.aws.amazon.com/codedeploy/latest/userguide/deployment-configurations.html
_PREFIX = "CodeDeployDefault."
_PREDEFINED = (
    "LambdaAllAtOnce", "LambdaCanary10Percent5Minutes", "LambdaCanary10Percent10Minutes",
    "LambdaCanary10Percent15Minutes", "LambdaCanary10Percent30Minutes",
    "LambdaLinear10PercentEvery1Minute", "LambdaLinear10PercentEvery2Minutes",
    "LambdaLinear10PercentEvery3Minutes", "LambdaLinear10PercentEvery10Minutes",
)  # fmt: skip
_UNDER_WAY = ("Created", "Queued", "InProgress", "Baking", "Ready")
_UNDONE_BY = ("DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST")
_EVERY = 5.0
_STOPPING = 300.0
"""Seconds for CodeDeploy to stop a deployment and to take the calls back."""
TRUST: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "codedeploy.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


@dataclass(frozen=True)
class Handover:
    """A deployment of CodeDeploy's.

    Attributes:
        id: e.g. ``d-ABCDEF123``.
        status: In AWS's words: ``InProgress``, ``Succeeded`` …
        target: The version that gets the calls; ``None`` where the deployment does not say.
        config: How: the name of a deployment configuration.
        why: What AWS says of a failure; ``""`` without one.
    """

    id: str
    status: str
    target: str | None
    config: str
    why: str = ""

    @property
    def under_way(self) -> bool:
        """Whether the deployment has not ended."""
        return self.status in _UNDER_WAY

    def __str__(self) -> str:
        to = f" to version {self.target}" if self.target else ""
        return f"CodeDeploy's deployment {self.id} shifts calls{to} ({self.config}, {self.status})"


def configuration(text: str) -> str:
    """``canary10percent5minutes`` -> ``CodeDeployDefault.LambdaCanary10Percent5Minutes``; others stay."""
    short = text.removeprefix(_PREFIX).casefold().removeprefix("lambda")
    for name in _PREDEFINED:
        if name.removeprefix("Lambda").casefold() == short:
            return _PREFIX + name
    return text


def application(function: str) -> str:
    """The application of a function."""
    return f"lambdapack-{function}"


def under_way(name: str, clients: Clients) -> Handover | None:
    """The function's deployment that has not ended; ``None`` where there is none."""
    subject = f"CodeDeploy's deployments of {name}"
    answer = ask(
        clients["codedeploy"].list_deployments, "codedeploy:ListDeployments", subject,
        applicationName=application(name), deploymentGroupName=ALIAS, includeOnlyStatuses=list(_UNDER_WAY),
    )  # fmt: skip
    deployments = [] if answer is None else answer["deployments"]
    return look(deployments[0], clients) if deployments else None


def look(deployment: str, clients: Clients) -> Handover:
    """A deployment as it is."""
    with errors_of_aws(
        f"looking at the deployment {deployment}", action="codedeploy:GetDeployment", resource=deployment
    ):
        info = clients["codedeploy"].get_deployment(deploymentId=deployment)["deploymentInfo"]
    content = ((info.get("revision") or {}).get("appSpecContent") or {}).get("content", "")
    try:
        (resource,) = json.loads(content)["Resources"]
        (described,) = resource.values()
        target = str(described["Properties"]["TargetVersion"])
    except (ValueError, KeyError, TypeError, AttributeError):
        target = None
    why = str((info.get("errorInformation") or {}).get("message", ""))
    return Handover(deployment, str(info["status"]), target, str(info["deploymentConfigName"]), why)


def set_up(
    name: str, account: Account, alarms: tuple[str, ...], config: str, clients: Clients
) -> tuple[ApiCall, ...]:
    """The calls that make role, application and deployment group what they are to be; none where they are."""
    role = _role_calls(name, account, alarms, clients)
    return (*role, *_group_calls(name, account, alarms, config, clients))


def start(name: str, current: str, target: str, config: str) -> ApiCall:
    """The call that begins to shift calls from version ``current`` to version ``target``."""
    versions = {"Name": name, "Alias": ALIAS, "CurrentVersion": current, "TargetVersion": target}
    resource = {name: {"Type": "AWS::Lambda::Function", "Properties": versions}}
    content = json.dumps({"version": 0.0, "Resources": [resource]})
    digest = hashlib.sha256(content.encode()).hexdigest()
    parameters = {
        "applicationName": application(name),
        "deploymentGroupName": ALIAS,
        "deploymentConfigName": config,
        "description": f"lambdapack deploy: version {current} to version {target}",
        "revision": {
            "revisionType": "AppSpecContent", "appSpecContent": {"content": content, "sha256": digest},
        },
    }  # fmt: skip
    why = f"CodeDeploy shifts calls from version {current} to version {target}: {config}"
    return ApiCall("codedeploy", "create_deployment", parameters, why)


def stop(deployment: Handover) -> ApiCall:
    """The call that stops a deployment and gives the calls back to the version of before."""
    parameters = {"deploymentId": deployment.id, "autoRollbackEnabled": True}
    why = f"stop {deployment.id}, and give the calls back to the version of before"
    return ApiCall("codedeploy", "stop_deployment", parameters, why)


def wait_for_end(
    deployment: Handover,
    clients: Clients,
    *,
    clock: Clock | None = None,
    progress: Progress = QUIET,
) -> Handover:
    """Wait until a deployment has ended, however long its configuration makes that; how it ended."""
    clock = clock or SystemClock()
    with progress.step(f"wait for CodeDeploy's deployment {deployment.id}") as advance:
        while deployment.under_way:
            advance(0, note=deployment.status)
            clock.sleep(_EVERY)
            deployment = look(deployment.id, clients)
    return deployment


def wait_until_idle(
    name: str, clients: Clients, *, clock: Clock | None = None, progress: Progress = QUIET
) -> None:
    """Wait until a stopped deployment, and the one that takes the calls back, have ended.

    Raises:
        ToolError: That takes longer than five minutes.
    """
    clock = clock or SystemClock()
    begun = clock.monotonic()
    with progress.step("wait until CodeDeploy has given the calls back"):
        while (going_on := under_way(name, clients)) is not None:
            if clock.monotonic() - begun >= _STOPPING:
                raise ToolError(
                    f"waiting for CodeDeploy: {going_on.id} is {going_on.status} after {_STOPPING:.0f} s",
                    hint="lambdapack status --cloud aws shows where calls go; run the command again then",
                )
            clock.sleep(_EVERY)


def removal(name: str, account: Account, clients: Clients) -> tuple[ApiCall, ...]:
    """The calls that remove what was made for CodeDeploy; none where nothing was."""
    role = naming.codedeploy_role(name, account.region)
    if ask(clients["iam"].get_role, "iam:GetRole", f"the role {role}", RoleName=role) is None:
        return ()
    which = {"RoleName": role, "PolicyName": naming.POLICY}
    return (
        ApiCall("codedeploy", "delete_application", {"applicationName": application(name)}, "its CodeDeploy"),
        ApiCall("iam", "delete_role_policy", which, "CodeDeploy's policy"),
        ApiCall("iam", "delete_role", {"RoleName": role}, "CodeDeploy's role"),
    )


def _role_calls(name: str, account: Account, alarms: tuple[str, ...], clients: Clients) -> Iterator[ApiCall]:
    role = naming.codedeploy_role(name, account.region)
    iam = clients["iam"]
    if ask(iam.get_role, "iam:GetRole", f"the role {role}", RoleName=role) is None:
        parameters = {
            "RoleName": role,
            "AssumeRolePolicyDocument": json.dumps(TRUST),
            "Description": f"Made by lambdapack for CodeDeploy to shift the calls of {name}",
        }
        yield ApiCall("iam", "create_role", parameters, "CodeDeploy has no role yet", "role_exists")
    which = {"RoleName": role, "PolicyName": naming.POLICY}
    seen = ask(iam.get_role_policy, "iam:GetRolePolicy", f"the policy of {role}", **which)
    document = policy(name, account, alarms)
    if seen is None or _document(seen["PolicyDocument"]) != document:
        parameters = {**which, "PolicyDocument": json.dumps(document)}
        yield ApiCall("iam", "put_role_policy", parameters, f"CodeDeploy may move {name}:{ALIAS}")


def _document(value: object) -> object:
    """A policy document; botocore decodes documents, except where an endpoint sends plain text."""
    return json.loads(urllib.parse.unquote(value)) if isinstance(value, str) else value


def policy(name: str, account: Account, alarms: tuple[str, ...]) -> dict[str, Any]:
    """What CodeDeploy may do: move this one alias, and look at the alarms."""
    function = f"arn:{account.partition}:lambda:{account.region}:{account.id}:function:{name}"
    statements: list[dict[str, Any]] = [
        {
            "Sid": "MoveTheAlias",
            "Effect": "Allow",
            "Action": ["lambda:GetAlias", "lambda:UpdateAlias", "lambda:GetProvisionedConcurrencyConfig"],
            "Resource": [function, f"{function}:*"],
        }
    ]
    if alarms:
        # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/permissions-reference-cw.html
        statements.append(
            {"Sid": "SeeAlarms", "Effect": "Allow", "Action": "cloudwatch:DescribeAlarms", "Resource": "*"}
        )
    return {"Version": "2012-10-17", "Statement": statements}


def _group_calls(
    name: str, account: Account, alarms: tuple[str, ...], config: str, clients: Clients
) -> Iterator[ApiCall]:
    client, of = clients["codedeploy"], {"applicationName": application(name)}
    subject = f"CodeDeploy's application {of['applicationName']}"
    if ask(client.get_application, "codedeploy:GetApplication", subject, **of) is None:
        why = "CodeDeploy has no application for the function yet"
        yield ApiCall("codedeploy", "create_application", {**of, "computePlatform": "Lambda"}, why)
    role = naming.codedeploy_role(name, account.region)
    wanted: dict[str, Any] = {
        "deploymentConfigName": config,
        "serviceRoleArn": f"arn:{account.partition}:iam::{account.id}:role/{role}",
        "deploymentStyle": {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
        "autoRollbackConfiguration": {"enabled": True, "events": list(_UNDONE_BY)},
        "alarmConfiguration": {"enabled": bool(alarms), "alarms": [{"name": alarm} for alarm in alarms]},
    }
    answer = ask(
        client.get_deployment_group, "codedeploy:GetDeploymentGroup", subject,
        **of, deploymentGroupName=ALIAS,
    )  # fmt: skip
    if answer is None:
        parameters = {**of, "deploymentGroupName": ALIAS, **wanted}
        yield ApiCall("codedeploy", "create_deployment_group", parameters, f"CodeDeploy moves {name}:{ALIAS}")
        return
    seen = answer["deploymentGroupInfo"]
    changed = [key for key, value in wanted.items() if not _same(value, seen.get(key))]
    if changed:
        parameters = {**of, "currentDeploymentGroupName": ALIAS, **{key: wanted[key] for key in changed}}
        yield ApiCall("codedeploy", "update_deployment_group", parameters, ", ".join(changed))


def _same(wanted: Any, seen: Any) -> bool:
    """Whether AWS has what is wanted; AWS adds keys of its own and keeps lists in its own order."""
    if isinstance(wanted, Mapping):
        kept = seen if isinstance(seen, Mapping) else {}
        return all(_same(value, kept.get(key)) for key, value in wanted.items())
    if isinstance(wanted, list):
        return sorted(map(str, wanted)) == sorted(map(str, seen or []))
    return bool(wanted == seen)
