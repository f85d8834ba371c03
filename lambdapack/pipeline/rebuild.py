"""Prove a pack: build it again from its own ``build.json``, from scratch, and compare every byte."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import lambdapack
from lambdapack import install as build_stage
from lambdapack import pack
from lambdapack.errors import CheckError, ConfigurationError, ToolError
from lambdapack.files import scratch_folder
from lambdapack.model import NO_OPTIONS, Lock, Pin, Target
from lambdapack.pipeline import build_json as buildreport
from lambdapack.pipeline import stages as pipeline
from lambdapack.pipeline.build_json import BuildReport
from lambdapack.pipeline.cache import open_store
from lambdapack.pipeline.options import BuildOptions, describe
from lambdapack.progress import QUIET, Progress
from lambdapack.slim import SlimOptions
from lambdapack.trace import TraceOptions

__all__ = ["Here", "failure", "read_lock", "rebuild"]

_PIN = re.compile(r"(?P<name>[^\s=]+)==(?P<version>[^\s\\]+)")
_HASH = re.compile(r"--hash=(sha256:[0-9a-f]{64})")
_SHOWN = 20
_GONE = re.compile(r"No matching distribution found for (\S+)")


class Here:
    """What a build depends on and its ``build.json`` names only by digest.

    Args:
        source: The traced handler's folder.
        assets: Name -> file or folder that the traced code may load.
        limits: What the docker builder may use.
    """

    def __init__(
        self,
        source: Path | None = None,
        assets: Mapping[str, Path] | None = None,
        limits: build_stage.Limits | None = None,
    ) -> None:
        self.source = source
        self.assets = dict(assets or {})
        self.limits = limits


def rebuild(path: Path, here: Here, *, jobs: int | None = None, progress: Progress = QUIET) -> list[str]:
    """Build the pack at ``path`` again, without any cache, and compare.

    Args:
        path: The ``.tar.zst``, with its ``build.json`` beside it.
        here: What that does not hold.
        jobs: Cores to use.
        progress: Told each step.

    Returns:
        Differences, for people; none where every byte is the same.

    Raises:
        ConfigurationError: There is no ``build.json`` of this pack, or this lambdapack, handler or Python
            is another one.
        ToolError: A wheel or the image is no longer there; a stage failed.
    """
    report = _report(path)
    with scratch_folder() as folder:
        options = _options(report, folder / "out", here)
        built = _build(report, options, folder / "cache", jobs=jobs, progress=progress)
        made = pack.load(built.directory).path
        return pack.differences(path, made)


def _report(path: Path) -> BuildReport:
    report = buildreport.read(path.parent)
    if report.pack.file != path.name:
        raise ConfigurationError(
            f"{path.parent / buildreport.FILE_NAME} is of another pack, {report.pack.file}",
            hint=f"put the build.json that was written with {path.name} beside it",
        )
    if report.tool != f"lambdapack {lambdapack.__version__}":
        raise ConfigurationError(
            f"{path} was built by {report.tool}, and this is lambdapack {lambdapack.__version__}: "
            "the name of the tool is in the pack, so the bytes cannot be the same",
            hint=f"pip install {report.tool.replace(' ', '==')}",
        )
    return report


def _options(report: BuildReport, output: Path, here: Here) -> BuildOptions:
    said = dict(report.options)
    traced = dict(said.pop("trace"))
    wanted = traced.pop("source")
    trace = TraceOptions(**traced, source=here.source if wanted else None, assets=here.assets)
    # Those of the lock are settled by its text.
    known = {one.name for one in fields(BuildOptions)}
    rest = {name: _tupled(value) for name, value in said.items() if name in known}
    options = BuildOptions(
        **{
            **rest,
            "requirements": (),
            "files": (),
            "target": Target.parse(report.target),
            "output": output,
            "builder": report.builder["name"],
            "image": _image(report),
            "limits": here.limits,
            "slim": SlimOptions(**{name: _tupled(value) for name, value in said["slim"].items()}),
            "trace": trace,
        }
    )
    if wanted and describe(options)["trace"]["source"] != wanted:
        raise ConfigurationError(
            f"the traced handler's folder {here.source} is not what it was when the pack was built",
            hint="check out the version of it that the pack was built from",
        )
    return options


def _image(report: BuildReport) -> str | None:
    """The very image: by what its registry calls it, unless packages were put into it here."""
    here = report.options.get("system_packages")
    return (None if here else report.builder.get("digest")) or report.builder.get("id")


def _tupled(value: Any) -> Any:
    return tuple(map(_tupled, value)) if isinstance(value, list) else value


def read_lock(report: BuildReport) -> Lock:
    """The lock that a build was made from.

    Raises:
        ConfigurationError: Its digest is not that of its text.
    """
    pins = []
    for line in report.lock["text"].replace("\\\n", " ").splitlines():
        found = _PIN.match(line)
        if found is not None:
            pins.append(Pin(found["name"], found["version"], tuple(_HASH.findall(line))))
    major, _, minor = report.glibc.partition(".")
    lock = Lock(
        target=Target.parse(report.target),
        glibc=(int(major), int(minor)),
        pins=tuple(sorted(pins)),
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
) -> pipeline.Built:
    builder, reason = build_stage.choose(
        options.builder, options.target, image=options.image, limits=options.limits
    )
    lock = read_lock(report)
    said = {"name": builder.name, "reason": reason}
    task = pipeline.Task(options, report.requirements, said, open_store(cache, enabled=False))
    with (
        _explained(report),
        builder.open(options.target, cache_dir=cache, progress=progress) as workshop,
    ):
        was, now = report.builder.get("python"), workshop.interpreter.version
        if was not in (None, now):
            progress.warn(f"the pack was built with Python {was}, and this is {now}: bytecode may differ")
        return task.build(replace(lock, sources=NO_OPTIONS), workshop, jobs=jobs, progress=progress)


@contextmanager
def _explained(report: BuildReport) -> Iterator[None]:
    try:
        yield
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


def failure(path: Path, found: list[str]) -> CheckError:
    """The error for a pack that was not built again to the byte."""
    shown = found[:_SHOWN] + ([f"... and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else [])
    listed = "\n".join(f"  {line}" for line in shown)
    return CheckError(
        f"{path}: built again, it is not the same:\n{listed}",
        hint="compare build.json of both: Python, pip, image and the handler's data decide bytes too",
    )
