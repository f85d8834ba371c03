"""The isolation of one environment: its control groups, its /tmp of a set size, and its keeper."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lambdapack import limits
from lambdapack.errors import ToolError
from lambdapack.local.environment import cgroups
from lambdapack.local.environment.isolation import Isolation, Limits
from lambdapack.local.environment.keeper_process import KeeperProcess
from lambdapack.local.environment.runtime import Runtime
from lambdapack.local.environment.runtime_api import Happening


@dataclass(frozen=True)
class FunctionFolders:
    """The folders of a function on this machine.

    Attributes:
        code: The unpacked zip.
        opt: The unpacked layers; ``None`` without layers.
        mounts: Path in the environment, ``/mnt/NAME`` -> the folder that stands for that file system.
    """

    code: Path
    opt: Path | None = None
    mounts: Mapping[str, Path] = field(default_factory=dict)

    @property
    def places(self) -> dict[str, Path]:
        """Where each is in the environment, beside the code."""
        return {**({"/opt": self.opt} if self.opt else {}), **self.mounts}


@dataclass(frozen=True)
class Paths:
    """The folders of an environment, as the runtime sees them.

    Attributes:
        task: The function's code.
        client: awslambdaric.
        lang: The Python.
        tmp: The folder for temporary files.
        root: The folder that stands for ``/`` in the paths of layers and mounts; ``""`` where it is that.
    """

    task: str
    client: str
    lang: str
    tmp: str
    root: str = ""


class Sandbox:
    """One environment's control groups and keeper.

    Args:
        folder: The environment's own folder.
        folders: The function's folders.
        log: Descriptor that the runtime's stdout and stderr go to.
        happenings: Gets an ``exit`` when the runtime dies.

    Attributes:
        group: The control groups; without folders where there are none.
        limits: Which of Lambda's limits hold.
        paths: The folders of the environment, as the runtime sees them.

    Raises:
        ToolError: This machine does not allow the isolation; the message says why.
    """

    def __init__(
        self,
        folder: Path,
        isolation: Isolation,
        folders: FunctionFolders,
        runtime: Runtime,
        *,
        memory_mb: int,
        tmp_mb: int,
        log: int,
        happenings: queue.Queue[Happening],
    ) -> None:
        self._happenings = happenings
        self._generation = 0
        if isolation.tmp == "ext4":
            _make_image(folder / "tmp.img", tmp_mb * limits.MIB)
        self.group = _make_group(folder, memory_mb) if isolation.level == "root" else cgroups.Group({}, False)
        self.limits = _limits(isolation, self.group)
        self.paths = _paths(folder, isolation, folders, runtime)
        configuration = {
            "level": isolation.level,
            "mounts": _mounts(self.paths, folders, runtime),
            "tmp": {"kind": isolation.tmp, "image": str(folder / "tmp.img"), "bytes": tmp_mb * limits.MIB},
            "limits": {
                "nofile": limits.FILE_DESCRIPTORS,
                "fsize": tmp_mb * limits.MIB if isolation.level == "none" else None,
            },
            "cgroups": self.group.procs,
            "watch": memory_mb * limits.MIB if self.limits.memory == "watched" else None,
            "log": log,
        }
        try:
            self._keeper = KeeperProcess(configuration, self._tell_exit)
        except BaseException:
            self.group.remove()
            raise

    def start(self, generation: int, argv: Sequence[str], environment: Mapping[str, str], cwd: str) -> float:
        """Start the runtime; the monotonic time at which it was executed."""
        self._generation = generation
        answer = self._keeper.ask("start", argv=list(argv), env=dict(environment), cwd=cwd)
        if answer["event"] == "unstarted":
            raise ToolError(f"starting {argv[0]} in the local cloud: {answer['why']}")
        return float(answer["at"])

    def limit_cpu(self, cpus: float) -> None:
        """Give the processes the time of ``cpus`` processors, where CPU time can be limited."""
        self.group.limit_cpu(cpus)

    def freeze(self) -> None:
        """Stop every process."""
        self._keeper.ask("stop")

    def thaw(self) -> None:
        """Let the stopped processes run again."""
        self._keeper.ask("continue")

    def kill(self) -> None:
        """Kill every process; the environment and its /tmp stay."""
        self._keeper.ask("kill")

    def peak_memory(self) -> int:
        """The peaks of the living processes, summed, in bytes."""
        return int(self._keeper.ask("peak")["bytes"])

    def close(self) -> None:
        """End the keeper, and with it all that runs or is mounted; remove the control groups."""
        self._keeper.close()
        self.group.remove()

    def _tell_exit(self, answer: dict[str, Any]) -> None:
        over = bool(answer["over"])
        self._happenings.put(Happening("exit", self._generation, status=answer["status"], over_memory=over))


def _limits(isolation: Isolation, group: cgroups.Group) -> Limits:
    memory = "cgroup" if "memory" in group.folders else "watched"
    return Limits(isolation.level, isolation.tmp, memory, "cpu" in group.folders, "pids" in group.folders)


def _paths(folder: Path, isolation: Isolation, folders: FunctionFolders, runtime: Runtime) -> Paths:
    if isolation.level != "none":
        return Paths("/var/task", "/var/runtime", "/var/lang", "/tmp")
    private = folder / "tmp"
    private.mkdir(exist_ok=True)
    root = folder / "root"
    for place, source in folders.places.items():
        (root / place[1:]).parent.mkdir(parents=True, exist_ok=True)
        (root / place[1:]).symlink_to(source)
    return Paths(
        str(folders.code), str(runtime.client), str(runtime.lang), str(private),
        str(root) if folders.places else "",
    )  # fmt: skip


def _mounts(paths: Paths, folders: FunctionFolders, runtime: Runtime) -> list[list[str]]:
    """What the keeper is to mount: each folder of this machine, and where in the environment."""
    return [
        [str(folders.code), paths.task],
        [str(runtime.client), paths.client],
        [str(runtime.lang), paths.lang],
        *([str(source), place] for place, source in folders.places.items()),
    ]


def _make_group(folder: Path, memory_mb: int) -> cgroups.Group:
    places = cgroups.places(f"lambdapack-{folder.name}")
    # Written before there is any group: if this process is killed, the next one removes them.
    (folder / "cgroups.json").write_text(json.dumps(sorted({str(place) for place in places.values()})))
    group = cgroups.create(places)
    try:
        group.limit_memory(memory_mb * limits.MIB)
        group.limit_processes(limits.PROCESSES)
    except OSError:
        group.remove()
        return cgroups.Group({}, False)
    return group


def _make_image(image: Path, offered: int) -> None:
    """Write a sparse file with an ext4 file system that offers so many bytes."""
    program = shutil.which("mkfs.ext4", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not program or not Path("/dev/loop-control").exists():
        raise ToolError("making an ext4 /tmp: there is no mkfs.ext4 or no loop device")
    # One inode for 16 KiB takes 1.6 % of the space, bitmaps and the superblock about 1 MiB, and ext4
    # reserves 2 %, at most 4,096 blocks.
    size = int((offered + min(offered // 49, 4096 * 4096)) * 1.0165) + limits.MIB
    with image.open("wb") as file:
        file.truncate(size)
    options = ["-q", "-F", "-m", "0", "-i", "16384", "-I", "256", "-O", "^has_journal,^resize_inode"]
    done = subprocess.run([program, *options, str(image)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolError(f"making an ext4 /tmp: {done.stderr.strip()}")
