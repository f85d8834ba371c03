"""``lambdapack status``."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from lambdapack.cli.deployment import cloud_option
from lambdapack.cli.session import Session, common
from lambdapack.cli.status_aws import show_aws


@click.command("status", short_help="Show what is deployed.")
@click.argument("name", required=False, metavar="[NAME]")
@cloud_option
@common
def command(session: Session, name: str | None, cloud: str, region: str | None) -> None:
    """Show what is deployed: in the embedded cloud every function, in AWS the one named.

    Each version is listed with its pack, the share of the calls that it has, and its last cold start; in the
    embedded cloud also with its warm environments. What AWS's credentials may not read is left out, and said.

    \b
    Examples:
      lambdapack status
      lambdapack status hello --cloud aws --json
    """
    if cloud == "aws":
        show_aws(session, name or session.name, region)
    else:
        _local(session, name)


def _local(session: Session, name: str | None) -> None:
    from lambdapack.local import LocalCloud

    with LocalCloud(session.state, progress=session.progress, cache_dir=session.cache) as cloud:
        status = cloud.status()
    functions = [function for function in status["functions"] if name in (None, function["name"])]
    if session.as_json:
        session.emit("status", {"cloud": "local", **status, "functions": functions})
        return
    for function in functions:
        if session.quiet:
            click.echo(function["name"])
            continue
        assets = "".join(f"asset {name} {asset['id'][:12]}, " for name, asset in function["assets"].items())
        session.say(
            f"{function['name']}: {function['handler']} on {function['target']}, "
            f"{function['memory_mb']} MB memory, {function['tmp_mb']} MB /tmp, "
            f"pack {(function['pack_id'] or 'none')[:12]}{_beside(function)}, {assets}"
            f"{len(function['environments'])} warm"
        )
        for version in function["versions"]:
            session.say(f"  version {_version_line(version)}")
    if not functions:
        session.say(f"nothing{f' called {name}' if name else ''} is deployed in {session.state}")
    if status["server"]:
        session.say(f"lambdapack local runs at {status['server']}")


def _version_line(version: dict[str, Any]) -> str:
    """A version of the embedded cloud: its packs, its share of the calls, its last cold start."""
    from lambdapack.report.units import megabytes

    place = "" if version["place"] in (None, "s3") else f" in its {version['place']}"
    assets = "".join(f", asset {name} {id_[:12]}" for name, id_ in version["assets"].items())
    size = f" of {megabytes(version['size'])}" if version["size"] else ""
    text = f"{version['number']}: pack {(version['pack'] or 'none')[:12]}{size}{place}{assets}"
    if version["warm"]:
        text += f", {version['warm']} warm"
    if cold := version["last_cold"]:
        at = datetime.fromtimestamp(cold["time"]).astimezone()
        init = "without an init of its own" if cold["init_ms"] is None else f"init {cold['init_ms']:.0f} ms"
        text += f", last cold start {at:%Y-%m-%d %H:%M:%S} ({'failed' if cold['error'] else init})"
    if version["weight"]:
        share = "" if version["weight"] == 1 else f" {version['weight']:.0%} of the calls"
        text += f"  <- live{share}"
    return text


def _beside(function: dict[str, Any]) -> str:
    place = (function["location"] or {}).get("place")
    return f" in its {place}" if place else ""
