"""``lambdapack deploy``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lambdapack.cli.deployment import (
    allow_lacking_option,
    clients,
    cloud_option,
    function_assets,
    function_options,
    location_for,
    missing_libraries,
    region_of,
    warn_of_libraries,
)
from lambdapack.cli.session import Session, common

if TYPE_CHECKING:
    from lambdapack.deploy import FunctionOptions, Release
    from lambdapack.deploy.aws import ApiCall
    from lambdapack.pack import Pack


@click.command("deploy", short_help="Package, push and deploy a function.")
@click.argument("name", required=False, metavar="[NAME]")
@cloud_option
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@click.option("--pack", "pack_directory", type=click.Path(path_type=Path), metavar="DIR",
              help="Folder of the pack.  [default: .lambdapack/build]")  # fmt: skip
@click.option("--source", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR",
              help="Folder with the function's code.")  # fmt: skip
@click.option("--handler", metavar="MODULE.FUNCTION", help="The function's handler.")
@click.option("--memory", type=int, metavar="MB", help="Memory.")
@click.option("--tmp", type=int, metavar="MB", help="Ephemeral storage.")
@click.option("--timeout", type=int, metavar="S", help="Seconds that an invocation may take.")
@click.option("--role", metavar="ARN", help="An existing role.  [default: one is made]")
@click.option("--location", metavar="s3://BUCKET/PREFIX", help="Where the pack is kept.")
@allow_lacking_option
@common
def command(
    cloud: str,
    region: str | None,
    dry_run: bool,
    pack_directory: Path | None,
    location: str | None,
    **given: Any,
) -> None:
    """Package the code, push the pack and deploy the function: to the embedded cloud, or to AWS.

    Deploying what is deployed already changes nothing. AWS gets no function that needs a shared library which
    neither the pack nor Lambda has: exit status 1, and nothing is changed.

    \b
    Examples:
      lambdapack deploy
      lambdapack deploy hello --memory 3008 --tmp 1024
      lambdapack deploy --cloud aws --location s3://bucket/prefix --dry-run
    """
    session = Session.open(given["config"], as_json=given["as_json"], quiet=given["quiet"])
    from lambdapack import deploy, pack

    made = pack.load(pack_directory or session.build_directory)
    function = function_options(session, made.index.target, given)
    where = location_for(session, location, cloud)
    _look_for_libraries(session, function, made, given["allow_lacking"], cloud)
    if cloud == "aws":
        _to_aws(session, function, made, where, region=region, dry_run=dry_run)
        return
    bucket_region = region_of(session, region)
    assets = function_assets(session, made, lambda pack_id: deploy.locate(where, pack_id, bucket_region))
    ready = deploy.prepare(
        function, made, deploy.locate(where, made.id, bucket_region), assets=assets,
        output=session.zip_path(function.name), cache_dir=session.cache, progress=session.progress,
    )  # fmt: skip
    if not dry_run:
        _to_local(session, ready)
    _show(session, ready, cloud="local", dry_run=dry_run)


def _look_for_libraries(
    session: Session, function: FunctionOptions, made: Pack, allowed: Sequence[str], cloud: str
) -> None:
    """Refuse for AWS what would fail there; the embedded cloud has what this machine has."""
    from lambdapack.install import syslibs

    missing = missing_libraries(session, made, allowed)
    if cloud == "local":
        warn_of_libraries(session, missing)
        return
    syslibs.refuse(missing, f"deploying {function.name}")
    if missing:
        wanted = syslibs.in_short({one.name: one.users for one in missing})
        session.progress.warn(f"neither the pack nor Lambda has {wanted}: `lambdapack plan` says more")


def _to_local(session: Session, ready: Release) -> None:
    from lambdapack.local import LocalCloud

    with LocalCloud(session.state, progress=session.progress, cache_dir=session.cache) as cloud:
        cloud.deploy(ready.spec, ready.pack.path)


def _to_aws(
    session: Session, function: FunctionOptions, made: Pack, where: str, *, region: str | None, dry_run: bool
) -> None:
    from lambdapack import deploy, store
    from lambdapack.deploy import aws

    kept = store.open_store(where, region=region or session.config.store.region)
    assets = function_assets(session, made, kept.location)
    ready = deploy.prepare(
        function, made, kept.location(made.id), assets=assets, output=session.zip_path(function.name),
        cache_dir=session.cache, progress=session.progress,
    )  # fmt: skip
    called = clients(session, region)
    packs = {"the pack": (made.id, made.path)}
    packs.update((f"the asset {one.name}", (one.pack_id, one.pack)) for one in assets)
    if dry_run and (absent := [what for what, (pack_id, _) in packs.items() if not kept.exists(pack_id)]):
        observed = aws.observe(ready.spec.name, called, progress=session.progress)
        calls: Sequence[ApiCall] = aws.plan(ready.spec, observed, aws.Options())
        session.say(f"would upload {', '.join(absent)} to {where}")
        _show(session, ready, cloud="aws", dry_run=True, calls=calls)
        return
    if not dry_run:
        for pack_id, path in packs.values():
            kept.push(path, pack_id, progress=session.progress)
    done = aws.deploy(ready.spec, dry_run=dry_run, pack=made.path, clients=called, progress=session.progress)
    _show(session, ready, cloud="aws", dry_run=dry_run, arn=done.arn, calls=done.calls, version=done.version)


def _show(
    session: Session,
    ready: Release,
    *,
    cloud: str,
    dry_run: bool,
    arn: str | None = None,
    calls: Sequence[ApiCall] = (),
    version: str | None = None,
) -> None:
    spec = ready.spec
    if session.as_json:
        session.emit(
            "deploy",
            {
                "cloud": cloud,
                "dry_run": dry_run,
                "name": spec.name,
                "arn": arn,
                "function_version": version,
                "pack": spec.pack_id,
                "assets": {one.name: one.pack_id for one in spec.assets},
                "zip": {"path": str(spec.zip_path), "size": ready.bundle.size},
                "calls": [
                    {"service": call.service, "operation": call.operation, "why": call.why} for call in calls
                ],
            },
        )
        return
    for call in calls:
        session.say(f"  {call.service} {call.operation}: {call.why}")
    if session.quiet:
        click.echo(arn or spec.name)
        return
    from lambdapack.report.units import megabytes

    done = "would deploy" if dry_run else "deployed"
    session.say(
        f"{done} {spec.name} to {'AWS' if cloud == 'aws' else 'the local cloud'}: "
        f"{megabytes(ready.bundle.size)} zip, pack {(spec.pack_id or '')[:12]}, "
        f"{''.join(f'asset {one.name} {one.pack_id[:12]}, ' for one in spec.assets)}"
        f"{spec.memory_mb} MB memory, {spec.tmp_mb} MB /tmp"
    )
    if arn:
        session.say(arn)
