"""How far an environment can be isolated on this machine, and which of Lambda's limits hold then."""

from __future__ import annotations

import os
from dataclasses import dataclass

from lambdapack.errors import ConfigurationError


@dataclass(frozen=True)
class Isolation:
    """One way to isolate an environment.

    Attributes:
        level: ``root`` (mount and PID namespaces, control groups), ``user`` (the same namespaces inside
            a user namespace) or ``none`` (resource limits and a private folder).
        tmp: ``ext4``, ``tmpfs`` or ``folder``; a folder has no limit but that on one file.
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


@dataclass(frozen=True)
class Limits(Isolation):
    """Which of Lambda's limits hold in an isolation.

    Attributes:
        memory: ``cgroup``, or ``watched``: measured ten times a second.
        cpu: Whether CPU time is held to the memory's share.
        processes: Whether the number of processes and threads is limited.
    """

    memory: str
    cpu: bool
    processes: bool


def candidates(isolation: str) -> tuple[Isolation, ...]:
    """The isolations of a level, or with ``auto`` all that this user may try, the most like Lambda first."""
    if isolation == "auto":
        return ISOLATIONS if os.geteuid() == 0 else ISOLATIONS[2:]
    chosen = tuple(candidate for candidate in ISOLATIONS if candidate.level == isolation)
    if not chosen:
        raise ConfigurationError(f"isolation {isolation!r} is not one of auto, root, user, none")
    return chosen


def describe(limits: Limits) -> str:
    """One sentence for people: which limits hold, and which do not."""
    tmp = {
        "ext4": "/tmp is an ext4 file system of the set size",
        "tmpfs": "/tmp is a tmpfs of the set size (its files are in memory)",
        "folder": "/tmp is not private and not capped (TMPDIR and LAMBDAPACK_ROOT point to a private folder)",
    }[limits.tmp]
    parts = [
        tmp,
        "memory is capped by a control group"
        if limits.memory == "cgroup"
        else "memory is only looked at ten times a second, and the function killed when it is over",
        "CPU time is in proportion to memory" if limits.cpu else "CPU time is not limited",
        "1,024 processes" if limits.processes else "the number of processes is not limited",
        "/var/task is read-only" if limits.level != "none" else "the function's folder is not at /var/task",
    ]
    return f"local cloud ({limits.level}): " + "; ".join(parts)
