"""From a build to a function: its zip, its packs in a store, and what the cloud is told.

``package`` makes what any cloud takes; ``deploy`` takes that to AWS. The local cloud takes it by itself
(``lambdapack.local.LocalCloud.deploy``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from lambdapack import limits, store
from lambdapack.deploy import aws
from lambdapack.deploy.aws.naming import pack_variable, variables
from lambdapack.deploy.bundle import Bundle, make_zip
from lambdapack.deploy.function import Dependencies, FunctionOptions
from lambdapack.deploy.layer import Layers, make_layers
from lambdapack.deploy.placement import arrange
from lambdapack.deploy.shifting import ShiftOptions
from lambdapack.errors import ConfigurationError
from lambdapack.install import syslibs
from lambdapack.model import FunctionSpec, Location, Target
from lambdapack.pack import Pack
from lambdapack.progress import QUIET, Progress
from lambdapack.python import interpreter
from lambdapack.python.interpreter import Interpreter

LOCAL_LOCATION = "s3://lambdapack-local/lambdapack"
"""Where the embedded cloud keeps packs of projects that name no bucket."""


@dataclass(frozen=True)
class Release:
    """A function that is ready to be deployed.

    Attributes:
        spec: What a cloud is told.
        bundle: The function's zip.
        pack: Its pack.
    """

    spec: FunctionSpec
    bundle: Bundle
    pack: Pack


@dataclass(frozen=True)
class Rollout:
    """A release, and what its deployment to AWS did or, in a dry run, would do."""

    release: Release
    deployment: aws.Deployment


def package(
    function: FunctionOptions,
    pack: Pack,
    locate: Callable[[str], Location | None],
    *,
    output: Path,
    cache_dir: Path,
    progress: Progress = QUIET,
) -> Release:
    """Write the zip of ``function``, and say how it is to be deployed. Nothing is sent anywhere.

    Args:
        function: The function; none of its code is run.
        pack: Its pack; assets that were built into the same folder belong to it.
        locate: Where in S3 the pack of an id is, or will be; ``None`` leaves that address out of the zip.
        output: The zip, replaced at once when it is complete.
        cache_dir: Where the shim's decoder is kept between runs.
        progress: Where to report to.

    Raises:
        ConfigurationError: The handler does not exist, the pack is for another target, or the assets that
            were built are not those of the configuration.
        CheckError: The pack's index is damaged, or the zip is larger than Lambda takes.
        ToolError: The decoder could not be fetched.
    """
    placed = arrange(function, Dependencies.built(pack, function), locate)
    bundle = make_zip(
        function,
        placed,
        interpreter=_interpreter(function.target),
        output=output,
        cache_dir=cache_dir,
        progress=progress,
    )
    staging = locate(pack.id) if bundle.size > limits.ZIP_DIRECT_UPLOAD else None
    return Release(_spec(function, placed, bundle, staging), bundle, pack)


def _spec(
    function: FunctionOptions, placed: Dependencies, bundle: Bundle, staging: Location | None
) -> FunctionSpec:
    """What a cloud is told, with each pack's address among the function's environment variables."""
    recorded = variables(placed.assets, placed.location) | pack_variable(placed.pack_id, placed.location)
    environment = {**function.settings.environment, **recorded}
    settings = replace(function.settings, environment=environment)
    return FunctionSpec(
        function.name, function.handler, function.target, bundle.path, placed.pack_id, placed.location,
        settings, placed.assets, bundle.layers, staging,
    )  # fmt: skip


def layer(
    function: FunctionOptions,
    pack: Pack,
    locate: Callable[[str], Location | None],
    *,
    output: Path,
    cache_dir: Path,
    progress: Progress = QUIET,
) -> Layers:
    """Write a layer for a function whose code stays as it is; arguments as for ``make_layers``."""
    return make_layers(
        function, pack, locate, interpreter=_interpreter(function.target), output=output,
        cache_dir=cache_dir, progress=progress,
    )  # fmt: skip


def deploy(
    function: FunctionOptions,
    pack: Pack,
    location: str | None,
    *,
    missing: Sequence[syslibs.LibraryRisk],
    region: str | None = None,
    shift: ShiftOptions | None = None,
    replicate: Mapping[str, str] = MappingProxyType({}),
    dry_run: bool = False,
    output: Path,
    cache_dir: Path,
    progress: Progress = QUIET,
) -> Rollout:
    """Package ``function``, push its packs and deploy it to AWS; what is there already stays as it is.

    Args:
        function, output, cache_dir, progress: As for ``package``.
        pack: Its pack, as ``lambdapack.pack.load`` reads a build's folder.
        location: Where packs are kept, ``s3://BUCKET/PREFIX``; ``None`` where none is read from S3.
        missing: The shared libraries that neither the pack nor Lambda has: what
            ``lambdapack.pipeline.missing_libraries(pack)`` gives.
        region: AWS region of function and bucket; by default as the environment says.
        shift: How calls go over to the new version; ``None``: all at once, or as a shift in progress does.
        replicate: Region -> location of a copy of each pack; a function there reads the copy.
        dry_run: Write the zip and pass every check of a deployment, but send and change nothing.

    Raises:
        ConfigurationError: The handler does not exist, Lambda refuses a setting, or the location is none.
        CheckError: The function would fail in Lambda: it lacks a library, or its zip is too large.
        ToolError: AWS refused or was not reached. Deploy again: the next plan begins where this one ended.
    """
    _refuse_missing(missing, function.name, progress)
    clients = aws.Clients(region)
    kept = None
    if location is not None:
        kept = store.open_replicated(location, replicate, home=region, region=clients.region)
    locate = kept.location if kept is not None else lambda _: None
    release = package(function, pack, locate, output=output, cache_dir=cache_dir, progress=progress)
    deployment = aws.deploy(
        release.spec,
        dry_run=dry_run,
        pack=pack.path,
        store=kept,
        shift=shift,
        clients=clients,
        progress=progress,
    )
    return Rollout(release, deployment)


def _refuse_missing(missing: Sequence[syslibs.LibraryRisk], name: str, progress: Progress) -> None:
    """Refuse a function that would fail for want of a library; warn of those that it can do without."""
    syslibs.refuse(missing, f"deploying {name}")
    if missing:
        libraries = syslibs.in_short({library.name: library.users for library in missing})
        progress.warn(f"neither the pack nor Lambda has {libraries}: `lambdapack plan` says more")


def _interpreter(target: Target) -> Interpreter | None:
    """The target's Python; ``None`` where this machine has none of that version."""
    try:
        return interpreter.find(target.python)
    except ConfigurationError:
        return None
