"""A build from end to end: requirements -> a pack, its report, the assets' packs, the bill of materials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from pydantic import TypeAdapter

from lambdapack.install import Builder, choose
from lambdapack.lock import Downloads, Requirements, read_requirements
from lambdapack.memo import default_cache_dir, key_of
from lambdapack.model import runtimes
from lambdapack.pack import assets as asset_packs
from lambdapack.pack.assets import Asset
from lambdapack.pipeline import cache as build_cache
from lambdapack.pipeline import sbom
from lambdapack.pipeline.cache import BuildCache
from lambdapack.pipeline.cached_lock import LockRequest
from lambdapack.pipeline.options import REUSE, BuildOptions, Reuse
from lambdapack.pipeline.stages import BuildResult, PackBuild, timed
from lambdapack.progress import QUIET, Progress
from lambdapack.python.interpreter import Interpreter
from lambdapack.slim import check_options

_INTERPRETER = TypeAdapter(Interpreter)


def build(
    options: BuildOptions,
    *,
    assets: Sequence[Asset] = (),
    cache_dir: Path | None = None,
    reuse: Reuse = REUSE,
    jobs: int | None = None,
    today: date | None = None,
    progress: Progress = QUIET,
) -> BuildResult:
    """Build a pack into ``options.output``, and beside it the packs of ``assets`` and the bill of materials.

    A pack of the very same inputs that an earlier build made, there or in the cache, is taken instead. The
    folder holds one build at a time: what an earlier one left there is replaced, once the new one is whole.

    Args:
        options: What is built, for which target, and where it goes.
        assets: Files and folders that the function loads, each into a pack of its own.
        cache_dir: What is kept between builds; ``None`` for the user's own cache folder.
        reuse: What may be taken from earlier builds.
        jobs: Cores to use; ``None`` for all of them. The bytes are the same whatever their number.
        today: The day that the runtime's end is measured against; ``None`` for today.
        progress: Told each step.

    Raises:
        ConfigurationError: The options, the requirements or an asset cannot be built as they are, or Lambda
            takes no functions of the runtime any more.
        CheckError: The traced code fails, or a binary is for another machine.
        ToolError: A tool, the network or the disk failed. Whatever is raised, an earlier build in
            ``options.output`` is still whole.
    """
    check_before(options, assets, today, progress)
    cache_dir = cache_dir or default_cache_dir()
    store = build_cache.open_cache(cache_dir, progress, enabled=reuse.cache)
    result = _build_pack(options, store, cache_dir, refresh=not reuse.lock, jobs=jobs, progress=progress)
    built = asset_packs.build(assets, options.output, jobs=jobs, progress=progress)
    bill = sbom.write(result.report, built, options.output, store)
    if reuse.cache and not result.reused:
        build_cache.prune(cache_dir, max_bytes=reuse.limit, builds_only=True)
    return replace(result, assets=built, bill=bill)


def check_before(
    options: BuildOptions, assets: Sequence[Asset], today: date | None, progress: Progress
) -> None:
    """Refuse what no step of the build could mend, before the first one."""
    check_options(options.slim)
    asset_packs.check(assets)
    due = runtimes.check(options.target.python, f"building for {options.target}", on=today)
    if due:
        progress.warn(due)


def _build_pack(
    options: BuildOptions,
    store: BuildCache,
    cache_dir: Path,
    *,
    refresh: bool,
    jobs: int | None,
    progress: Progress,
) -> BuildResult:
    """Take the pack of an earlier build, or choose a builder and run the stages in its workshop."""
    requirements = requirements_of(options, progress)
    builder, reason = builder_of(options, progress)
    seconds: dict[str, float] = {}
    downloads = Downloads(cache_dir, requirements.options, progress)
    request = LockRequest(options, requirements, store, downloads, refresh, progress)
    facts = {"name": builder.name, "reason": reason}
    pack_build = PackBuild(options, requirements.shown, facts, store, jobs, progress)
    identity, python = builder.identify(options.target, progress=progress)
    if python is None and (kept := store.get("images", key_of(dict(identity)))):
        python = _INTERPRETER.validate_json(kept)
    with store.in_use():
        known = request.recall(python, identity) if python else None
        if python and known:
            result = pack_build.reuse(known.lock, python, identity)
            if result is not None:
                return replace(result, lock_age=known.seconds)
        with builder.open(
            options.target, sources=requirements.options, cache_dir=cache_dir, progress=progress
        ) as workshop:
            if workshop.identity:
                image = key_of(dict(workshop.identity))
                store.put("images", image, _INTERPRETER.dump_json(workshop.interpreter))
            with timed("lock", seconds):
                lock = known.lock if known else request.ask_index(workshop, cache_dir)
            result = pack_build.reuse(lock, workshop.interpreter, workshop.identity)
            result = result or pack_build.run(lock, workshop, seconds)
    return replace(result, lock_age=known.seconds if known else None)


def requirements_of(options: BuildOptions, progress: Progress) -> Requirements:
    """What the options ask for, read."""
    requirements = read_requirements(
        options.requirements,
        options.files,
        extras=options.extras,
        groups=options.groups,
        optional=bool(options.trace.assets),
    )
    if requirements.is_empty:
        progress.note("no requirements: the function has its assets, and a pack without files")
    return requirements


def builder_of(options: BuildOptions, progress: Progress) -> tuple[Builder, str]:
    """The builder and, for people, why it was chosen."""
    builder, reason = choose(
        options.builder,
        options.target,
        image=options.image,
        limits=options.limits,
        packages=options.packages,
    )
    progress.note(f"builder: {builder.name} ({reason})")
    return builder, reason
