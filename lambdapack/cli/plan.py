"""``lambdapack plan``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lambdapack.cli import deployment
from lambdapack.cli.session import Session, common
from lambdapack.errors import ConfigurationError

if TYPE_CHECKING:
    from lambdapack.deploy import FunctionOptions
    from lambdapack.pack import Pack
    from lambdapack.plan import AssetFacts, Budget, Calibrated, Comparison, Facts, Traffic, Verdict


@click.command("plan", short_help="Say whether it fits Lambda's limits.")
@click.option("--pack", "pack_directory", type=click.Path(path_type=Path), metavar="DIR",
              help="Folder of the pack.  [default: .lambdapack/build]")  # fmt: skip
@click.option("--memory", type=int, metavar="MB", help="Memory.")
@click.option("--tmp", type=int, metavar="MB", help="Ephemeral storage.")
@deployment.place_option
@deployment.allow_lacking_option
@click.option("--check", is_flag=True, help="Print what is broken and nothing else.")
@click.option("--format", "style", type=click.Choice(["text", "github"]), default="text",
              help="github: annotations for GitHub Actions besides.")  # fmt: skip
@click.option("--against", type=click.Path(exists=True, path_type=Path), metavar="BUILD",
              help="Build or build.json to measure growth from.  [default: the last but one]")  # fmt: skip
@common
def command(
    session: Session,
    pack_directory: Path | None,
    check: bool,
    style: str,
    against: Path | None,
    **given: Any,
) -> None:
    """Say whether the pack and the function fit Lambda's limits, and where each megabyte is.

    And from where the function could read its pack: S3, its zip, layers or a mount, and what that costs.
    With a [traffic] table, also what a month costs: on demand, with SnapStart, with provisioned concurrency.

    Exit status 1 when a limit of Lambda's or a bound of the [budget] table is broken, or when the function
    needs a shared library that neither the pack nor Lambda has, a runtime that Lambda takes no longer, or a
    setting that Lambda refuses: for CI.

    Where there is an earlier build to compare with, a broken budget says which distributions grew, and which
    dependency brought them in. That build is --against, or the one that the last build replaced in its
    folder, of which `lambdapack build` keeps the build.json as previous.json. [budget] growth bounds what the
    pack may grow by since then; it is not checked where there is none, as in the first build of a fresh
    folder: in CI, keep a build.json and name it.

    \b
    Examples:
      lambdapack plan
      lambdapack plan --check --format github --against baseline.json
      lambdapack plan --place zip                  # would the pack fit into the function's own zip?
      lambdapack plan --tmp 512 --json | jq '.checks[] | select(.ok | not)'
    """
    from lambdapack import pack, plan

    if session.as_json and style == "github":
        raise click.UsageError("--json and --format github cannot both be on stdout; leave one out")
    made = pack.load(pack_directory or session.build_directory)
    verdict = assessed(session, made, given, against)
    if session.as_json:
        click.echo(json.dumps(plan.document(verdict), indent=2))
    elif not session.quiet and not check:
        from lambdapack.report.verdict import verdict_tables

        session.show(verdict_tables(verdict))
    if style == "github":
        from lambdapack.report import github

        for line in github.workflow_commands(verdict):
            click.echo(line)
    plan.enforce(verdict)


def assessed(session: Session, made: Pack, given: dict[str, Any], against: Path | None = None) -> Verdict:
    """The verdict on a pack and the function that the options in ``given`` and the configuration describe."""
    from lambdapack import plan

    function = deployment.function_options(session, made.index.target, given)
    facts = _facts(session, made, function, given["allow_lacking"])
    return plan.assess(facts, _budget(session), _growth(session, made, against))


def _budget(session: Session) -> Budget:
    from lambdapack.plan import Budget

    bounds = dict(session.config.budget)
    growth = bounds.pop("growth")
    percent = float(growth.rstrip("%")) if isinstance(growth, str) else None
    megabytes = None if isinstance(growth, str) else growth
    sizes = {f"{name}_mb": bound for name, bound in bounds.items()}
    return Budget(**sizes, growth_mb=megabytes, growth_percent=percent)


def _growth(session: Session, made: Pack, against: Path | None) -> Comparison | None:
    """The build compared with an earlier one; ``None`` where none is known."""
    from lambdapack import pipeline, plan

    folder, bounded = made.path.parent, session.config.budget.growth is not None
    before = pipeline.previous(folder) if against is None else pipeline.read_built(against)
    if before is None:
        if bounded:
            session.progress.warn(
                f"[budget] growth is not checked: in {folder} no other build was replaced; name one with "
                "--against"
            )
        return None
    return plan.compare(before, pipeline.read_built(folder))


def _facts(session: Session, made: Pack, function: FunctionOptions, allowed: tuple[str, ...]) -> Facts:
    from lambdapack.model import refused_by_lambda, runtimes
    from lambdapack.pipeline import build_json
    from lambdapack.plan import Facts, LibraryFacts

    try:
        report = build_json.read(made.path.parent)
    except ConfigurationError:  # a pack that came without its report has less to tell
        report = None
    settings = function.settings
    facts = Facts(
        index=made.index,
        pack_bytes=made.path.stat().st_size,
        distributions=report.distributions if report and report.pack.id == made.id else (),
        tmp_mb=settings.tmp_mb,
        memory_mb=settings.memory_mb,
        mode="disk" if settings.environment.get("LAMBDAPACK_MODE") == "disk" else "stream",
        assets=_assets(made, function),
        timeout=settings.timeout,
        snapshot=settings.snapshot if settings.snap_start else None,
        missing=tuple(
            LibraryFacts(library.name, len(library.users), library.fatal, library.message, library.hint)
            for library in deployment.missing_libraries(session, made, allowed)
        ),
        place=function.place,
        refused=tuple(refused_by_lambda(function.name, settings, function.target)),
        today=runtimes.today(),
        region=deployment.region_of(session, None),
        traffic=_traffic(session),
        calibrated=_calibrated(session, made),
    )
    return facts if session.file is None else _with_zip(session, made, function, facts)


def _calibrated(session: Session, made: Pack) -> Calibrated | None:
    """What was measured of this very pack; else the machine's constants, with work told from the bytes."""
    from lambdapack.pipeline import calibration
    from lambdapack.plan import Calibrated, typical

    found = calibration.read(made.path.parent)
    if found is None:
        return None
    if found.pack != made.id:
        return Calibrated(found.constants, typical.work(made.index), max(found.error, typical.ERROR))
    return Calibrated(found.constants, found.work, found.error, found.imports, found.max_memory_mb)


