"""From a build to a deployment: the function's zip, its pack in a store, and what the cloud is told.

Like ``pipeline``, a place where the values of stages meet.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lambdapack import pack, store
from lambdapack.deploy.bundle import Bundle, make_zip
from lambdapack.deploy.recorded import variables
from lambdapack.errors import ConfigurationError
from lambdapack.model import FunctionAsset, FunctionSpec, Location, Target
from lambdapack.progress import QUIET, Progress
from lambdapack.python import interpreter
from lambdapack.python.interpreter import Interpreter

__all__ = ["LOCAL_LOCATION", "FunctionOptions", "Release", "locate", "package", "prepare"]

LOCAL_LOCATION = "s3://lambdapack-local/lambdapack"
"""Where the embedded cloud keeps packs of projects that name no bucket."""


@dataclass(frozen=True)
class FunctionOptions:
    """A function as its user describes it.

    Attributes:
        name: Its name.
        handler: ``module.function``.
        source: Folder with its code.
        target: Python and architecture.
        memory_mb, tmp_mb, timeout: Lambda's settings; ``timeout`` in seconds.
        environment: Environment variables.
        role: ARN of an existing role, or ``None``.
        ignore: Files of ``source`` to leave out.
        leave_out: Files and folders to leave out: assets go into packs of their own.
    """

    name: str
    handler: str
    source: Path
    target: Target
    memory_mb: int = 1769
    tmp_mb: int = 512
    timeout: int = 30
    environment: Mapping[str, str] = field(default_factory=dict)
    role: str | None = None
    ignore: tuple[str, ...] = ()
    leave_out: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Release:
    """A function that is ready to be deployed."""

    spec: FunctionSpec
    bundle: Bundle
    pack: pack.Pack


def locate(location: str, pack_id: str, region: str) -> Location:
    """Where a pack is, or will be, under ``s3://BUCKET/PREFIX``."""
    match = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", location)
    if match is None:
        raise ConfigurationError(
            f"{location!r} is not a location like s3://BUCKET/PREFIX (a bucket's name has 3 to 63 lower-case "
            "letters, digits, dots and hyphens)"
        )
    bucket, prefix = match.groups()
    return Location(bucket, store.key(prefix or "", pack_id), region)


def package(
    function: FunctionOptions,
    made: pack.Pack | None,
    location: Location | None,
    *,
    assets: tuple[FunctionAsset, ...] = (),
    output: Path,
    cache_dir: Path,
    progress: Progress = QUIET,
) -> Bundle:
    """Write the function's zip to ``output``."""
    return make_zip(
        function.source,
        handler=function.handler,
        pack=made.index_path if made else None,
        pack_id=made.id if made else None,
        location=location,
        assets=assets,
        target=function.target,
        interpreter=_interpreter(function.target),
        output=output,
        cache_dir=cache_dir,
        ignore=function.ignore,
        leave_out=function.leave_out,
        environment=function.environment,
        progress=progress,
    )


def prepare(
    function: FunctionOptions,
    made: pack.Pack,
    where: Location,
    *,
    assets: tuple[FunctionAsset, ...] = (),
    output: Path,
    cache_dir: Path,
    progress: Progress = QUIET,
) -> Release:
    """The zip, written to ``output``, and the specification of ``function`` with its pack at ``where``."""
    zipped = package(
        function, made, where, assets=assets, output=output, cache_dir=cache_dir, progress=progress
    )
    spec = FunctionSpec(
        name=function.name,
        handler=function.handler,
        target=function.target,
        zip_path=zipped.path,
        pack_id=made.id,
        location=where,
        memory_mb=function.memory_mb,
        tmp_mb=function.tmp_mb,
        timeout=function.timeout,
        environment={**function.environment, **variables(assets)},
        role=function.role,
        assets=assets,
    )
    return Release(spec, zipped, made)


def _interpreter(target: Target) -> Interpreter | None:
    try:
        return interpreter.find(target.python)
    except ConfigurationError:
        return None
