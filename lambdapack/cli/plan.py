"""``lambdapack plan``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lambdapack.cli import deployment
from lambdapack.cli.session import Session, common
from lambdapack.errors import ConfigurationError

if TYPE_CHECKING:
    from lambdapack.deploy import FunctionOptions
    from lambdapack.pack import Pack
    from lambdapack.plan import AssetFacts, Facts


@click.command("plan", short_help="Say whether it fits Lambda's limits.")
@click.option("--pack", "pack_directory", type=click.Path(path_type=Path), metavar="DIR",
              help="Folder of the pack.  [default: .lambdapack/build]")  # fmt: skip
@click.option("--memory", type=int, metavar="MB", help="Memory.")
@click.option("--tmp", type=int, metavar="MB", help="Ephemeral storage.")
@deployment.allow_lacking_option
@common
def command(session: Session, pack_directory: Path | None, **given: Any) -> None:
    """Say whether the pack and the function fit Lambda's limits, and where each megabyte is.

    Exit status 1 when a limit of Lambda's or a bound of the [budget] table is broken, or when the function
    needs a shared library that neither the pack nor Lambda has, or a runtime that Lambda takes no longer: for
    CI.

    \b
    Examples:
      lambdapack plan
      lambdapack plan --tmp 512 --json | jq '.checks[] | select(.ok | not)'
    """
    from lambdapack import pack, plan

    made = pack.load(pack_directory or session.build_directory)
    function = deployment.function_options(session, made.index.target, given)
    budget = plan.Budget(**{f"{name}_mb": bound for name, bound in session.config.budget})
    verdict = plan.assess(_facts(session, made, function, given["allow_lacking"]), budget)
    if session.as_json:
        click.echo(json.dumps(plan.document(verdict), indent=2))
    elif not session.quiet:
        from lambdapack.report.verdict import verdict_tables

        session.show(verdict_tables(verdict))
    plan.enforce(verdict)


def _facts(session: Session, made: Pack, function: FunctionOptions, allowed: tuple[str, ...]) -> Facts:
    from lambdapack.model import runtimes
    from lambdapack.pipeline import build_json
    from lambdapack.plan import Facts, LibraryFacts

    try:
        report = build_json.read(made.path.parent)
    except ConfigurationError:  # a pack that came without its report has less to tell
        report = None
    zipped = unzipped = None
    if session.file is not None:
        where = deployment.location_for(session, None, "local")
        region = deployment.region_of(session, None)
        # What a deployment would send.
        bundle = deployment.package(session, function, made, where, region=region).bundle
        zipped, unzipped = bundle.size, bundle.unzipped
    settings = function.settings
    return Facts(
        index=made.index,
        pack_bytes=made.path.stat().st_size,
        distributions=report.distributions if report and report.pack.id == made.id else (),
        zip_bytes=zipped,
        unzipped_bytes=unzipped,
        tmp_mb=settings.tmp_mb,
        memory_mb=settings.memory_mb,
        mode="disk" if settings.environment.get("LAMBDAPACK_MODE") == "disk" else "stream",
        assets=_assets(made, function),
        missing=tuple(
            LibraryFacts(library.name, len(library.users), library.fatal, library.message, library.hint)
            for library in deployment.missing_libraries(session, made, allowed)
        ),
        today=runtimes.today(),
    )


def _assets(made: Pack, function: FunctionOptions) -> tuple[AssetFacts, ...]:
    from lambdapack import pack
    from lambdapack.pack import assets
    from lambdapack.plan import AssetFacts

    facts = []
    for asset in assets.placed(made.path.parent, lambda _: None, function.assets):
        index = pack.read_index(asset.pack)[1]
        facts.append(
            AssetFacts(
                asset.name, asset.fetch, sum(index.frame_stored), index.frame_start[-1], sum(index.sizes),
                len(index.sizes),
            )
        )  # fmt: skip
    return tuple(facts)
