"""From a specification and what AWS has to the calls between them. Pure: this module calls no service."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import inf
from typing import Any

from lambdapack import limits
from lambdapack.deploy.aws import naming
from lambdapack.deploy.aws.models import (
    ALIAS,
    ApiCall,
    AwsState,
    FileBytes,
    FunctionState,
    Result,
    VersionState,
)
from lambdapack.errors import ConfigurationError
from lambdapack.files import sha256_of
from lambdapack.model import FunctionSpec, Location

# An inline policy may have 10,240 characters; a pack's ARN has up to some 250.
_PACKS_IN_POLICY = 30
_SNAPSHOT_PATIENCE = 1800
"""Seconds for AWS to run an init of up to 900 s and to take the snapshot, which takes minutes."""


# No layers, no file system, no network: nothing to create a function with.
_NOTHING: tuple[object, ...] = ([], {"SubnetIds": [], "SecurityGroupIds": []})


def plan(spec: FunctionSpec, observed: AwsState) -> tuple[ApiCall, ...]:
    """The calls that make ``observed`` what ``spec`` says; none where AWS is so already.

    The role comes first and ``live`` moves last: until that last call, callers get what they had.

    Raises:
        ConfigurationError: The zip needs S3 and there is no bucket for it.
    """
    role, role_calls = _role(spec, observed)
    with spec.zip_path.open("rb") as file:
        code_sha256 = base64.b64encode(bytes.fromhex(sha256_of(file))).decode()
    wanted, layers = _with_layers(FunctionState.intended(spec, code_sha256, role), spec, observed)
    description = naming.describe(spec.pack_id, spec.location)
    change = [*_function(spec, wanted, observed)]
    calls = [*role_calls, *_logs(spec, observed), *layers, *change]
    # The newest version with this very code, which names its pack, and these settings.
    same = [version.number for version in observed.versions if version.state == wanted and not change]
    if not same:
        calls.append(_publish(spec, wanted, description))
    elif spec.settings.snap_start and same[-1] != observed.alias:
        # An earlier deployment may have been interrupted before AWS had the snapshot.
        calls.append(_await_snapshot(spec.name, same[-1]))
    version = same[-1] if same else Result("publish_version", "Version")
    return (*calls, *_alias(spec.name, version, observed))


def layer_names(spec: FunctionSpec) -> list[str]:
    """The names of the function's layers, in order."""
    names = []
    for path in spec.layers:
        with path.open("rb") as file:
            names.append(naming.layer_name(sha256_of(file)))
    return names


def _with_layers(
    wanted: FunctionState, spec: FunctionSpec, observed: AwsState
) -> tuple[FunctionState, list[ApiCall]]:
    """The state with its layers, and with what ``spec`` says nothing of; and the calls that make the layers.

    Layers of others, a network and a file system that somebody gave the function stay.
    """
    seen = observed.function.settings if observed.function else {}
    layers: list[str | Result] = [arn for arn in seen.get("Layers", ()) if not naming.is_layer_of_ours(arn)]
    calls = []
    for number, (name, path) in enumerate(zip(layer_names(spec), spec.layers, strict=True), 1):
        if name in observed.layers:
            layers.append(observed.layers[name])
            continue
        content = {"LayerName": name, "Content": {"ZipFile": FileBytes(path)}}
        why = f"layer {number} of {len(spec.layers)}, {path.stat().st_size / limits.MIB:.1f} MiB"
        calls.append(ApiCall("lambda", "publish_layer_version", content, why))
        layers.append(Result(calls[-1].key, "LayerVersionArn"))
    if len(layers) > limits.LAYERS:
        raise ConfigurationError(
            f"deploying {spec.name}: it would have {len(layers)} layers, Lambda takes {limits.LAYERS}",
            hint='take others off the function, or set place = "s3"',
        )
    kept = {}
    if not spec.settings.file_system:
        kept["FileSystemConfigs"] = seen.get("FileSystemConfigs", [])
    if not spec.settings.subnets:
        kept["VpcConfig"] = seen.get("VpcConfig", wanted.settings["VpcConfig"])
    return replace(wanted, settings={**wanted.settings, **kept, "Layers": layers}), calls


def plan_rollback(name: str, observed: AwsState, to: str | None = None) -> tuple[ApiCall, ...]:
    """The calls that point ``live`` at version ``to``, or at the one published before the current.

    Raises:
        ConfigurationError: There is no such version, or none before the current one.
    """
    target = _rollback_target(name, observed, to)
    calls: list[ApiCall] = []
    if not all(_may_read(pack, observed) for pack in target.packs):
        calls += _policy(name, observed, [*target.packs, *_kept_packs(observed)])
    return (*calls, *_alias(name, target.number, observed))


