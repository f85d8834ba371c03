"""Run by the target's own Python, 3.8 to 3.15, standard library alone: does what a worker's file says.

    python -S -s -B start_worker.py WORKER REQUEST RESULT

WORKER is a Python file that defines ``run(request)``, a function of JSON's types; REQUEST and RESULT are JSON
files. SIGTERM lets it end the processes that it started, as Ctrl-C would; so does the end of stdin, where
that is a pipe: whoever holds its other end is gone.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # typing costs 10 ms

if __name__ == "__main__":
    # This folder's modules must not hide the standard library's.
    del sys.path[0]

if TYPE_CHECKING:
    from types import FrameType
    from typing import Any


def _stop(signum: int, frame: FrameType | None) -> None:
    import signal

    # Once: Ctrl-C comes from the terminal and again as SIGTERM, and must not interrupt what cleans up.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGIO):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _heed_stops() -> None:
    """Stop on a signal, and when stdin ends."""
    import fcntl
    import os
    import signal
    import stat

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGIO):
        signal.signal(number, _stop)
    if not stat.S_ISFIFO(os.fstat(0).st_mode):
        return
    # The kernel sends SIGIO when the last writer goes: nothing has to look, and no thread has to wait.
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_NONBLOCK | os.O_ASYNC)
    try:
        gone = not os.read(0, 1)
    except BlockingIOError:
        return
    if gone:
        raise KeyboardInterrupt


def _load(path: str) -> Any:
    """The file's ``run``; nothing else of its folder can be imported."""
    with open(path, "rb") as file:
        code = compile(file.read(), path, "exec", dont_inherit=True)
    names: dict[str, Any] = {"__name__": "worker", "__file__": path}
    exec(code, names)
    return names["run"]


def main() -> None:
    """Read the request, write the result."""
    import json
    import site

    try:
        _heed_stops()
        run = _load(sys.argv[1])
        with open(sys.argv[2], encoding="utf-8") as file:
            request = json.load(file)
        # ``exit``, ``help`` and so on, which ``-S`` leaves out together with this Python's own packages.
        site.setquit()
        site.setcopyright()
        site.sethelper()
        result = run(request)
    except KeyboardInterrupt:
        sys.exit(130)
    with open(sys.argv[3], "w", encoding="utf-8") as file:
        json.dump(result, file)


if __name__ == "__main__":
    main()
