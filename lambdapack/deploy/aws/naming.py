"""Names and documents of a function's resources, for writing them and for recognising them later."""

from __future__ import annotations

import hashlib
import re
import urllib.parse
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from lambdapack.deploy.aws.models import Account
from lambdapack.errors import ConfigurationError
from lambdapack.model import Files, FunctionAsset, Location
from lambdapack.store import key

POLICY = "lambdapack"
"""Name of the role's one inline policy."""
TRUST: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
# https://docs.aws.amazon.com/lambda/latest/api/API_PublishVersion.html
_DESCRIPTION_MAX = 256
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
_ROLE_NAME_MAX = 64
_IN_FILES = re.compile(r"pack ([0-9a-f]{64}) in its (zip|layer|mount)\Z")
_DESCRIPTION = re.compile(r"pack ([0-9a-f]{64}) at s3://([^/]+)/(.*) in ([a-z0-9-]*)\Z")
_LAYER = "lambdapack-"
_PROBE = "-lambdapack-probe"
_FUNCTION_NAME_MAX = 64
_NO_PACK = "no pack"
PACK_VARIABLE = "LAMBDAPACK_PACK"
"""The environment variable that names the pack: by its id, or in other tools' stacks as ``describe`` does."""
ASSETS = "LAMBDAPACK_ASSET_PACKS"
"""``name=id`` for each asset, with spaces between them; their packs lie beside the function's own.

``name=id:layer`` (or ``zip``, ``mount``) for one among the function's files, and
``name=id:REGION:BUCKET/PREFIX`` for one in S3 where the function's own pack is not there.
"""
_ASSET = re.compile(r"([A-Za-z0-9_-]+)=([0-9a-f]{64})(?::(?:zip|layer|mount|([a-z0-9-]*):([^/]+)/(\S*)))?\Z")
# What AWSLambdaVPCAccessExecutionRole allows beside logs: for functions in a VPC there is no narrower way.
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
_NETWORK = ("AssignPrivateIpAddresses", "CreateNetworkInterface", "DeleteNetworkInterface",
            "DescribeNetworkInterfaces", "DescribeSubnets", "UnassignPrivateIpAddresses")  # fmt: skip

_IN_WORDS = {
    "DecryptItsPack": "have S3 decrypt them",
    "WriteItsLog": "write its own log",
    "MountElasticfilesystem": "mount its file system",
    "MountS3files": "mount its file system",
    "BeInItsNetwork": "be in its network",
    "Trace": "trace",
    "QueueDeadLetters": "send dead letters",
    "PublishDeadLetters": "publish dead letters",
    "DecryptItsEnvironment": "decrypt its environment",
}


def role_name(function: str, region: str) -> str:
    """The role that lambdapack makes for a function; roles are global, functions are not.

    A name of more than IAM's 64 characters ends in a digest of the whole.
    """
    name = f"lambdapack-{function}-{region}"
    if len(name) <= _ROLE_NAME_MAX:
        return name
    return f"{name[: _ROLE_NAME_MAX - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def codedeploy_role(function: str, region: str) -> str:
    """The role with which CodeDeploy shifts a function's calls.

    No function's name has a dot, so that this is no function's role.
    """
    return role_name(f"{function}.shift", region)


def build_project(bucket: str, prefix: str) -> str:
    """The CodeBuild project that builds for the store at this place; one place, one project.

    A project's role may read and write below that place alone, so two places never share a project.
    """
    return f"lambdapack-build-{hashlib.sha256(f'{bucket}/{prefix}'.encode()).hexdigest()[:12]}"


def build_role(project: str, region: str) -> str:
    """The role of a build project; roles are global, projects are not."""
    return f"{project}-{region}"


def build_log_group(project: str) -> str:
    """Where CodeBuild writes the logs of a project's builds."""
    return f"/aws/codebuild/{project}"


def layer_name(sha256: str) -> str:
    """The layer whose zip has this digest: equal layers are published once, whatever function has them."""
    return f"{_LAYER}{sha256[:40]}"


def is_layer_of_ours(arn: str) -> bool:
    """Whether a function's layer was made by a deployment."""
    return arn.split(":")[6:7] != [] and re.fullmatch(_LAYER + "[0-9a-f]{40}", arn.split(":")[6]) is not None


