"""``lambdapack local``."""

from __future__ import annotations

import click

from lambdapack.cli.session import Session, common


@click.command("local", short_help="Keep the embedded cloud running.")
@common
def command(session: Session) -> None:
    """Keep the embedded cloud of this project running, so that environments stay warm between commands.

    deploy, invoke, status and destroy in the same project find it by themselves. Ctrl-C ends it.

    \b
    Examples:
      lambdapack local &
      lambdapack invoke         # cold
      lambdapack invoke         # warm
    """
    from lambdapack.local import serve

    def ready(address: str) -> None:
        if session.as_json:
            session.emit("local", {"address": address, "state": str(session.state)})
        else:
            click.echo(address)
        session.say(f"the local cloud of {session.root} runs; Ctrl-C ends it")

    serve(session.state, progress=session.progress, ready=ready, cache_dir=session.cache)
