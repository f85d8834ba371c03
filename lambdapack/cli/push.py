"""``lambdapack push``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lambdapack.cli.session import Session, common
from lambdapack.errors import ConfigurationError


@click.command("push", short_help="Upload a pack to S3.")
@click.argument("directory", required=False, type=click.Path(path_type=Path), metavar="[DIR]")
@click.argument("location", required=False, metavar="[s3://BUCKET/PREFIX]")
@click.option("--region", metavar="NAME", help="The bucket's region.")
@common
def command(directory: Path | None, location: str | None, region: str | None, **given: Any) -> None:
    """Upload the pack in DIR under its own digest; a pack that is there already is not sent again.

    LOCATION may also be a folder.

    \b
    Examples:
      lambdapack push .lambdapack/build s3://bucket/prefix
      lambdapack push                     # with [store] location in lambdapack.toml
    """
    session = Session.open(given["config"], as_json=given["as_json"], quiet=given["quiet"])
    from lambdapack import pack, store  # noqa: PLC0415 - stages

    location = location or session.config.store.location
    if location is None:
        raise ConfigurationError(
            "no location to push to", hint="lambdapack push DIR s3://BUCKET/PREFIX, or set [store] location"
        )
    made = pack.load(directory or session.build_directory)
    kept = store.open_store(location, region=region or session.config.store.region)
    sent = kept.push(made.path, made.id, progress=session.progress)
    size = made.path.stat().st_size
    if session.as_json:
        session.emit("push", {"id": made.id, "location": location, "sent": sent, "size": size})
    elif session.quiet:
        click.echo(made.id)
    else:
        from lambdapack.report.units import megabytes  # noqa: PLC0415 - kept beside its use

        what = f"sent {megabytes(size)}" if sent else "there already, nothing sent"
        session.say(f"{made.id} in {location}: {what}")
