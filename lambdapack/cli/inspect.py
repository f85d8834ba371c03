"""``lambdapack inspect``."""

from __future__ import annotations

from pathlib import Path

import click

from lambdapack.cli.session import Session, common


@click.command("inspect", short_help="List what is in a pack.")
@click.argument("pack_path", required=False, type=click.Path(path_type=Path), metavar="[PACK]")
@click.option("--files", is_flag=True, help="List every file too, in pack order.")
@common
def command(session: Session, pack_path: Path | None, files: bool) -> None:
    """List what is in PACK, a .tar.zst or the folder that it was built into.

    \b
    Examples:
      lambdapack inspect
      lambdapack inspect .lambdapack/build --files | grep numpy
    """
    from lambdapack import pack
    from lambdapack.pack import assets
    from lambdapack.pipeline import sbom
    from lambdapack.report import listing

    path = session.pack_file(pack_path)
    pack_id, index = pack.read_index(path)
    # The packs of assets lie one folder below the one that lists them, and have none of their own.
    beside = assets.read(path.parent)
    bill = path.with_name(sbom.file_name(pack_id))
    document = {
        **listing.document(pack_id, path, index),
        "assets": assets.document(beside)["assets"],
        "sbom": str(bill) if bill.exists() else None,
    }
    session.emit("inspect", document, brief=pack_id)
    session.show(listing.summary(pack_id, path, index, beside, bill if bill.exists() else None))
    for line in listing.listing(index) if files else ():
        session.say(line)
