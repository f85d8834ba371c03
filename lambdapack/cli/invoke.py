"""``lambdapack invoke``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from lambdapack.cli.deployment import clients, cloud_option
from lambdapack.cli.session import Session, common, read_payload
from lambdapack.errors import CheckError, ConfigurationError
from lambdapack.limits import INITIALIZATION_TYPES

if TYPE_CHECKING:
    from lambdapack.local import Invocation


@click.command("invoke", short_help="Invoke a function.")
@click.argument("name", required=False, metavar="[NAME]")
@cloud_option
@click.option("--payload", metavar="JSON|@FILE|-", help="The event.  [default: [trace] event, else {}]")
@click.option("--count", type=click.IntRange(1, 1000), default=1, help="Invoke so many times, one by one.")
@click.option("--together", is_flag=True, help="All at the same time, as on a Managed Instance.")
@click.option("--cold", is_flag=True, help="Start a new environment each time.")
@click.option("--memory", type=int, metavar="MB", help="Memory, this time.")
@click.option("--tmp", type=int, metavar="MB", help="Ephemeral storage, this time.")
@click.option("--bandwidth", type=float, metavar="MBPS", help="The link to S3 in Mbit/s.")
@click.option("--start", type=click.Choice(INITIALIZATION_TYPES), metavar="KIND",
              help=f"{', '.join(INITIALIZATION_TYPES)}.  [default: as the function says]")  # fmt: skip
@click.option("--latency", type=float, metavar="MS", help="Milliseconds before S3 answers.")
@click.option("--qualifier", metavar="VERSION",
              help="A version by its number.  [default: as the alias live chooses]")  # fmt: skip
@common
def command(
    session: Session, name: str | None, cloud: str, region: str | None, count: int, **given: Any
) -> None:
    """Invoke a function and show where its time went. The answer goes to stdout, the log to stderr.

    Exit status 1 when the function fails. Environments of the embedded cloud stay warm within one
    command, and between commands while `lambdapack local` runs.

    \b
    Examples:
      lambdapack invoke
      lambdapack invoke hello --payload '{"numbers": [1, 2]}' --count 3
      lambdapack invoke --start provisioned-concurrency
      lambdapack invoke --together --count 16
      lambdapack invoke --qualifier 3             # a version that the alias does not send calls to yet
      lambdapack invoke --cold --memory 1024 --tmp 512 --bandwidth 300
    """
    name = name or session.name
    event = session.config.trace.event
    data = read_payload(given["payload"], session.root / event if event else None)
    if cloud == "aws":
        _aws(session, name, data, region=region, count=count, given=given)
        return
    invocations = _local(session, name, data, count, given)
    if session.as_json:
        rows = [_row(done) for done in invocations]
        session.emit("invoke", {"name": name, "cloud": "local", "invocations": rows})
    _fail(name, [invocation.error for invocation in invocations])


def _local(
    session: Session, name: str, payload: bytes, count: int, given: dict[str, Any]
) -> list[Invocation]:
    """Invoke in the embedded cloud, and show each invocation when it has ended."""
    from lambdapack.local import LocalCloud

    link = session.config.local
    options = {
        "cold": given["cold"],
        "memory_mb": given["memory"],
        "tmp_mb": given["tmp"],
        "bandwidth_mbps": given["bandwidth"] or link.bandwidth,
        "latency_ms": link.latency if given["latency"] is None else given["latency"],
    }
    if given["together"] and given["qualifier"]:
        raise ConfigurationError("--together takes no --qualifier: the alias's main version is asked")
    if given["together"] and given["start"] not in (None, INITIALIZATION_TYPES[-1]):
        raise ConfigurationError(f"--together: only {INITIALIZATION_TYPES[-1]} runs events at the same time")
    invocations: list[Invocation] = []
    with LocalCloud(session.state, progress=session.progress, cache_dir=session.cache) as local:
        if given["together"]:
            invocations = local.invoke_together(name, [payload] * count, **options)
        for number in range(1, count + 1):
            if not given["together"]:
                asked = {"start": given["start"], "qualifier": given["qualifier"]}
                invocations.append(local.invoke(name, payload, **asked, **options))
            _show(session, invocations[number - 1], last=number == count)
    return invocations


def _aws(
    session: Session, name: str, payload: bytes, *, region: str | None, count: int, given: dict[str, Any]
) -> None:
    options = ("cold", "memory", "tmp", "bandwidth", "latency", "start", "together")
    local_only = [f"--{key}" for key in options if given[key]]
    if local_only:
        raise ConfigurationError(f"{', '.join(local_only)}: AWS takes no such thing with an invocation")
    from lambdapack.deploy import aws

    called = clients(session, region)
    answers = []
    for _ in range(count):
        answer = aws.invoke(name, payload, qualifier=given["qualifier"] or aws.ALIAS, clients=called)
        answers.append(answer)
        if not session.as_json:
            if not session.quiet:
                click.echo(answer.log.rstrip(), err=True)
            click.echo(answer.payload.decode())
    if session.as_json:
        rows = [
            {"payload": _parsed(answer.payload), "error": answer.error, "log": answer.log,
             "function_version": answer.version} for answer in answers
        ]  # fmt: skip
        session.emit("invoke", {"name": name, "cloud": "aws", "invocations": rows})
    _fail(name, [answer.error for answer in answers])


def _row(done: Invocation) -> dict[str, Any]:
    """An invocation for the document, where ``version`` is the document's own."""
    row = {**done.as_dict(), "payload": _parsed(done.payload)}
    return {**row, "function_version": row.pop("version")}


def _show(session: Session, invocation: Invocation, *, last: bool) -> None:
    if session.as_json:
        return
    if not session.quiet:
        from lambdapack.report.invocation import log_lines, timing

        for line in log_lines(invocation):
            click.echo(line, err=True)
        click.echo(timing(invocation), err=True)
    if last or not session.quiet:
        click.echo(invocation.payload.decode(errors="replace"))


def _parsed(payload: bytes) -> Any:
    """The answer as JSON has it, or as text where it is no JSON."""
    try:
        return json.loads(payload)
    except ValueError:
        return payload.decode(errors="replace")


def _fail(name: str, errors: list[bool]) -> None:
    """Give exit status 1 where an invocation failed."""
    if any(errors):
        failed = f"{sum(errors)} of {len(errors)} times" if len(errors) > 1 else "with the answer above"
        raise CheckError(f"{name} failed, {failed}")