def probe_name(function: str) -> str:
    """The function that tries a role for another; a name of more than 64 characters ends in a digest."""
    if len(function) + len(_PROBE) <= _FUNCTION_NAME_MAX:
        return function + _PROBE
    digest = hashlib.sha256(function.encode()).hexdigest()[:8]
    return f"{function[: _FUNCTION_NAME_MAX - len(_PROBE) - 9]}-{digest}{_PROBE}"


def log_group(function: str) -> str:
    """Where Lambda writes a function's log."""
    return f"/aws/lambda/{function}"


def pack_arn(account: Account, location: Location) -> str:
    """A pack's ARN, for a policy."""
    return f"arn:{account.partition}:s3:::{location.bucket}/{location.key}"


def policy(
    account: Account,
    function: str,
    packs: Iterable[Location],
    versions: Iterable[Mapping[str, Any]] = (),
    *,
    keys: Iterable[str] = (),
) -> dict[str, Any]:
    """What the function may do: read ``packs`` and write its own log.

    And what the settings of its ``versions`` need: file systems, networks, tracing, dead letters, keys; and
    have S3 decrypt with the ``keys`` that the packs are encrypted with.
    """
    settings = list(versions)
    chosen = (setting.get("LoggingConfig", {}).get("LogGroup") for setting in settings)
    groups = [log_group(function), *sorted({group for group in chosen if group})]
    logs = [
        f"arn:{account.partition}:logs:{account.region}:{account.id}:log-group:{each}:*" for each in groups
    ]
    write = ["logs:CreateLogStream", "logs:PutLogEvents"]
    statements = [_allow("WriteItsLog", write, logs[0] if len(logs) == 1 else logs)]
    arns = sorted({pack_arn(account, location) for location in packs})
    if arns:
        statements.insert(0, _allow("ReadItsPack", "s3:GetObject", arns))
    if arns and (decrypting := sorted(keys)):
        statements.insert(1, _decrypt(decrypting))
    statements += [*_mounting(settings), *_needed(settings)]
    return {"Version": "2012-10-17", "Statement": statements}


def in_words(document: Mapping[str, Any]) -> str:
    """What a policy of ``policy`` allows beside reading packs, for people."""
    said = [_IN_WORDS[sid] for sid in (item["Sid"] for item in document["Statement"]) if sid in _IN_WORDS]
    return ", ".join([*said, "nothing else"])


def _allow(sid: str, action: object, resource: object, **conditions: object) -> dict[str, Any]:
    statement = {"Sid": sid, "Effect": "Allow", "Action": action, "Resource": resource}
    return {**statement, "Condition": conditions} if conditions else statement


