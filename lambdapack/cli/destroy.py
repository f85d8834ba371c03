"""``lambdapack destroy``."""

from __future__ import annotations

import click

from lambdapack.cli.deployment import clients, cloud_option
from lambdapack.cli.session import Session, common


@click.command("destroy", short_help="Remove a function.")
@click.argument("name", required=False, metavar="[NAME]")
@cloud_option
@click.option("--dry-run", is_flag=True, help="Show what would be done in AWS, and do nothing.")
@common
def command(session: Session, name: str | None, cloud: str, region: str | None, dry_run: bool) -> None:
    """Remove a function, the role that was made for it and its logs. Packs stay.

    \b
    Examples:
      lambdapack destroy
      lambdapack destroy hello --cloud aws --dry-run
    """
    name = name or session.name
    calls = []
    if cloud == "aws":
        from lambdapack.deploy import aws

        done = aws.destroy(name, dry_run=dry_run, clients=clients(session, region), progress=session.progress)
        calls = [f"{call.service} {call.operation}: {call.why}" for call in done.calls]
    elif not dry_run:
        from lambdapack.local import LocalCloud

        with LocalCloud(session.state, progress=session.progress, cache_dir=session.cache) as local:
            local.destroy(name)
    session.emit("destroy", {"name": name, "cloud": cloud, "dry_run": dry_run, "calls": calls})
    for call in calls:
        session.say(f"  {call}")
    session.say(f"{'would remove' if dry_run else 'removed'} {name}")
