"""Run by ``start_worker`` in the target's own Python, 3.8 to 3.15: which modules may be imported early?

A child process imports the modules that a program imported, one after the other, and compares what everybody
can see before and after each: a module that changes any of it, warns, prints or fails is not imported early,
nor is one that imports it.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # typing costs 10 ms

if TYPE_CHECKING:
    from typing import Any


def run(request: dict[str, Any]) -> dict[str, list[str]]:
    """``early``: those of the modules ``names`` that may be imported early, in the order of completion.

    ``unsafe`` are names, of modules or packages, that are not imported at all; ``log`` gets what is printed.
    """
    unsafe = set(request["unsafe"])
    while True:
        early, found = _in_child(request, unsafe)
        if not found:
            return {"early": early}
        unsafe.update(found)


def _in_child(request: dict[str, Any], unsafe: set[str]) -> tuple[list[str], list[str]]:
    """The modules in order, and those found unsafe, of a process that has imported none of them yet."""
    import json

    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(reading)
            log = os.open(request["log"], os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            for fd in (1, 2):
                os.dup2(log, fd)
            result = json.dumps(_import(request["names"], unsafe)).encode()
            while result:
                result = result[os.write(writing, result) :]
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        result = file.read()
    os.waitpid(pid, 0)
    # Nothing was said by a process that a module has ended: then no module is imported early.
    early, found = json.loads(result or b"[[], []]")
    return early, found


class _Blocker:
    """A finder that refuses unsafe modules, and notes what was being imported when one was asked for."""

    def __init__(self, unsafe: set[str], loading: list[str], found: set[str]) -> None:
        self._unsafe, self._loading, self._found = unsafe, loading, found

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Raise an ImportError for an unsafe module; find no other."""
        if name in self._unsafe or name.partition(".")[0] in self._unsafe:
            self._found.update(self._loading)
            raise ImportError("not imported early", name=name)


def _import(names: list[str], unsafe: set[str]) -> tuple[list[str], list[str]]:
    """Import ``names``, but not the unsafe ones; what is complete, in order, and what was found unsafe."""
    import warnings

    warnings.simplefilter("error")
    bootstrap: Any = sys.modules["_frozen_importlib"]
    load, order, loading = bootstrap._load_unlocked, [], []
    found: set[str] = set()

    def watched(spec: Any) -> Any:
        before = _visible()
        loading.append(spec.name)
        try:
            module = load(spec)
        finally:
            loading.pop()
        if _visible() != before:
            found.add(spec.name)
        order.append(spec.name)
        return module

    _visible()  # what it needs is imported from now on
    sys.meta_path.insert(0, _Blocker(unsafe, loading, found))
    bootstrap._load_unlocked = watched
    for name in names:
        try:
            bootstrap._gcd_import(name)
        except BaseException:
            # An unsafe one, or one that this process lacks.
            if name not in unsafe and name.partition(".")[0] not in unsafe:
                found.add(name)
    kept = [name for name in order if name in names and name not in found]
    # A module that is complete before its package is imported with it.
    ranks = {name: rank for rank, name in enumerate(order)}
    early = [name for name in kept if ranks.get(name.rpartition(".")[0], -1) < ranks[name]]
    return early, sorted(found - unsafe)


def _visible() -> list[Any]:
    """What an import could change that the program, or its user, can see."""
    import _signal  # type: ignore[import-not-found]  # typeshed has the other half
    import builtins
    import gc
    import time
    import warnings

    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    handlers = []
    for number in range(1, _signal.NSIG):
        try:
            handlers.append(_signal.getsignal(number))
        except ValueError:
            pass  # not a signal of this system
    return [
        [sorted(os.environ.items()), os.getcwd(), os.fstat(1).st_size, len(os.listdir("/proc/self/fd"))],
        [len(os.listdir("/proc/self/task")), handlers, time.tzname, sorted(vars(builtins))],
        [sys.path[:], sys.meta_path[:], sys.path_hooks[:], sys.argv[:]],
        [sys.stdin, sys.stdout, sys.stderr, sys.excepthook, sys.displayhook, builtins.__import__],
        [warnings.filters[:], gc.get_threshold(), gc.callbacks[:], sys.getswitchinterval()],
        [sys.getrecursionlimit(), sys.gettrace(), sys.getprofile()],
    ]
