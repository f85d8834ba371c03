"""A build in CodeBuild from end to end: requirements -> the same pack as here, from another machine."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from lambdapack import store
from lambdapack.deploy.aws import BuildPlace, BuildProject, Clients, prepare_builds
from lambdapack.errors import ConfigurationError
from lambdapack.files import scratch_folder
from lambdapack.lock import Requirements
from lambdapack.memo import default_cache_dir
from lambdapack.model import Lock
from lambdapack.pack import assets as asset_packs
from lambdapack.pack.assets import Asset
from lambdapack.pipeline import cache as build_cache
from lambdapack.pipeline import sbom
from lambdapack.pipeline.building import check_before, requirements_of
from lambdapack.pipeline.options import REUSE, BuildOptions, Reuse
from lambdapack.pipeline.remote import job as jobs
from lambdapack.pipeline.remote import request as requests
from lambdapack.pipeline.remote.fetching import RemoteBuild, fetch
from lambdapack.pipeline.remote.job import Job
from lambdapack.pipeline.remote.locking import lock_here
from lambdapack.pipeline.remote.objects import Objects
from lambdapack.pipeline.remote.running import run
from lambdapack.pipeline.remote.sources import SourceZip, write_sources
from lambdapack.pipeline.stages import BuildResult
from lambdapack.progress import QUIET, Progress
from lambdapack.python.pip_settings import PipSettings

_NO_PACK = "0" * 64


@dataclass(frozen=True)
class RemoteOptions:
    """Where and of what a build in CodeBuild is made, besides its ``BuildOptions``.

    Attributes:
        location: ``s3://BUCKET/PREFIX`` of the store; sources and results go below ``builds/`` there.
        root: The project's folder, of which the files that the build reads are sent.
        region: The bucket's region; ``None`` for the one that AWS's own settings give. A bucket in another
            region is looked up: the build runs where the bucket is.
    """

    location: str
    root: Path
    region: str | None = None


def build(
    options: BuildOptions,
    remote: RemoteOptions,
    *,
    assets: Sequence[Asset] = (),
    cache_dir: Path | None = None,
    reuse: Reuse = REUSE,
    jobs: int | None = None,
    today: date | None = None,
    progress: Progress = QUIET,
) -> BuildResult:
    """Build in CodeBuild, and put the pack into ``options.output`` as a build on this machine does.

    The project in CodeBuild is made first, where it is not there. Packs of assets are made here.

    Args:
        options: What is built, for which target, and where it goes.
        remote: Where in AWS.
        assets: Files and folders that the function loads, each into a pack of its own.
        cache_dir: What is kept between builds on this machine; ``None`` for the user's own cache folder.
        reuse: Whether a lock that was resolved some hours ago is taken for today's.
        jobs: Cores to use there; ``None`` for all of them.
        today: The day that the runtime's end is measured against; ``None`` for today.
        progress: Told each step, the build's phases and its log.

    Raises:
        ConfigurationError: The options, the requirements or an asset cannot be built as they are, or a file
            that is needed lies outside the project.
        CheckError: As for a build on this machine; or the pack that arrived is not sound.
        ToolError: AWS refused or was not reached, or the build failed there. Whatever is raised, an earlier
            build in ``options.output`` is still whole, and no build of ours goes on.
    """
    check_before(options, assets, today, progress)
    requests.check(options)
    cache_dir = cache_dir or default_cache_dir()
    requirements = requirements_of(options, progress)
    lock = lock_here(options, requirements, cache_dir, reuse, progress)
    variables = _variables(options, lock, progress)
    place, clients = _open(remote)
    job = _job(options, requirements, lock, remote.root, jobs)
    prepare_builds(place, requests.BUILDSPEC, job.image, clients, progress=progress)
    with scratch_folder() as folder:
        sources = write_sources(job, options, requirements, remote.root, folder)
        key = _send(sources, place, clients, progress)
    asked = requests.request(options, place, key, variables, secrets.token_hex(16))
    built = _built(asked, lock, clients, progress)
    report = fetch(built, options, place, clients, progress)
    packed = asset_packs.build(assets, options.output, jobs=jobs, progress=progress)
    kept = build_cache.open_cache(cache_dir, progress, enabled=reuse.cache)
    bill = sbom.write(report, packed, options.output, kept)
    return BuildResult(report, options.output, reused=False, assets=packed, bill=bill)


def prepare(options: BuildOptions, remote: RemoteOptions, *, progress: Progress = QUIET) -> BuildProject:
    """Make the project that ``build`` needs, where it is not there: once, before builds side by side."""
    place, clients = _open(remote)
    image = requests.image_of(options)
    return prepare_builds(place, requests.BUILDSPEC, image, clients, progress=progress)


def _built(asked: Mapping[str, Any], lock: Lock | None, clients: Clients, progress: Progress) -> RemoteBuild:
    begun = time.monotonic()
    finished = run(asked, clients, progress)
    return RemoteBuild(str(finished["id"]), lock, time.monotonic() - begun)


def _open(remote: RemoteOptions) -> tuple[BuildPlace, Clients]:
    """Where builds are kept, and the clients of the region where that bucket is."""
    if not remote.location.startswith("s3://"):
        raise ConfigurationError(
            f"building in CodeBuild: {remote.location} is no bucket, and a build there reads its sources "
            "from one and writes its pack to one",
            hint="set [store] location to s3://BUCKET/PREFIX",
        )
    there = store.open_store(remote.location, region=remote.region).location(_NO_PACK)
    prefix = there.key.removesuffix(store.key("", _NO_PACK)).strip("/")
    return BuildPlace(there.bucket, prefix), Clients(there.region)


def _variables(options: BuildOptions, lock: Lock | None, progress: Progress) -> dict[str, str]:
    """What pip is told there of the indexes that pip is told here."""
    settings = PipSettings.read()
    variables, said = requests.pip_variables(settings, options.target, locked=lock is not None)
    for line in said:
        progress.note(line)
    return variables


def _job(
    options: BuildOptions, requirements: Requirements, lock: Lock | None, root: Path, cores: int | None
) -> Job:
    here = Path.cwd().resolve()
    inside = here.is_relative_to(root.resolve())
    folder = here.relative_to(root.resolve()).as_posix() if inside else "."
    image = requests.image_of(options)
    return Job(jobs.portable(options, requirements, root), image, folder, lock, cores)


def _send(sources: SourceZip, place: BuildPlace, clients: Clients, progress: Progress) -> str:
    """Upload the sources under their digest, unless they are there; their key."""
    key = f"{place.sources}{sources.sha256}.zip"
    progress.note(f"sources: {sources.files} files of the project, {sources.size:,} B with lambdapack itself")
    bucket = Objects(place.bucket, clients)
    if not bucket.has(key, sources.size):
        with progress.step("send the sources", total=sources.size, unit="B") as advance:
            bucket.send(sources.path, key, advance)
    return key
