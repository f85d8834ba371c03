"""``lambdapack plan``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lambdapack.cli.deployment import (
    allow_lacking_option,
    function_options,
    location_for,
    missing_libraries,
    region_of,
)
from lambdapack.cli.session import Session, common
from lambdapack.errors import ConfigurationError

if TYPE_CHECKING:
    from lambdapack.deploy import FunctionOptions
    from lambdapack.pack import Pack
    from lambdapack.plan import AssetFacts, Budget, Facts


@click.command("plan", short_help="Say whether it fits Lambda's limits.")
@click.option("--pack", "pack_directory", type=click.Path(path_type=Path), metavar="DIR",
              help="Folder of the pack.  [default: .lambdapack/build]")  # fmt: skip
@click.option("--memory", type=int, metavar="MB", help="Memory.")
@click.option("--tmp", type=int, metavar="MB", help="Ephemeral storage.")
@allow_lacking_option
@common
def command(pack_directory: Path | None, allow_lacking: tuple[str, ...], **given: Any) -> None:
    """Say whether the pack and the function fit Lambda's limits, and where each megabyte is.

    Exit status 1 when a limit of Lambda's or a bound of the [budget] table is broken, or when the function
    needs a shared library that neither the pack nor Lambda has, for CI.

    \b
    Examples:
      lambdapack plan
      lambdapack plan --tmp 512 --json | jq '.checks[] | select(.ok | not)'
    """
    session = Session.open(given["config"], as_json=given["as_json"], quiet=given["quiet"])
    from lambdapack import pack, plan

    made = pack.load(pack_directory or session.build_directory)
    function = function_options(session, made.index.target, given)
    verdict = plan.assess(_facts(session, made, function, allow_lacking), _budget(session))
    if session.as_json:
        click.echo(json.dumps(plan.document(verdict), indent=2))
    elif not session.quiet:
        from lambdapack.report.verdict import verdict_tables

        session.show(verdict_tables(verdict))
    plan.enforce(verdict)


def _facts(session: Session, made: Pack, function: FunctionOptions, allowed: tuple[str, ...]) -> Facts:
    from lambdapack.pipeline import build_json
    from lambdapack.plan import Facts, LibraryFacts

    try:
        report = build_json.read(made.path.parent)
    except ConfigurationError:  # a pack that came without its report has less to tell
        report = None
    zipped = unzipped = None
    if session.file is not None:
        zipped, unzipped = _zip(session, made, function)
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
            for library in missing_libraries(session, made, allowed)
        ),
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


def _zip(session: Session, made: Pack, function: FunctionOptions) -> tuple[int, int]:
    """Sizes of the function's zip, packed and unpacked: what a deployment would send."""
    from lambdapack import deploy, store

    location, region = location_for(session, None, "local"), region_of(session, None)
    bundle = deploy.package(
        function, made, lambda pack_id: store.locate(location, pack_id, region),
        output=session.zip_path(function.name), cache_dir=session.cache, progress=session.progress,
    ).bundle  # fmt: skip
    return bundle.size, bundle.unzipped


def _budget(session: Session) -> Budget:
    from lambdapack.plan import Budget

    own = session.config.budget
    return Budget(
        pack_mb=own.pack, hot_mb=own.hot, slimmed_mb=own.slimmed, tmp_mb=own.tmp, zip_mb=own.zip,
        assets_mb=own.assets,
    )  # fmt: skip
