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
    """Check every digest of PACK, a .tar.zst or the folder that it was built into.

    Exit status 1 when anything is wrong; every problem is listed.

    \b
    Examples:
      lambdapack verify
      lambdapack verify .lambdapack/build/0f3a….tar.zst
    """
    session = Session.open(given["config"], as_json=given["as_json"], quiet=given["quiet"])
    from lambdapack import pack  # noqa: PLC0415 - a stage

    path = session.pack_file(pack_path)
    problems = pack.verify(path)
    if session.as_json:
        session.emit("verify", {"pack": str(path), "sound": not problems, "problems": problems})
    if problems:
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise CheckError(f"{path} is not sound:\n{listed}", hint="build it again: lambdapack build")
    session.say(f"{path}: sound")
