"""``lambdapack logs``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import click

from lambdapack.cli.deployment import clients, cloud_option
from lambdapack.cli.local_logs import Span, local_events
from lambdapack.cli.session import Session, common, stoppable
from lambdapack.cli.spans import moment
from lambdapack.errors import ConfigurationError

if TYPE_CHECKING:
    from lambdapack.deploy.log import ColdStart, LogEvent


@click.command("logs", short_help="Show a function's log, or its cold starts alone.")
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--since", default="1h", show_default=True, metavar="SPAN|DATE",
              help="From when on: 30m, 1h, 2d, or 2026-11-26T14:00 (UTC).")  # fmt: skip
@click.option("--until", metavar="SPAN|DATE",
              help="Until when; with --follow a span from now on: 10m.  [default: the newest]")  # fmt: skip
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes in, until Ctrl-C or --until.")
@click.option("--cold", is_flag=True, help="Show cold starts alone, a line each.")
@click.option("--version", metavar="N", help="Of one version of the function.")
@click.option(
    "--group",
    metavar="NAME",
    help="Another log group, with --cloud aws.  [default: the function's]",
)
@cloud_option
@stoppable
@common
def command(session: Session, name: str | None, since: str, until: str | None, **given: Any) -> None:
    """Show a function's log, oldest first; with --cold its cold starts alone, a line each.

    A cold start's line says when, which version, how long init (or the restore from a snapshot) and the
    first call took, how much of the pack was fetched, how long imports waited for it, and what had to be
    tried again. Lambda's logs are understood as text and as JSON. With --json there is one document; with
    --json and --follow one JSON object a line.

    \b
    Examples:
      lambdapack logs hello --follow
      lambdapack logs hello --cloud aws --cold --since 2d
      lambdapack logs --cloud aws --follow --version 7
      lambdapack logs --cloud aws --cold --json | jq '.starts[].init_ms'
    """
    name, span = name or session.name, _span(since, until, given)
    events, head = (_from_aws if given["cloud"] == "aws" else _from_here)(session, name, span, given)
    told = {"cloud": given["cloud"], "name": name, **head, "since": span.since.isoformat()}
    if given["cold"]:
        _show_starts(session, cold_starts(events), told, follow=span.follow)
    else:
        _show_events(session, events, told, follow=span.follow)


def _span(since: str, until: str | None, given: dict[str, Any]) -> Span:
    now, follow = datetime.now(timezone.utc), given["follow"]
    begins = moment(since, "--since", now)
    ends = None if until is None else moment(until, "--until", now, ahead=follow)
    if ends is not None and ends <= begins:
        raise ConfigurationError(
            f"--until {until} lies before --since {since}", hint="give a --since that goes further back"
        )
    return Span(begins, ends, given["version"], follow)


def _from_aws(
    session: Session, name: str, span: Span, given: dict[str, Any]
) -> tuple[Iterator[LogEvent], dict[str, Any]]:
    """The events of a function in AWS, and where they are."""
    from lambdapack.deploy import aws

    api = clients(session, given["region"])
    group = given["group"] or aws.group_of(name, api)
    pattern = aws.LAMBDAS_LINES if given["cold"] else ""
    query = aws.LogQuery(group, span.since, span.until, pattern, span.version, span.follow)
    session.progress.note(f"{group} since {span.since:%Y-%m-%d %H:%M:%S} UTC")
    return aws.log_events(api, query), {"group": group}


def _from_here(
    session: Session, name: str, span: Span, given: dict[str, Any]
) -> tuple[Iterator[LogEvent], dict[str, Any]]:
    """The events of a function in the embedded cloud."""
    if given["group"]:
        raise ConfigurationError(
            f"--group {given['group']}: the embedded cloud has no log groups", hint="add --cloud aws"
        )
    return local_events(session, name, span), {}


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

    told = ((logs.event_line(event), logs.event_document(event)) for event in events)
    _show(session, "events", told, head, follow=follow, nothing="there are no events")


def _show_starts(
    session: Session, starts: Iterator[ColdStart], head: dict[str, Any], *, follow: bool
) -> None:
    from lambdapack.report import logs

    told = ((logs.start_line(start), logs.start_document(start)) for start in starts)
    _show(session, "starts", told, head, follow=follow, nothing="there was no cold start")


def _show(
    session: Session,
    key: str,
    told: Iterator[tuple[str, dict[str, Any]]],
    head: dict[str, Any],
    *,
    follow: bool,
    nothing: str,
) -> None:
    """Show each line when it comes; for a machine all as one document, or while following one a line."""
    if session.as_json and not follow:
        session.emit("logs", {**head, key: [document for _, document in told]})
        return
    shown = False
    for text, document in told:
        _line(text, document if session.as_json else None)
        shown = True
    if not shown:
        session.progress.note(f"{nothing}: --since goes further back")


def _line(text: str, document: dict[str, Any] | None) -> None:
    """Print at once: who follows a log through a pipe waits for each line."""
    click.echo(text if document is None else json.dumps(document))
    sys.stdout.flush()
