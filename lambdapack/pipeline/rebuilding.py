"""Prove a pack: build it again from its own ``build.json``, from scratch, and compare every byte."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

import lambdapack
from lambdapack import pack
from lambdapack.errors import CheckError, ConfigurationError, ToolError
from lambdapack.files import scratch_folder
from lambdapack.install import BuildLimits, choose
from lambdapack.model import Lock, Target
from lambdapack.pipeline import build_json
from lambdapack.pipeline.build_json import BuildReport
from lambdapack.pipeline.cache import open_cache
from lambdapack.pipeline.options import BuildOptions, describe
from lambdapack.pipeline.stages import BuildResult, PackBuild
from lambdapack.progress import QUIET, Progress
from lambdapack.slim import SlimOptions
from lambdapack.trace import TraceOptions

_SHOWN = 20
_GONE = re.compile(r"No matching distribution found for (\S+)")


@dataclass(frozen=True)
class LocalInputs:
    """What a build depends on and its ``build.json`` names by its digest alone.

    Attributes:
        source: The traced handler's folder.
        assets: Name -> file or folder that the traced code may load.
        limits: What the docker builder may use.
    """

    source: Path | None = None
    assets: Mapping[str, Path] = field(default_factory=dict)
    limits: BuildLimits | None = None


def rebuild(
    path: Path, local: LocalInputs, *, jobs: int | None = None, progress: Progress = QUIET
) -> list[str]:
    """Build the pack at ``path`` again, without any cache, and compare.

    Args:
        path: The ``.tar.zst``, with its ``build.json`` beside it.
        local: What ``build.json`` does not hold.
        jobs: Cores to use.
        progress: Told each step.

    Returns:
        Differences, for people; none where every byte is the same.

    Raises:
        ConfigurationError: There is no ``build.json`` of this pack, or the lambdapack, the
            handler or the Python is not the one that built it.
        ToolError: A wheel or the image is no longer there; a stage failed.
    """
    report = _report(path)
    with scratch_folder() as folder:
        options = _options(report, folder / "out", local)
        built = _build(report, options, folder / "cache", jobs=jobs, progress=progress)
        made = pack.load(built.directory).path
        return pack.differences(path, made)


def _report(path: Path) -> BuildReport:
    report = build_json.read(path.parent)
    if report.pack.file != path.name:
        raise ConfigurationError(
            f"{path.parent / build_json.FILE_NAME} is of another pack, {report.pack.file}",
            hint=f"put the build.json that was written with {path.name} beside it",
        )
    if report.tool != f"lambdapack {lambdapack.__version__}":
        raise ConfigurationError(
            f"{path} was built by {report.tool}, and this is lambdapack {lambdapack.__version__}: "
            "the name of the tool is in the pack, so the bytes cannot be the same",
            hint=f"pip install {report.tool.replace(' ', '==')}",
        )
    return report


def _options(report: BuildReport, output: Path, local: LocalInputs) -> BuildOptions:
    """The options of the build that ``report`` is of; those on requirements are settled by its lock."""
    trace = dict(report.options["trace"])
    source_digest = trace.pop("source")
    builder, image = _builder(report)
    options = BuildOptions(
        requirements=(),
        files=(),
        target=Target.parse(report.target),
        output=output,
        builder=builder,
        image=image,
        limits=local.limits,
        slim=TypeAdapter(SlimOptions).validate_python(report.options["slim"]),
        trace=TraceOptions(**trace, source=local.source if source_digest else None, assets=local.assets),
        level=report.options["level"],
    )
    if source_digest and describe(options)["trace"]["source"] != source_digest:
        raise ConfigurationError(
            f"the traced handler's folder {local.source} is not what it was when the pack was built",
            hint="check out the version of it that the pack was built from",
        )
    return options


def _builder(report: BuildReport) -> tuple[str, str | None]:
    """The builder that gives the same pack here, and its image."""
    name = report.builder["name"]
    if name != "codebuild":
        # The very image: by what its registry calls it, unless packages were put into it here.
        packaged = report.options.get("system_packages")
        return name, (None if packaged else report.builder.get("digest")) or report.builder.get("id")
    # What CodeBuild gives of wheels alone, any machine with the target's Python gives.
    from_image = report.lock.get("built") or report.libraries
    return ("docker", report.builder.get("image")) if from_image else ("auto", None)


def _lock(report: BuildReport) -> Lock:
    """The lock that a build was made from."""
    major, _, minor = report.glibc.partition(".")
    lock = Lock(
        target=Target.parse(report.target),
        glibc=(int(major), int(minor)),
        pins=tuple(sorted(build_json.pins(report))),
        requested=tuple(report.lock.get("requested", ())),
        built=tuple(report.lock.get("built", ())),
    )
    if lock.digest != report.lock["digest"]:
        raise ConfigurationError(
            "the lock in build.json is not the one that its digest was made of: somebody changed it",
            hint="take the build.json that was written with the pack",
        )
    return lock


def _build(
    report: BuildReport, options: BuildOptions, cache: Path, *, jobs: int | None, progress: Progress
) -> BuildResult:
    builder, reason = choose(options.builder, options.target, image=options.image, limits=options.limits)
    lock = _lock(report)
    facts, store = {"name": builder.name, "reason": reason}, open_cache(cache, enabled=False)
    pack_build = PackBuild(options, report.requirements, facts, store, jobs, progress)
    try:
        with builder.open(options.target, cache_dir=cache, progress=progress) as workshop:
            was, now = report.builder.get("python"), workshop.interpreter.version
            if was not in (None, now):
                progress.warn(f"the pack was built with Python {was}, and this is {now}: bytecode may differ")
            return pack_build.run(lock, workshop, {})
    except ToolError as error:
        gone = _GONE.search(error.detail or "")
        # What compiles comes from an index as well, and is in no lock.
        if gone is None or f"\n{gone[1]}" not in f"\n{report.lock['text']}":
            raise
        raise ToolError(
            f"the pack {report.pack.id[:12]} cannot be built again: the file of {gone[1]} that its lock "
            "names is no longer where pip looks",
            hint="an index that a requirements file named is not in build.json: name it with "
            "PIP_EXTRA_INDEX_URL, or a folder that has the file with PIP_FIND_LINKS",
            detail=error.detail,
        ) from error


def failure(path: Path, differences: list[str]) -> CheckError:
    """The error for a pack that was not built again to the byte."""
    more = [f"... and {len(differences) - _SHOWN} more"] if len(differences) > _SHOWN else []
    shown = differences[:_SHOWN] + more
    listed = "\n".join(f"  {line}" for line in shown)
    return CheckError(
        f"{path}: built again, it is not the same:\n{listed}",
        hint="compare build.json of both: Python, pip, image and the handler's data decide bytes too",
    )
