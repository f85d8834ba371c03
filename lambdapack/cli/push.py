"""``lambdapack push``."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import click

from lambdapack.cli import deployment
from lambdapack.cli.session import Session, common
from lambdapack.errors import ConfigurationError


@click.command("push", short_help="Upload a pack to S3.")
@click.argument("directory", required=False, type=click.Path(path_type=Path), metavar="[DIR]")
@click.argument("location", required=False, metavar="[s3://BUCKET/PREFIX]")
@click.option("--region", metavar="NAME", help="The bucket's region.")
@deployment.replicate_option
@common
def command(
    session: Session,
    directory: Path | None,
    location: str | None,
    region: str | None,
    replicate: tuple[str, ...],
) -> None:
    """Upload the pack in DIR and its assets' packs, each under its own digest.

    A pack that is there already is not sent again.

    LOCATION may also be a folder. Copies in other regions are made by S3, and compared with the files here.

    \b
    Examples:
      lambdapack push .lambdapack/build s3://bucket/prefix
      lambdapack push                     # with [store] location in lambdapack.toml
      lambdapack push --replicate eu-west-1=s3://bucket-of-eu/prefix
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
    copies = deployment.replicas(session, replicate)
    kept = store.open_replicated(location, copies, home=region or session.config.store.region)
    with_assets = [] if directory and directory.is_file() else assets.placed(made.path.parent, lambda _: None)
    packs = [("", made.id, made.path), *((asset.name, asset.pack_id, asset.pack) for asset in with_assets)]
    outcomes = [
        _Outcome(name, pack_id, kept.push(path, pack_id, progress=session.progress), path.stat().st_size)
        for name, pack_id, path in packs
    ]
    first, *others = [outcome._asdict() for outcome in outcomes]
    del first["name"]
    document = {**first, "location": location, "copies": copies, "assets": others}
    session.emit("push", document, brief=made.id)
    for outcome in outcomes:
        title = f"asset {outcome.name} {outcome.id}" if outcome.name else outcome.id
        what = f"sent {megabytes(outcome.size)}" if outcome.sent else "there already, nothing sent"
        session.say(f"{title} in {', '.join([location, *copies.values()])}: {what}")


class _Outcome(NamedTuple):
    """What the push of a pack came to; ``name`` is the asset's, ``size`` is in bytes."""

    name: str
    id: str
    sent: bool
    size: int
