"""``lambdapack rollback``."""

from __future__ import annotations

import click

from lambdapack.cli.deployment import clients
from lambdapack.cli.session import Session, common


@click.command("rollback", short_help="Go back to an earlier version.")
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--cloud", type=click.Choice(["local", "aws"]), default="aws", show_default=True,
              help="The embedded cloud, or AWS.")  # fmt: skip
@click.option("--to", metavar="VERSION", help="The version.  [default: the one before]")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@click.option("--region", metavar="NAME", help="AWS region.")
@common
def command(
    session: Session, name: str | None, cloud: str, *, to: str | None, dry_run: bool, region: str | None
) -> None:
    """Point the function at an earlier version: code and dependencies go back together.

    \b
    Examples:
      lambdapack rollback
      lambdapack rollback hello --to 7
      lambdapack rollback --cloud local
    """
    name = name or session.name
    if cloud == "local":
        _local(session, name, to, dry_run=dry_run)
        return
    from lambdapack.deploy import aws

    done = aws.rollback(
        name,
        to,
        dry_run=dry_run,
        clients=clients(session, region),
        progress=session.progress,
    )
    _show(session, done.name, done.version, done.pack_id, cloud=cloud, arn=done.arn, dry_run=dry_run)


def _local(session: Session, name: str, to: str | None, *, dry_run: bool) -> None:
    from lambdapack.deploy.shifting import ROLLED_BACK, undo
    from lambdapack.local import LocalCloud, LocalTraffic

    with LocalCloud(session.state, progress=session.progress, cache_dir=session.cache) as local:
        done = local.rollback(name, to, dry_run=True)
        # A shift that is under way is undone, and the alias's note says so.
        if not dry_run and (to or undo(LocalTraffic(local, name), ROLLED_BACK) is None):
            done = local.rollback(name, to)
    _show(session, name, done.version, done.pack_id, cloud="local", arn=None, dry_run=dry_run)


def _show(
    session: Session,
    name: str,
    version: str | None,
    pack_id: str | None,
    *,
    cloud: str,
    arn: str | None,
    dry_run: bool,
) -> None:
    session.emit(
        "rollback",
        {"name": name, "cloud": cloud, "arn": arn, "function_version": version, "pack": pack_id,
         "dry_run": dry_run},
    )  # fmt: skip
    session.say(f"{name} {'would be' if dry_run else 'is'} at version {version}")
