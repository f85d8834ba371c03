"""``lambdapack diff``."""

from __future__ import annotations

from pathlib import Path

import click

from lambdapack.cli.session import Session, common
from lambdapack.errors import ConfigurationError

_BUILD = click.Path(exists=True, path_type=Path)


@click.command("diff", short_help="Compare two builds.")
@click.argument("old", required=False, type=_BUILD, metavar="[OLD]")
@click.argument("new", required=False, type=_BUILD, metavar="[NEW]")
@common
def command(session: Session, old: Path | None, new: Path | None) -> None:
    """Compare two builds: which distributions came, went, changed their version and grew, and by how much.

    OLD and NEW are folders of builds, or their build.json under any name: to keep one is enough. NEW is by
    default the last build, OLD the one that it replaced in its folder, of which `lambdapack build` keeps the
    build.json as previous.json. Of a distribution that came or went, the dependency that brought it is named.

    \b
    Examples:
      lambdapack diff                              # since the build before
      lambdapack diff baseline.json                # since a build whose build.json was kept
      lambdapack diff built-for-x86 built-for-arm --json | jq .total
    """
    from lambdapack import pipeline, plan
    from lambdapack.report import builds

    current = new or session.build_directory
    after = pipeline.read_built(current)
    before = pipeline.previous(current) if old is None else pipeline.read_built(old)
    if before is None:
        raise ConfigurationError(
            f"comparing {current}: it has replaced no other build",
            hint="name the earlier one: lambdapack diff OLD",
        )
    comparison = plan.compare(before, after)
    session.emit("diff", builds.comparison_document(comparison), brief=str(comparison.total.packed))
    session.show(builds.comparison_table(comparison))
