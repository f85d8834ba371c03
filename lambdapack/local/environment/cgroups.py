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
    """One environment's groups.

    Attributes:
        folders: Controller -> its folder; with version 2 all are the same one.
        unified: Version 2.
    """

    folders: dict[str, Path]
    unified: bool

    @property
    def procs(self) -> list[str]:
        """The files that a process writes itself into."""
        return sorted({str(folder / "cgroup.procs") for folder in self.folders.values()})

    def limit_memory(self, limit: int) -> None:
        """Kill whoever makes the group exceed ``limit`` bytes; no swap."""
        folder = self.folders.get("memory")
        if not folder:
            return
        if self.unified:
            (folder / "memory.max").write_text(str(limit))
            names = {"memory.swap.max": "0"}
        else:
            (folder / "memory.limit_in_bytes").write_text(str(limit))
            names = {"memory.memsw.limit_in_bytes": str(limit)}
        for name, value in names.items():
            # Kernels without swap accounting do not have these.
            with contextlib.suppress(OSError):
                (folder / name).write_text(value)

    def limit_cpu(self, cpus: float) -> None:
        """Give ``cpus`` processors' worth of time."""
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
        """Let there be ``count`` processes and threads."""
        if folder := self.folders.get("pids"):
            (folder / "pids.max").write_text(str(count))

    def oom_kills(self) -> int:
        """How often the kernel killed for memory so far."""
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
        """Bytes in use at most, page cache included; 0 where it is not known."""
        folder = self.folders.get("memory")
        if not folder:
            return 0
        # memory.peak is younger (5.19) than version 2.
        with contextlib.suppress(OSError):
            return int(
                (folder / ("memory.peak" if self.unified else "memory.max_usage_in_bytes")).read_text()
            )
        return 0


def places(name: str, *, root: Path = _ROOT, own: Path = Path("/proc/self/cgroup")) -> dict[str, Path]:
    """Controller -> where its group ``name`` belongs; leaves out what this system does not have."""
    if (root / "cgroup.controllers").exists():
        # Version 2 wants processes in the leaves only, so this goes beside our own group, not below it.
        return dict.fromkeys(CONTROLLERS, root / _PARENT / name)
    mine = _own_places(own)
    found = {}
    for controller in CONTROLLERS:
        # Every controller's own name is a link where several are mounted as one.
        mounted = root / controller
        parent = mounted / mine.get(controller, "")
        # In a container the path may be the host's, which is not visible here.
        parent = parent if parent.is_dir() else mounted
        if parent.is_dir():
            found[controller] = parent / name
    return found


def create(wanted: dict[str, Path]) -> Group:
    """Make the groups of ``places``.

    ``Group.folders`` has those that could be made: none, e.g., without the privilege.
    """
    unified = {folder.parent.name for folder in wanted.values()} == {_PARENT}
    if unified:
        return Group(wanted if _create_unified(wanted[CONTROLLERS[0]]) else {}, True)
    return Group({controller: folder for controller, folder in wanted.items() if _mkdir(folder)}, False)


def remove(folder: Path) -> bool:
    """Kill what is in a group and remove it; whether it is gone."""
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
    wanted = " ".join(f"+{controller}" for controller in CONTROLLERS)
    parent = folder.parent
    try:
        (parent.parent / "cgroup.subtree_control").write_text(wanted)
        parent.mkdir(exist_ok=True)
        (parent / "cgroup.subtree_control").write_text(wanted)
        folder.mkdir()
    except OSError:
        return False
    return True


def _own_places(own: Path) -> dict[str, str]:
    places = {}
    for line in own.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            places[controller] = path.lstrip("/")
    return places


def _mkdir(folder: Path) -> bool:
    try:
        folder.mkdir()
    except OSError:
        return False
    return True
