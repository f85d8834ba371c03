"""Deploying to AWS: observe, plan, execute.

::

    observe (reads)  ->  plan (pure)  ->  execute (writes)

A dry run is the first two. Nothing is kept between runs: an interrupted deployment is completed by the next
one, which observes how far the interrupted one came.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from lambdapack.deploy import checks
from lambdapack.deploy.aws import codedeploy, moving, planner, secrets, unmanaged
from lambdapack.deploy.aws.clients import Clients
from lambdapack.deploy.aws.encryption import with_keys
from lambdapack.deploy.aws.errors import errors_of_aws
from lambdapack.deploy.aws.executor import execute
from lambdapack.deploy.aws.models import ALIAS, ApiCall, AwsState, Deployment
from lambdapack.deploy.aws.observer import observe, provisioned
from lambdapack.deploy.aws.planner import plan_stages
from lambdapack.deploy.aws.probe import try_reading
from lambdapack.deploy.aws.provisioned import observe_ready
from lambdapack.deploy.aws.surroundings import check_surroundings
from lambdapack.deploy.shifting import Clock, ShiftOptions
from lambdapack.errors import ConfigurationError, LambdapackError
from lambdapack.model import Files, FunctionSpec, Location, runtimes
from lambdapack.progress import QUIET, Progress
from lambdapack.store import Store
from lambdapack.store.aws_errors import code_of


class _RequiredPack(NamedTuple):
    """A pack that a function reads: a person's words for it, its id, its file here, its place in S3."""

    what: str
    id: str
    file: Path | None
    location: Location


@dataclass(frozen=True)
class Answer:
    """What an invocation gave.

    Attributes:
        payload: The function's answer, JSON.
        error: Whether the function failed.
        version: The version that ran.
        log: The last 4 kB of its log, with Lambda's REPORT line.
    """

    payload: bytes
    error: bool
    version: str
    log: str


def deploy(
    spec: FunctionSpec,
    *,
    dry_run: bool = False,
    pack: Path | None = None,
    store: Store | None = None,
    shift: ShiftOptions | None = None,
    clients: Clients,
    today: date | None = None,
    clock: Clock | None = None,
    progress: Progress = QUIET,
) -> Deployment:
    """Make AWS what ``spec`` says, and call only for what differs. Checks come before whatever is sent.

    Args:
        spec: The function.
        dry_run: Pass the same checks, and say what would be sent and called.
        pack: The pack on this machine, where this machine has it.
        store: Where to send the packs that are not there yet; ``None``: all of them are there.
        shift: How calls go over to the new version; ``None``: all at once, or as a shift in progress does.
        clients: Whom to call.
        today: The day that the runtime's end is measured against; ``None`` for today.
        clock: What a shift is timed by; ``None`` for this machine's.
        progress: Where to report to.

    Raises:
        ConfigurationError: A setting or a runtime that Lambda does not take, or the pack is not where
            ``spec`` says.
        CheckError: The pack would not load on this runtime.
        ToolError: AWS refused or was not reached.
    """
    checks.check_spec(spec)
    checks.check_glibc(spec, checks.packed_index(spec.zip_path), pack)
    spec = secrets.resolve(spec, clients, progress)
    checks.check_spec(spec)
    observed = observe(
        spec.name, clients, layers=planner.layer_names(spec), settings=spec.settings, progress=progress
    )
    _check_change(spec, observed, clients, today, progress)
    packs = _packs_of(spec, pack)
    observed = with_keys(observed, [required.location for required in packs], clients)
    options = shift or ShiftOptions()
    going_on = moving.going_on(spec.name, observed, options, clients, progress)
    move = moving.AliasMove(spec, plan_stages(spec, observed), observed, options, going_on)
    move.check(clients)
    planned = move.planned(clients)
    unseen = bool(planned) and check_surroundings(spec, observed, clients, progress)
    _tell_of_mounts(spec, progress)
    unmanaged.tell(spec, observed, clients, progress)
    uploads = _send_packs(packs, store, observed, clients, dry_run=dry_run, progress=progress)
    moved = moving.Moved(planned)
    if unseen and packs and not dry_run:
        try_reading(spec, [required.location for required in packs], clients, progress)
    if not dry_run:
        with secrets.kept_out_of_errors(spec):
            moved = move.carry_out(clients, progress=progress, clock=clock)
        observed = observe(spec.name, clients, progress=progress) if moved.calls else observed
    done = _deployment(spec.name, observed, moved.calls)
    handover = None if moved.handover is None else str(moved.handover)
    return replace(done, uploads=uploads, shift=moved.outcome, handover=handover)


