"""Provisioned concurrency: environments of the live version that are kept ready.

It is put on the version and never on the alias: AWS takes no weights beside provisioned concurrency on an
alias, and moves such an alias itself, gradually, for as long as the new version's environments are made
(https://github.com/hashicorp/terraform/issues/24957). So the new version's is made and waited for first,
then the alias moves, and then the old version's is removed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from lambdapack.deploy.aws import naming
from lambdapack.deploy.aws.asking import ask
from lambdapack.deploy.aws.clients import Clients
from lambdapack.deploy.aws.errors import errors_of_aws
from lambdapack.deploy.aws.models import ALIAS, ApiCall, AwsState, Provisioned, Result, VersionState
from lambdapack.errors import ToolError

READY = "provisioned_concurrency_ready"
"""What an ``ApiCall`` names as its waiter; boto3 has none for this."""
_PATIENCE = 1800
"""Seconds for AWS to start the environments, each with an init of up to 900 s."""
_EVERY = 2.0
"""Seconds between two looks."""


def observe_ready(name: str, observed: AwsState, clients: Clients) -> AwsState:
    """``observed`` with its provisioned concurrency, and the versions that other aliases send calls to."""
    seen = _provisioned(name, clients)
    return replace(observed, provisioned=seen, pinned=_pinned(name, clients) if seen else frozenset())


def _provisioned(name: str, clients: Clients) -> dict[str, Provisioned]:
    client, action = clients["lambda"], "lambda:ListProvisionedConcurrencyConfigs"
    seen: dict[str, Provisioned] = {}
    page: dict[str, str] = {}
    while True:
        subject = f"the provisioned concurrency of {name}"
        answer = ask(client.list_provisioned_concurrency_configs, action, subject, FunctionName=name, **page)
        if answer is None:
            return seen
        for item in answer["ProvisionedConcurrencyConfigs"]:
            qualifier = str(item["FunctionArn"]).rpartition(":")[2]
            requested = int(item["RequestedProvisionedConcurrentExecutions"])
            seen[qualifier] = Provisioned(requested, str(item["Status"]))
        if not answer.get("NextMarker"):
            return seen
        page = {"Marker": str(answer["NextMarker"])}


def _pinned(name: str, clients: Clients) -> frozenset[str]:
    with errors_of_aws(f"listing the aliases of {name}", action="lambda:ListAliases", resource=name):
        pages = clients["lambda"].get_paginator("list_aliases").paginate(FunctionName=name)
        aliases = [alias for page in pages for alias in page["Aliases"] if alias["Name"] != ALIAS]
    weighted = (alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {}) for alias in aliases)
    return frozenset(
        [
            *(str(alias["FunctionVersion"]) for alias in aliases),
            *(number for each in weighted for number in each),
        ]
    )


def goes_back(target: VersionState, observed: AwsState) -> int | None:
    """For a rollback: how many environments of ``target`` to keep ready; ``None`` leaves all as it is.

    As many as the live version has; none of a version that starts from a snapshot, where AWS refuses them.
    """
    live = observed.provisioned.get(observed.alias or "")
    if live is None:
        return None
    return 0 if target.snapshot else live.requested


def before(name: str, version: str | Result, observed: AwsState, count: int | None) -> tuple[ApiCall, ...]:
    """The calls that keep ``count`` environments of ``version`` ready, before ``live`` points there.

    Those of ``live`` itself go: AWS takes provisioned concurrency of a version or of its alias, not of both,
    and moves no alias that has some to a version with a snapshot.

    Args:
        name: The function's name.
        version: Its number, or the call that publishes the version.
        observed: What AWS has.
        count: How many; 0 for none, and with ``None`` all stays as it is.
    """
    if count is None:
        return ()
    calls = [_keep_ready(name, version, observed, count)] if count else []
    if ALIAS in observed.provisioned:
        why = "its version has it" if count else "provisioned is 0"
        # Where live is there already, the alias's has to go first.
        calls.insert(0 if version == observed.alias else len(calls), _delete(name, ALIAS, why))
    return tuple(call for call in calls if call is not None)


def _keep_ready(name: str, version: str | Result, observed: AwsState, count: int) -> ApiCall | None:
    seen = observed.provisioned.get(version) if isinstance(version, str) else None
    which = {"FunctionName": name, "Qualifier": version}
    if seen is None or seen.requested != count or seen.status == "FAILED":
        parameters = {**which, "ProvisionedConcurrentExecutions": count}
        why = f"keep {count} environments ready, {seen.requested if seen else 0} until now"
        return ApiCall("lambda", "put_provisioned_concurrency_config", parameters, why, READY, _PATIENCE)
    if seen.status != "READY":
        why = f"its {count} environments must be ready"
        return ApiCall("lambda", "get_provisioned_concurrency_config", which, why, READY, _PATIENCE)
    return None


def after(name: str, version: str | Result, observed: AwsState, count: int | None) -> tuple[ApiCall, ...]:
    """The calls that keep no environment of other versions ready, once ``live`` points at ``version``.

    Those of versions that lambdapack did not publish, or that other aliases send calls to, stay. Arguments as
    for ``before``; with 0 those of ``version`` go as well.
    """
    if count is None:
        return ()
    return tuple(_superfluous(name, version, observed, count))


def _superfluous(name: str, version: str | Result, observed: AwsState, count: int) -> Iterator[ApiCall]:
    ours = {each.number for each in observed.versions if naming.is_ours(each.description)} - observed.pinned
    for qualifier, seen in sorted(observed.provisioned.items()):
        if qualifier == version:
            if not count:
                yield _delete(name, qualifier, f"provisioned is 0, {seen.requested} until now")
        elif qualifier in ours:
            why = f"version {qualifier} is live no more, and has {seen.requested} environments ready"
            yield _delete(name, qualifier, why)


def _delete(name: str, qualifier: str, why: str) -> ApiCall:
    parameters = {"FunctionName": name, "Qualifier": qualifier}
    return ApiCall("lambda", "delete_provisioned_concurrency_config", parameters, why)


def wait(
    client: Any,
    parameters: Mapping[str, Any],
    patience: float,
    *,
    sleep: Callable[[float], None] = time.sleep,
    tell: Callable[..., None] = lambda **_: None,
) -> None:
    """Wait until the environments of a version are ready.

    Args:
        client: boto3's client of Lambda.
        parameters: The version, as ``FunctionName`` and ``Qualifier``, among others.
        patience: Seconds after which to give up.
        sleep: Waits for some seconds.
        tell: Takes a ``note`` of how far AWS is.

    Raises:
        ToolError: AWS could not make the environments, or took too long.
    """
    which = {key: parameters[key] for key in ("FunctionName", "Qualifier")}
    subject = f"provisioned concurrency of {which['FunctionName']}:{which['Qualifier']}"
    waited = 0.0
    while True:
        answer = client.get_provisioned_concurrency_config(**which)
        ready = (
            f"{answer.get('AvailableProvisionedConcurrentExecutions', 0)} of "
            f"{answer.get('RequestedProvisionedConcurrentExecutions', '?')} environments are ready"
        )
        if answer["Status"] == "READY":
            return
        if answer["Status"] == "FAILED":
            raise ToolError(
                f"{subject}: AWS could not make the environments ready: "
                f"{answer.get('StatusReason') or 'it gives no reason'}",
                hint="an init that fails shows its reason in the log; callers still get the version of "
                "before. Deploy again once that is mended, or with a lower provisioned",
            )
        if waited >= patience:
            raise ToolError(
                f"{subject}: {ready} after {patience:.0f} s, the longest that this is waited for",
                hint="callers still get the version of before; deploy again, which waits on",
            )
        tell(note=ready)
        sleep(_EVERY)
        waited += _EVERY