def plan_destroy(name: str, observed: AwsState) -> tuple[ApiCall, ...]:
    """The calls that remove the function, its role and its log group; never a pack."""
    calls = []
    if observed.function is not None:
        calls.append(
            ApiCall("lambda", "delete_function", {"FunctionName": name}, "the function and its versions")
        )
    if observed.role is not None:
        role = naming.role_name(name, observed.account.region)
        for policy in sorted(observed.role.policies):
            parameters = {"RoleName": role, "PolicyName": policy}
            calls.append(ApiCall("iam", "delete_role_policy", parameters, "its policy"))
        for arn in observed.role.attached:
            parameters = {"RoleName": role, "PolicyArn": arn}
            calls.append(ApiCall("iam", "detach_role_policy", parameters, "a policy that was attached to it"))
        calls.append(ApiCall("iam", "delete_role", {"RoleName": role}, "its role"))
    if observed.log_group:
        group = naming.log_group(name)
        calls.append(ApiCall("logs", "delete_log_group", {"logGroupName": group}, "its log"))
    return tuple(calls)


def _role(spec: FunctionSpec, observed: AwsState) -> tuple[str | Result, list[ApiCall]]:
    """The role's ARN, or the call that will answer it, and the calls that make the role right."""
    if spec.settings.role is not None:
        return spec.settings.role, []
    name = naming.role_name(spec.name, observed.account.region)
    trust = {"PolicyDocument": json.dumps(naming.TRUST)}
    # The new pack first: should there be more than the policy holds, it is the oldest that goes.
    own = (spec.location, *(asset.location for asset in spec.assets))
    packs = [*(pack for pack in own if isinstance(pack, Location)), *_kept_packs(observed)]
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
    calls += _policy(spec.name, observed, packs, FunctionState.intended(spec, "", "").settings)
    return (observed.role.arn if observed.role else Result("create_role", "Role.Arn")), calls


def _policy(
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
            f"read {len(newest)} pack{'' if len(newest) == 1 else 's'}, write its own log, nothing else",
        )


def _kept_packs(observed: AwsState) -> list[Location]:
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


def _logs(spec: FunctionSpec, observed: AwsState) -> Iterator[ApiCall]:
    group = {"logGroupName": naming.log_group(spec.name)}
    if not observed.log_group:
        why = "the function may write to its log group, not create it"
        yield ApiCall("logs", "create_log_group", group, why)
    retention = spec.settings.log_retention
    if retention not in (None, observed.log_retention):
        days = {"retentionInDays": retention}
        yield ApiCall("logs", "put_retention_policy", group | days, f"keep {retention} days")


def _function(spec: FunctionSpec, wanted: FunctionState, observed: AwsState) -> Iterator[ApiCall]:
    """Create ``$LATEST``, or update its configuration and its code where they differ."""
    seen = observed.function
    new_code = (wanted.code_sha256, wanted.architecture)
    code_changes = seen is None or (seen.code_sha256, seen.architecture) != new_code
    code: dict[str, Any] = {}
    if code_changes:
        code, upload = _code(spec, wanted)
        yield from upload
    same = {"FunctionName": spec.name, "Architectures": [spec.target.arch]}
    if seen is None:
        settings = {key: value for key, value in wanted.settings.items() if value not in _NOTHING}
        parameters = {**same, **settings, "Code": code}
        why = "there is no such function yet"
        yield ApiCall("lambda", "create_function", parameters, why, "function_active_v2")
        return
    steps = []
    changed = {key: value for key, value in wanted.settings.items() if seen.settings.get(key) != value}
    if changed:
        parameters = {"FunctionName": spec.name, **changed}
        why = ", ".join(_change(key, seen.settings.get(key), value) for key, value in changed.items())
        steps.append(
            ApiCall("lambda", "update_function_configuration", parameters, why, "function_updated_v2")
        )
    if code_changes:
        call = ApiCall(
            "lambda", "update_function_code", same | code, "its zip changed", "function_updated_v2"
        )
        # A pack that moves from the zip into layers would, in both at once, be over Lambda's limit.
        new_layers = set(changed.get("Layers", ())).difference(seen.settings.get("Layers", ()))
        steps.insert(0 if new_layers else len(steps), call)
    yield from steps


