"""``lambdapack push``."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import click

from lambdapack.cli.session import Session, common
from lambdapack.errors import ConfigurationError


@click.command("push", short_help="Upload a pack to S3.")
@click.argument("directory", required=False, type=click.Path(path_type=Path), metavar="[DIR]")
@click.argument("location", required=False, metavar="[s3://BUCKET/PREFIX]")
@click.option("--region", metavar="NAME", help="The bucket's region.")
@common
def command(session: Session, directory: Path | None, location: str | None, region: str | None) -> None:
    """Upload the pack in DIR and its assets' packs, each under its own digest.

    A pack that is there already is not sent again.

    LOCATION may also be a folder.

    \b
    Examples:
      lambdapack push .lambdapack/build s3://bucket/prefix
      lambdapack push                     # with [store] location in lambdapack.toml
    """
    from lambdapack import pack, store
    from lambdapack.pack import assets
    from lambdapack.report.units import megabytes

    location = location or session.config.store.location
    if location is None:
        raise ConfigurationError(
            "no location to push to", hint="lambdapack push DIR s3://BUCKET/PREFIX, or set [store] location"
        )
    made = pack.load(directory or session.build_directory)
    kept = store.open_store(location, region=region or session.config.store.region)
    with_assets = [] if directory and directory.is_file() else assets.placed(made.path.parent, lambda _: None)
    packs = [("", made.id, made.path), *((asset.name, asset.pack_id, asset.pack) for asset in with_assets)]
    outcomes = [
        _Outcome(name, pack_id, kept.push(path, pack_id, progress=session.progress), path.stat().st_size)
        for name, pack_id, path in packs
    ]
    first, *others = [outcome._asdict() for outcome in outcomes]
    del first["name"]
    session.emit("push", {**first, "location": location, "assets": others}, brief=made.id)
    for outcome in outcomes:
        title = f"asset {outcome.name} {outcome.id}" if outcome.name else outcome.id
        what = f"sent {megabytes(outcome.size)}" if outcome.sent else "there already, nothing sent"
        session.say(f"{title} in {location}: {what}")


class _Outcome(NamedTuple):
    """What the push of a pack came to; ``name`` is the asset's, ``size`` is in bytes."""

    name: str
    id: str
    sent: bool
    size: int
