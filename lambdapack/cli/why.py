"""``lambdapack why``."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lambdapack.cli.session import Session, common
from lambdapack.errors import ConfigurationError

if TYPE_CHECKING:
    from lambdapack.plan import Build


@click.command("why", short_help="Say who needs a distribution, and what it costs.")
@click.argument("distribution")
@click.option("--pack", "folder", type=click.Path(path_type=Path), metavar="BUILD",
              help="Build folder or build.json.  [default: .lambdapack/build]")  # fmt: skip
@common
def command(session: Session, distribution: str, folder: Path | None) -> None:
    """Say why DISTRIBUTION is in the pack: who needs it, its bytes, and what would go as well.

    Each distribution that needs it is shown with a shortest chain from what you asked for; extras that are
    asked for stand in brackets. What would go is what nothing else in the pack needs. Bytes of the pack are
    shares: files that are compressed together are counted in proportion, so what is saved is about that.

    \b
    Examples:
      lambdapack why numpy
      lambdapack why scipy --json | jq .saved.packed
    """
    from lambdapack import pipeline, plan
    from lambdapack.report import builds

    path = folder or session.build_directory
    build = pipeline.read_built(path)
    found = plan.reason(build, _name(distribution, build, path))
    session.emit("why", {"id": build.id, **builds.reason_document(found)}, brief=str(found.saved.packed))
    session.show(builds.reason_table(found))


def _name(given: str, build: Build, path: Path) -> str:
    """The canonical name of a distribution in the build.

    Raises:
        ConfigurationError: It is not in the pack.
    """
    from packaging.utils import canonicalize_name

    name, names = canonicalize_name(given), set(build.graph.needs)
    if name in names:
        return name
    left_out = _left_out(path).get(name)
    if left_out is not None:
        raise ConfigurationError(
            f"{name} is not in the pack: {left_out}", hint="`lambdapack build` says more"
        )
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]}?" if near else "`lambdapack plan` lists what is in the pack"
    raise ConfigurationError(f"{name} is not in the pack of {path}", hint=hint)


def _left_out(path: Path) -> dict[str, str]:
    """Name -> why a distribution that was resolved is not packed."""
    from lambdapack.pipeline import build_json

    why = {
        "excluded": "it was left out, as [build] exclude asks",
        "runtime": "it was left out, since Lambda's runtime has it",
        "unneeded": "it was left out, since only others that are left out need it",
    }
    report = build_json.read_file(path) if path.is_file() else build_json.read(path)
    return {each["name"]: why[each["why"]] for each in report.lock.get("left_out", ())}
