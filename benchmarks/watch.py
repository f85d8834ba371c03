"""Looks at the processes of a cold start from outside while they run: memory and /tmp at their highest."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["Watch"]

_LONG = 3
"""A process that was seen so often is more than the moment between a fork and an exec."""


class Watch:
    """Peaks, by looking a hundred times a second.

    Args:
        members: A file that lists the processes (``cgroup.procs``); without it, descendants of this process.
        mark: What the command lines of processes that count contain.
        tmp: Whether to look at their /tmp too.
    """

    def __init__(self, members: Path | None, mark: str, *, tmp: bool) -> None:
        self._members = members
        self._tmp = tmp
        self._mark = mark.encode()
        self._peaks: dict[int, int] = {}
        self._seen: dict[int, int] = {}
        self._main = 0
        self._root = ""
        self.tmp_peak = 0
        self.tmp_left = 0
        self._tmp_before: int | None = None

    @property
    def child_peak(self) -> int:
        """Bytes that processes beside the main one held at most, each at its own peak."""
        return sum(
            peak for pid, peak in self._peaks.items() if pid != self._main and self._seen[pid] >= _LONG
        )

    @property
    def main_peak(self) -> int:
        """The same of the main process, as far as it was seen."""
        return self._peaks.get(self._main, 0)

    def look(self) -> None:
        """Once."""
        for pid in self._pids():
            peak = _peak(pid)
            if not peak:
                continue
            if not self._main:
                self._main = pid
                self._root = f"/proc/{_parent(pid)}/root/tmp"
            self._peaks[pid] = max(peak, self._peaks.get(pid, 0))
            self._seen[pid] = self._seen.get(pid, 0) + 1
        self._look_at_tmp()

    def _look_at_tmp(self) -> None:
        if not self._root or not self._tmp:
            return
        with suppress(OSError):
            room = os.statvfs(self._root)
            used = (room.f_blocks - room.f_bfree) * room.f_frsize
            if self._tmp_before is None:
                self._tmp_before = used
            self.tmp_left = used - self._tmp_before
            self.tmp_peak = max(self.tmp_peak, self.tmp_left)

    def _pids(self) -> list[int]:
        with suppress(OSError, ValueError):
            if self._members:
                return [int(pid) for pid in self._members.read_text().split()]
        return [pid for pid in _descendants(os.getpid()) if self._mark in _command(pid)]


def _peak(pid: int) -> int:
    with suppress(OSError), open(f"/proc/{pid}/status", encoding="latin-1") as file:  # noqa: PTH123
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def _parent(pid: int) -> int:
    with suppress(OSError), open(f"/proc/{pid}/stat", encoding="latin-1") as file:  # noqa: PTH123
        return int(file.read().rpartition(")")[2].split()[1])
    return pid


def _command(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _descendants(pid: int) -> list[int]:
    found = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *_descendants(int(child))]
    return found
