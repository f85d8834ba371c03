"""Run by the target's own Python, 3.8 to 3.15, standard library alone: which libraries load?

    python -S -s -B load_worker.py < pairs

``pairs`` are paths, each ended by a NUL: a stripped library, then its original, and so on. For each pair
a line: ``.`` the stripped one loads, ``-`` neither does (an object that needs others to be loaded first),
``! reason`` only the original does. Every load is tried in a process of its own: a library may crash, and
may leave behind what another one needs.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # This folder's modules must not hide the standard library's.
    del sys.path[0]

import ctypes
import os
import select
import signal
import time

_RTLD_LAZY = 1
_SECONDS = 60.0
_REASON_BYTES = 1000


def _problem(path: str) -> str:
    """Why ``path`` does not load; empty when it does."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        _load(path, theirs)
    os.close(theirs)
    try:
        return _outcome(pid, ours)
    finally:
        os.close(ours)


def _load(path: str, answer: int) -> None:
    status = 1
    try:
        # A constructor may print; the answers go to the same place.
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        ctypes.CDLL(path, mode=_RTLD_LAZY)
        status = 0
    except OSError as error:
        os.write(answer, str(error).encode("utf-8", "backslashreplace")[:_REASON_BYTES])
    finally:
        os._exit(status)


def _outcome(pid: int, answer: int) -> str:
    deadline = time.monotonic() + _SECONDS
    # The pipe ends with the process, unless a process that it started holds on to it.
    select.select([answer], [], [], _SECONDS)
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return "took longer than %g s" % _SECONDS
        time.sleep(0.001)
    if os.WIFSIGNALED(status):
        return "crashed with signal %d" % os.WTERMSIG(status)
    if os.WEXITSTATUS(status) == 0:
        return ""
    os.set_blocking(answer, False)
    try:
        return os.read(answer, _REASON_BYTES).decode("utf-8", "replace") or "ended the process"
    except BlockingIOError:
        return "ended the process"


def main() -> None:
    """Answer for each pair named on stdin."""
    paths = [os.fsdecode(path) for path in sys.stdin.buffer.read().split(b"\0")[:-1]]
    for first in range(0, len(paths), 2):
        stripped, original = paths[first : first + 2]
        problem = _problem(stripped)
        if not problem:
            line = "."
        elif _problem(original):
            line = "-"
        else:
            line = "! " + problem.replace("\n", " ")
        os.write(1, line.encode("utf-8", "backslashreplace") + b"\n")


if __name__ == "__main__":
    main()
