"""``lambdapack rollback``."""

from __future__ import annotations

import click

from lambdapack.cli.deployment import clients
from lambdapack.cli.session import Session, common


@click.command("rollback", short_help="Go back to an earlier version in AWS.")
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--to", metavar="VERSION", help="The version.  [default: the one before]")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@click.option("--region", metavar="NAME", help="AWS region.")
@common
def command(session: Session, name: str | None, to: str | None, dry_run: bool, region: str | None) -> None:
    """Point the function in AWS at an earlier version: code and dependencies go back together.

    \b
    Examples:
      lambdapack rollback
      lambdapack rollback hello --to 7
    """
    from lambdapack.deploy import aws

    done = aws.rollback(
        name or session.name,
        to,
        dry_run=dry_run,
        clients=clients(session, region),
        progress=session.progress,
    )
    session.emit(
        "rollback",
        {"name": done.name, "arn": done.arn, "function_version": done.version, "pack": done.pack_id,
         "dry_run": dry_run},
    )  # fmt: skip
    session.say(f"{done.name} {'would be' if dry_run else 'is'} at version {done.version}")
