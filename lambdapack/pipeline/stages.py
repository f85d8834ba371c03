"""The stages of a pack's build, one after the other: this is where their values meet."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import lambdapack
from lambdapack import pack
from lambdapack.install import Workshop, syslibs
from lambdapack.model import Lock, Trace, Tree
from lambdapack.pack.assets import BuiltAsset
from lambdapack.pipeline import build_json
from lambdapack.pipeline.build_json import BuildReport, BuiltDistribution
from lambdapack.pipeline.cache import BuildCache
from lambdapack.pipeline.cached_tree import install
from lambdapack.pipeline.options import BuildOptions, describe, digest
from lambdapack.pipeline.output import copy_kept, keep_copies, publish, sound, workspace
from lambdapack.pipeline.sbom import metadata
from lambdapack.progress import Progress, ProgressRecorder, say
from lambdapack.python.interpreter import Interpreter
from lambdapack.slim import SlimResult, slim
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


@contextmanager
def timed(stage: str, seconds: dict[str, float]) -> Iterator[None]:
    """Measure how long ``stage`` takes."""
    begun = time.perf_counter()
    yield
    seconds[stage] = round(time.perf_counter() - begun, 3)


@dataclass(frozen=True)
class PackBuild:
    """The build of one pack, once its requirements are read.

    Attributes:
        requirements: As the report shows them.
        builder: The builder's name and why it was chosen, for the report.
        jobs: Cores to use; ``None`` for all of them.
    """

    options: BuildOptions
    requirements: tuple[str, ...]
    builder: Mapping[str, str]
    store: BuildCache
    jobs: int | None
    progress: Progress

    def reuse(self, lock: Lock, python: Interpreter, identity: Mapping[str, str]) -> BuildResult | None:
        """The pack of an earlier build of the same inputs: in the output folder, or copied there."""
        output, inputs = self.options.output, digest(self.options, lock, python, identity)
        earlier = sound(output, inputs)
        if earlier is not None:
            say(earlier.messages, self.progress)
            self.progress.note(f"nothing changed since the last build in {output}: reused")
            return BuildResult(earlier, output, reused=True, source="output")
        with workspace(output) as work:
            copies = copy_kept(self.store, inputs, work / "pack")
            earlier = sound(work / "pack", inputs) if copies else None
            if earlier is None:
                return None
            # The same inputs can be asked for in other words; build.json says how this build asked.
            builder = {**earlier.builder, **self.builder}
            earlier = replace(earlier, requirements=self.requirements, builder=builder)
            publish(copies, earlier, output)
        say(earlier.messages, self.progress)
        self.progress.note("nothing changed since an earlier build: taken from the cache")
        return BuildResult(earlier, output, reused=True, source="cache")

    def run(self, lock: Lock, workshop: Workshop, seconds: dict[str, float]) -> BuildResult:
        """Run the stages, with what the cache has of their results, and publish the pack."""
        output, told = self.options.output, ProgressRecorder(self.progress)
        with workspace(output) as work:
            report, files = replace(self, progress=told)._stages(lock, workshop, work, seconds)
            report = replace(report, messages=tuple(told.said))
            files = (*files, build_json.write(report, work / "pack"))
            keep_copies(self.store, report.inputs, files)
            publish(files, report, output)
        counts = ((kind, count) for kind, count in report.reuse.items() if count["reused"])
        reused = ", ".join(f"{count['reused']} of {count['all']} {kind}" for kind, count in counts)
        if reused:
            self.progress.note(f"from the cache: {reused}")
        return BuildResult(report, output, reused=False)

    def _stages(
        self, lock: Lock, workshop: Workshop, work: Path, seconds: dict[str, float]
    ) -> tuple[BuildReport, tuple[Path, ...]]:
        """Install, trace, slim, pack; the report without messages, and the pack's files."""
        options, store, jobs, progress = self.options, self.store, self.jobs, self.progress
        with timed("install", seconds):
            tree, reused = install(lock, work / "tree", workshop, store, jobs=jobs, progress=progress)
        program = Program(options.trace, lock, workshop, work, progress)
        with timed("trace", seconds):
            tree, trace = self._trace(tree, lock, workshop, program)
        with timed("slim", seconds):
            slimmed = slim(
                tree, trace, options.slim, program=program, work=work, memo=store, progress=progress
            )
        with timed("pack", seconds):
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
        report = self._report(lock, workshop, made, tree=tree, trace=trace, slimmed=slimmed, seconds=seconds)
        return replace(report, reuse=reuse), (made.path, made.index_path)

    def _report(
        self,
        lock: Lock,
        workshop: Workshop,
        made: pack.Pack,
        *,
        tree: Tree,
        trace: Trace,
        slimmed: SlimResult,
        seconds: Mapping[str, float],
    ) -> BuildReport:
        """The content of ``build.json``, of what each stage gave."""
        distributions = _distributions(tree, slimmed, lock.requested)
        return BuildReport(
            tool=f"lambdapack {lambdapack.__version__}",
            inputs=digest(self.options, lock, workshop.interpreter, workshop.identity),
            target=str(self.options.target),
            glibc="{}.{}".format(*lock.glibc),
            builder={**self.builder, **workshop.identity, "python": workshop.interpreter.version},
            requirements=self.requirements,
            lock=lock.document,
            options=describe(self.options),
            distributions=distributions,
            slim=slimmed.report,
            restored=slimmed.restored,
            imports=slimmed.imports,
            libraries=tree.libraries,
            lacking=tree.missing,
            trace={
                "how": trace.how,
                "code": trace.code,
                "files": list(trace.files),
                "native": sorted(trace.native),
            },
            pack=build_json.pack_facts(made),
            seconds=seconds,
            shares=build_json.shares(made.index, made.path.stat().st_size, distributions),
        )

    def _trace(self, tree: Tree, lock: Lock, workshop: Workshop, program: Program) -> tuple[Tree, Trace]:
        """Trace the tree, and add the shared libraries that the traced code opened by name."""
        has, in_image = (
            syslibs.runtime_libraries(self.options.target),
            self.builder["name"] in build_json.IN_IMAGE,
        )
        source = self.options.trace.source
        # Where the function's own folder has libraries that Lambda's dynamic linker finds.
        beside = () if source is None else (source, source / "lib")
        with syslibs.missing_library_errors(tree.missing, has, image=in_image):
            trace = program.with_touched(tree, program.early(program.trace(tree)))
            opened = syslibs.opened_libraries(tree, has, trace, beside)
            tree = workshop.bundle(tree, lock, opened=opened, progress=self.progress)
            tree = syslibs.with_openers(tree, trace)
        syslibs.report_missing(
            tree.missing, has, (*trace.files, syslibs.TRACED), self.progress, image=in_image
        )
        return tree, trace


def _distributions(
    tree: Tree, slimmed: SlimResult, requested: tuple[str, ...]
) -> tuple[BuiltDistribution, ...]:
    sizes, needs = slimmed.report.sizes, metadata.needs(metadata.read_tree(tree.root), tree.target)
    return tuple(
        BuiltDistribution(
            each.name, each.version, each.name in requested, each.top_level,
            *sizes.get(each.name, (0, 0)), needs.get(each.name, ()),
        )
        for each in sorted(tree.distributions, key=lambda each: each.name)
    )  # fmt: skip