def _check_change(
    spec: FunctionSpec, observed: AwsState, clients: Clients, today: date | None, progress: Progress
) -> None:
    """Refuse what AWS takes for other functions, or took for this one, and would not take of it now."""
    # With provisioned = 0 it goes before the alias moves.
    if spec.settings.snap_start and observed.alias is not None and spec.settings.provisioned != 0:
        _refuse_provisioned(spec.name, clients)
    new = observed.function is None
    due = runtimes.check(spec.target.python, f"deploying {spec.name}", on=today, new=new)
    if due:
        progress.warn(due)


def _refuse_provisioned(name: str, clients: Clients) -> None:
    if count := provisioned(name, clients):
        raise ConfigurationError(
            f"deploying {name} with snap-start: {name}:{ALIAS} has provisioned concurrency for {count} "
            "environments, and AWS does not take both for one version",
            hint="set provisioned = 0 in [function], which removes it, or leave snap-start out",
        )


def rollback(
    name: str,
    to: str | None = None,
    *,
    dry_run: bool = False,
    clients: Clients,
    progress: Progress = QUIET,
) -> Deployment:
    """Point ``live`` at version ``to``, or at the version published before the current one.

    Code and pack go back together, since a version's zip names its pack.

    Raises:
        ConfigurationError: There is no such version, or its pack is gone from S3.
        ToolError: AWS refused or was not reached.
    """
    observed = _with_provisioned(name, observe(name, clients, progress=progress), clients, progress)
    observed = with_keys(observed, [pack for each in observed.versions for pack in each.packs], clients)
    calls = planner.plan_rollback(name, observed, to)
    target = next(
        (call.parameters["FunctionVersion"] for call in calls if call.operation == "update_alias"),
        observed.alias,
    )
    version = observed.version(str(target))
    if version is not None:
        packs = {"the pack": version.pack} if version.pack is not None else {}
        packs |= {f"the asset {asset}": location for asset, location in version.assets.items()}
        _check_packs(packs, observed, clients, progress)
    going_on = moving.going_on(name, observed, ShiftOptions(), clients, progress)
    stop = () if going_on is None else (codedeploy.stop(going_on),)
    if not dry_run:
        if stop:
            execute(stop, clients, progress=progress)
            codedeploy.wait_until_idle(name, clients, progress=progress)
        execute(calls, clients, progress=progress)
        observed = replace(observed, alias=target)
    return _deployment(name, observed, (*stop, *calls))


def _with_provisioned(name: str, observed: AwsState, clients: Clients, progress: Progress) -> AwsState:
    """``observed`` with its provisioned concurrency; a rollback does without where that is not shown."""
    if observed.function is None:
        return observed
    try:
        return observe_ready(name, observed, clients)
    except LambdapackError as error:
        progress.warn(f"provisioned concurrency stays where it is: {error}")
        return observed


def destroy(name: str, *, dry_run: bool = False, clients: Clients, progress: Progress = QUIET) -> Deployment:
    """Remove the function, the roles made for it, its CodeDeploy and its log group; packs stay."""
    observed = observe(name, clients, progress=progress)
    calls = (*codedeploy.removal(name, observed.account, clients), *planner.plan_destroy(name, observed))
    if not dry_run:
        execute(calls, clients, progress=progress)
    return Deployment(name, None, None, calls=calls)


def invoke(name: str, payload: bytes, *, qualifier: str = ALIAS, clients: Clients) -> Answer:
    """Call the function and wait for its answer.

    Raises:
        ConfigurationError: There is no such function.
        ToolError: AWS refused or was not reached.
    """
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow

    with errors_of_aws(f"invoking {name}", action="lambda:InvokeFunction", resource=name):
        try:
            answer: Mapping[str, Any] = clients["lambda"].invoke(
                FunctionName=name, Qualifier=qualifier, Payload=payload, LogType="Tail"
            )
            body = answer["Payload"].read()
        except ClientError as error:
            if code_of(error) == "ResourceNotFoundException":
                raise ConfigurationError(
                    f"invoking {name}: there is no {name}:{qualifier} in {clients.region}",
                    hint="lambdapack deploy",
                ) from error
            raise
    log = base64.b64decode(answer.get("LogResult", "")).decode(errors="replace")
    return Answer(body, "FunctionError" in answer, str(answer.get("ExecutedVersion", "")), log)