def _mounting(settings: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    by_service: dict[str, set[str]] = {}
    for config in (each for setting in settings for each in setting.get("FileSystemConfigs", ())):
        by_service.setdefault(config["Arn"].split(":")[2], set()).add(config["Arn"])
    for service, access_points in sorted(by_service.items()):
        only = {f"{service}:AccessPointArn": sorted(access_points)}
        yield _allow(f"Mount{service.capitalize()}", f"{service}:ClientMount", "*", StringEquals=only)


def _needed(settings: Collection[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    if any(setting.get("VpcConfig", {}).get("SubnetIds") for setting in settings):
        yield _allow("BeInItsNetwork", [f"ec2:{action}" for action in _NETWORK], "*")
    if any(setting.get("TracingConfig", {}).get("Mode") == "Active" for setting in settings):
        # X-Ray has no resource that a segment would belong to.
        yield _allow("Trace", ["xray:PutTelemetryRecords", "xray:PutTraceSegments"], "*")
    targets = {setting.get("DeadLetterConfig", {}).get("TargetArn") for setting in settings} - {None, ""}
    for sid, service, action in (
        ("QueueDeadLetters", "sqs", "sqs:SendMessage"),
        ("PublishDeadLetters", "sns", "sns:Publish"),
    ):
        arns = sorted(target for target in targets if str(target).split(":")[2:3] == [service])
        if arns:
            yield _allow(sid, action, arns)
    keys = sorted({str(setting["KMSKeyArn"]) for setting in settings if setting.get("KMSKeyArn")})
    if keys:
        yield _allow("DecryptItsEnvironment", "kms:Decrypt", keys)


def _decrypt(keys: list[str]) -> dict[str, Any]:
    """That S3, and nothing else, may decrypt with the keys when the function reads from a bucket."""
    suffix = ".amazonaws.com" + (".cn" if keys[0].startswith("arn:aws-cn:") else "")
    services = sorted({f"s3.{key.split(':')[3]}{suffix}" for key in keys})
    return _allow("DecryptItsPack", "kms:Decrypt", keys, StringEquals={"kms:ViaService": services})


def keys_in(policy: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys that a policy of ``policy`` lets S3 decrypt with."""
    statements = policy.get("Statement", [])
    return tuple(
        key for item in statements if item.get("Sid") == "DecryptItsPack" for key in item.get("Resource", ())
    )


def describe(pack_id: str | None, location: Location | Files | None) -> str:
    """A published version's description, from which ``pack_of`` reads the pack again.

    Raises:
        ConfigurationError: The pack's key is too long to be written down there.
    """
    if pack_id is None or location is None:
        return _NO_PACK
    if isinstance(location, Files):
        return f"pack {pack_id} in its {location.place}"
    prefix = location.key.removesuffix(key("", pack_id))
    if prefix == location.key:
        raise ConfigurationError(
            f"s3://{location.bucket}/{location.key} is not where pack {pack_id} is kept",
            hint="push the pack again: lambdapack push",
        )
    text = f"pack {pack_id} at s3://{location.bucket}/{prefix} in {location.region}"
    if len(text) > _DESCRIPTION_MAX:
        raise ConfigurationError(
            f"the prefix of s3://{location.bucket}/{prefix} is {len(text) - _DESCRIPTION_MAX} characters too "
            f"long: a published version records where its pack is, in {_DESCRIPTION_MAX} characters",
            hint="push the pack under a shorter prefix",
        )
    return text


def pack_of(description: str) -> tuple[str, Location | None] | None:
    """The pack that a version's description names, and where in S3 it is, if it is there."""
    among_files = _IN_FILES.match(description)
    if among_files is not None:
        return among_files[1], None
    match = _DESCRIPTION.match(description)
    if match is None:
        return None
    pack_id, bucket, prefix, region = match.groups()
    return pack_id, Location(bucket, prefix + key("", pack_id), region)


def is_ours(description: str) -> bool:
    """Whether a deployment published the version that has this description."""
    return description == _NO_PACK or pack_of(description) is not None


def variables(assets: Iterable[FunctionAsset], own: Location | Files | None = None) -> dict[str, str]:
    """The environment variable that records the assets for a rollback; none without assets.

    A version's description has room for one pack. Its environment never changes either, and has more room.
    ``own`` is where the function's own pack is.
    """
    text = " ".join(f"{asset.name}={asset.pack_id}{_place(asset, own)}" for asset in assets)
    return {ASSETS: text} if text else {}


def pack_variable(pack_id: str | None, own: Location | Files | None) -> dict[str, str]:
    """The environment variable that names the pack which the function reads from S3.

    The description does so for published versions only: with the variable, ``lambdapack gc`` knows what
    ``$LATEST`` and functions that other tools deploy need.
    """
    return {PACK_VARIABLE: pack_id} if pack_id is not None and isinstance(own, Location) else {}


def _place(asset: FunctionAsset, own: Location | Files | None) -> str:
    where = asset.location
    if isinstance(where, Files):
        return f":{where.place}"
    if where is None or not isinstance(own, Files):
        return ""
    prefix = urllib.parse.quote(where.key.removesuffix(key("", asset.pack_id)))
    return f":{where.region}:{where.bucket}/{prefix}"


def assets_of(
    environment: Mapping[str, str], pack: Location | None, pack_id: str | None
) -> dict[str, tuple[str, Location | None]]:
    """Name -> id and place in S3 of the assets that a version's environment records."""
    found: dict[str, tuple[str, Location | None]] = {}
    for word in environment.get(ASSETS, "").split():
        match = _ASSET.match(word)
        if match is None:
            continue
        name, asset_id, region, bucket, prefix = match.groups()
        where = None
        if bucket:
            where = Location(bucket, urllib.parse.unquote(prefix) + key("", asset_id), region)
        elif pack is not None and pack_id is not None and ":" not in word:
            beside = pack.key.removesuffix(key("", pack_id))
            where = Location(pack.bucket, beside + key("", asset_id), pack.region)
        found[name] = (asset_id, where)
    return found
