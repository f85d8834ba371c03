"""The faults that apply, against the loaders that people use today: their own code, unchanged.

Zappa unpacks an archive from S3, serverless-python-requirements one from the function's zip; both below
/tmp, so each case has a /tmp of its own. They are judged more mildly than the shim: any error that ends
the process counts as clear.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tarfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import boto3

from benchmarks.artifacts import Kit
from lambdapack.errors import LambdapackError
from lambdapack.model.target import Target
from lambdapack.progress import QUIET

from .case import LOOK, Case, NotHereError, damage, opened
from .endpoint import Answer, Script
from .model import EITHER, End, Verdict, verdict_of
from .rows_system import mounted
from .world import Start, World, start

__all__ = ["Tally", "run_peers"]

CASES = 10
FILLERS = 1500
"""Small files beside the pack's: packages have thousands, and that is where an unpacking is interrupted."""
ZAPPA_ENTRY = """
from types import SimpleNamespace
from zappa.handler import LambdaHandler

handler = object.__new__(LambdaHandler)
handler.settings = SimpleNamespace(PROJECT_NAME="project")
handler.load_remote_project_archive("s3://bucket/project.tar.gz")
"""


@dataclass
class Tally:
    """How the faults of one row ended."""

    ends: Counter[End] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)
    not_here: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Peer:
    """One loader, and where it unpacks to below /tmp; folders to show elsewhere, with where."""

    name: str
    world: World
    loader: str
    path: Sequence[Path]
    unpacked: str
    shown: Sequence[tuple[Path, Path]] = ()


class PeerCase:
    """A case with a /tmp of its own."""

    def __init__(self, peer: Peer, case: Case, temporary: Path) -> None:
        self.peer, self.case, self.temporary = peer, case, temporary

    def start(self, steps: Sequence[Sequence[Any]] = LOOK, script: Script | None = None) -> Start:
        """Start the peer's loader."""
        if os.geteuid() != 0:
            raise NotHereError("a /tmp of its own needs root")
        script = script or Script()
        variables = {
            **self.peer.world.endpoint.grant(script),
            "FAULTS_LOADER": self.peer.loader,
            "PYTHONPATH": os.pathsep.join(map(str, self.peer.path)),
            "AWS_DEFAULT_REGION": "us-east-1",
            "LAMBDA_TASK_ROOT": str(self.peer.world.functions["plain"]),
        }
        # What it imports may be below the real /tmp, which is not to be seen.
        commands = [f"mount --bind '{real}' '{shown}'" for real, shown in self.peer.shown]
        commands += ['mount --bind "$0" /tmp', 'exec "$@"']
        private = ["unshare", "-m", "sh", "-c", " && ".join(commands), str(self.temporary)]
        began = start(
            self.peer.world,
            self.case.root,
            steps,
            environment=variables,
            folder=self.case.folder,
            prefix=private,
        )
        self.case.owns(began)
        return began

    def judge(self, began: Start, results: int = 1) -> Verdict:
        """As for the shim, but any error is clear."""
        status = began.end()
        if status is None:
            return Verdict(End.HUNG, "hung")
        verdict = verdict_of(self.peer.world, began, status, EITHER, results=results)
        silent = "silently wrong" in verdict.reason
        return Verdict(End.CLEAR) if verdict.end is End.WRONG and not silent else verdict

    def next_must_be_right(self) -> Verdict:
        """With everything well again, what a user can expect is the right answer."""
        began = self.start()
        verdict = self.judge(began)
        if verdict.end is End.CLEAR:
            error = [line for line in began.out.splitlines() if line.startswith("ERROR")]
            return Verdict(End.WRONG, f"the next start fails: {(error or [began.err[-200:]])[0][:300]}")
        return verdict

    def unpacking(self, began: Start) -> None:
        """Wait until it has unpacked a part."""
        want = self.case.rng.randrange(1, FILLERS)
        folder = self.temporary / self.peer.unpacked / "filler"
        while began.process.poll() is None:
            try:
                if len(os.listdir(folder)) >= want:  # noqa: PTH208 - as fast as can be
                    return
            except OSError:
                pass


def undisturbed(one: PeerCase) -> Verdict:
    """Nothing is injected, cold and warm: what holds the others to account."""
    verdict = one.next_must_be_right()
    return one.next_must_be_right() if verdict.end is End.RIGHT else verdict


def killed(one: PeerCase) -> Verdict:
    """Killed in mid-unpack, then started again."""
    began = one.start()
    one.unpacking(began)
    began.kill()
    return one.next_must_be_right()


def truncated(one: PeerCase) -> Verdict:
    """The archive arrives cut short once."""
    if one.peer.loader != "zappa_entry":
        raise NotHereError("it fetches nothing")
    size = len(one.peer.world.endpoint.objects["bucket/project.tar.gz"])
    script = Script(answers=[Answer("truncate", one.case.rng.randrange(size))])
    one.judge(one.start(script=script))
    return one.next_must_be_right()


