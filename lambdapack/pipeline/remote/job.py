"""What a build elsewhere is told: the options of the build with paths that hold there, and its lock."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from pydantic import TypeAdapter

from lambdapack.errors import ConfigurationError, ToolError
from lambdapack.lock import Requirements
from lambdapack.model import NO_OPTIONS, Lock
from lambdapack.pipeline.options import BuildOptions

FILE_NAME = "job.json"
PROJECT = "project"
"""Folder of the files of the project, beside the job."""
ASSETS = "assets"
"""Folder of the assets that traced code may load: a folder each, by name."""
_VERSION = 1
_OUTPUT = Path("out")


@dataclass(frozen=True)
class Job:
    """A build that another machine runs.

    Attributes:
        options: What is built. Its paths are relative to the folder of the job.
        image: The image that the build runs in.
        folder: Where in the project the command was run, which paths among the requirements refer to.
        lock: What is installed; ``None`` where the other machine has to find out.
        jobs: Cores to use there; ``None`` for all of them.
    """

    options: BuildOptions
    image: str
    folder: str = "."
    lock: Lock | None = None
    jobs: int | None = None


_JOB = TypeAdapter(Job)


def encode(job: Job) -> bytes:
    """The job as a file."""
    return json.dumps({"version": _VERSION, "job": _JOB.dump_python(job, mode="json")}, indent=1).encode()


def read(folder: Path) -> Job:
    """The job in ``folder``.

    Raises:
        ToolError: There is none, or it is of another version of lambdapack.
    """
    try:
        document = json.loads((folder / FILE_NAME).read_bytes())
        if document["version"] != _VERSION:
            raise ValueError(f"its version is {document['version']!r}, and this lambdapack reads {_VERSION}")
        return _JOB.validate_python(document["job"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ToolError(f"cannot read the job in {folder}: {error}") from None


def portable(options: BuildOptions, requirements: Requirements, root: Path) -> BuildOptions:
    """The same build for another machine, where the files of ``root`` are in ``PROJECT``.

    Raises:
        ConfigurationError: A file or folder that the build reads lies outside ``root``.
    """
    trace = options.trace
    texts = list(options.requirements)
    for path in (reference.path for reference in requirements.direct if reference.path is not None):
        inside(path, root, "the requirement")
        texts = [text.replace(str(path), os.path.relpath(path)) for text in texts]
    return replace(
        options,
        requirements=tuple(texts),
        files=tuple(Path(PROJECT) / inside(path, root, "the requirements file") for path in options.files),
        output=_OUTPUT,
        limits=None,
        trace=replace(
            trace,
            source=trace.source and Path(PROJECT) / inside(trace.source, root, "the handler's folder"),
            assets=asset_paths(trace.assets) if needs_assets(options) else {},
        ),
    )


def at(options: BuildOptions, folder: Path, output: Path) -> BuildOptions:
    """The options of a job in ``folder``, with paths that hold on this machine."""
    trace = options.trace
    return replace(
        options,
        files=tuple(folder / path for path in options.files),
        output=output,
        trace=replace(
            trace,
            source=trace.source and folder / trace.source,
            assets={name: folder / path for name, path in trace.assets.items()},
        ),
    )


def with_lock(lock: Lock, requirements: Requirements) -> Lock | None:
    """The lock as it may travel, without addresses, which may hold credentials.

    Returns:
        ``None`` where the other machine cannot use the lock: what it names was built here, or lies here.
    """
    if lock.built or lock.addressed or lock.sources.pairs != requirements.options.pairs:
        return None
    return replace(lock, sources=NO_OPTIONS)


def needs_assets(options: BuildOptions) -> bool:
    """Whether code is run for the trace that may load assets."""
    return bool(options.trace.handler or options.trace.code)


def asset_paths(assets: Mapping[str, Path]) -> dict[str, Path]:
    """Name -> place of each asset in the folder of a job."""
    return {name: Path(ASSETS) / name / path.resolve().name for name, path in assets.items()}


def inside(path: Path, root: Path, what: str) -> PurePosixPath:
    """The path of ``path`` within ``root``.

    Raises:
        ConfigurationError: It lies elsewhere.
    """
    here, above = path.resolve(), root.resolve()
    if not here.is_relative_to(above):
        raise ConfigurationError(
            f"{what} {path} lies outside the project's folder {above}, and only what is in there is sent to "
            "where the build runs",
            hint="move it into the project, or build with --builder docker or --builder local",
        )
    return PurePosixPath(here.relative_to(above).as_posix())
