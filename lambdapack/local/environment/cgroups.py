"""Control groups, versions 1 and 2: memory, CPU and process limits of one execution environment.

https://docs.kernel.org/admin-guide/cgroup-v1/, https://docs.kernel.org/admin-guide/cgroup-v2.html
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

CONTROLLERS = ("cpu", "memory", "pids")
_ROOT = Path("/sys/fs/cgroup")
_PARENT = "lambdapack"
_PERIOD = 20_000
"""Microseconds between refills of CPU time: short, so that a small function is slow and not jerky."""


@dataclass(frozen=True)
class Group:
    """One environment's control groups.

    Attributes:
        folders: Controller -> its group's folder; with version 2 all have the same folder.
        unified: Whether this is version 2.
    """

    folders: dict[str, Path]
    unified: bool

    @property
    def procs(self) -> list[str]:
        """The files into which a process writes 0 to join the groups."""
        return sorted({str(folder / "cgroup.procs") for folder in self.folders.values()})

    def limit_memory(self, limit: int) -> None:
        """Let the kernel kill a process when the group holds more than ``limit`` bytes; no swap."""
        folder = self.folders.get("memory")
        if not folder:
            return
        if self.unified:
            (folder / "memory.max").write_text(str(limit))
            swap, value = "memory.swap.max", 0
        else:
            (folder / "memory.limit_in_bytes").write_text(str(limit))
            swap, value = "memory.memsw.limit_in_bytes", limit
        # A kernel without swap accounting does not have this file.
        with contextlib.suppress(OSError):
            (folder / swap).write_text(str(value))

    def limit_cpu(self, cpus: float) -> None:
        """Give the group the time of ``cpus`` processors."""
        folder = self.folders.get("cpu")
        if not folder:
            return
        quota = max(1000, int(cpus * _PERIOD))
        if self.unified:
            (folder / "cpu.max").write_text(f"{quota} {_PERIOD}")
        else:
            (folder / "cpu.cfs_period_us").write_text(str(_PERIOD))
            (folder / "cpu.cfs_quota_us").write_text(str(quota))

    def limit_processes(self, count: int) -> None:
        """Allow at most ``count`` processes and threads."""
        if folder := self.folders.get("pids"):
            (folder / "pids.max").write_text(str(count))

    def oom_kills(self) -> int:
        """How many processes the kernel has killed for their memory."""
        folder = self.folders.get("memory")
        if not folder:
            return 0
        name = "memory.events" if self.unified else "memory.oom_control"
        for line in (folder / name).read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == "oom_kill":
                return int(value)
        return 0

    def peak_memory(self) -> int:
        """The peak of bytes in use, page cache included; 0 where it is not known."""
        folder = self.folders.get("memory")
        if not folder:
            return 0
        name = "memory.peak" if self.unified else "memory.max_usage_in_bytes"
        # memory.peak came with Linux 5.19, later than version 2.
        with contextlib.suppress(OSError):
            return int((folder / name).read_text())
        return 0

    def remove(self) -> None:
        """Kill what is in the groups and remove them."""
        for folder in set(self.folders.values()):
            remove(folder)


def places(name: str, *, root: Path = _ROOT, own: Path = Path("/proc/self/cgroup")) -> dict[str, Path]:
    """Controller -> the folder for its group ``name``; without controllers that this system lacks."""
    if (root / "cgroup.controllers").exists():
        # Version 2 allows processes only in leaves, so the group goes beside this process's, not below it.
        return dict.fromkeys(CONTROLLERS, root / _PARENT / name)
    # Controller -> the group of this process, relative to the controller's root.
    mine: dict[str, str] = {}
    for line in own.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        mine |= dict.fromkeys(controllers.split(","), path.lstrip("/"))
    folders = {}
    for controller in CONTROLLERS:
        # Where several controllers are mounted together, each one's name is a link to their mount.
        mounted = root / controller
        parent = mounted / mine.get(controller, "")
        # In a container the path may be the host's, which is not visible here.
        parent = parent if parent.is_dir() else mounted
        if parent.is_dir():
            folders[controller] = parent / name
    return folders


def create(folders: dict[str, Path]) -> Group:
    """Make the groups for which ``places`` gives the folders.

    ``Group.folders`` has the ones that could be made; without the privilege, for example, none.
    """
    unified = {folder.parent.name for folder in folders.values()} == {_PARENT}
    if unified:
        return Group(folders if _create_unified(folders[CONTROLLERS[0]]) else {}, True)
    made = {}
    for controller, folder in folders.items():
        with contextlib.suppress(OSError):
            folder.mkdir()
            made[controller] = folder
    return Group(made, False)


def remove(folder: Path) -> bool:
    """Kill what is in a group and remove the group; whether it is gone."""
    for _ in range(200):
        try:
            for pid in (folder / "cgroup.procs").read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            folder.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            # The kernel lets go of a group a little after its last process.
            time.sleep(0.01)
        else:
            return True
    return False


def _create_unified(folder: Path) -> bool:
    switches = " ".join(f"+{controller}" for controller in CONTROLLERS)
    parent = folder.parent
    try:
        (parent.parent / "cgroup.subtree_control").write_text(switches)
        parent.mkdir(exist_ok=True)
        (parent / "cgroup.subtree_control").write_text(switches)
        folder.mkdir()
    except OSError:
        return False
    return True
