"""``lambdapack status``."""

from __future__ import annotations

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

    In AWS: each version with its share of the calls, its pack and the pack's size in S3, and its last cold
    start out of the log. What the credentials may not read is left out, and said.

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
    if not functions:
        session.say(f"nothing{f' called {name}' if name else ''} is deployed in {session.state}")
    if status["server"]:
        session.say(f"lambdapack local runs at {status['server']}")


def _beside(function: dict[str, Any]) -> str:
    place = (function["location"] or {}).get("place")
    return f" in its {place}" if place else ""
