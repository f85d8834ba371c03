"""Names and documents of a function's resources, for writing them and for recognising them later."""

from __future__ import annotations

import hashlib
import re
import urllib.parse
from collections.abc import Iterable, Mapping
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
_NO_PACK = "no pack"
RECORD = "LAMBDAPACK_PACK"
"""The environment variable in which stacks of other tools record the pack, in the words of ``describe``."""
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


def role_name(function: str, region: str) -> str:
    """The role that lambdapack makes for a function; roles are global, functions are not.

    A name of more than IAM's 64 characters ends in a digest of the whole.
    """
    name = f"lambdapack-{function}-{region}"
    if len(name) <= _ROLE_NAME_MAX:
        return name
    return f"{name[: _ROLE_NAME_MAX - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def layer_name(sha256: str) -> str:
    """The layer whose zip has this digest: equal layers are published once, whatever function has them."""
    return f"{_LAYER}{sha256[:40]}"


def is_layer_of_ours(arn: str) -> bool:
    """Whether a function's layer was made by a deployment."""
    return arn.split(":")[6:7] != [] and re.fullmatch(_LAYER + "[0-9a-f]{40}", arn.split(":")[6]) is not None


def log_group(function: str) -> str:
    """Where Lambda writes a function's log."""
    return f"/aws/lambda/{function}"


def pack_arn(account: Account, location: Location) -> str:
    """A pack's ARN, for a policy."""
    return f"arn:{account.partition}:s3:::{location.bucket}/{location.key}"


def policy(
    account: Account, function: str, packs: Iterable[Location], versions: Iterable[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """What the function may do: read ``packs`` and write its own log.

    And mount the file systems, and be in the networks, that the settings of its ``versions`` name.
    """
    settings = list(versions)
    group = f"arn:{account.partition}:logs:{account.region}:{account.id}:log-group:{log_group(function)}"
    statements: list[dict[str, Any]] = [
        {
            "Sid": "WriteItsLog",
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": f"{group}:*",
        }
    ]
    arns = sorted({pack_arn(account, location) for location in packs})
    if arns:
        statements.insert(
            0, {"Sid": "ReadItsPack", "Effect": "Allow", "Action": "s3:GetObject", "Resource": arns}
        )
    mounted = (each for setting in settings for each in setting.get("FileSystemConfigs", ()))
    by_service: dict[str, set[str]] = {}
    for config in mounted:
        by_service.setdefault(config["Arn"].split(":")[2], set()).add(config["Arn"])
    for service, access_points in sorted(by_service.items()):
        statements.append(
            {
                "Sid": f"Mount{service.capitalize()}",
                "Effect": "Allow",
                "Action": f"{service}:ClientMount",
                "Resource": "*",
                "Condition": {"StringEquals": {f"{service}:AccessPointArn": sorted(access_points)}},
            }
        )
    if any(setting.get("VpcConfig", {}).get("SubnetIds") for setting in settings):
        actions = [f"ec2:{action}" for action in _NETWORK]
        statements.append({"Sid": "BeInItsNetwork", "Effect": "Allow", "Action": actions, "Resource": "*"})
    return {"Version": "2012-10-17", "Statement": statements}


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


def recorded(environment: Mapping[str, str]) -> tuple[str, Location | None] | None:
    """The pack that a function of another tool's stack names in its environment, as ``pack_of`` gives one."""
    return pack_of(environment.get(RECORD, ""))


def variables(assets: Iterable[FunctionAsset], own: Location | Files | None = None) -> dict[str, str]:
    """The environment variable that records the assets for a rollback; none without assets.

    A version's description has room for one pack. Its environment never changes either, and has more room.
    ``own`` is where the function's own pack is.
    """
    text = " ".join(f"{asset.name}={asset.pack_id}{_place(asset, own)}" for asset in assets)
    return {ASSETS: text} if text else {}


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
