"""The role that lambdapack makes for a function: its trust, and a policy for what the function needs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from lambdapack.deploy.aws import naming
from lambdapack.deploy.aws.models import ApiCall, AwsState, Result
from lambdapack.errors import ConfigurationError
from lambdapack.model import FunctionSpec, Location

# An inline policy may have 10,240 characters; a pack's ARN has up to some 250.
_PACKS_IN_POLICY = 30


def role_of(spec: FunctionSpec, observed: AwsState) -> str | Result:
    """The ARN of the function's role, or the call that will answer the ARN."""
    if spec.settings.role is not None:
        return spec.settings.role
    return observed.role.arn if observed.role else Result("create_role", "Role.Arn")


def role_calls(spec: FunctionSpec, observed: AwsState, wanted: Mapping[str, Any]) -> list[ApiCall]:
    """The calls that make the role right for the settings that are ``wanted``; none for a role of others.

    Raises:
        ConfigurationError: A version that starts from a snapshot would lose its pack.
    """
    if spec.settings.role is not None:
        return []
    name = naming.role_name(spec.name, observed.account.region)
    trust = {"PolicyDocument": json.dumps(naming.TRUST)}
    # The new pack first: should there be more than the policy holds, it is the oldest that goes.
    own = (spec.location, *(asset.location for asset in spec.assets))
    packs = [*(pack for pack in own if isinstance(pack, Location)), *kept_packs(observed)]
    _check_snapshots(spec, observed, packs)
    calls = []
    if observed.role is None:
        calls.append(
            ApiCall(
                "iam",
                "create_role",
                {
                    "RoleName": name,
                    "AssumeRolePolicyDocument": trust["PolicyDocument"],
                    "Description": f"Made by lambdapack for the function {spec.name}",
                },
                "the function has no role yet",
                "role_exists",
            )
        )
    elif observed.role.trust != naming.TRUST:
        parameters = {"RoleName": name, **trust}
        calls.append(ApiCall("iam", "update_assume_role_policy", parameters, "its trust policy was changed"))
    return [*calls, *policy_calls(spec.name, observed, packs, wanted)]


def policy_calls(
    name: str, observed: AwsState, packs: list[Location], wanted: Mapping[str, Any] | None = None
) -> Iterator[ApiCall]:
    """The role's policy for these packs, and for the versions there are beside the one that is ``wanted``."""
    settings = [*([wanted] if wanted else []), *(version.state.settings for version in observed.versions)]
    newest = list(dict.fromkeys(packs))[:_PACKS_IN_POLICY]
    document = naming.policy(observed.account, name, newest, settings, keys=observed.keys)
    if observed.role is None or observed.role.policies.get(naming.POLICY) != document:
        yield ApiCall(
            "iam",
            "put_role_policy",
            {
                "RoleName": naming.role_name(name, observed.account.region),
                "PolicyName": naming.POLICY,
                "PolicyDocument": json.dumps(document),
            },
            f"read {len(newest)} pack{'' if len(newest) == 1 else 's'}, {naming.in_words(document)}",
        )


def kept_packs(observed: AwsState) -> list[Location]:
    """Packs and assets of the published versions: the live one's, those with a snapshot, from the newest.

    A version can be called, or rolled back to, as long as it is there, so its pack stays readable.
    """
    newest = observed.versions[::-1]
    live = [version for version in newest if version.number == observed.alias]
    snapshots = [version for version in newest if version.snapshot]
    return [pack for version in (*live, *snapshots, *newest) for pack in version.packs]


def _check_snapshots(spec: FunctionSpec, observed: AwsState, packs: list[Location]) -> None:
    """Refuse where a version with a snapshot would lose its pack.

    AWS runs the init of such a version again whenever it patches the runtime.
    """
    kept = set(list(dict.fromkeys(packs))[:_PACKS_IN_POLICY])
    lost = [each.number for each in observed.versions if each.snapshot and not kept.issuperset(each.packs)]
    if lost:
        raise ConfigurationError(
            f"deploying {spec.name}: the versions {', '.join(lost)} start from a snapshot, which AWS makes "
            "anew from time to time, so their packs must stay readable; the role's policy holds "
            f"{_PACKS_IN_POLICY} packs, too few for all",
            hint="delete versions that nobody calls, for each: aws lambda delete-function --function-name "
            f"{spec.name} --qualifier {lost[0]}",
        )


def may_read(pack: Location, observed: AwsState) -> bool:
    """Whether lambdapack's own role, if there is one, reads ``pack`` already."""
    if observed.role is None:
        return True
    statements = observed.role.policies.get(naming.POLICY, {}).get("Statement", [])
    return any(naming.pack_arn(observed.account, pack) in item.get("Resource", ()) for item in statements)
