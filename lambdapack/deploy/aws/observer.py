"""What is in AWS under a function's name. Only reads."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from lambdapack.deploy.aws import naming
from lambdapack.deploy.aws.clients import Clients
from lambdapack.deploy.aws.errors import errors_of_aws
from lambdapack.deploy.aws.models import ALIAS, Account, AwsState, FunctionState, RoleState, VersionState
from lambdapack.progress import QUIET, Progress
from lambdapack.store.aws_errors import code_of

_ABSENT = frozenset(
    ["ResourceNotFoundException", "ProvisionedConcurrencyConfigNotFoundException", "NoSuchEntity", "404"]
)


def observe(
    name: str, clients: Clients, *, layers: Iterable[str] = (), progress: Progress = QUIET
) -> AwsState:
    """Look for the function, its versions, its alias, its role, its log group and the ``layers`` named.

    A change that is still in progress is waited for: only what has settled can be compared.

    Raises:
        LambdapackError: AWS could not be asked.
    """
    account = account_of(clients)
    configuration = _settled(name, clients, progress)
    group, retention = log_group(naming.log_group(name), clients)
    role = role_state(naming.role_name(name, account.region), clients)
    observed = AwsState(
        account, role=role, log_group=group, log_retention=retention, layers=_layers(layers, clients)
    )
    if configuration is None:
        return observed
    return replace(
        observed,
        function=FunctionState.described(configuration),
        arn=str(configuration["FunctionArn"]),
        versions=_versions(name, clients),
        alias=_alias(name, clients),
    )


def account_of(clients: Clients) -> Account:
    """The account and the region that the clients call."""
    with errors_of_aws("asking AWS whose credentials these are", action="sts:GetCallerIdentity"):
        identity = clients["sts"].get_caller_identity()
    return Account(str(identity["Account"]), str(identity["Arn"]).split(":")[1], clients.region)


def _ask(
    call: Callable[..., Mapping[str, Any]], action: str, resource: str, **parameters: Any
) -> Mapping[str, Any] | None:
    """The answer, or ``None`` where AWS has no such resource."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow

    with errors_of_aws(f"looking at {resource}", action=action, resource=resource):
        try:
            return call(**parameters)
        except ClientError as error:
            if code_of(error) in _ABSENT:
                return None
            raise


def _settled(name: str, clients: Clients, progress: Progress) -> Mapping[str, Any] | None:
    """The function's configuration once no change of it is in progress; ``None`` without a function."""
    client = clients["lambda"]

    def ask() -> Mapping[str, Any] | None:
        action = "lambda:GetFunctionConfiguration"
        return _ask(client.get_function_configuration, action, f"the function {name}", FunctionName=name)

    configuration = ask()
    for key, value, waiter in (
        ("State", "Pending", "function_active_v2"),
        ("LastUpdateStatus", "InProgress", "function_updated_v2"),
    ):
        if configuration is not None and configuration.get(key) == value:
            with progress.step(f"wait for {name}, which is {value}"), errors_of_aws(f"waiting for {name}"):
                client.get_waiter(waiter).wait(FunctionName=name)
            configuration = ask()
    return configuration


def _versions(name: str, clients: Clients) -> tuple[VersionState, ...]:
    with errors_of_aws(f"listing the versions of {name}", action="lambda:ListVersionsByFunction"):
        pages = clients["lambda"].get_paginator("list_versions_by_function").paginate(FunctionName=name)
        items = [item for page in pages for item in page["Versions"] if item["Version"] != "$LATEST"]
    versions = []
    for item in sorted(items, key=lambda item: int(item["Version"])):
        description = str(item.get("Description", ""))
        pack_id, pack = naming.pack_of(description) or (None, None)
        state = FunctionState.described(item)
        assets = naming.assets_of(state.settings["Environment"]["Variables"], pack, pack_id)
        in_s3 = {name: where for name, (_, where) in assets.items() if where is not None}
        ids = {name: asset_id for name, (asset_id, _) in assets.items()}
        versions.append(VersionState(str(item["Version"]), state, description, pack, pack_id, in_s3, ids))
    return tuple(versions)


def _layers(names: Iterable[str], clients: Clients) -> dict[str, str]:
    found = {}
    for name in names:
        answer = _ask(
            clients["lambda"].list_layer_versions,
            "lambda:ListLayerVersions",
            f"the layer {name}",
            LayerName=name,
        )
        versions = answer["LayerVersions"] if answer else []
        if versions:
            found[name] = str(max(versions, key=lambda version: version["Version"])["LayerVersionArn"])
    return found


def _alias(name: str, clients: Clients) -> str | None:
    answer = _ask(
        clients["lambda"].get_alias,
        "lambda:GetAlias",
        f"the alias {name}:{ALIAS}",
        FunctionName=name,
        Name=ALIAS,
    )
    return None if answer is None else str(answer["FunctionVersion"])


def provisioned(name: str, clients: Clients) -> int:
    """For how many environments of the alias there is provisioned concurrency."""
    answer = _ask(
        clients["lambda"].get_provisioned_concurrency_config,
        "lambda:GetProvisionedConcurrencyConfig",
        f"the provisioned concurrency of {name}:{ALIAS}",
        FunctionName=name,
        Qualifier=ALIAS,
    )
    return 0 if answer is None else int(answer["RequestedProvisionedConcurrentExecutions"])


def role_state(role: str, clients: Clients) -> RoleState | None:
    """The role called ``role``; ``None`` where there is none."""
    iam = clients["iam"]
    answer = _ask(iam.get_role, "iam:GetRole", f"the role {role}", RoleName=role)
    if answer is None:
        return None
    policies = {}
    with errors_of_aws(f"reading the policies of {role}", action="iam:GetRolePolicy", resource=role):
        pages = iam.get_paginator("list_role_policies").paginate(RoleName=role)
        for policy in [policy for page in pages for policy in page["PolicyNames"]]:
            inline = iam.get_role_policy(RoleName=role, PolicyName=policy)
            policies[policy] = _document(inline["PolicyDocument"])
    with errors_of_aws(
        f"reading the policies of {role}", action="iam:ListAttachedRolePolicies", resource=role
    ):
        pages = iam.get_paginator("list_attached_role_policies").paginate(RoleName=role)
        attached = tuple(str(item["PolicyArn"]) for page in pages for item in page["AttachedPolicies"])
    trust = _document(answer["Role"].get("AssumeRolePolicyDocument") or {})
    return RoleState(str(answer["Role"]["Arn"]), trust, policies, attached)


def _document(value: object) -> Mapping[str, Any]:
    """A policy document; botocore decodes documents, except where an endpoint sends plain text."""
    if isinstance(value, str):
        value = json.loads(urllib.parse.unquote(value))
    return value if isinstance(value, dict) else {}


def log_group(group: str, clients: Clients) -> tuple[bool, int | None]:
    """Whether there is such a log group, and the days that the group keeps; ``None`` for ever."""
    with errors_of_aws(f"looking at the log group {group}", action="logs:DescribeLogGroups", resource=group):
        pages = clients["logs"].get_paginator("describe_log_groups").paginate(logGroupNamePrefix=group)
        for item in (item for page in pages for item in page["logGroups"]):
            if item["logGroupName"] == group:
                return True, item.get("retentionInDays")
    return False, None
