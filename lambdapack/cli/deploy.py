"""``lambdapack deploy``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lambdapack.cli import deployment, shifting
from lambdapack.cli.session import Session, common, stoppable

if TYPE_CHECKING:
    from lambdapack.deploy import FunctionOptions, Release
    from lambdapack.deploy.aws import Deployment
    from lambdapack.deploy.shifting import Outcome
    from lambdapack.model import FunctionSpec


@click.command("deploy", short_help="Package, push and deploy a function.")
@click.argument("name", required=False, metavar="[NAME]")
@deployment.cloud_option
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
@shifting.shift_option
@shifting.wait_option
@deployment.replicate_option
@deployment.place_option
@deployment.allow_lacking_option
@stoppable
@common
def command(session: Session, cloud: str, region: str | None, dry_run: bool, **given: Any) -> None:
    """Package the code, push the pack and deploy the function: to the embedded cloud, or to AWS.

    Deploying what is deployed already changes nothing. AWS gets no function that needs a shared library which
    neither the pack nor Lambda has: exit status 1, and nothing is changed.

    With --shift, calls go over to the new version step by step, and it is watched meanwhile: where its calls
    fail, it loses them again by itself, with exit status 1. Ctrl-C leaves a shift where it is: `lambdapack
    deploy` goes on, `lambdapack rollback` undoes it.

    \b
    Examples:
      lambdapack deploy
      lambdapack deploy hello --memory 3008 --tmp 1024
      lambdapack deploy --cloud aws --location s3://bucket/prefix --dry-run
      lambdapack deploy --cloud aws --place layer     # needs no bucket
      lambdapack deploy --cloud aws --shift canary:10%,5m
      lambdapack deploy --cloud aws --shift codedeploy:canary10percent5minutes --wait
      lambdapack deploy --shift linear:25%,10s        # in the embedded cloud
      lambdapack deploy --cloud aws --region eu-west-1 --replicate eu-west-1=s3://bucket-of-eu/prefix
    """
    from lambdapack import deploy, pack
    from lambdapack.model import runtimes

    made = pack.load(given["pack_directory"] or session.build_directory)
    function = deployment.function_options(session, made.index.target, given)
    function = deployment.with_environment_file(session, function)
    where = deployment.location_for(session, given["location"], cloud, needed="s3" in function.places)
    missing = deployment.missing_libraries(session, made, given["allow_lacking"])
    chosen = shifting.options(session, given["shift"], cloud, wait=given["wait"])
    if cloud == "aws":
        rollout = deploy.deploy(
            function, made, where, missing=missing, region=region or session.config.store.region,
            shift=chosen, replicate=deployment.replicas(session, given["replicate"]), dry_run=dry_run,
            output=session.zip_path(function.name), cache_dir=session.cache, progress=session.progress,
        )  # fmt: skip
        _show(session, rollout.release, rollout.deployment, dry_run=dry_run, where=where)
        shifting.fail_where_undone(function.name, rollout.deployment.shift)
        return
    deployment.warn_of_libraries(session, missing)
    _tell_of_aws_alone(session, function)
    due = runtimes.RUNTIMES[function.target.python].advice(runtimes.today())
    if due:
        session.progress.warn(due)
    region = deployment.region_of(session, region)
    release = deployment.package(session, function, made, where, region=region)
    from lambdapack.local import LocalCloud

    with LocalCloud(session.state, progress=session.progress, cache_dir=session.cache) as local:
        version, outcome = shifting.deploy_locally(session, local, release, chosen, dry_run=dry_run)
    _show(session, release, None, dry_run=dry_run, where=where, version=version, outcome=outcome)
    shifting.fail_where_undone(function.name, outcome)


def _tell_of_aws_alone(session: Session, function: FunctionOptions) -> None:
    """Say what the function will have in AWS and has not in the local cloud, where its code may need that."""
    unset = sorted(function.settings.secrets.keys() - function.settings.environment.keys())
    if unset:
        names = ", ".join(unset)
        session.progress.note(f"{names}: read in AWS alone, and not set here; environment-file can set them")
    if function.settings.layers:
        names = ", ".join(arn.rpartition(":layer:")[2] for arn in function.settings.layers)
        session.progress.note(f"the layers {names} are in AWS alone")


def _show(
    session: Session,
    release: Release,
    done: Deployment | None,
    *,
    dry_run: bool,
    where: str | None,
    version: str | None = None,
    outcome: Outcome | None = None,
) -> None:
    """Show what was deployed; ``done`` is what AWS was told, ``None`` for the embedded cloud."""
    spec, arn = release.spec, done.arn if done else None
    calls = done.calls if done else ()
    outcome = done.shift if done else outcome
    handover = done.handover if done else None
    document = {
        "cloud": "aws" if done else "local",
        "dry_run": dry_run,
        "name": spec.name,
        "arn": arn,
        "function_version": done.version if done else version,
        "pack": spec.pack_id,
        "assets": {asset.name: asset.pack_id for asset in spec.assets},
        "zip": {"path": str(spec.zip_path), "size": release.bundle.size},
        "layers": deployment.sizes(spec.layers),
        "calls": [{"service": call.service, "operation": call.operation, "why": call.why} for call in calls],
        "shift": shifting.document(outcome),
        "codedeploy": handover,
    }
    session.emit("deploy", document, brief=arn or spec.name)
    if done and dry_run and done.uploads:
        session.say(f"would upload {', '.join(done.uploads)} to {where}")
    for call in calls:
        session.say(f"  {call.service} {call.operation}: {call.why}")
    if outcome is not None and outcome.undone is not None:
        return
    if handover:
        session.say(handover)
    session.say(_summary(spec, release.bundle.size, version=version, to_aws=bool(done), dry_run=dry_run))
    if arn:
        session.say(arn)


def _summary(spec: FunctionSpec, size: int, *, version: str | None, to_aws: bool, dry_run: bool) -> str:
    """One line about the function; ``size`` is the zip's, in bytes."""
    from lambdapack.report.units import megabytes

    number = f"version {version}, " if version else ""
    did, where = "would deploy" if dry_run else "deployed", "AWS" if to_aws else "the local cloud"
    assets = "".join(f"asset {asset.name} {asset.pack_id[:12]}, " for asset in spec.assets)
    layers = "".join(f"{megabytes(path.stat().st_size)} layer, " for path in spec.layers)
    return (
        f"{did} {spec.name} to {where}: {number}{megabytes(size)} zip, {layers}"
        f"pack {(spec.pack_id or '')[:12]}, {assets}"
        f"{spec.settings.memory_mb} MB memory, {spec.settings.tmp_mb} MB /tmp"
        f"{', SnapStart' if spec.settings.snap_start else ''}"
    )
