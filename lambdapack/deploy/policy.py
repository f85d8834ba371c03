"""The two policies of a project: of whoever deploys the function, and of the function itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lambdapack import limits
from lambdapack.deploy.aws import Account, Clients, permissions
from lambdapack.deploy.aws.encryption import keys_of
from lambdapack.deploy.aws.identity import identify
from lambdapack.deploy.aws.models import FunctionState
from lambdapack.deploy.aws.naming import policy
from lambdapack.deploy.function import Dependencies, FunctionOptions
from lambdapack.deploy.placement import arrange
from lambdapack.errors import ConfigurationError
from lambdapack.model import FunctionSpec, Location
from lambdapack.pack import Pack
from lambdapack.store import locate

__all__ = [
    "GROUPS",
    "account_of",
    "bucket_keys",
    "bucket_of",
    "chosen",
    "of_deployer",
    "of_function",
    "of_shift",
]

GROUPS = {"ci": ("deploy", "rollback"), "build": ("codebuild",), "all": tuple(permissions.FEATURES)}
"""Names for several features at once."""


def chosen(asked: Iterable[str]) -> tuple[str, ...]:
    """The features that ``--for`` names, groups taken apart, each once.

    Raises:
        ConfigurationError: There is no such feature.
    """
    found: dict[str, None] = {}
    for name in asked:
        if name not in GROUPS and name not in permissions.FEATURES:
            raise ConfigurationError(
                f"there is no policy for {name!r}",
                hint=f"there are: {', '.join([*permissions.FEATURES, *GROUPS])}",
            )
        found |= dict.fromkeys(GROUPS.get(name, (name,)))
    return tuple(found)


def of_shift(shift: str, *, watched: bool) -> tuple[str, ...]:
    """The features that a project's way to move calls needs beside ``deploy``.

    Args:
        shift: As the ``[deploy]`` table spells it: ``all``, ``canary:10%,5m``, ``codedeploy:CONFIG`` …
        watched: Whether a smoke event or alarms are looked at.
    """
    if shift.startswith("codedeploy:"):
        return ("codedeploy",)
    return ("shift",) if shift != "all" or watched else ()


def account_of(region: str, given: str | None = None) -> Account:
    """Where a function would go: the account whose credentials these are, or ``given``.

    Without either the number is ``permissions.PLACEHOLDER``.
    """
    partition = (
        "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
    )
    if given is not None:
        return Account(given, partition, region)
    identity = identify(region)
    return Account(permissions.PLACEHOLDER, partition, region) if identity is None else identity.account


def bucket_keys(account: Account, locations: Sequence[str]) -> tuple[str, ...]:
    """ARNs of their owners' keys that the buckets of ``locations`` encrypt with, as far as AWS says."""
    if not locations or account.id == permissions.PLACEHOLDER:
        return ()
    packs = [locate(location, "0" * 64, account.region) for location in locations]
    return keys_of(packs, account, Clients(account.region))


def of_deployer(
    account: Account,
    function: FunctionOptions,
    features: Sequence[str],
    *,
    locations: Sequence[str],
    zip_path: Path,
    keys: tuple[str, ...] = (),
) -> tuple[permissions.Statement, ...]:
    """What whoever carries out ``features`` of the project must be allowed.

    Args:
        account: Where the function goes.
        function: The function.
        features: Names of ``permissions.FEATURES``.
        locations: Where packs and their copies are kept, ``s3://BUCKET/PREFIX``; none where not known.
        zip_path: The function's zip, whose size decides how it goes to Lambda; it need not be there.
        keys: What ``bucket_keys`` gave.
    """
    project = permissions.Project(
        function.name,
        account.region,
        account.id,
        account.partition,
        buckets=tuple(bucket_of(location) for location in locations),
        places=function.places,
        settings=function.settings,
        keys=keys,
        large_zip=zip_path.is_file() and zip_path.stat().st_size > limits.ZIP_DIRECT_UPLOAD,
    )
    return permissions.statements(project, features)


def bucket_of(location: str) -> tuple[str, str]:
    """Bucket and prefix of ``s3://BUCKET/PREFIX``."""
    place = locate(location, "0" * 64, "")
    return place.bucket, place.key.rpartition("packs/00/")[0].strip("/")


def of_function(
    account: Account,
    function: FunctionOptions,
    pack: Pack,
    *,
    location: str | None,
    keys: tuple[str, ...] = (),
) -> dict[str, Any]:
    """What the function's role may do after a first deployment of ``pack``.

    Raises:
        ConfigurationError: A pack is read from S3, and ``location`` is ``None``.
    """
    placed = arrange(
        function,
        Dependencies.built(pack, function),
        lambda pack_id: locate(location, pack_id, account.region) if location else None,
    )
    places = [placed.location, *(asset.location for asset in placed.assets)]
    if None in places:
        raise ConfigurationError(
            f"the role of {function.name}: its pack is read from S3, and no location says where",
            hint='give --location s3://BUCKET/PREFIX, set location in [store], or use place = "layer"',
        )
    spec = FunctionSpec(
        function.name, function.handler, function.target, Path(), pack.id, placed.location, function.settings
    )
    settings = FunctionState.intended(spec, "", function.settings.role or "").settings
    packs = [place for place in places if isinstance(place, Location)]
    return policy(account, function.name, packs, [settings], keys=keys)