def _deployment(name: str, observed: AwsState, calls: tuple[ApiCall, ...]) -> Deployment:
    version = observed.version(observed.alias) if observed.alias else None
    arn = f"{observed.arn}:{ALIAS}" if observed.arn and version else None
    return Deployment(
        name, arn, version.number if version else None, version.pack_id if version else None, calls
    )


def _packs_of(spec: FunctionSpec, pack: Path | None) -> list[_RequiredPack]:
    """The packs that the function reads; ``checks.check_spec`` has seen to it that each has its place."""
    packs = []
    if spec.pack_id is not None and isinstance(spec.location, Location):
        packs.append(_RequiredPack("the pack", spec.pack_id, pack, spec.location))
    for asset in spec.assets:
        if isinstance(asset.location, Location):
            packs.append(_RequiredPack(f"the asset {asset.name}", asset.pack_id, asset.pack, asset.location))
    return packs


def _tell_of_mounts(spec: FunctionSpec, progress: Progress) -> None:
    """Say which packs somebody has to put onto the file system that the function mounts."""
    named = {"the pack": spec.location} | {f"the asset {a.name}": a.location for a in spec.assets}
    for what, location in named.items():
        if isinstance(location, Files) and location.place == "mount":
            progress.note(
                f"{what} is read from {location.parts[0][0]}: lambdapack push DIR FOLDER puts it there, with "
                "the file system mounted on FOLDER; for S3 Files, push to its bucket"
            )


def _send_packs(
    packs: Sequence[_RequiredPack],
    store: Store | None,
    observed: AwsState,
    clients: Clients,
    *,
    dry_run: bool,
    progress: Progress,
) -> tuple[str, ...]:
    """Send the packs that the store lacks, and refuse where one is not in S3 then; which were lacking."""
    uploads = () if store is None else _upload(packs, store, dry_run, progress)
    locations = {required.what: required.location for required in packs}
    _check_packs(locations, observed, clients, progress, unsent=uploads if dry_run else ())
    return uploads


def _upload(
    packs: Iterable[_RequiredPack], store: Store, dry_run: bool, progress: Progress
) -> tuple[str, ...]:
    """Send the packs that the store lacks, or in a dry run say which those are."""
    if dry_run:
        return tuple(required.what for required in packs if not store.exists(required.id))
    return tuple(
        required.what
        for required in packs
        if required.file is not None and store.push(required.file, required.id, progress=progress)
    )


def _check_packs(
    locations: Mapping[str, Location],
    observed: AwsState,
    clients: Clients,
    progress: Progress,
    *,
    unsent: Collection[str] = (),
) -> None:
    """Refuse where a pack is not in S3, but for those that a dry run has not sent; warn of long ways."""
    for what, location in locations.items():
        if what not in unsent:
            _check_pack(what, location, clients, progress)
        _warn_of_distance(what, location, observed, progress)


def _check_pack(what: str, location: Location, clients: Clients, progress: Progress) -> None:
    """Refuse where the pack is not in S3, as far as these credentials may know."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow

    where = f"s3://{location.bucket}/{location.key}"
    with errors_of_aws(f"looking for {what} at {where}", action="s3:GetObject", resource=where):
        try:
            clients["s3"].head_object(Bucket=location.bucket, Key=location.key)
        except ClientError as error:
            code = code_of(error)
            if code in ("404", "NoSuchKey", "NoSuchBucket"):
                raise ConfigurationError(
                    f"{what} is not at {where}, where the function would look for it",
                    hint="lambdapack push puts it there",
                ) from error
            if code not in ("403", "AccessDenied"):
                raise
            # The function reads the pack with a role of its own, so this is no failure yet.
            progress.warn(f"cannot check that {what} is at {where}: no permission to read it")


def _warn_of_distance(what: str, location: Location, observed: AwsState, progress: Progress) -> None:
    if location.region != observed.account.region:
        progress.warn(
            f"{what} is in {location.region} and the function in "
            f"{observed.account.region}: each cold start pays for the distance, in time and in transfer"
        )
