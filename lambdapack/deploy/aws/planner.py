"""From a specification and what AWS has to the calls between them. Pure: this module calls no service."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Any

from lambdapack import limits
from lambdapack.deploy.aws import naming, provisioned, roles, routes, wide
from lambdapack.deploy.aws.alias import at_once
from lambdapack.deploy.aws.models import (
    ApiCall,
    AwsState,
    FileBytes,
    FunctionState,
    Result,
    VersionState,
    left_out,
)
from lambdapack.errors import ConfigurationError
from lambdapack.files import sha256_of
from lambdapack.model import FunctionSpec, Location

_SNAPSHOT_PATIENCE = 1800
"""Seconds for AWS to run an init of up to 900 s and to take the snapshot, which takes minutes."""


# No layers, no file system, no network, no key, no dead letters: nothing to create a function with.
_NOTHING: tuple[object, ...] = ([], {"SubnetIds": [], "SecurityGroupIds": []}, "", {"TargetArn": ""})


@dataclass(frozen=True)
class Plan:
    """The calls of a deployment, or of a rollback.

    Attributes:
        before: What has to stand before callers get the version: role, log, layers, function, version, its
            provisioned concurrency.
        move: The move of ``live``, at most one call; until then callers get what they had.
        after: What the version of before needs no more, and what needs the alias.
    """

    before: tuple[ApiCall, ...] = ()
    move: tuple[ApiCall, ...] = ()
    after: tuple[ApiCall, ...] = ()

    @property
    def calls(self) -> tuple[ApiCall, ...]:
        """All of them, in order."""
        return (*self.before, *self.move, *self.after)


def plan(spec: FunctionSpec, observed: AwsState) -> tuple[ApiCall, ...]:
    """The calls that make ``observed`` what ``spec`` says; none where AWS is so already.

    Raises:
        ConfigurationError: The zip needs S3 and there is no bucket for it, the function would have too many
            layers, or the reserved concurrency leaves no room for two versions.
    """
    return plan_stages(spec, observed).calls


def plan_stages(spec: FunctionSpec, observed: AwsState) -> Plan:
    """The same, in the parts before, at and after the move of ``live``."""
    with spec.zip_path.open("rb") as file:
        code_sha256 = base64.b64encode(bytes.fromhex(sha256_of(file))).decode()
    intended = FunctionState.intended(spec, code_sha256, roles.role_of(spec, observed))
    wanted, layers = _with_layers(intended.over(observed.function, spec.settings), spec, observed)
    change = [*_function(spec, wanted, observed)]
    before = [*roles.role_calls(spec, observed, wanted.settings), *_logs(spec, observed), *layers, *change]
    before += wide.before(spec, observed)
    # The newest version with this very code, which names its pack, and these settings.
    same = [version.number for version in observed.versions if version.state == wanted and not change]
    if not same:
        before.append(_publish(spec, wanted, naming.describe(spec.pack_id, spec.location)))
    elif spec.settings.snap_start and same[-1] != observed.alias:
        # An earlier deployment may have been interrupted before AWS had the snapshot.
        before.append(_await_snapshot(spec.name, same[-1]))
    version = same[-1] if same else Result("publish_version", "Version")
    wide.check_room(spec, version, observed)
    before += provisioned.before(spec.name, version, observed, spec.settings.provisioned)
    after = [
        *routes.calls(spec, observed),
        *provisioned.after(spec.name, version, observed, spec.settings.provisioned),
        *wide.after(spec, observed),
    ]
    return Plan(tuple(before), tuple(_alias(spec.name, version, observed)), tuple(after))


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
    """The state with its layers, and the calls that make those of the function's own.

    Layers that somebody else gave the function stay, before those that ``spec`` names.
    """
    seen = observed.function.settings.get("Layers", ()) if observed.function else ()
    named = {arn.rpartition(":")[0] for arn in spec.settings.layers}
    layers: list[str | Result] = [
        arn for arn in seen if not naming.is_layer_of_ours(arn) and arn.rpartition(":")[0] not in named
    ]
    layers += spec.settings.layers
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
    return replace(wanted, settings={**wanted.settings, "Layers": layers}), calls


def plan_rollback(name: str, observed: AwsState, to: str | None = None) -> tuple[ApiCall, ...]:
    """The calls that point ``live`` at version ``to``, or at the one published before the current.

    Provisioned concurrency that the current version has goes back with the calls.

    Raises:
        ConfigurationError: There is no such version, or none before the current one.
    """
    target = _rollback_target(name, observed, to)
    calls: list[ApiCall] = []
    if not all(roles.may_read(pack, observed) for pack in target.packs):
        calls += roles.policy_calls(name, observed, [*target.packs, *roles.kept_packs(observed)])
    count = provisioned.goes_back(target, observed)
    calls += provisioned.before(name, target.number, observed, count)
    calls += _alias(name, target.number, observed)
    return (*calls, *provisioned.after(name, target.number, observed, count))


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
        unsaid = left_out(spec.settings)
        settings = {
            key: value
            for key, value in wanted.settings.items()
            if key not in unsaid and value not in _NOTHING
        }
        tags = {"Tags": dict(spec.settings.tags)} if spec.settings.tags else {}
        parameters = {**same, **settings, **tags, "Code": code}
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
    if key == "LoggingConfig" and isinstance(after, Mapping) and isinstance(before, Mapping):
        # A level that text has no use for goes with the format.
        after = {name: after.get(name) for name in {**before, **after} if before.get(name) != after.get(name)}
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
    shares = observed.live is not None and observed.live.routing.other is not None
    if observed.alias != version or shares:
        yield at_once(name, version, observed.live, observed.alias)


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
    if observed.live is not None and observed.live.routing.other is not None:
        # In the middle of a shift, the version of before is the one that still has the rest of the calls.
        stable = observed.version(observed.live.routing.version)
        if stable is not None:
            return stable
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
