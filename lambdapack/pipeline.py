"""A build from end to end: requirements -> lock -> tree -> trace -> slimmed tree -> pack.

The stages know nothing of each other; this is where their values meet.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import lambdapack
from lambdapack import build as build_stage
from lambdapack import buildreport, pack, syslibs
from lambdapack import lock as lock_stage
from lambdapack.buildoptions import BuildOptions, TraceOptions, describe, digest
from lambdapack.buildreport import BuildReport, BuiltDistribution, PackFacts
from lambdapack.errors import ConfigurationError, LambdapackError
from lambdapack.model import Lock, SlimReport, Tree
from lambdapack.progress import QUIET, Progress
from lambdapack.slimming import Runner, slim
from runtime_shim._index import ARENA

__all__ = ["BuildOptions", "Built", "TraceOptions", "build"]


@dataclass(frozen=True)
class Built:
    """A build's outcome; ``reused`` where an earlier one was found to be the same."""

    report: BuildReport
    directory: Path
    reused: bool


def build(
    options: BuildOptions, *, cache_dir: Path, jobs: int | None = None, progress: Progress = QUIET
) -> Built:
    """Build a pack into ``options.output``; an earlier build there of the very same inputs is reused.

    Raises:
        LambdapackError: A stage failed; nothing of it is left in ``options.output``.
    """
    requirements = lock_stage.read_requirements(options.requirements, options.files)
    clock = _Clock()
    builder, reason = build_stage.choose(
        options.builder, options.target, image=options.image, limits=options.limits
    )
    progress.note(f"builder: {builder.name} ({reason})")
    with builder.open(
        options.target, sources=requirements.options, cache_dir=cache_dir, progress=progress
    ) as workshop:
        with clock.stage("lock"):
            lock = lock_stage.resolve(
                requirements,
                options.target,
                workshop.interpreter,
                glibc=options.glibc,
                exclude=options.exclude,
                cache_dir=cache_dir,
                place=workshop.place,
                progress=progress,
            )
        inputs = digest(options, lock, workshop.interpreter, workshop.identity)
        earlier = _earlier(options.output, inputs)
        if earlier is not None:
            progress.note(f"nothing changed since the last build in {options.output}: reused")
            return Built(earlier, options.output, reused=True)
        return _build(
            options,
            lines=requirements.lines,
            lock=lock,
            workshop=workshop,
            builder={"name": builder.name, "reason": reason, **workshop.identity},
            inputs=inputs,
            clock=clock,
            jobs=jobs,
            progress=progress,
        )


def _build(
    options: BuildOptions,
    *,
    lines: tuple[str, ...],
    lock: Lock,
    workshop: build_stage.Workshop,
    builder: Mapping[str, str],
    inputs: str,
    clock: _Clock,
    jobs: int | None,
    progress: Progress,
) -> Built:
    with _workspace(options.output) as work:
        with clock.stage("install"):
            tree = workshop.install(lock, work / "tree", progress=progress)
        with clock.stage("bytecode"):
            workshop.compile_tree(tree.root, jobs=jobs, progress=progress)
        runner = Runner(options, lock, workshop, work, progress)
        has, searched = syslibs.provided(options.target), builder["name"] == "docker"
        with clock.stage("trace"), syslibs.explained(tree.lacking, has, image=searched):
            trace = runner.trace(tree)
        syslibs.tell(tree.lacking, has, trace.files, progress, image=searched)
        with clock.stage("slim"):
            slimmed = slim(tree, trace, options.slim, runner=runner, work=work, progress=progress)
        with clock.stage("pack"):
            made = pack.write(
                slimmed.tree,
                trace,
                lock.digest,
                work / "pack",
                level=options.level,
                jobs=jobs,
                progress=progress,
            )
        report = BuildReport(
            tool=f"lambdapack {lambdapack.__version__}",
            inputs=inputs,
            target=str(options.target),
            glibc="{}.{}".format(*lock.glibc),
            builder=builder,
            requirements=lines,
            lock={"digest": lock.digest, "text": lock.text},
            options=describe(options),
            distributions=_distributions(tree, lock, slimmed.report),
            slim=slimmed.report,
            restored=slimmed.restored,
            imports=slimmed.imports,
            libraries=tree.libraries,
            lacking=tree.lacking,
            trace={
                "how": trace.how,
                "code": trace.code,
                "files": list(trace.files),
                "native": sorted(trace.native),
            },
            pack=_facts(made),
            seconds=clock.seconds,
        )
        _publish(made, report, options.output)
    return Built(report, options.output, reused=False)


class _Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - begun, 3)


def _distributions(tree: Tree, lock: Lock, slimmed: SlimReport) -> tuple[BuiltDistribution, ...]:
    found = []
    for one in sorted(tree.distributions, key=lambda one: one.name):
        before, after = slimmed.sizes.get(one.name, (0, 0))
        found.append(
            BuiltDistribution(one.name, one.version, one.name in lock.requested, one.top_level, before, after)
        )
    return tuple(found)


def _facts(made: pack.Pack) -> PackFacts:
    index = made.index
    arena = sum(size for size, kind in zip(index.sizes, index.classes, strict=True) if kind in ARENA)
    return PackFacts(
        id=made.id,
        file=made.path.name,
        index=made.index_path.name,
        bytes=made.path.stat().st_size,
        unpacked_bytes=sum(index.frame_size),
        files=len(index.paths),
        frames=len(index.frame_stored),
        hot_frames=index.hot,
        hot_bytes=sum(index.frame_stored[: index.hot]),
        eager_frames=index.eager,
        eager_bytes=sum(index.frame_stored[: index.eager]),
        disk_bytes=sum(index.sizes) - arena,
        arena_bytes=arena,
        glibc=index.glibc,
    )


def _earlier(output: Path, inputs: str) -> BuildReport | None:
    """The build in ``output``, if it is of these inputs and its pack is sound."""
    try:
        report = buildreport.read(output)
        if report.inputs != inputs or not (output / report.pack.index).is_file():
            return None
        if pack.verify(output / report.pack.file):
            return None
    except (LambdapackError, OSError):
        return None
    return report


@contextmanager
def _workspace(output: Path) -> Iterator[Path]:
    """A folder inside ``output`` for this build alone; those of builds that were killed go first."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        for left in output.glob(f"{_WORK}*"):
            if not _alive(left.name):
                shutil.rmtree(left, ignore_errors=True)
        work = Path(mkdtemp(prefix=f"{_WORK}{os.getpid()}-", dir=output))
    except OSError as error:
        raise ConfigurationError(
            f"cannot build into {output}: {error.strerror}", hint="choose another folder with --output"
        ) from None
    (work / "pack").mkdir()
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


_WORK = ".work-"


def _alive(name: str) -> bool:
    try:
        os.kill(int(name.removeprefix(_WORK).partition("-")[0]), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def _publish(made: pack.Pack, report: BuildReport, output: Path) -> None:
    """Move the pack into ``output``; build.json, last, makes it the current one."""
    try:
        before = buildreport.read(output).pack
    except LambdapackError:
        before = None
    for path in (made.path, made.index_path):
        path.replace(output / path.name)
    buildreport.write(report, output)
    if before is not None and before.id != report.pack.id:
        for name in (before.file, before.index):
            (output / Path(name).name).unlink(missing_ok=True)
