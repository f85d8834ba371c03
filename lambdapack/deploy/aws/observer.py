"""What is in AWS under a function's name. Only reads."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from lambdapack.deploy.aws import naming
from lambdapack.deploy.aws.alias import described
from lambdapack.deploy.aws.asking import ask
from lambdapack.deploy.aws.clients import Clients
from lambdapack.deploy.aws.errors import errors_of_aws
from lambdapack.deploy.aws.models import ALIAS, Account, AwsState, FunctionState, RoleState, VersionState
from lambdapack.deploy.aws.provisioned import observe_ready
from lambdapack.deploy.aws.routes import statements_of
from lambdapack.deploy.aws.wide import observe_wide
from lambdapack.deploy.shifting import AliasState
from lambdapack.model import FunctionSettings
from lambdapack.progress import QUIET, Progress
from lambdapack.store import patience

_SETTLED = 300
"""Seconds for a change that somebody else began to end."""


def observe(
    name: str,
    clients: Clients,
    *,
    layers: Iterable[str] = (),
    settings: FunctionSettings | None = None,
    progress: Progress = QUIET,
) -> AwsState:
    """Look for the function, its versions, its alias, its role, its log group and the ``layers`` named.

    And, with the ``settings`` that it is to have, for what these need beside; without them, for nothing else.
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
    live = _alias(name, clients)
    observed = replace(
        observed,
        function=FunctionState.described(configuration),
        arn=str(configuration["FunctionArn"]),
        versions=versions(name, clients),
        alias=None if live is None else live.routing.version,
        live=live,
    )
    if settings is None:
        return observed
    if configuration.get("Environment", {}).get("Error"):
        progress.warn(
            f"these credentials may not decrypt the environment of {name} (kms:Decrypt): it cannot be "
            "compared, and each deployment sends the environment again"
        )
    return _observe_for(name, settings, observed, clients)


def _observe_for(name: str, settings: FunctionSettings, observed: AwsState, clients: Clients) -> AwsState:
    """``observed`` with what has an API of its own, as far as ``settings`` names that."""
    observed = observe_wide(name, settings, observed, clients)
    if settings.callers is not None and observed.alias is not None:
        statements = statements_of(name, clients, ALIAS)
        observed = replace(observed, statements=frozenset(str(item.get("Sid")) for item in statements))
    if settings.provisioned is not None:
        observed = observe_ready(name, observed, clients)
    return observed


def account_of(clients: Clients) -> Account:
    """The account and the region that the clients call."""
    with errors_of_aws("asking AWS whose credentials these are", action="sts:GetCallerIdentity"):
        identity = clients["sts"].get_caller_identity()
    return Account(str(identity["Account"]), str(identity["Arn"]).split(":")[1], clients.region)


def _settled(name: str, clients: Clients, progress: Progress) -> Mapping[str, Any] | None:
    """The function's configuration once no change of it is in progress; ``None`` without a function."""
    client = clients["lambda"]

    def look() -> Mapping[str, Any] | None:
        action = "lambda:GetFunctionConfiguration"
        return ask(client.get_function_configuration, action, f"the function {name}", FunctionName=name)

    configuration = look()
    for key, value, waiter in (
        ("State", "Pending", "function_active_v2"),
        ("LastUpdateStatus", "InProgress", "function_updated_v2"),
    ):
        if configuration is not None and configuration.get(key) == value:
            with progress.step(f"wait for {name}, which is {value}"), errors_of_aws(f"waiting for {name}"):
                patience.wait(client, waiter, _SETTLED, {"FunctionName": name})
            configuration = look()
    return configuration


def versions(name: str, clients: Clients) -> tuple[VersionState, ...]:
    """The published versions, oldest first."""
    return tuple(map(version_of, version_items(name, clients)))


def version_items(name: str, clients: Clients) -> list[Mapping[str, Any]]:
    """What AWS describes of the published versions, oldest first."""
    with errors_of_aws(f"listing the versions of {name}", action="lambda:ListVersionsByFunction"):
        pages = clients["lambda"].get_paginator("list_versions_by_function").paginate(FunctionName=name)
        items = [item for page in pages for item in page["Versions"] if item["Version"] != "$LATEST"]
    return sorted(items, key=lambda item: int(item["Version"]))


def version_of(item: Mapping[str, Any]) -> VersionState:
    """A published version out of AWS's description."""
    description = str(item.get("Description", ""))
    pack_id, pack = naming.pack_of(description) or (None, None)
    state = FunctionState.described(item)
    assets = naming.assets_of(state.settings["Environment"]["Variables"], pack, pack_id)
    in_s3 = {name: where for name, (_, where) in assets.items() if where is not None}
    ids = {name: asset_id for name, (asset_id, _) in assets.items()}
    return VersionState(str(item["Version"]), state, description, pack, pack_id, in_s3, ids)


def _layers(names: Iterable[str], clients: Clients) -> dict[str, str]:
    found = {}
    for name in names:
        answer = ask(
            clients["lambda"].list_layer_versions,
            "lambda:ListLayerVersions",
            f"the layer {name}",
            LayerName=name,
        )
        versions = answer["LayerVersions"] if answer else []
        if versions:
            found[name] = str(max(versions, key=lambda version: version["Version"])["LayerVersionArn"])
    return found


def _alias(name: str, clients: Clients) -> AliasState | None:
    answer = ask(
        clients["lambda"].get_alias,
        "lambda:GetAlias",
        f"the alias {name}:{ALIAS}",
        FunctionName=name,
        Name=ALIAS,
    )
    return None if answer is None else described(answer)


def provisioned(name: str, clients: Clients) -> int:
    """For how many environments of the alias there is provisioned concurrency."""
    answer = ask(
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
    answer = ask(iam.get_role, "iam:GetRole", f"the role {role}", RoleName=role)
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