def _change(key: str, before: object, after: object) -> str:
    if key == "Environment":
        # Its values may be secrets.
        return "environment"
    if key == "Layers":
        return f"{len(after)} layers" if isinstance(after, list) else "layers"
    if isinstance(after, Mapping):
        seen = before if isinstance(before, Mapping) else {}
        return ", ".join(f"{key}.{name} {seen.get(name)} -> {value}" for name, value in after.items())
    return f"{key} {before} -> {after}"


def _code(spec: FunctionSpec, wanted: FunctionState) -> tuple[dict[str, Any], list[ApiCall]]:
    """How a call names the zip, and the upload to S3 that a large zip needs first."""
    size = spec.zip_path.stat().st_size
    if size <= limits.ZIP_DIRECT_UPLOAD:
        return {"ZipFile": FileBytes(spec.zip_path)}, []
    beside = spec.location if isinstance(spec.location, Location) else spec.staging
    if beside is None:
        raise ConfigurationError(
            f"deploying {spec.name}: its zip is {size / limits.MIB:.1f} MiB, over the 50 MiB of a direct "
            "upload, and there is no bucket to send it through",
            hint='give the deployment an s3:// location, or make the zip smaller (place = "layer" if its '
            "pack is in it)",
        )
    # Beside the function's pack.
    bucket, prefix = beside.bucket, beside.key.rpartition("packs/")[0]
    digest = base64.b64decode(wanted.code_sha256).hex()
    key = f"{prefix.strip('/')}/functions/{digest}.zip".lstrip("/")
    body = {"Bucket": bucket, "Key": key, "Body": FileBytes(spec.zip_path)}
    why = f"the zip is {size / limits.MIB:.1f} MiB, over the 50 MiB of a direct upload"
    return {"S3Bucket": bucket, "S3Key": key}, [ApiCall("s3", "put_object", body, why)]


def _await_snapshot(name: str, number: str) -> ApiCall:
    which = {"FunctionName": name, "Qualifier": number}
    return ApiCall(
        "lambda", "get_function_configuration", which, f"version {number} must have its snapshot",
        "published_version_active", _SNAPSHOT_PATIENCE,
    )  # fmt: skip


def _publish(spec: FunctionSpec, wanted: FunctionState, description: str) -> ApiCall:
    # With CodeSha256, AWS refuses to publish code that another deployment has put there meanwhile.
    parameters = {"FunctionName": spec.name, "CodeSha256": wanted.code_sha256, "Description": description}
    pack = f"pack {spec.pack_id[:12]}" if spec.pack_id else "no pack"
    if not spec.settings.snap_start:
        why = f"a version for {pack}"
        return ApiCall("lambda", "publish_version", parameters, why, "published_version_active")
    return ApiCall(
        "lambda", "publish_version", parameters, f"a version for {pack}, with a snapshot of its init",
        "published_version_active", _SNAPSHOT_PATIENCE,
    )  # fmt: skip


def _alias(name: str, version: str | Result, observed: AwsState) -> Iterator[ApiCall]:
    if observed.alias == version:
        return
    operation = "create_alias" if observed.alias is None else "update_alias"
    before = "" if observed.alias is None else f" instead of version {observed.alias}"
    after = "the new version" if isinstance(version, Result) else f"version {version}"
    parameters = {"FunctionName": name, "Name": ALIAS, "FunctionVersion": version}
    yield ApiCall("lambda", operation, parameters, f"{ALIAS} is {after}{before}")


def _rollback_target(name: str, observed: AwsState, to: str | None) -> VersionState:
    there_are = ", ".join(version.number for version in observed.versions) or "none"
    if observed.function is None or observed.alias is None:
        raise ConfigurationError(
            f"rolling back {name}: it is not deployed in {observed.account.region}", hint="lambdapack deploy"
        )
    if to is not None:
        version = observed.version(to)
        if version is None:
            raise ConfigurationError(
                f"rolling back {name}: there is no version {to} (published: {there_are})"
            )
        return version
    # An alias that was pointed at $LATEST by hand is after every version.
    current = int(observed.alias) if observed.alias.isdigit() else inf
    before = [version for version in observed.versions if int(version.number) < current]
    if not before:
        raise ConfigurationError(
            f"rolling back {name}: no version was published before version {observed.alias} "
            f"(published: {there_are})",
            hint="name one with --to, or deploy the earlier state again",
        )
    return before[-1]


def _may_read(pack: Location, observed: AwsState) -> bool:
    """Whether lambdapack's own role, if there is one, reads ``pack`` already."""
    if observed.role is None:
        return True
    statements = observed.role.policies.get(naming.POLICY, {}).get("Statement", [])
    return any(naming.pack_arn(observed.account, pack) in item.get("Resource", ()) for item in statements)
