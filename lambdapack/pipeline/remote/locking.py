"""The lock of a build that another machine runs, where this machine can resolve the requirements."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lambdapack.errors import ConfigurationError, LambdapackError
from lambdapack.install import LocalBuilder, LocalWorkshop
from lambdapack.lock import Downloads, Requirements
from lambdapack.model import Lock
from lambdapack.pipeline import cache as build_cache
from lambdapack.pipeline.cached_lock import LockRequest
from lambdapack.pipeline.options import BuildOptions, Reuse
from lambdapack.pipeline.remote.job import with_lock
from lambdapack.progress import Progress
from lambdapack.python import interpreter


def lock_here(
    options: BuildOptions, requirements: Requirements, cache_dir: Path, reuse: Reuse, progress: Progress
) -> Lock | None:
    """The lock that a build on this machine would have, from the cache or from the index.

    Returns:
        ``None`` where this machine has not the target's Python, or something has to be built: then the
        requirements are resolved where the build runs.

    Raises:
        ConfigurationError: The requirements cannot be met.
        ToolError: The index cannot be reached.
    """
    try:
        python = interpreter.find(options.target.python)
    except ConfigurationError:
        progress.note(f"lock: resolved in CodeBuild, as there is no Python {options.target.python} here")
        return None
    if any(reference.path is not None for reference in requirements.direct):
        progress.note("lock: resolved in CodeBuild, where the project's own packages are built too")
        return None
    store = build_cache.open_cache(cache_dir, progress, enabled=reuse.cache)
    downloads = Downloads(cache_dir, requirements.options, progress)
    request = LockRequest(options, requirements, store, downloads, not reuse.lock, progress)
    builder = LocalBuilder()
    with (
        store.in_use(),
        builder.open(
            options.target, sources=requirements.options, cache_dir=cache_dir, progress=progress
        ) as workshop,
    ):
        known = request.recall(python, workshop.identity)
        lock = known.lock if known else _asked(request, workshop, cache_dir)
    return lock and with_lock(lock, requirements)


def _asked(request: LockRequest, workshop: LocalWorkshop, cache_dir: Path) -> Lock | None:
    """The index's answer; ``None`` where sdists have to be built, which is for the image to do."""
    try:
        return request.ask_index(workshop, cache_dir)
    except ConfigurationError as error:
        try:
            built = replace(request, unbuilt=True).ask_index(workshop, cache_dir).built
        except LambdapackError:
            built = ()
        if not built:
            raise error from None
        request.progress.note(f"lock: resolved in CodeBuild, where {', '.join(built)} can be built")
        return None
