"""The part of a remote build that runs there: a job goes in, the output folder of a build comes out."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from lambdapack.install import InsideBuilder
from lambdapack.lock import Downloads
from lambdapack.pipeline import cache as build_cache
from lambdapack.pipeline.building import requirements_of
from lambdapack.pipeline.cached_lock import LockRequest
from lambdapack.pipeline.remote import job as jobs
from lambdapack.pipeline.stages import BuildResult, PackBuild, timed
from lambdapack.progress import Progress


def run_job(folder: Path, output: Path, cache_dir: Path, progress: Progress) -> BuildResult:
    """Run the job in ``folder`` and leave the pack and its ``build.json`` in ``output``.

    The current folder becomes the one in the project where the command was run: paths among the
    requirements refer to that.

    Raises:
        LambdapackError: As a build on this machine does.
    """
    folder, output = folder.absolute(), output.absolute()
    job = jobs.read(folder)
    options = jobs.at(job.options, folder, output)
    os.chdir(folder / jobs.PROJECT / job.folder)
    requirements = requirements_of(options, progress)
    store = build_cache.open_cache(cache_dir, progress, enabled=False)
    builder = InsideBuilder(job.image)
    facts = {"name": options.builder, "reason": "asked for"}
    made = PackBuild(options, requirements.shown, facts, store, job.jobs, progress)
    sources, seconds = requirements.options, dict[str, float]()
    with builder.open(options.target, sources=sources, cache_dir=cache_dir, progress=progress) as workshop:
        if job.lock is not None:
            return made.run(replace(job.lock, sources=sources), workshop, seconds)
        downloads = Downloads(cache_dir, requirements.options, progress)
        request = LockRequest(options, requirements, store, downloads, True, progress)
        with timed("lock", seconds):
            lock = request.ask_index(workshop, cache_dir)
        return made.run(lock, workshop, seconds)
