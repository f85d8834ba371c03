"""A build from end to end: requirements -> lock -> tree -> trace -> slimmed tree -> pack.

The stages know nothing of each other; this is where their values meet.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import lambdapack
from lambdapack import install as build_stage
from lambdapack import lock as lock_stage
from lambdapack import pack
from lambdapack.install import syslibs
from lambdapack.model import Lock, SlimReport, Tree
from lambdapack.pipeline import build_json as buildreport
from lambdapack.pipeline import cache as buildcache
from lambdapack.pipeline.build_json import BuildReport, BuiltDistribution, PackFacts
from lambdapack.pipeline.cache import Builds, Store
from lambdapack.pipeline.cached_lock import LockRequest
from lambdapack.pipeline.cached_tree import install
from lambdapack.pipeline.options import BuildOptions, describe, digest
from lambdapack.pipeline.output import publish, sound, workspace
from lambdapack.progress import QUIET, Progress, Remembering, say
from lambdapack.python.interpreter import Interpreter
from lambdapack.slim import Runner, check_options, slim
from lambdapack.trace import TraceOptions
from runtime_shim._index import ARENA

__all__ = ["BuildOptions", "Built", "Reuse", "Task", "build"]


@dataclass(frozen=True)
class Reuse:
    """What a build may take from earlier ones.

    Attributes:
        cache: Whether it looks into the build cache and keeps there what it makes.
        lock: Whether a lock that was resolved some hours ago is taken for today's.
        limit: Bytes that the build cache may hold afterwards.
    """

    cache: bool = True
    lock: bool = True
    limit: int = buildcache.LIMIT


@dataclass(frozen=True)
class Built:
    """A build's outcome.

    Attributes:
        report: What ``build.json`` says.
        directory: Where it is.
        reused: Whether an earlier build was found to be the same.
        source: Where that was: ``output``, the folder itself, or ``cache``; empty where it was built.
        lock_age: Seconds since its lock was resolved; ``None`` where it was resolved now.
    """

    report: BuildReport
    directory: Path
    reused: bool
    source: Literal["", "output", "cache"] = ""
    lock_age: float | None = None


def build(
    options: BuildOptions,
    *,
    cache_dir: Path,
    reuse: Reuse = Reuse(),
    jobs: int | None = None,
    progress: Progress = QUIET,
) -> Built:
    """Build a pack into ``options.output``; an earlier build of the very same inputs is reused.

    Raises:
        LambdapackError: A stage failed; nothing of it is left in ``options.output``.
    """
    check_options(options.slim)
    requirements = lock_stage.read_requirements(
        *(options.requirements, options.files),
        extras=options.extras,
        groups=options.groups,
        optional=bool(options.trace.assets),
    )
    if requirements.is_empty:
        progress.note("no requirements: the function has its assets, and a pack without files")
    builder, reason = build_stage.choose(
        options.builder,
        options.target,
        image=options.image,
        limits=options.limits,
        packages=options.packages,
    )
    progress.note(f"builder: {builder.name} ({reason})")
    store = buildcache.open_store(cache_dir, progress, enabled=reuse.cache)
    locks = buildcache.Locks(store)
    downloads = lock_stage.Downloads(cache_dir, requirements.options, progress)
    request = LockRequest(options, requirements, locks, downloads, refresh=not reuse.lock)
    identity, python = builder.identify(options.target, progress=progress)
    python = python or locks.interpreter(identity)
    with store.in_use():
        known = request.recall(python, identity, progress) if python else None
        task = Task(options, requirements.shown, {"name": builder.name, "reason": reason}, store)
        if python and known:
            found = task.earlier(known.lock, python, identity, progress)
            if found is not None:
                return replace(found, lock_age=known.seconds)
        with builder.open(
            options.target, sources=requirements.options, cache_dir=cache_dir, progress=progress
        ) as workshop:
            if workshop.identity:
                locks.keep_interpreter(workshop.identity, workshop.interpreter)
            clock = _Clock()
            with clock.stage("lock"):
                lock = (
                    known.lock
                    if known
                    else request.ask_index(workshop, cache_dir=cache_dir, progress=progress)
                )
            found = task.earlier(lock, workshop.interpreter, workshop.identity, progress)
            built = found or task.build(lock, workshop, clock=clock, jobs=jobs, progress=progress)
    if reuse.cache and not built.reused:
        buildcache.prune(cache_dir, max_bytes=reuse.limit, builds_only=True)
    return replace(built, lock_age=known.seconds if known else None)


class Task:
    """One build, once its requirements are read.

    Args:
        options: The build's.
        lines: The requirements, for the report.
        builder: Its name and why it was chosen, for the report.
        store: The build cache.
    """

    def __init__(
        self, options: BuildOptions, lines: tuple[str, ...], builder: Mapping[str, str], store: Store
    ) -> None:
        self._options = options
        self._lines = lines
        self._builder = builder
        self._store = store
        self._builds = Builds(store)

    def earlier(
        self, lock: Lock, python: Interpreter, identity: Mapping[str, str], progress: Progress
    ) -> Built | None:
        """A build of the same inputs: in the output folder or, copied there, from the cache."""
        output, inputs = self._options.output, digest(self._options, lock, python, identity)
        report = sound(output, inputs)
        if report is not None:
            say(report.messages, progress)
            progress.note(f"nothing changed since the last build in {output}: reused")
            return Built(report, output, reused=True, source="output")
        with workspace(output) as work:
            copied = self._builds.copy(inputs, work / "pack")
            report = sound(work / "pack", inputs) if copied else None
            if report is None:
                return None
            # Other words may ask for the same: those of this time stand in build.json.
            said = {**report.builder, **self._builder}
            report = replace(report, requirements=self._lines, builder=said)
            publish(copied, report, output)
        say(report.messages, progress)
        progress.note("nothing changed since an earlier build: taken from the cache")
        return Built(report, output, reused=True, source="cache")

    def build(
        self,
        lock: Lock,
        workshop: build_stage.Workshop,
        *,
        clock: _Clock | None = None,
        jobs: int | None = None,
        progress: Progress = QUIET,
    ) -> Built:
        """Build it, with what the cache has of its parts."""
        options, store, clock = self._options, self._store, clock or _Clock()
        inputs = digest(options, lock, workshop.interpreter, workshop.identity)
        progress = Remembering(progress)
        with workspace(options.output) as work:
            with clock.stage("install"):
                tree, reused = install(lock, work / "tree", workshop, store, jobs=jobs, progress=progress)
            runner = Runner(options.trace, lock, workshop, work, progress)
            has, searched = syslibs.provided(options.target), self._builder["name"] == "docker"
            with clock.stage("trace"), syslibs.explained(tree.lacking, has, image=searched):
                trace = runner.trace(tree)
                opened = syslibs.opened(tree, has, trace, _beside(options.trace))
                tree = workshop.bring(tree, opened, lock, progress=progress)
                tree = syslibs.named(tree, trace)
            syslibs.tell(tree.lacking, has, (*trace.files, syslibs.TRACED), progress, image=searched)
            with clock.stage("slim"):
                slimmed = slim(
                    tree, trace, options.slim, runner=runner, work=work, memo=store, progress=progress
                )
            with clock.stage("pack"):
                made = pack.write(
                    *(slimmed.tree, trace, lock.digest, work / "pack"),
                    level=options.level,
                    jobs=jobs,
                    memo=store,
                    progress=progress,
                )
            report = BuildReport(
                tool=f"lambdapack {lambdapack.__version__}",
                inputs=inputs,
                target=str(options.target),
                glibc="{}.{}".format(*lock.glibc),
                builder={**self._builder, **workshop.identity, "python": workshop.interpreter.version},
                requirements=self._lines,
                lock={**lock.document},
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
                reuse=_reuse(reused, len(lock.pins), store),
                messages=tuple(progress.said),
            )
            files = (made.path, made.index_path, buildreport.write(report, work / "pack"))
            self._builds.keep(inputs, files)
            publish(files, report, options.output)
        _tell(report, progress)
        return Built(report, options.output, reused=False)


def _beside(traced: TraceOptions) -> tuple[Path, ...]:
    """Where the function's own folder has libraries that Lambda's dynamic linker finds."""
    return () if traced.source is None else (traced.source, traced.source / "lib")


def _reuse(distributions: int, of_distributions: int, store: Store) -> dict[str, dict[str, int]]:
    """What the cache gave, by kind."""
    counted = {"distributions": {"reused": distributions, "all": of_distributions}}
    for kind in ("frames",):
        counted[kind] = {"reused": store.found[kind], "all": store.asked[kind]}
    return counted


def _tell(report: BuildReport, progress: Progress) -> None:
    parts = [f"{one['reused']} of {one['all']} {name}" for name, one in report.reuse.items() if one["reused"]]
    if parts:
        progress.note(f"from the cache: {', '.join(parts)}")


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
