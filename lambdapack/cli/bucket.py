"""``lambdapack bucket``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from lambdapack.cli.session import Session, common
from lambdapack.errors import CheckError, ConfigurationError

if TYPE_CHECKING:
    from lambdapack.store import BucketClient
    from lambdapack.store.bucket import BucketCall, BucketWish


@click.group("bucket", short_help="Make a bucket for packs, or check one.")
def command() -> None:
    """Make a bucket for packs, or check one.

    \b
    Examples:
      lambdapack bucket create s3://my-packs/lambdapack --dry-run
      lambdapack bucket create                 # with [store] location in lambdapack.toml
      lambdapack bucket check
    """


def _options(function: Any) -> Any:
    for option in (
        click.option("--region", metavar="NAME", help="The bucket's region."),
        click.option("--kms", metavar="KEY", help="Encrypt with this key of KMS: its ARN, id or alias."),
        click.argument("location", required=False, metavar="[s3://BUCKET/PREFIX]"),
    ):
        function = option(function)
    return function


@command.command("create")
@_options
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@click.option("--yes", "-y", "sure", is_flag=True, help="Do not ask before an existing bucket is changed.")
@common
def create(
    session: Session, location: str | None, region: str | None, kms: str | None, *, dry_run: bool, sure: bool
) -> None:
    """Make the bucket, or bring one of your own up to what a bucket for packs should be.

    Public access is blocked, objects belong to the bucket's owner and are encrypted, requests without TLS are
    refused, and uploads that never end are given up after a week. Statements of the bucket's policy and
    lifecycle rules that are there stay. Doing it again changes nothing.

    \b
    Examples:
      lambdapack bucket create s3://my-packs/lambdapack --region eu-central-1
      lambdapack bucket create s3://my-packs --kms alias/packs
      lambdapack bucket create --dry-run
    """
    from lambdapack import store
    from lambdapack.store import bucket

    url = _location(session, location)
    client, wish = _open(session, url, region, kms)
    state = client.observe()
    chosen = region or session.config.store.region
    if state.exists and chosen not in (None, client.region):
        raise ConfigurationError(
            f"bucket {wish.name!r} is in {client.region}, not in {chosen}, and a bucket's region cannot be "
            "changed",
            hint=f"--region {client.region}, or another name",
        )
    calls = bucket.plan(replace(wish, region=client.region), state)
    _show(session, calls, url)
    if calls and state.exists and not dry_run and not sure:
        _confirm(wish.name)
    if not dry_run:
        client.apply(calls, progress=session.progress)
    name, _ = store.split(url)
    session.emit("bucket", {**_document(name, client.region, calls), "dry_run": dry_run}, brief=name)
    did = "would be" if dry_run and calls else "is"
    session.say(f"bucket {name} in {client.region} {did} as a bucket for packs should be")


@command.command("check")
@_options
@common
def check(session: Session, location: str | None, region: str | None, kms: str | None) -> None:
    """Say where the bucket differs from what a bucket for packs should be; exit status 1 where it does.

    \b
    Examples:
      lambdapack bucket check
      lambdapack bucket check s3://my-packs/lambdapack --json
    """
    from lambdapack.store import bucket

    url = _location(session, location)
    client, wish = _open(session, url, region, kms)
    state = client.observe()
    calls = bucket.plan(replace(wish, region=client.region), state)
    session.emit("bucket", _document(wish.name, client.region, calls), brief=wish.name)
    _show(session, calls, url)
    if calls:
        what = "does not exist" if not state.exists else "is not as a bucket for packs should be"
        reasons = "; ".join(call.why for call in calls)
        raise CheckError(
            f"bucket {wish.name!r} {what}: {reasons}", hint=f"lambdapack bucket create {url} --dry-run"
        )
    session.say(f"bucket {wish.name} in {client.region} is as a bucket for packs should be")


def _location(session: Session, given: str | None) -> str:
    url = given or session.config.store.location
    if url is None:
        raise ConfigurationError(
            "no bucket is named",
            hint="lambdapack bucket create s3://BUCKET/PREFIX, or set location in the [store] table of "
            "lambdapack.toml",
        )
    return url


def _open(session: Session, url: str, region: str | None, kms: str | None) -> tuple[BucketClient, BucketWish]:
    from lambdapack import store
    from lambdapack.store.bucket import BucketWish

    name, prefix = store.split(url)
    client = store.open_bucket(url, region=region or session.config.store.region)
    return client, BucketWish(name, prefix, client.region, client.partition, kms)


def _show(session: Session, calls: tuple[BucketCall, ...], url: str) -> None:
    if calls:
        session.say(f"{url}:")
    for call in calls:
        session.say(f"  s3 {call.operation}: {call.why}")


def _confirm(name: str) -> None:
    try:
        agreed = click.confirm(f"Change the bucket {name}, which exists?", err=True)
    except click.Abort:
        agreed = False
    if not agreed:
        raise ConfigurationError("not confirmed: nothing was changed", hint="--yes, or --dry-run")


def _document(name: str, region: str, calls: tuple[BucketCall, ...]) -> dict[str, Any]:
    return {
        "bucket": name,
        "region": region,
        "ok": not calls,
        "calls": [{"service": "s3", "operation": call.operation, "why": call.why} for call in calls],
    }
