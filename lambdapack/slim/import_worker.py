"""Run by ``start_worker`` in the target's own Python, 3.8 to 3.15: how do modules import?

Each list of modules is imported in order by a process that is forked from this one, which has imported
nothing: one list cannot help or disturb another, and no interpreter has to start. A module that ends the
process, or takes longer than its time, ends it for itself alone: the next process goes on behind it.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import sys
import time

TYPE_CHECKING = False  # typing costs 10 ms

if TYPE_CHECKING:
    from typing import Any

_CHAIN_MAX = 10
_MESSAGE_MAX = 2000
_POLL_SECONDS = 1.0


def _outcome(name: str, root: str) -> dict[str, Any]:
    """Import one module and say how that went; paths below ``root`` become relative ones."""
    try:
        module = importlib.import_module(name)
    except SystemExit as stop:
        return {"kind": "raised", "errors": [_error(stop, root)]}
    except BaseException as error:
        return {"kind": "raised", "errors": _chain(error, root)}
    try:
        names = sorted(name for name in dir(module) if isinstance(name, str) and not name.startswith("_"))
    except BaseException:
        names = []
    return {"kind": "imported", "names": names}


def _chain(error: BaseException | None, root: str) -> list[dict[str, Any]]:
    """An exception and the ones that led to it, the last one first."""
    chain: list[dict[str, Any]] = []
    while error is not None and len(chain) < _CHAIN_MAX:
        chain.append(_error(error, root))
        error = error.__cause__ or error.__context__
    return chain


def _error(error: BaseException, root: str) -> dict[str, Any]:
    try:
        message = str(error)[:_MESSAGE_MAX]
    except BaseException:
        message = ""
    about = [getattr(error, name, None) for name in ("name", "filename", "filename2")]
    below = root + os.sep
    return {
        "type": type(error).__qualname__,
        # Two trees in two places have to say the same.
        "message": message.replace(below, "<tree>/").replace(root, "<tree>"),
        "wanted": [os.fsdecode(name).replace(below, "") for name in about if isinstance(name, (str, bytes))],
    }


class _Child:
    """A process that imports modules in order, from the ``first`` of its list."""

    def __init__(self, request: dict[str, Any], names: list[str], first: int) -> None:
        self.names = names
        self.number = first
        self._request = request
        self._buffer = b""
        ours, theirs = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(ours)
            _import_all(request, names[first:], theirs)
        os.close(theirs)
        self.pipe = ours
        self.deadline = 0.0
        self._restart_clock()

    def _restart_clock(self) -> None:
        self.deadline = time.monotonic() + self._request["timeout"]

    def hear(self, results: dict[str, Any]) -> bool:
        """Take what the process said; whether it still runs."""
        data = os.read(self.pipe, 1 << 16)
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            results[self.names[self.number]] = json.loads(line)
            self.number += 1
            self._restart_clock()
        return bool(data)

    def end(self, results: dict[str, Any], late: bool) -> None:
        """Reap the process; the module that it was at did not finish."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except OSError:
            pass
        if late:
            os.kill(self.pid, signal.SIGKILL)
        os.close(self.pipe)
        _, status = os.waitpid(self.pid, 0)
        if self.number < len(self.names):
            results[self.names[self.number]] = {"kind": "late"} if late else _ended(status)
            self.number += 1


def _ended(status: int) -> dict[str, Any]:
    if os.WIFSIGNALED(status):
        return {"kind": "crashed", "signal": os.WTERMSIG(status)}
    return {"kind": "exited", "status": os.WEXITSTATUS(status)}


def _import_all(request: dict[str, Any], names: list[str], answers: int) -> None:
    """Import modules in this process; never returns."""
    status = 70
    try:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGIO):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        os.chdir(request["cwd"])
        sys.path[:0] = [request["root"], *request["search"]]
        sys.argv = ["-c"]
        for name in names:
            line = json.dumps(_outcome(name, request["root"])).encode() + b"\n"
            while line:
                line = line[os.write(answers, line) :]
        status = 0
    finally:
        # Lambda runs no exit handlers either, and a thread may be waiting for ever.
        os._exit(status)


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Module -> its outcome, for every module of every list; ``jobs`` lists at a time."""
    results: dict[str, Any] = {}
    waiting = [(names, 0) for names in reversed(request["modules"]) if names]
    children: dict[int, _Child] = {}
    try:
        while waiting or children:
            while waiting and len(children) < request["jobs"]:
                child = _Child(request, *waiting.pop())
                children[child.pipe] = child
            _step(children, waiting, results)
    finally:
        for child in children.values():
            child.end(results, late=True)
    return results


def _step(children: dict[int, _Child], waiting: list[Any], results: dict[str, Any]) -> None:
    ready = select.select(list(children), [], [], _POLL_SECONDS)[0]
    for pipe, child in list(children.items()):
        late = pipe not in ready and time.monotonic() > child.deadline
        if late or (pipe in ready and not child.hear(results)):
            del children[pipe]
            child.end(results, late)
            if child.number < len(child.names):
                waiting.append((child.names, child.number))
