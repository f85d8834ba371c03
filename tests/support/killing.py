"""Commands that are killed at a chosen moment, and what they leave.

A moment is the Nth change that the command makes to a disk or asks of a network, counted by Python's audit
hook, so that the same moment comes again with the same seed. Nothing of it is in lambdapack: the hook comes
into the process through a ``sitecustomize`` of the test's own.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.local_cloud import eventually

HOOK = """
import os, sys

def install(folder, at, whole_group):
    import signal
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
    changes = {
        "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.truncate",
        "os.utime", "subprocess.Popen", "http.client.connect", "http.client.send",
    }
    me, log = os.getpid(), os.open(os.path.join(folder, "events"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    seen = 0
    busy = False

    def die():
        (os.killpg if whole_group else os.kill)(me, signal.SIGKILL)

    def hook(event, arguments):
        nonlocal seen, busy
        opening = event == "open" and isinstance(arguments[2], int) and arguments[2] & writing
        if busy or not (opening or event in changes) or os.getpid() != me:
            return
        if opening and arguments[0] == os.devnull:
            return
        # An opening is two moments: before it, and when the file is there with nothing in it.
        for step in range(2 if opening else 1):
            seen += 1
            os.write(log, f"{event} {arguments[0] if event != 'http.client.send' else ''}\\n".encode())
            if seen == at:
                if step:
                    busy = True
                    os.open(arguments[0], arguments[2], 0o600)
                die()

    sys.addaudithook(hook)

folder = os.path.dirname(os.path.abspath(__file__))
try:
    # The command is the first Python that comes here; its children are killed with it, or live on.
    os.close(os.open(os.path.join(folder, "first"), os.O_CREAT | os.O_EXCL))
except FileExistsError:
    pass
else:
    with open(os.path.join(folder, "order")) as order:
        moment, whom = order.read().split()
    install(folder, int(moment), whom == "group")
"""
NEVER = 0
MINUTES = 300
"""Seconds after which a run hangs."""


@dataclass(frozen=True)
class Ended:
    """How a run ended."""

    status: int
    output: str
    events: tuple[str, ...]


@dataclass(frozen=True)
class Moment:
    """When a command is killed.

    Attributes:
        event: Before its Nth change of anything; ``NEVER`` where ``seconds`` say when.
        group: Whether its children are killed with it.
        seconds: After so much time.
    """

    event: int
    group: bool = True
    seconds: float = 0

    def __str__(self) -> str:
        when = f"event {self.event}" if self.event else f"{self.seconds:.3f} s"
        return f"{when}, {'its group' if self.group else 'alone'}"


@dataclass
class Runner:
    """Runs commands in ``folder`` and kills them.

    Attributes:
        folder: Where; its ``tmp`` is the only temporary folder.
        hooks: A folder outside of it for the hook.
        environment: Variables besides.
    """

    folder: Path
    hooks: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self, *words: str, moment: Moment = Moment(NEVER)) -> Ended:
        """Run ``lambdapack WORDS`` and kill it at ``moment``, if it comes so far."""
        shutil.rmtree(self.hooks, ignore_errors=True)
        self.hooks.mkdir()
        (self.hooks / "sitecustomize.py").write_text(HOOK)
        (self.hooks / "order").write_text(f"{moment.event} {'group' if moment.group else 'alone'}")
        (self.folder / "tmp").mkdir(exist_ok=True)
        root = str(Path(__file__).parents[2])
        with (self.hooks / "output").open("w+") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "lambdapack", *words],
                cwd=self.folder / "project",
                env={
                    **os.environ,
                    "LAMBDAPACK_CACHE": str(self.folder / "cache"),
                    "TMPDIR": str(self.folder / "tmp"),
                    "PYTHONPATH": f"{self.hooks}{os.pathsep}{root}",
                    **self.environment,
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            status = self._end(process, moment)
            output.seek(0)
            said = output.read()
        events = self.hooks / "events"
        return Ended(status, said, tuple(events.read_text().splitlines()) if events.exists() else ())

    @staticmethod
    def _end(process: subprocess.Popen[bytes], moment: Moment) -> int:
        if moment.seconds:
            with suppress(subprocess.TimeoutExpired):
                return process.wait(moment.seconds)
            if moment.group:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        try:
            return process.wait(MINUTES)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise


def link(source: str, destination: str) -> None:
    """A copy; of tools, which nothing writes to, a second name, so that it takes no time."""
    if "/cache/tools/" in source or "/cache/runtime/" in source:
        os.link(source, destination, follow_symlinks=False)
    else:
        shutil.copy2(source, destination, follow_symlinks=False)


def orphans(folder: Path) -> list[str]:
    """Processes that work below ``folder``."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"TMPDIR={folder}".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


def quiet(folder: Path) -> bool:
    """Wait until nothing that a killed command started works below ``folder``."""
    return eventually(lambda: not orphans(folder), 60)


def moments(count: int, tried: int, seconds: float, seed: int) -> list[Moment]:
    """``tried`` moments, two at the least: spread over ``count`` events, and some at random times, by turns
    alone and in a group."""
    chance = random.Random(seed)
    tried = max(tried, 2)
    timed = max(1, tried // 7)
    step = count / (tried - timed)
    events = [int(number * step + chance.random() * step) + 1 for number in range(tried - timed)]
    chosen = [Moment(min(event, count), bool(number % 3)) for number, event in enumerate(events)]
    return chosen + [Moment(NEVER, bool(number % 2), seconds * chance.random()) for number in range(timed)]


Normal = Callable[[str, bytes], bytes]
"""Path and bytes of a file -> what has to be the same of it."""


def picture(root: Path, normal: Normal = lambda _, data: data, without: Sequence[str] = ()) -> dict[str, str]:
    """Every folder and file below ``root``, with the digest of what has to be the same of a file."""
    found = {}
    for folder, folders, names in os.walk(root):
        for name in folders:
            found[Path(folder, name).relative_to(root).as_posix() + "/"] = ""
        for name in names:
            if re.fullmatch(r"[a-z0-9_]{8}", name) and Path(folder).name == "tmp":
                # The standard library's, which tries whether it can write to a temporary folder.
                continue
            path = Path(folder, name)
            relative = path.relative_to(root).as_posix()
            found[relative] = hashlib.sha256(normal(relative, path.read_bytes())).hexdigest()
    return {path: digest for path, digest in found.items() if not path.startswith(tuple(without))}


def unlike(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """What two pictures differ in, for people."""
    more = after.keys() - before.keys()
    inside = {
        path for path in more if any(path != one and path.startswith(one) for one in more if one[-1] == "/")
    }
    return sorted(
        [f"missing: {path}" for path in before.keys() - after.keys()]
        + [f"left over: {path}" for path in more - inside]
        + [f"other bytes: {path}" for path in before.keys() & after.keys() if before[path] != after[path]]
    )


def timed(act: Callable[[], Ended]) -> tuple[Ended, float]:
    """What ``act`` gives, and the seconds that it took."""
    begun = time.monotonic()
    return act(), time.monotonic() - begun
