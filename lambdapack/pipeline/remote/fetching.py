"""A finished build's files: out of the bucket, checked, into the output folder as a local build's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import lambdapack
from lambdapack import pack
from lambdapack.deploy.aws import BuildPlace, Clients
from lambdapack.errors import CheckError
from lambdapack.model import Lock
from lambdapack.pipeline import build_json
from lambdapack.pipeline.build_json import BuildReport
from lambdapack.pipeline.options import BuildOptions
from lambdapack.pipeline.output import publish, workspace
from lambdapack.pipeline.remote.objects import Objects
from lambdapack.progress import Progress


@dataclass(frozen=True)
class RemoteBuild:
    """A build that has succeeded elsewhere.

    Attributes:
        name: CodeBuild's name for it, ``PROJECT:ID``.
        lock: What it had to install; ``None`` where it found out itself.
        seconds: How long it took, from its start to its end.
    """

    name: str
    lock: Lock | None
    seconds: float

    def prefix(self, place: BuildPlace) -> str:
        """What the keys of its files begin with."""
        return f"{place.output}{self.name.rpartition(':')[2]}/"


def fetch(
    built: RemoteBuild, options: BuildOptions, place: BuildPlace, clients: Clients, progress: Progress
) -> BuildReport:
    """Fetch the files of a build, verify the pack, and put both into ``options.output``.

    The files in the bucket are removed then, where that is allowed.

    Raises:
        CheckError: The pack is not sound, or not of this build. Nothing has changed in ``options.output``.
        ToolError: The files cannot be fetched.
    """
    bucket, prefix = Objects(place.bucket, clients), built.prefix(place)
    with workspace(options.output) as work:
        folder = work / "pack"
        bucket.fetch(prefix + build_json.FILE_NAME, folder / build_json.FILE_NAME, lambda _: None)
        report = build_json.read(folder)
        # The names are another machine's word: they must not lead out of the folder.
        names = [Path(report.pack.file).name, Path(report.pack.index).name]
        with progress.step("fetch the pack", total=report.pack.bytes, unit="B") as advance:
            for name in names:
                bucket.fetch(prefix + name, folder / name, advance)
        with progress.step("verify the pack"):
            check(folder / names[0], report, built, options)
        report = replace(
            report,
            builder={**report.builder, "build": built.name},
            seconds={**report.seconds, "codebuild": round(built.seconds, 3)},
        )
        publish([folder / name for name in names], report, options.output)
    bucket.remove([prefix + name for name in (*names, build_json.FILE_NAME)])
    return report


def check(path: Path, report: BuildReport, built: RemoteBuild, options: BuildOptions) -> None:
    """Verify every frame of the pack at ``path``, and that it is what was asked for.

    Raises:
        CheckError: It is not.
    """
    problems = pack.verify(path)
    if not problems:
        made = pack.load(path.parent)
        wanted = {
            "id": (made.id, report.pack.id),
            "target": (str(options.target), report.target),
            "lambdapack": (f"lambdapack {lambdapack.__version__}", report.tool),
        }
        if built.lock is not None:
            wanted["lock"] = (built.lock.digest, report.lock["digest"])
        problems = [
            f"{what}: asked for {ours}, got {theirs}"
            for what, (ours, theirs) in wanted.items()
            if ours != theirs
        ]
    if problems:
        listed = "\n".join(f"  {problem}" for problem in problems[:20])
        raise CheckError(
            f"the pack of the build {built.name} is not what was asked for:\n{listed}",
            hint="run it again; if it stays so, somebody else writes to the bucket",
        )