def racing(one: PeerCase) -> Verdict:
    """Four processes at once: every one must be right."""
    verdicts = [one.judge(began) for began in [one.start() for _ in range(4)]]
    bad = [verdict for verdict in verdicts if verdict.end is not End.RIGHT]
    return Verdict(End.WRONG, f"{len(bad)} of 4 racers fail") if bad else verdicts[0]


def deleted(one: PeerCase) -> Verdict:
    """Something below /tmp is deleted or cut between two starts."""
    before = one.next_must_be_right()
    if before.end is not End.RIGHT:
        return before
    files = one.temporary / one.peer.unpacked.removeprefix("_temp-")
    shutil.rmtree(files / "filler")
    done = damage(files, one.case.rng, mapped=False)
    verdict = one.next_must_be_right()
    return verdict if verdict.end is End.RIGHT else Verdict(verdict.end, f"{done}: {verdict.reason}")


def full(one: PeerCase) -> Verdict:
    """/tmp is too small, and then it is not."""
    size = one.case.rng.randrange(100_000, 6_000_000, 4096)
    with mounted(one.case, f"size={size}") as point:
        one.temporary = point
        one.judge(one.start())
        subprocess.run(["mount", "-o", "remount,size=64m", str(point)], check=True)
        return one.next_must_be_right()


FAULTS: dict[str, Callable[[PeerCase], Verdict]] = {
    "no fault at all": undisturbed,
    "killed in mid-unpack": killed,
    "truncated archive": truncated,
    "4 racers": racing,
    "deletions and cuts between starts": deleted,
    "disk full": full,
}


def run_peers(world: World, options: argparse.Namespace) -> dict[str, Tally]:
    """A tally for each row and peer; one that is not to be had is left out, with the reason."""
    kit = Kit(options.cache, Target(options.python), reuse=True, progress=QUIET)
    tallies: dict[str, Tally] = {}
    for name, make in (("Zappa", _zappa), ("serverless-python-requirements", _srp)):
        try:
            peer = make(world, kit)
        except LambdapackError as error:
            tallies[name] = Tally(not_here=str(error))
            continue
        for fault, inject in FAULTS.items():
            tallies[f"{name}: {fault}"] = _row(peer, fault, inject, options)
    return tallies


def _row(peer: Peer, fault: str, inject: Callable[[PeerCase], Verdict], options: argparse.Namespace) -> Tally:
    tally = Tally()
    began = time.monotonic()

    def one(seed: int) -> Verdict | str:
        with opened(peer.world, f"{peer.name} {fault}", seed) as case:
            temporary = case.folder / "tmp"
            temporary.mkdir()
            try:
                return inject(PeerCase(peer, case, temporary))
            except NotHereError as error:
                return str(error)

    with ThreadPoolExecutor(options.workers) as pool:
        seeds = range(options.seed, options.seed + (options.count or CASES))
        for verdict in pool.map(one, seeds):
            if isinstance(verdict, str):
                tally.not_here = verdict
                continue
            tally.ends[verdict.end] += 1
            if verdict.end in (End.WRONG, End.HUNG):
                tally.bad.append(f"{verdict.end.value}: {verdict.reason}")
    tally.seconds = time.monotonic() - began
    return tally


def _zappa(world: World, kit: Kit) -> Peer:
    project, task = _project(world, "zappa")
    archive = world.folder / "project.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as made:
        made.add(project, arcname=".")
    world.endpoint.objects["bucket/project.tar.gz"] = archive.read_bytes()
    (task / "zappa_entry.py").write_text(ZAPPA_ENTRY)
    # As in its zip, and as in Lambda's runtime. A cache may be below the real /tmp.
    shutil.copytree(kit.zappa(), task, dirs_exist_ok=True)
    shown = world.folder / "zappa-runtime"
    shown.mkdir()
    its = [(Path(boto3.__file__).parents[1], shown)]
    return Peer("Zappa", replace(world, functions={"plain": task}), "zappa_entry", [shown], "project", its)


def _srp(world: World, kit: Kit) -> Peer:
    project, task = _project(world, "srp")
    shutil.copy(kit.srp(), task)
    with zipfile.ZipFile(task / ".requirements.zip", "w") as made:
        for path in sorted(project.rglob("*")):
            made.write(path, path.relative_to(project))
    # Its helper is to be imported from the function's folder, as its README says.
    unpacked = "_temp-sls-py-req"
    name = "serverless-python-requirements"
    return Peer(name, replace(world, functions={"plain": task}), "unzip_requirements", (), unpacked)


def _project(world: World, name: str) -> tuple[Path, Path]:
    """What is to be unpacked, and the function's folder without any of it."""
    project, task = world.folder / f"{name}-project", world.folder / f"{name}-task"
    shutil.copytree(world.folder / "tree", project)
    (project / "filler").mkdir()
    for number in range(FILLERS):
        (project / "filler" / f"{number}.txt").write_bytes(b"%d" % number * 200)
    task.mkdir()
    shutil.copy(Path(__file__).with_name("program.py"), task)
    return project, task
