"""From a build to the files that a tool's project takes: layers or a zip, and what names them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lambdapack.deploy.export import folder, fragment, tools
from lambdapack.deploy.export.fragment import Fragment
from lambdapack.deploy.function import Dependencies, FunctionOptions
from lambdapack.deploy.handler import SHIM_HANDLER, WRAPPED_VARIABLE
from lambdapack.deploy.release import layer, package
from lambdapack.errors import ConfigurationError
from lambdapack.files import scratch_folder
from lambdapack.model import Location
from lambdapack.pack import Pack
from lambdapack.progress import QUIET, Progress

DEFAULT_FOLDER = "lambdapack_export"
"""Where the files go, in the project's folder: a name that Python can import, for the CDK."""


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes:
        fragment: What the files say.
        changes: Name of each file in the folder -> ``written``, ``unchanged`` or ``removed``.
    """

    fragment: Fragment
    changes: dict[str, folder.Change]


@dataclass(frozen=True)
class _Files:
    """What was made of the pack, in a folder that does not last."""

    paths: tuple[Path, ...]
    dependencies: Dependencies
    says: dict[str, Any]


def export(
    tool: str,
    function: FunctionOptions,
    pack: Pack,
    locate: Callable[[str], Location | None],
    *,
    root: Path,
    output: Path,
    chosen: Iterable[str] = (),
    tmp_mb: int | None = None,
    dry_run: bool = False,
    cache_dir: Path,
    progress: Progress = QUIET,
) -> Exported:
    """Write what a project of ``tool`` takes to give a function its pack.

    Args:
        tool: One of ``TOOLS``.
        function: The function, by the name that the project has for it, and the places of its packs. With
            the pack in the zip its code is read; else its code stays as the project has it.
        pack: The pack; assets that were built into the same folder belong to it.
        locate: Where in S3 the pack of an id is, or will be.
        root: The project's folder, which the paths in the files are relative to.
        output: The folder for the files.
        chosen: The settings that the configuration sets itself; the stack's own stay for the others.
        tmp_mb: Ephemeral storage, where the default is not enough.
        dry_run: Make everything, and write nothing.
        cache_dir: Where the decoder is kept between runs.
        progress: Where to report to.

    Raises:
        ConfigurationError: A name or a place that the tool cannot have, or a file of somebody else's that
            would be overwritten.
        CheckError: The packs are larger than Lambda takes.
        ToolError: The decoder could not be fetched, or nothing can be written.
    """
    tools.check_function(tool, function.name)
    if "mount" in function.places:
        raise ConfigurationError(
            f"exporting to {tool}: a pack is to be on a mounted file system, which the stack would have to "
            "make",
            hint="--place layer, s3 or zip; docs/placement.md says what a mount needs",
        )
    where = _relative(output, root)
    with scratch_folder() as scratch:
        make = _zip if "zip" in function.places else _layers
        made = make(function, pack, locate, output=scratch, cache_dir=cache_dir, progress=progress)
        told = Fragment(
            function.name, function.target, pack.id, function.place, where,
            records=fragment.records(made.dependencies), objects=fragment.objects(made.dependencies),
            tmp_mb=tmp_mb, **fragment.optional(function.settings, chosen), **made.says,
        )  # fmt: skip
        files = {path.name: path for path in made.paths}
        for name, text in tools.texts(tool, told).items():
            files[name] = scratch / name
            files[name].write_text(text, encoding="utf-8")
        # Another tool's files in the folder may name the first layer, whatever this one's place is.
        stale = "layer.*.zip" if told.layers else ""
        return Exported(told, folder.put(files, output, stale=stale, dry_run=dry_run))


def _layers(
    function: FunctionOptions,
    pack: Pack,
    locate: Callable[[str], Location | None],
    *,
    output: Path,
    cache_dir: Path,
    progress: Progress,
) -> _Files:
    """Layers with the shim, for code that stays as it is: an exec wrapper starts the handler."""
    made = layer(function, pack, locate, output=output / "layer.zip", cache_dir=cache_dir, progress=progress)
    environment = {**function.settings.environment, **made.environment}
    names = tuple(path.name for path in made.paths)
    return _Files(made.paths, made.dependencies, {"layers": names, "environment": environment})


def _zip(
    function: FunctionOptions,
    pack: Pack,
    locate: Callable[[str], Location | None],
    *,
    output: Path,
    cache_dir: Path,
    progress: Progress,
) -> _Files:
    """The function's own zip, whose handler is the shim's: the code need not import the shim."""
    if "layer" in function.places:
        raise ConfigurationError(
            "exporting: one pack is to be in the function's zip and another in a layer",
            hint="give the pack and its assets one place of the two, or s3",
        )
    settings = function.settings
    if function.handler != SHIM_HANDLER:
        environment = {**settings.environment, WRAPPED_VARIABLE: function.handler}
        settings = replace(settings, environment=environment)
    wrapped = replace(function, handler=SHIM_HANDLER, settings=settings)
    release = package(
        wrapped, pack, locate, output=output / "function.zip", cache_dir=cache_dir, progress=progress
    )
    spec = release.spec
    dependencies = Dependencies(pack.id, pack.index_path, spec.location, spec.assets, pack.path)
    says = {"code": release.bundle.path.name, "handler": SHIM_HANDLER, "environment": settings.environment}
    return _Files((release.bundle.path,), dependencies, says)


def _relative(output: Path, root: Path) -> str:
    return Path(os.path.relpath(output.resolve(), root.resolve())).as_posix()
