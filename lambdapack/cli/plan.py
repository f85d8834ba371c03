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
    from lambdapack.plan import AssetFacts, Calibration, Comparison, Facts, Graph, Traffic, Verdict


@click.command("plan", short_help="Say whether it fits Lambda's limits.")
@click.argument("requirements", nargs=-1, metavar="[REQ]...")
@click.option("-r", "--requirement", "files", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
              help="Estimate for the requirements in FILE, as build takes them.")  # fmt: skip
@click.option("--extra", "extras", multiple=True, metavar="NAME", help="Take an extra of the project too.")
@click.option("--group", "groups", multiple=True, metavar="NAME", help="Take a dependency group too.")
@click.option("--python", metavar="X.Y", help="Lambda's Python, for an estimate.")
@click.option("--arch", type=click.Choice(["x86_64", "arm64"]), help="The processor, for an estimate.")
@click.option("--glibc", metavar="2.N", help="Newest C library that wheels may ask for.")
@click.option("--exclude", multiple=True, metavar="NAME", help="Leave a distribution out, for an estimate.")
@click.option("--runtime-provided/--no-runtime-provided", default=None,
              help="Leave out what Lambda's runtime has, for an estimate.")  # fmt: skip
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
    *,
    requirements: tuple[str, ...],
    pack_directory: Path | None,
    check: bool,
    style: str,
    against: Path | None,
    **given: Any,
) -> None:
    """Say whether the pack and the function fit Lambda's limits, and where each megabyte is.

    For requirements, or where nothing is built yet, it is an estimate: the requirements are resolved, of each
    wheel the directory is read without the wheel, and nothing is written but the cache. Sizes of the pack are
    usually within 10 % of what a build gives; the function's own code is not counted.

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
      lambdapack plan torch --python 3.12          # before anything is built: an estimate
      lambdapack plan --tmp 512 --json | jq '.checks[] | select(.ok | not)'
    """
    from lambdapack import pack, plan

    if session.as_json and style == "github":
        raise click.UsageError("--json and --format github cannot both be on stdout; leave one out")
    if _is_estimate(session, requirements, pack_directory, given):
        if against is not None or session.config.budget.growth is not None:
            session.progress.warn("[budget] growth is not checked: it is of builds, and this is an estimate")
        verdict = _judged(session, _estimate(session, requirements, given))
    else:
        verdict = assessed(session, pack.load(pack_directory or session.build_directory), given, against)
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
    function = deployment.function_options(session, made.index.target, given)
    facts = _facts(session, made, function, given["allow_lacking"])
    return _judged(session, facts, _growth(session, made, against))


def _judged(session: Session, facts: Facts, growth: Comparison | None = None) -> Verdict:
    from lambdapack import plan

    budget = plan.budget(dict(session.config.budget), traffic=facts.traffic is not None)
    return plan.assess(facts, budget, growth)


def _is_estimate(
    session: Session, requirements: tuple[str, ...], pack_directory: Path | None, given: dict[str, Any]
) -> bool:
    """Whether nothing is built that the plan could be of."""
    named = bool(requirements or given["files"])
    if named and pack_directory is not None:
        raise click.UsageError("a plan is of a pack or of requirements; leave --pack or the requirements out")
    if named or pack_directory is not None:
        return named
    if (session.build_directory / "build.json").is_file() or any(session.build_directory.glob("*.tar.zst")):
        return False
    from lambdapack.lock import discover

    build = session.config.build
    return bool(build.requirements or build.files or discover(session.root)[0])


def _estimate(session: Session, requirements: tuple[str, ...], given: dict[str, Any]) -> Facts:
    """The facts of what a build of the requirements would give."""
    from lambdapack import pipeline
    from lambdapack.cli.build import build_options

    options = build_options(session, requirements, given)
    if not (requirements or given["files"]):
        session.progress.note(f"nothing is built in {session.build_directory}: this is an estimate")
    facts = pipeline.estimate(options, cache_dir=session.cache, progress=session.progress)
    function = deployment.function_options(session, str(options.target), given)
    return _with_function(session, replace(facts, assets=_unpacked_assets(session, function)), function)


def _unpacked_assets(session: Session, function: FunctionOptions) -> tuple[AssetFacts, ...]:
    """The assets as their files are: what compression saves is not known before."""
    from lambdapack.plan import AssetFacts

    facts = []
    for name, asset in session.config.assets.items():
        path = session.root / asset.path
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        size = sum(file.stat().st_size for file in files if file.is_file())
        place = function.asset_places.get(name, function.place)
        follows = name not in function.asset_places
        facts.append(AssetFacts(name, asset.fetch, size, size, size, len(files), place, follows))
    return tuple(facts)


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
    from lambdapack.pipeline import build_json
    from lambdapack.plan import Facts, LibraryFacts

    try:
        report = build_json.read(made.path.parent)
    except ConfigurationError:  # a pack that came without its report has less to tell
        report = None
    known = report is not None and report.pack.id == made.id
    facts = Facts(
        index=made.index,
        pack_bytes=made.path.stat().st_size,
        distributions=report.distributions if report and known else (),
        assets=asset_facts(made, function),
        missing=tuple(
            LibraryFacts(library.name, len(library.users), library.fatal, library.message, library.hint)
            for library in deployment.missing_libraries(session, made, allowed)
        ),
        graph=_graph(made) if known else None,
        calibrated=_calibrated(made),
    )
    facts = _with_function(session, facts, function)
    return facts if session.file is None else _with_zip(session, made, function, facts)


def _graph(made: Pack) -> Graph | None:
    """Who needs whom in a pack; ``None`` where its report says too little."""
    from lambdapack import pipeline

    try:
        return pipeline.read_built(made.path.parent).graph
    except ConfigurationError:
        return None


def _with_function(session: Session, facts: Facts, function: FunctionOptions) -> Facts:
    """The facts of a pack, and of the function that has the pack."""
    from lambdapack.model import refused_by_lambda, runtimes

    settings = function.settings
    return replace(
        facts,
        tmp_mb=settings.tmp_mb,
        memory_mb=settings.memory_mb,
        mode="disk" if settings.environment.get("LAMBDAPACK_MODE") == "disk" else "stream",
        timeout=settings.timeout,
        snapshot=settings.snapshot if settings.snap_start else None,
        place=function.place,
        refused=tuple(refused_by_lambda(function.name, settings, function.target)),
        today=runtimes.today(),
        region=deployment.region_of(session, None),
        traffic=_traffic(session),
    )


def _calibrated(made: Pack) -> Calibration | None:
    """What was measured of this very pack; else the machine's constants, with work told from the bytes."""
    from lambdapack.pipeline import calibration
    from lambdapack.plan import Calibration, typical

    found = calibration.read(made.path.parent)
    if found is None:
        return None
    if found.pack != made.id:
        return Calibration(found.constants, typical.work(made.index), max(found.error, typical.ERROR))
    return Calibration(found.constants, found.work, found.error, found.imports, found.max_memory_mb)


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


def asset_facts(made: Pack, function: FunctionOptions) -> tuple[AssetFacts, ...]:
    """The assets that were built beside a pack, each with its place."""
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
