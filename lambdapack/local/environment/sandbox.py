"""What holds an execution environment in: namespaces, a /tmp of a set size, control groups."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

from lambdapack import limits
from lambdapack.errors import ToolError
from lambdapack.local.environment import cgroups
from lambdapack.local.environment.runtime import Runtime
from lambdapack.local.environment.runtime_api import Happening


@dataclass(frozen=True)
class Isolation:
    """One way to hold an environment in.

    Attributes:
        level: ``root`` (mount and PID namespaces, control groups), ``user`` (the same namespaces inside
            a user namespace) or ``none`` (resource limits and a private folder).
        tmp: ``ext4``, ``tmpfs`` or ``folder``.
    """

    level: str
    tmp: str


ISOLATIONS = (
    Isolation("root", "ext4"),
    Isolation("root", "tmpfs"),
    Isolation("user", "tmpfs"),
    Isolation("none", "folder"),
)
"""From the most to the least like Lambda."""
_KEEPER = "import sys; sys.path.insert(0, sys.argv[1]); from keeper.main import main; del sys.path[0]; main()"
"""What ``python -c`` runs, with the folder of the package ``keeper`` as its argument."""
_WAIT = 30.0
"""Seconds to wait for an answer of the keeper; it takes milliseconds."""


@dataclass(frozen=True)
class Limits:
    """What is and is not as in Lambda.

    Attributes:
        level: ``root``, ``user`` or ``none``.
        tmp: ``ext4``, ``tmpfs`` or ``folder``; a folder has no limit but that on one file.
        memory: ``cgroup`` or ``watched`` (looked at ten times a second).
        cpu: Whether CPU time is held to the memory's share.
        processes: Whether the number of processes and threads is limited.
    """

    level: str
    tmp: str
    memory: str
    cpu: bool
    processes: bool


@dataclass(frozen=True)
class Paths:
    """Where things are, as the runtime sees them."""

    task: str
    client: str
    lang: str
    tmp: str


def describe(limited: Limits) -> str:
    """One sentence for people: what is limited, and what is not."""
    held = {
        "ext4": "/tmp is an ext4 file system of the set size",
        "tmpfs": "/tmp is a tmpfs of the set size (its files are in memory)",
        "folder": "/tmp is not private and not capped (TMPDIR and LAMBDAPACK_ROOT point to a private folder)",
    }[limited.tmp]
    parts = [
        held,
        "memory is capped by a control group"
        if limited.memory == "cgroup"
        else "memory is only looked at ten times a second, and the function killed when it is over",
        "CPU time is in proportion to memory" if limited.cpu else "CPU time is not limited",
        "1,024 processes" if limited.processes else "the number of processes is not limited",
        "/var/task is read-only" if limited.level != "none" else "the function's folder is not at /var/task",
    ]
    return f"local cloud ({limited.level}): " + "; ".join(parts)


class Sandbox:
    """One environment's limits and the keeper that holds them.

    Args:
        folder: The environment's own folder.
        isolation: Which one to try.
        code: The unpacked function.
        runtime: What runs it.
        memory_mb, tmp_mb: Lambda's settings.
        log: Descriptor that the runtime's stdout and stderr go to.
        happenings: Where the death of the runtime is told.

    Raises:
        ToolError: The isolation is not to be had; the message says why.
    """

    def __init__(
        self,
        folder: Path,
        isolation: Isolation,
        code: Path,
        runtime: Runtime,
        *,
        memory_mb: int,
        tmp_mb: int,
        log: int,
        happenings: queue.Queue[Happening],
    ) -> None:
        self._happenings = happenings
        self._answers: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._generation = 0
        self.group = cgroups.Group({}, False)
        level = isolation.level
        tmp = _tmp(folder, isolation, tmp_mb)
        if level == "root":
            self.group = self._make_group(folder, memory_mb)
        if level == "none":
            private = folder / "tmp"
            private.mkdir(exist_ok=True)
            self.paths = Paths(str(code), str(runtime.client), str(runtime.lang), str(private))
        else:
            self.paths = Paths("/var/task", "/var/runtime", "/var/lang", "/tmp")
        sources = (code, runtime.client, runtime.lang)
        places = (self.paths.task, self.paths.client, self.paths.lang)
        self._configuration = {
            "level": level,
            "mounts": [[str(source), place] for source, place in zip(sources, places, strict=True)],
            "tmp": tmp,
            "limits": {
                "nofile": limits.FILE_DESCRIPTORS,
                "fsize": tmp_mb * limits.MIB if level == "none" else None,
            },
            "cgroups": self.group.procs,
            "watch": None if "memory" in self.group.folders else memory_mb * limits.MIB,
            "log": log,
        }
        self.limits = Limits(
            level,
            tmp["kind"],
            "cgroup" if "memory" in self.group.folders else "watched",
            "cpu" in self.group.folders,
            "pids" in self.group.folders,
        )
        self._process = self._launch(log)

    def start(self, generation: int, argv: Sequence[str], environment: Mapping[str, str], cwd: str) -> float:
        """Start the runtime; the monotonic time at which it was executed."""
        self._generation = generation
        answer = self._ask("start", argv=list(argv), env=dict(environment), cwd=cwd)
        if answer["event"] == "unstarted":
            raise ToolError(f"starting {argv[0]} in the local cloud: {answer['why']}")
        return float(answer["at"])

    def limit_cpu(self, cpus: float) -> None:
        """Give this many processors' worth of time, where it can be limited."""
        self.group.limit_cpu(cpus)

    def freeze(self) -> None:
        """Stop every process."""
        self._ask("stop")

    def thaw(self) -> None:
        """Let them run again."""
        self._ask("continue")

    def kill(self) -> None:
        """Kill every process; the environment and its /tmp stay."""
        self._ask("kill")

    def peak_memory(self) -> int:
        """Bytes that the processes held at most, summed over those alive."""
        return int(self._ask("peak")["bytes"])

    def close(self) -> None:
        """End the keeper, and so everything that runs or is mounted; remove the groups."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for folder in set(self.group.folders.values()):
            cgroups.remove(folder)

    def _make_group(self, folder: Path, memory_mb: int) -> cgroups.Group:
        name = f"lambdapack-{folder.name}"
        places = cgroups.places(name)
        # Written first, for whoever has to clean up after us.
        (folder / "cgroups.json").write_text(json.dumps(sorted({str(place) for place in places.values()})))
        group = cgroups.create(places)
        try:
            group.limit_memory(memory_mb * limits.MIB)
            group.limit_processes(limits.PROCESSES)
        except OSError:
            for place in set(group.folders.values()):
                cgroups.remove(place)
            return cgroups.Group({}, False)
        return group

    def _launch(self, log: int) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _KEEPER, str(Path(__file__).parent)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[log],
            # Ctrl-C in a terminal is for us; the end of stdin is for the keeper.
            start_new_session=True,
            env={"PATH": os.environ.get("PATH", os.defpath)},
        )
        self._process = process
        Thread(target=self._listen, daemon=True).start()
        try:
            self._send(self._configuration)
            answer = self._answer()
        except ToolError:
            self.close()
            raise
        if answer["event"] != "ready":
            self.close()
            raise ToolError(f"making the namespaces of an execution environment: {answer['why']}")
        return process

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            if answer["event"] == "exit":
                self._happenings.put(
                    Happening(
                        "exit", self._generation, status=answer["status"], over_memory=bool(answer["over"])
                    )
                )
            else:
                self._answers.put(answer)
        self._answers.put(None)

    def _ask(self, what: str, **arguments: Any) -> dict[str, Any]:
        self._send({"do": what, **arguments})
        return self._answer()

    def _send(self, document: Mapping[str, Any]) -> None:
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(document).encode() + b"\n")
            self._process.stdin.flush()
        except (OSError, ValueError) as error:
            raise ToolError(f"talking to the keeper of an execution environment: {error}") from None

    def _answer(self) -> dict[str, Any]:
        try:
            answer = self._answers.get(timeout=_WAIT)
        except queue.Empty:
            answer = None
        if answer is None:
            raise ToolError("the keeper of an execution environment ended unexpectedly")
        return answer


def _tmp(folder: Path, isolation: Isolation, tmp_mb: int) -> dict[str, Any]:
    if isolation.tmp == "ext4":
        image = folder / "tmp.img"
        _make_image(image, tmp_mb)
        return {"kind": "ext4", "image": str(image)}
    return {"kind": isolation.tmp, "bytes": tmp_mb * limits.MIB}


def _make_image(image: Path, tmp_mb: int) -> None:
    """A sparse file with a file system that offers ``tmp_mb`` MiB."""
    program = shutil.which("mkfs.ext4", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not program or not Path("/dev/loop-control").exists():
        raise ToolError("making an ext4 /tmp: there is no mkfs.ext4 or no loop device")
    # One inode for 16 KiB takes 1.6 % of the space, bitmaps and the superblock about 1 MiB, and ext4
    # keeps 2 %, at most 4,096 blocks, to itself.
    wanted = tmp_mb * limits.MIB
    size = int((wanted + min(wanted // 49, 4096 * 4096)) * 1.0165) + limits.MIB
    with image.open("wb") as file:
        file.truncate(size)
    options = ["-q", "-F", "-m", "0", "-i", "16384", "-I", "256", "-O", "^has_journal,^resize_inode"]
    done = subprocess.run([program, *options, str(image)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolError(f"making an ext4 /tmp: {done.stderr.strip()}")
