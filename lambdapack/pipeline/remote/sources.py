"""What is sent to where a build runs: the job, lambdapack itself, and those files of the project it needs."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from lambdapack.deploy import collect_sources
from lambdapack.files import disk_errors, sha256_of, walk
from lambdapack.lock import Requirements
from lambdapack.pipeline.options import BuildOptions
from lambdapack.pipeline.remote import job as jobs
from lambdapack.pipeline.remote.job import Job
from lambdapack.pipeline.remote.own_wheel import entry, write_wheel
from lambdapack.python.pip_settings import local_path

CONSTRAINTS = "constraints.txt"
"""Versions of what lambdapack needs that decide a pack's bytes."""
# Where requirements can be: the files that one of them may include are among those.
_REQUIREMENT_FILES = (".txt", ".in", ".toml", ".lock")
_SAME_VERSION = ("zstandard",)


@dataclass(frozen=True)
class SourceZip:
    """The sources of a build.

    Attributes:
        path: The zip.
        sha256: Its digest, hex.
        files: How many files of the project are in it.
        size: Bytes.
    """

    path: Path
    sha256: str
    files: int
    size: int


def write_sources(
    job: Job, options: BuildOptions, requirements: Requirements, root: Path, folder: Path
) -> SourceZip:
    """Write the sources of ``job`` into ``folder``.

    Args:
        job: What the other machine is told.
        options: The same build, with the paths of this machine.
        requirements: The build's, read.
        root: The project's folder.
        folder: Where the zip goes, and what is made for it.

    Raises:
        ConfigurationError: A file that is needed cannot be read, or lies outside ``root``.
    """
    files = dict(project_files(options, requirements, root))
    path = folder / "sources.zip"
    with disk_errors(folder), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(entry(jobs.FILE_NAME), jobs.encode(job))
        archive.writestr(entry(CONSTRAINTS), constraints())
        _add(archive, (wheel := write_wheel(folder)).name, wheel)
        # The other machine enters this folder even where no file of the project is sent.
        archive.writestr(entry(f"{jobs.PROJECT}/{job.folder}/.lambdapack-folder"), b"")
        for name, file in sorted(files.items()):
            _add(archive, name, file)
    with path.open("rb") as made:
        return SourceZip(path, sha256_of(made), len(files), path.stat().st_size)


def constraints() -> str:
    """The versions that run here of what decides bytes, as pip's constraints."""
    return "".join(f"{name}=={metadata.version(name)}\n" for name in _SAME_VERSION)


def project_files(
    options: BuildOptions, requirements: Requirements, root: Path
) -> Iterator[tuple[str, Path]]:
    """Name in the zip -> file, of all that the build reads of this machine.

    The whole project, as a function's zip takes it, where a handler is traced or a folder of it is a
    requirement; else the files that requirements can be in, and folders of wheels and sdists that these name.
    Assets where traced code may load them.
    """
    local = [reference.path for reference in requirements.direct if reference.path is not None]
    traced = options.trace.handler is not None
    if traced or local or options.files:
        assets = tuple(options.trace.assets.values())
        for source in collect_sources(root, leave_out=(options.output, *assets)):
            if traced or local or source.path.suffix in _REQUIREMENT_FILES:
                yield f"{jobs.PROJECT}/{source.name}", source.path
    for path in (*options.files, *(path for path in local if path.is_file())):
        yield f"{jobs.PROJECT}/{jobs.inside(path, root, 'the requirements file')}", path
    for place in requirements.options.values({"find-links"}):
        links = local_path(place)
        if links is not None and links.exists() and links.resolve().is_relative_to(root.resolve()):
            yield from _tree(links, f"{jobs.PROJECT}/{jobs.inside(links, root, 'the folder of wheels')}")
    if jobs.needs_assets(options):
        places = jobs.asset_paths(options.trace.assets)
        for name, path in options.trace.assets.items():
            yield from _tree(path, places[name].as_posix())


def _tree(path: Path, name: str) -> Iterator[tuple[str, Path]]:
    if path.is_dir():
        yield from ((f"{name}/{file}", path / file) for file in walk(path))
    else:
        yield name, path


def _add(archive: zipfile.ZipFile, name: str, path: Path) -> None:
    info = entry(name, executable=bool(path.stat().st_mode & 0o100))
    info.file_size = path.stat().st_size
    with path.open("rb") as source, archive.open(info, "w") as target:
        while piece := source.read(1 << 20):
            target.write(piece)
