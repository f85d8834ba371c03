"""The lock of a build that another machine runs, where this machine can resolve the requirements."""

from __future__ import annotations

from pathlib import Path

from lambdapack.errors import ConfigurationError
from lambdapack.install import LocalBuilder
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
        ``None`` where this machine has not the target's Python, or the lock names what lies here alone:
        then it is resolved where the build runs.

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
        lock = known.lock if known else request.ask_index(workshop, cache_dir)
    return with_lock(lock, requirements)
