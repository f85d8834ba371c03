"""Before anything is built: requirements -> the facts of the pack that they would become."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from lambdapack.errors import ConfigurationError, LambdapackError
from lambdapack.install import Workshop
from lambdapack.lock import Downloads, wheel_contents
from lambdapack.memo import default_cache_dir
from lambdapack.model import Lock, Need, Wheel
from lambdapack.pipeline import cache as build_cache
from lambdapack.pipeline.building import builder_of, requirements_of
from lambdapack.pipeline.cached_lock import LockRequest
from lambdapack.pipeline.options import BuildOptions
from lambdapack.pipeline.sbom import metadata
from lambdapack.plan import Facts, Graph, estimated, explained
from lambdapack.progress import QUIET, Progress
from lambdapack.slim import by_name, check_options


def estimate(
    options: BuildOptions, *, cache_dir: Path | None = None, refresh: bool = False, progress: Progress = QUIET
) -> Facts:
    """What a build of ``options`` would give, about: nothing is installed, and nothing written but the cache.

    The requirements are resolved as a build does, and of each wheel the zip's directory is read.

    Raises:
        ConfigurationError: The requirements cannot be met.
        ToolError: The index or a wheel cannot be reached.
    """
    check_options(options.slim)
    lock, shown = _lock(options, cache_dir or default_cache_dir(), refresh=refresh, progress=progress)
    wheels = wheel_contents(lock, progress)
    if lock.built:
        progress.warn(
            f"unknown, and counted as nothing, with what it needs: {', '.join(lock.built)}; without a wheel, "
            "only a build tells"
        )
    owners = {file.path: wheel.name for wheel in wheels for file in wheel.files}
    return estimated(
        wheels,
        options.target,
        by_name(owners, options.slim, lock.requested),
        graph=_graph(wheels, lock, shown),
        unknown=lock.built,
        sources=options.slim.sources,
    )


def _lock(
    options: BuildOptions, cache_dir: Path, *, refresh: bool, progress: Progress
) -> tuple[Lock, tuple[str, ...]]:
    """The lock that a build would have, and the requirements as the user wrote them."""
    requirements = requirements_of(options, progress)
    # An estimate starts no build elsewhere, and the answer is the same.
    builder, _ = builder_of(_here(options), progress)
    store = build_cache.open_cache(cache_dir, progress, enabled=True)
    downloads = Downloads(cache_dir, requirements.options, progress)
    request = LockRequest(options, requirements, store, downloads, refresh, progress)
    sources = requirements.options
    with (
        store.in_use(),
        builder.open(options.target, sources=sources, cache_dir=cache_dir, progress=progress) as workshop,
    ):
        try:
            lock = _asked(request, workshop, cache_dir)
        except ConfigurationError as error:
            # Here no sdist can be built, not even to learn what it needs.
            if workshop.place is not None:
                raise
            try:
                lock = _asked(replace(request, unbuilt=True), workshop, cache_dir)
            except LambdapackError:
                raise error from None
    return lock, requirements.shown


def _here(options: BuildOptions) -> BuildOptions:
    return replace(options, builder="auto") if options.builder == "codebuild" else options


def _asked(request: LockRequest, workshop: Workshop, cache_dir: Path) -> Lock:
    known = request.recall(workshop.interpreter, workshop.identity)
    return known.lock if known else request.ask_index(workshop, cache_dir)


def _graph(wheels: tuple[Wheel, ...], lock: Lock, requirements: tuple[str, ...]) -> Graph:
    needs = metadata.needs({wheel.name: metadata.describe(wheel.metadata) for wheel in wheels}, lock.target)
    extras = defaultdict(frozenset, metadata.asked_extras(requirements))
    asked = (Need(name, extras=tuple(sorted(extras[name]))) for name in lock.requested)
    return explained(Graph(tuple(asked), needs))