def _traffic(session: Session) -> Traffic | None:
    """The [traffic] table; ``None`` where there is none."""
    from lambdapack.plan import Traffic

    told = session.config.traffic
    if told.invocations is None or told.duration is None:
        return None
    return Traffic(told.invocations, told.duration, told.cold, told.init, told.provisioned)


def _with_zip(session: Session, made: Pack, function: FunctionOptions, facts: Facts) -> Facts:
    """The facts, with the sizes of the zip that a deployment would send."""
    from lambdapack.files import scratch_folder
    from lambdapack.plan import in_files

    # Without its packs, which may be larger than a zip can be.
    bare = replace(function, place="s3", asset_places={})
    where, region = deployment.location_for(session, None, "local"), deployment.region_of(session, None)
    with scratch_folder() as folder:
        output = folder / "function.zip"
        bundle = deployment.package(session, bare, made, where, region=region, output=output).bundle
    zipped, layered = in_files(facts, "zip"), in_files(facts, "layer")
    return replace(
        facts,
        own_zip_bytes=bundle.size,
        own_bytes=bundle.unzipped,
        zip_bytes=bundle.size + zipped,
        unzipped_bytes=bundle.unzipped + zipped + layered,
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
                len(index.sizes), function.asset_places.get(asset.name, function.place),
                asset.name not in function.asset_places,
            )
        )  # fmt: skip
    return tuple(facts)
