"""``lambdapack logs``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import click

from lambdapack.cli.deployment import clients
from lambdapack.cli.session import Session, common, stoppable
from lambdapack.cli.spans import moment
from lambdapack.errors import ConfigurationError

if TYPE_CHECKING:
    from lambdapack.deploy.aws import LogQuery
    from lambdapack.deploy.log import ColdStart, LogEvent

_COLD = '?INIT_ ?RESTORE_ ?REPORT ?"cold_start" ?"platform.initStart" ?"platform.initReport" ' + (
    '?"platform.restoreReport" ?"platform.report"'
)
"""CloudWatch's filter for what ``--cold`` reads: one of these."""


@click.command("logs", short_help="Show a function's log, or its cold starts alone.")
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--since", default="1h", show_default=True, metavar="SPAN|DATE",
              help="From when on: 30m, 1h, 2d, or 2026-11-26T14:00 (UTC).")  # fmt: skip
@click.option("--until", metavar="SPAN|DATE",
              help="Until when; with --follow a span from now on: 10m.  [default: the newest]")  # fmt: skip
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes in, until Ctrl-C or --until.")
@click.option("--cold", is_flag=True, help="Show cold starts alone, a line each.")
@click.option("--version", metavar="N", help="Of one version of the function.")
@click.option("--group", metavar="NAME", help="Another log group.  [default: the function's]")
@click.option("--region", metavar="NAME", help="AWS region.")
@stoppable
@common
def command(session: Session, name: str | None, since: str, until: str | None, **given: Any) -> None:
    """Show a function's log in AWS, oldest first; with --cold its cold starts alone, a line each.

    A cold start's line says when, which version, how long init (or the restore from a snapshot) and the
    first call took, how much of the pack was fetched, how long imports waited for it, and what had to be
    tried again. Lambda's logs are understood as text and as JSON. With --json there is one document; with
    --json and --follow one JSON object a line.

    \b
    Examples:
      lambdapack logs hello
      lambdapack logs hello --cold --since 2d
      lambdapack logs --follow --version 7
      lambdapack logs --cold --json | jq '.starts[].init_ms'
    """
    from lambdapack.deploy import aws

    name, api = name or session.name, clients(session, given["region"])
    query = _query(given["group"] or aws.group_of(name, api), since, until, given)
    session.progress.note(f"{query.group} since {query.since:%Y-%m-%d %H:%M:%S} UTC")
    events = aws.log_events(api, query)
    head = {"cloud": "aws", "name": name, "group": query.group, "since": query.since.isoformat()}
    if given["cold"]:
        _show_starts(session, cold_starts(events), head, follow=query.follow)
    else:
        _show_events(session, events, head, follow=query.follow)


def _query(group: str, since: str, until: str | None, given: dict[str, Any]) -> LogQuery:
    from lambdapack.deploy.aws import LogQuery

    now, follow = datetime.now(timezone.utc), given["follow"]
    begins = moment(since, "--since", now)
    ends = None if until is None else moment(until, "--until", now, ahead=follow)
    if ends is not None and ends <= begins:
        raise ConfigurationError(
            f"--until {until} lies before --since {since}", hint="give a --since that goes further back"
        )
    return LogQuery(group, begins, ends, _COLD if given["cold"] else "", given["version"], follow)


def cold_starts(events: Iterable[LogEvent]) -> Iterator[ColdStart]:
    """The cold starts that the events tell of, each as soon as it is over."""
    from lambdapack.deploy.log import ColdStart, Starts

    starts = Starts()
    for event in events:
        told = starts.add(event)
        start = told if isinstance(told, ColdStart) or told is None else told.start
        if start is not None:
            yield start


def _show_events(session: Session, events: Iterator[LogEvent], head: dict[str, Any], *, follow: bool) -> None:
    from lambdapack.report import logs

    if session.as_json and not follow:
        session.emit("logs", {**head, "events": [logs.event_document(event) for event in events]})
        return
    count = 0
    for count, event in enumerate(events, 1):  # noqa: B007 - the count is said below
        _line(logs.event_line(event), logs.event_document(event) if session.as_json else None)
    if not count:
        session.progress.note("there are no events: --since goes further back")


def _show_starts(
    session: Session, starts: Iterator[ColdStart], head: dict[str, Any], *, follow: bool
) -> None:
    from lambdapack.report import logs

    if session.as_json and not follow:
        session.emit("logs", {**head, "starts": [logs.start_document(start) for start in starts]})
        return
    count = 0
    for count, start in enumerate(starts, 1):  # noqa: B007 - the count is said below
        _line(logs.start_line(start), logs.start_document(start) if session.as_json else None)
    if not count:
        session.progress.note("there was no cold start: --since goes further back")


def _line(text: str, document: dict[str, Any] | None) -> None:
    """Print at once: who follows a log through a pipe waits for each line."""
    click.echo(text if document is None else json.dumps(document))
    sys.stdout.flush()
