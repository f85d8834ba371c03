"""``lambdapack profile``."""

from __future__ import annotations

import click

from lambdapack.cli.session import Session, common, read_payload


@click.command("profile", short_help="Time a cold start, import by import.")
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--payload", "payloads", multiple=True, metavar="JSON|@FILE|-",
              help="An event; may be given several times.  [default: [trace] event, else {}]")  # fmt: skip
@click.option("--memory", type=int, metavar="MB", help="Memory, this time.")
@click.option("--tmp", type=int, metavar="MB", help="Ephemeral storage, this time.")
@click.option("--bandwidth", type=float, metavar="MBPS", help="The link to S3 in Mbit/s.")
@click.option("--latency", type=float, metavar="MS", help="Milliseconds before S3 answers.")
@click.option("--top", type=click.IntRange(min=1), default=15, show_default=True, metavar="N",
              help="So many rows a table; --json has all.")  # fmt: skip
@common
def command(
    session: Session, name: str | None, payloads: tuple[str, ...], top: int, *, memory: int | None,
    tmp: int | None, bandwidth: float | None, latency: float | None,
) -> None:  # fmt: skip
    """Time a cold start in the embedded cloud, import by import, and say which imports nothing calls.

    Self is a module's own time, cumulative includes what it imports and waits for. The function is started
    twice: a timed start, and a slower one that watches which functions are called. What the events do not
    need counts as never called, so give one of each kind. Advice only: nothing is changed.

    \b
    Examples:
      lambdapack profile
      lambdapack profile hello --payload '{"text": "Hi"}' --payload @other.json
      lambdapack profile --memory 512 --bandwidth 300 --top 40
      lambdapack profile --json | jq '.never_called[:5]'
    """
    from lambdapack.local import LocalCloud, profiling

    event, link = session.config.trace.event, session.config.local
    default = session.root / event if event else None
    events = [read_payload(text, default) for text in payloads or (None,)]
    with LocalCloud(session.state, progress=session.progress, cache_dir=session.cache) as local:
        profile = profiling.profile(
            local, name or session.name, events,
            memory_mb=memory, tmp_mb=tmp, bandwidth_mbps=bandwidth or link.bandwidth,
            latency_ms=link.latency if latency is None else latency, progress=session.progress,
        )  # fmt: skip
    session.emit("profile", profile.document(), f"{profile.init_ms:.1f}")
    if not session.as_json and not session.quiet:
        from lambdapack.report.profile import profile_tables

        session.show(profile_tables(profile, top))
