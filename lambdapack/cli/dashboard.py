"""``lambdapack dashboard``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from lambdapack.cli.deployment import clients
from lambdapack.cli.session import Session, common
from lambdapack.errors import ConfigurationError

if TYPE_CHECKING:
    from lambdapack.deploy.aws import Watched, Watching


@click.command("dashboard", short_help="Print or make a CloudWatch dashboard and alarms.")
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--only", type=click.Choice(["dashboard", "alarms", "filters"]),
              help="Print one part, as the AWS CLI takes it.")  # fmt: skip
@click.option("--notify", multiple=True, metavar="ARN", help="Whom alarms tell, e.g. a topic of SNS.")
@click.option("--apply", "applies", is_flag=True, help="Make them; what is there already is left alone.")
@click.option("--delete", "deletes", is_flag=True, help="Remove what --apply has made.")
@click.option("--dry-run", is_flag=True, help="With --apply or --delete: show the calls, and make none.")
@click.option("--region", metavar="NAME", help="AWS region.")
@common
def command(session: Session, name: str | None, notify: tuple[str, ...], **given: Any) -> None:
    """Print a CloudWatch dashboard and alarms for a function as JSON, or make them.

    The dashboard has calls, errors and durations by Lambda's metrics, by version too, and cold starts by the
    shim's: their length, what they fetched, what they had to repeat. Alarms watch errors, throttles,
    durations near the timeout, cold starts near the end of init, repeated requests, and starts whose pack
    could not be put in place; the last are counted by a filter of the function's log. CloudWatch bills for
    alarms, for the shim's metrics, and for the fourth dashboard on.

    \b
    Examples:
      lambdapack dashboard hello > watching.json
      lambdapack dashboard hello --apply --notify arn:aws:sns:eu-central-1:123456789012:ops
      aws cloudwatch put-dashboard --dashboard-name hello \\
          --dashboard-body "$(lambdapack dashboard hello --only dashboard)"
      lambdapack dashboard hello --delete --dry-run
    """
    from lambdapack.deploy import aws

    applies, deletes = given["applies"], given["deletes"]
    _check(given)
    name, api = name or session.name, clients(session, given["region"])
    watched = aws.read_watched(name, api, notify)
    if not (applies or deletes):
        _print(watched, aws.wanted(watched), given["only"])
        return
    calls = aws.apply_watching(
        watched, api, remove=deletes, dry_run=given["dry_run"], progress=session.progress
    )
    told = [{"service": call.service, "operation": call.operation, "why": call.why} for call in calls]
    session.emit("dashboard", {"name": name, "dry_run": given["dry_run"], "calls": told})
    for call in calls:
        session.say(f"  {call.service} {call.operation}: {call.why}")
    if not calls:
        session.say(f"there is nothing to {'delete' if deletes else 'change'} for {name}")


def _check(given: dict[str, Any]) -> None:
    if given["applies"] and given["deletes"]:
        raise ConfigurationError("--apply and --delete exclude each other", hint="give one of the two")
    if given["dry_run"] and not (given["applies"] or given["deletes"]):
        raise ConfigurationError(
            "--dry-run shows the calls of --apply or --delete, and neither is given",
            hint="without them the command prints JSON and changes nothing",
        )


def _print(watched: Watched, goal: Watching, only: str | None) -> None:
    """The JSON that the AWS CLI and boto3 take."""
    parts: dict[str, Any] = {
        "dashboard": goal.dashboard,
        "alarms": list(goal.alarms.values()),
        "filters": list(goal.filters.values()),
    }
    head = {"document": "lambdapack.dashboard", "version": 1, "name": watched.name, "title": watched.title}
    click.echo(json.dumps(parts[only] if only else {**head, **parts}, indent=2))
