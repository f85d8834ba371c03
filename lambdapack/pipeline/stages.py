"""The stages of a pack's build, one after the other: this is where their values meet."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from lambdapack import pack
from lambdapack.install import Workshop, syslibs
from lambdapack.model import Lock, Trace, Tree
from lambdapack.pack.assets import BuiltAsset
from lambdapack.pipeline import build_json
from lambdapack.pipeline.build_json import BuildReport
from lambdapack.pipeline.cache import BuildCache, builds
from lambdapack.pipeline.cached_tree import install
from lambdapack.pipeline.options import BuildOptions, digest
from lambdapack.pipeline.output import publish, sound, workspace
from lambdapack.pipeline.results import StageResults, report
from lambdapack.progress import QUIET, Progress, ProgressRecorder, say
from lambdapack.python.interpreter import Interpreter
from lambdapack.slim import slim
from lambdapack.trace import Program


@dataclass(frozen=True)
class BuildResult:
    """What a build made, or found to be there already.

    Attributes:
        report: What ``build.json`` says.
        directory: The folder that holds ``build.json`` and the pack's two files.
        reused: Whether the pack is that of an earlier build.
        source: Where that build was: ``output``, the folder itself, or ``cache``; empty for a new pack.
        lock_age: Seconds since the lock was resolved; ``None`` for one that was resolved now.
        assets: The packs of assets beside it.
        bill: The bill of materials, ``<id>.cdx.json``; ``None`` where none was asked for.
    """

    report: BuildReport
    directory: Path
    reused: bool
    source: Literal["", "output", "cache"] = ""
    lock_age: float | None = None
    assets: tuple[BuiltAsset, ...] = ()
    bill: Path | None = None


class Clock:
    """Measures how long each stage takes.

    Attributes:
        seconds: By stage.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure a stage."""
        begun = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - begun, 3)


class PackBuild:
    """The build of one pack, once its requirements are read.

    Args:
        options: What is asked for.
        lines: The requirements, as the report shows them.
        builder: The builder's name and why it was chosen, for the report.
        store: The build cache.
    """

    def __init__(
        self, options: BuildOptions, lines: tuple[str, ...], builder: Mapping[str, str], store: BuildCache
    ) -> None:
        self._options = options
        self._lines = lines
        self._builder = builder
        self._store = store

    def reuse(
        self, lock: Lock, python: Interpreter, identity: Mapping[str, str], progress: Progress
    ) -> BuildResult | None:
        """The pack of an earlier build of the same inputs: in the output folder, or copied there."""
        output, inputs = self._options.output, digest(self._options, lock, python, identity)
        earlier = sound(output, inputs)
        if earlier is not None:
            say(earlier.messages, progress)
            progress.note(f"nothing changed since the last build in {output}: reused")
            return BuildResult(earlier, output, reused=True, source="output")
        with workspace(output) as work:
            copies = builds.copy(self._store, inputs, work / "pack")
            earlier = sound(work / "pack", inputs) if copies else None
            if earlier is None:
                return None
            # The same inputs can be asked for in other words; build.json says how this build asked.
            builder = {**earlier.builder, **self._builder}
            earlier = replace(earlier, requirements=self._lines, builder=builder)
            publish(copies, earlier, output)
        say(earlier.messages, progress)
        progress.note("nothing changed since an earlier build: taken from the cache")
        return BuildResult(earlier, output, reused=True, source="cache")

    def run(
        self,
        lock: Lock,
        workshop: Workshop,
        *,
        clock: Clock | None = None,
        jobs: int | None = None,
        progress: Progress = QUIET,
    ) -> BuildResult:
        """Run the stages, with what the cache has of their results, and publish the pack."""
        options, clock, progress = self._options, clock or Clock(), ProgressRecorder(progress)
        builder = {**self._builder, **workshop.identity, "python": workshop.interpreter.version}
        with workspace(options.output) as work:
            results = self._stages(lock, workshop, work, clock=clock, jobs=jobs, progress=progress)
            made = report(
                results,
                options,
                digest(options, lock, workshop.interpreter, workshop.identity),
                builder=builder,
                requirements=self._lines,
                messages=tuple(progress.said),
            )
            files = (results.pack.path, results.pack.index_path, build_json.write(made, work / "pack"))
            builds.keep(self._store, made.inputs, files)
            publish(files, made, options.output)
        _tell_reuse(made, progress)
        return BuildResult(made, options.output, reused=False)

    def _stages(
        self,
        lock: Lock,
        workshop: Workshop,
        work: Path,
        *,
        clock: Clock,
        jobs: int | None,
        progress: Progress,
    ) -> StageResults:
        """Install, trace, slim, pack."""
        options, store = self._options, self._store
        with clock.stage("install"):
            tree, reused = install(lock, work / "tree", workshop, store, jobs=jobs, progress=progress)
        program = Program(options.trace, lock, workshop, work, progress)
        with clock.stage("trace"):
            tree, trace = self._trace(tree, lock, workshop, program, progress)
        with clock.stage("slim"):
            slimmed = slim(
                tree, trace, options.slim, program=program, work=work, memo=store, progress=progress
            )
        with clock.stage("pack"):
            made = pack.write(
                slimmed.tree,
                trace,
                lock.digest,
                work / "pack",
                level=options.level,
                jobs=jobs,
                memo=store,
                progress=progress,
            )
        reuse = {
            "distributions": {"reused": reused, "all": len(lock.pins)},
            "frames": {"reused": store.found["frames"], "all": store.asked["frames"]},
        }
        return StageResults(lock, tree, trace, slimmed, made, clock.seconds, reuse)

    def _trace(
        self, tree: Tree, lock: Lock, workshop: Workshop, program: Program, progress: Progress
    ) -> tuple[Tree, Trace]:
        """Trace the tree, and add the shared libraries that the traced code opened by name."""
        has, in_image = syslibs.runtime_libraries(self._options.target), self._builder["name"] == "docker"
        source = self._options.trace.source
        # Where the function's own folder has libraries that Lambda's dynamic linker finds.
        beside = () if source is None else (source, source / "lib")
        with syslibs.missing_library_errors(tree.missing, has, image=in_image):
            trace = program.trace(tree)
            opened = syslibs.opened_libraries(tree, has, trace, beside)
            tree = workshop.bundle(tree, lock, opened=opened, progress=progress)
            tree = syslibs.with_openers(tree, trace)
        syslibs.report_missing(tree.missing, has, (*trace.files, syslibs.TRACED), progress, image=in_image)
        return tree, trace


def _tell_reuse(made: BuildReport, progress: Progress) -> None:
    parts = [
        f"{count['reused']} of {count['all']} {kind}" for kind, count in made.reuse.items() if count["reused"]
    ]
    if parts:
        progress.note(f"from the cache: {', '.join(parts)}")
