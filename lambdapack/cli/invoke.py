"""``lambdapack invoke``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from lambdapack.cli.deployment import clients, cloud_option
from lambdapack.cli.session import Session, common, read_payload
from lambdapack.errors import CheckError, ConfigurationError

if TYPE_CHECKING:
    from lambdapack.local import Invocation


@click.command("invoke", short_help="Invoke a function.")
@click.argument("name", required=False, metavar="[NAME]")
@cloud_option
@click.option("--payload", metavar="JSON|@FILE|-", help="The event.  [default: [trace] event, else {}]")
@click.option("--count", type=click.IntRange(1, 1000), default=1, help="Invoke so many times, one by one.")
@click.option("--cold", is_flag=True, help="Start a new environment each time.")
@click.option("--memory", type=int, metavar="MB", help="Memory, this time.")
@click.option("--tmp", type=int, metavar="MB", help="Ephemeral storage, this time.")
@click.option("--bandwidth", type=float, metavar="MBPS", help="The link to S3 in Mbit/s.")
@click.option("--latency", type=float, metavar="MS", help="Milliseconds before S3 answers.")
@common
def command(
    name: str | None,
    cloud: str,
    region: str | None,
    payload: str | None,
    count: int,
    **given: Any,
) -> None:
    """Invoke a function and show where its time went. The answer goes to stdout, the log to stderr.

    Exit status 1 when the function fails. Environments of the embedded cloud stay warm within one
    command, and between commands while `lambdapack local` runs.

    \b
    Examples:
      lambdapack invoke
      lambdapack invoke hello --payload '{"numbers": [1, 2]}' --count 3
      lambdapack invoke --cold --memory 1024 --tmp 512 --bandwidth 300
    """
    session = Session.open(given["config"], as_json=given["as_json"], quiet=given["quiet"])
    name = name or session.name
    event = session.config.trace.event
    data = read_payload(payload, session.root / event if event else None)
    if cloud == "aws":
        _aws(session, name, data, region=region, count=count, given=given)
        return
    from lambdapack.local import LocalCloud

    done = []
    with LocalCloud(session.state, progress=session.progress, cache_dir=session.cache) as local:
        for _ in range(count):
            one = local.invoke(name, data, **_options(session, given))
            done.append(one)
            _show(session, one, last=len(done) == count)
    if session.as_json:
        session.emit(
            "invoke", {"name": name, "cloud": "local", "invocations": [_document(one) for one in done]}
        )
    _fail(name, [one.error for one in done])


def _options(session: Session, given: dict[str, Any]) -> dict[str, Any]:
    local = session.config.local
    return {
        "cold": given["cold"],
        "memory_mb": given["memory"],
        "tmp_mb": given["tmp"],
        "bandwidth_mbps": given["bandwidth"] or local.bandwidth,
        "latency_ms": local.latency if given["latency"] is None else given["latency"],
    }


def _aws(
    session: Session, name: str, payload: bytes, *, region: str | None, count: int, given: dict[str, Any]
) -> None:
    local_only = [f"--{key}" for key in ("cold", "memory", "tmp", "bandwidth", "latency") if given[key]]
    if local_only:
        raise ConfigurationError(f"{', '.join(local_only)}: AWS takes no such thing with an invocation")
    from lambdapack.deploy import aws

    called = clients(session, region)
    done = []
    for _ in range(count):
        one = aws.invoke(name, payload, clients=called)
        done.append(one)
        if not session.as_json:
            if not session.quiet:
                click.echo(one.log.rstrip(), err=True)
            click.echo(one.payload.decode())
    if session.as_json:
        session.emit(
            "invoke",
            {"name": name, "cloud": "aws", "invocations": [
                {"payload": _parsed(one.payload), "error": one.error, "log": one.log,
                 "function_version": one.version} for one in done
            ]},
        )  # fmt: skip
    _fail(name, [one.error for one in done])


def _show(session: Session, one: Invocation, *, last: bool) -> None:
    if session.as_json:
        return
    if not session.quiet:
        from lambdapack.report.invocation import log_lines, timing

        for line in log_lines(one):
            click.echo(line, err=True)
        click.echo(timing(one), err=True)
    if last or not session.quiet:
        click.echo(one.payload.decode(errors="replace"))


def _document(one: Invocation) -> dict[str, Any]:
    return {**one.as_dict(), "payload": _parsed(one.payload)}


def _parsed(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except ValueError:
        return payload.decode(errors="replace")


def _fail(name: str, errors: list[bool]) -> None:
    if any(errors):
        failed = f"{sum(errors)} of {len(errors)} times" if len(errors) > 1 else "with the answer above"
        raise CheckError(f"{name} failed, {failed}")
