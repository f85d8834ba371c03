"""Deploying to AWS: observe, plan, execute.

::

    observe (reads)  ->  plan (pure)  ->  execute (writes)

A dry run is the first two. Nothing is kept between runs: an interrupted deployment is mended by the next
one, which sees how far it came.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lambdapack.deploy import checks
from lambdapack.deploy.aws import planner
from lambdapack.deploy.aws.clients import Clients
from lambdapack.deploy.aws.errors import errors_of_aws
from lambdapack.deploy.aws.executor import execute
from lambdapack.deploy.aws.models import ALIAS, ApiCall, Deployment, Observed, Options
from lambdapack.deploy.aws.observer import observe
from lambdapack.deploy.aws.planner import plan
from lambdapack.errors import ConfigurationError
from lambdapack.model import FunctionSpec, Location
from lambdapack.progress import QUIET, Progress
from lambdapack.store.aws_errors import code_of

__all__ = ["Answer", "deploy", "destroy", "invoke", "rollback", "status"]

_DEFAULT_OPTIONS = Options()


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
    options: Options = _DEFAULT_OPTIONS,
    dry_run: bool = False,
    pack: Path | None = None,
    clients: Clients | None = None,
    progress: Progress = QUIET,
) -> Deployment:
    """Make AWS what ``spec`` says; with nothing to change, call nothing.

    Args:
        spec: The function.
        options: Log retention, and where a large zip goes.
        dry_run: Plan only.
        pack: The pack on this machine, if it is here: makes one error message more precise.
        clients: Whom to call; by default as the environment says.
        progress: Where to report to.

    Raises:
        ConfigurationError: A setting that Lambda does not take, or the pack is not where ``spec`` says.
        CheckError: The pack would not load on this runtime.
        ToolError: AWS refused or was not reached.
    """
    checks.check_spec(spec)
    checks.check_glibc(spec, checks.packed_index(spec.zip_path), pack)
    clients = clients or Clients()
    observed = observe(spec.name, clients, progress=progress)
    if spec.location is not None:
        _check_pack(spec.location, observed, clients, progress)
    for asset in spec.assets:
        if asset.location is not None:
            _check_pack(asset.location, observed, clients, progress, what=f"the asset {asset.name}")
    calls = plan(spec, observed, options)
    if dry_run:
        return _deployment(spec.name, observed, calls)
    execute(calls, clients, progress=progress)
    after = observe(spec.name, clients, progress=progress) if calls else observed
    return _deployment(spec.name, after, calls)


def status(name: str, *, clients: Clients | None = None, progress: Progress = QUIET) -> Observed:
    """What is in AWS under that name; ``function`` is ``None`` if it is not deployed."""
    return observe(name, clients or Clients(), progress=progress)


def rollback(
    name: str,
    to: str | None = None,
    *,
    dry_run: bool = False,
    clients: Clients | None = None,
    progress: Progress = QUIET,
) -> Deployment:
    """Point ``live`` at version ``to``, or at the version published before the current one.

    Code and pack go back together, since a version's zip names its pack.

    Raises:
        ConfigurationError: There is no such version, or its pack is gone from S3.
        ToolError: AWS refused or was not reached.
    """
    clients = clients or Clients()
    observed = observe(name, clients, progress=progress)
    calls = planner.plan_rollback(name, observed, to)
    target = next(
        (call.parameters["FunctionVersion"] for call in calls if call.service == "lambda"), observed.alias
    )
    version = observed.version(str(target))
    if version is not None and version.pack is not None:
        _check_pack(version.pack, observed, clients, progress)
        for asset, location in version.assets.items():
            _check_pack(location, observed, clients, progress, what=f"the asset {asset}")
    if not dry_run:
        execute(calls, clients, progress=progress)
        observed = replace(observed, alias=target)
    return _deployment(name, observed, calls)


def destroy(
    name: str, *, dry_run: bool = False, clients: Clients | None = None, progress: Progress = QUIET
) -> Deployment:
    """Remove the function, the role made for it and its log group; packs stay.

    Raises:
        ToolError: AWS refused or was not reached.
    """
    clients = clients or Clients()
    calls = planner.plan_destroy(name, observe(name, clients, progress=progress))
    if not dry_run:
        execute(calls, clients, progress=progress)
    return Deployment(name, None, None, calls=calls)


def invoke(name: str, payload: bytes, *, qualifier: str = ALIAS, clients: Clients | None = None) -> Answer:
    """Call the function and wait for its answer.

    Raises:
        ConfigurationError: It is not deployed.
        ToolError: AWS refused or was not reached.
    """
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow

    clients = clients or Clients()
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


def _deployment(name: str, observed: Observed, calls: tuple[ApiCall, ...]) -> Deployment:
    version = observed.version(observed.alias) if observed.alias else None
    arn = f"{observed.arn}:{ALIAS}" if observed.arn and version else None
    return Deployment(
        name, arn, version.number if version else None, version.pack_id if version else None, calls
    )


def _check_pack(
    location: Location, observed: Observed, clients: Clients, progress: Progress, *, what: str = "the pack"
) -> None:
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
            # The function reads it with a role of its own.
            progress.warn(f"cannot check that {what} is at {where}: no permission to read it")
    if location.region != observed.account.region:
        progress.warn(
            f"{what} is in {location.region} and the function in {observed.account.region}: each cold "
            "start pays for the distance, in time and in transfer"
        )
