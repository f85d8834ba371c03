"""``lambdapack verify``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lambdapack.cli.session import Session, common
from lambdapack.errors import CheckError


@click.command("verify", short_help="Check every digest of a pack.")
@click.argument("pack_path", required=False, type=click.Path(path_type=Path), metavar="[PACK]")
@common
def command(pack_path: Path | None, **given: Any) -> None:
    """Check every digest of PACK, a .tar.zst or the folder that it was built into with its assets.

    Exit status 1 when anything is wrong; every problem is listed.

    \b
    Examples:
      lambdapack verify
      lambdapack verify .lambdapack/build/0f3a….tar.zst
    """
    session = Session.open(given["config"], as_json=given["as_json"], quiet=given["quiet"])
    from lambdapack import assets, pack  # noqa: PLC0415 - stages

    path = session.pack_file(pack_path)
    packs = {"": path}
    if pack_path is None or not pack_path.name.endswith(".tar.zst"):
        packs.update((one.name, path.parent / one.pack) for one in assets.read(path.parent))
    found = {name: pack.verify(one) for name, one in packs.items()}
    if session.as_json:
        first, *others = [
            {"asset": name, "pack": str(packs[name]), "sound": not problems, "problems": problems}
            for name, problems in found.items()
        ]
        del first["asset"]
        session.emit("verify", {**first, "assets": others})
    for name, problems in found.items():
        if problems:
            listed = "\n".join(f"  {problem}" for problem in problems)
            raise CheckError(
                f"{packs[name]} is not sound:\n{listed}", hint="build it again: lambdapack build"
            )
        session.say(f"{packs[name]}: sound")
