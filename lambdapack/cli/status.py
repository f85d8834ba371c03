"""``lambdapack status``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lambdapack.cli.deployment import clients, cloud_option
from lambdapack.cli.session import Session, common

if TYPE_CHECKING:
    from lambdapack.deploy.aws import Observed, VersionState


@click.command("status", short_help="Show what is deployed.")
@click.argument("name", required=False, metavar="[NAME]")
@cloud_option
@common
def command(name: str | None, cloud: str, region: str | None, **given: Any) -> None:
    """Show what is deployed: in the embedded cloud every function, in AWS the one named.

    \b
    Examples:
      lambdapack status
      lambdapack status hello --cloud aws --json
    """
    session = Session.open(given["config"], as_json=given["as_json"], quiet=given["quiet"])
    if cloud == "aws":
        _aws(session, name or session.name, region)
    else:
        _local(session, name)


def _local(session: Session, name: str | None) -> None:
    from lambdapack.local import LocalCloud

    with LocalCloud(session.state, progress=session.progress, cache_dir=session.cache) as cloud:
        found = cloud.status()
    functions = [one for one in found["functions"] if name in (None, one["name"])]
    if session.as_json:
        session.emit("status", {"cloud": "local", **found, "functions": functions})
        return
    for one in functions:
        if session.quiet:
            click.echo(one["name"])
            continue
        assets = "".join(f"asset {name} {asset['id'][:12]}, " for name, asset in one["assets"].items())
        session.say(
            f"{one['name']}: {one['handler']} on {one['target']}, {one['memory_mb']} MB memory, "
            f"{one['tmp_mb']} MB /tmp, pack {(one['pack_id'] or 'none')[:12]}, "
            f"{assets}"
            f"{len(one['environments'])} warm"
        )
    if not functions:
        session.say(f"nothing{f' called {name}' if name else ''} is deployed in {session.state}")
    if found["server"]:
        session.say(f"lambdapack local runs at {found['server']}")


def _aws(session: Session, name: str, region: str | None) -> None:
    from lambdapack.deploy import aws

    found = aws.status(name, clients=clients(session, region), progress=session.progress)
    if session.as_json:
        session.emit("status", {"cloud": "aws", "name": name, **_document(found)})
    elif found.function is None:
        session.say(f"{name} is not deployed in {found.account.region}")
    else:
        session.say(f"{name} in {found.account.region}: {found.arn}")
        for version in found.versions:
            live = "  <- live" if version.number == found.alias else ""
            assets = "".join(f", asset {name} {id_[:12]}" for name, id_ in _assets(version).items())
            session.say(f"  version {version.number}: pack {(version.pack_id or 'none')[:12]}{assets}{live}")


def _document(found: Observed) -> dict[str, Any]:
    return {
        "region": found.account.region,
        "deployed": found.function is not None,
        "arn": found.arn,
        "live": found.alias,
        "versions": [
            {"number": one.number, "pack": one.pack_id, "assets": _assets(one)} for one in found.versions
        ],
    }


def _assets(version: VersionState) -> dict[str, str]:
    """Name -> id."""
    return {
        name: location.key.rpartition("/")[2].removesuffix(".tar.zst")
        for name, location in version.assets.items()
    }
