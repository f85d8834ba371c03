"""A process of its own that fetches.

It is not a child of the function's process, because that process's ``os.wait()`` and SIGCHLD belong to the
function's code: it is forked by an intermediate process that ends at once. It reports through a page of
shared memory, which the function's code cannot close. Imported only by a process that fetches.
"""

from __future__ import annotations

import os
import time
from mmap import mmap
from posix import close, dup2, getpid, listdir, open, pread, read, waitpid
from sys import stderr

from . import PackError
from ._lock import leave_word
from ._start import DEATHS, AllThreads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from ._lock import Lock
    from ._start import Pack

# Where in the shared page each text is, and its room. A text is written before its length, so that a reader
# never sees half of it.
PID, REPORT, TOLD, ERROR = (0, 64), (64, 256), (512, 3000), (4096, 4000)
PAGE = 8192
FIELDS = ("bytes", "requests", "retries", "frames", "fetch_ms")


class ParentDeath(BaseException):
    """The process that wanted the frames has died; the next process goes on from the journal."""


class Page:
    """Memory that a process shares with the processes that it forks."""

    def __init__(self) -> None:
        self._memory = mmap(-1, PAGE)

    def put(self, where: tuple[int, int], text: str) -> None:
        """Leave a text."""
        start, room = where
        data = text.encode("utf-8", "replace")[: room - 4]
        self._memory[start + 4 : start + 4 + len(data)] = data
        self._memory[start : start + 4] = len(data).to_bytes(4, "little")

    def get(self, where: tuple[int, int]) -> str:
        """The text that was left, ``""`` if none was."""
        start, room = where
        size = min(int.from_bytes(self._memory[start : start + 4], "little"), room - 4)
        return self._memory[start + 4 : start + 4 + size].decode("utf-8", "replace")


class Child:
    """The process that fetches, for the process that waits for it.

    Args:
        page: Shared by the two.
        direct: The fetching process's id where it is this process's own child, else 0.
    """

    def __init__(self, page: Page, direct: int = 0) -> None:
        self._page = page
        self._direct = direct
        self._status: int | None = None
        self._told = False
        pid, _, began = page.get(PID).partition(" ")
        self.pid = direct or int(pid or 0)
        self._began = process(self.pid)[1] if direct else began

    def alive(self) -> bool:
        """Whether it still runs."""
        if self._direct:
            if self._status is None:
                try:
                    pid, status = waitpid(self._direct, os.WNOHANG)
                except OSError:
                    pid, status = self._direct, 0  # the function's own os.wait() got there first
                if pid:
                    self._status = status
            return self._status is None
        state, began = process(self.pid)
        return state not in ("", "Z", "X") and began == self._began

    def tell(self) -> None:
        """Write the child's line for the log, once."""
        if not self._told:
            text = self._page.get(TOLD)
            if text:
                self._told = True
                tell(text)

    def outcome(self) -> tuple[dict[str, Any], str]:
        """The child's counts, empty if it died early, and its error, ``""`` if there was none."""
        values = self._page.get(REPORT).split()
        report: dict[str, Any] = {}
        if values:
            report = {name: int(value) for name, value in zip(FIELDS[:-1], values)}  # noqa: B905  # since 3.10
            report[FIELDS[-1]] = float(values[-1])
        return report, self._page.get(ERROR)

    def ending(self) -> str:
        """How the child ended, in words."""
        status = self._status
        if status is None:
            return "an unknown cause"
        if os.WIFSIGNALED(status):
            from signal import Signals

            try:
                return Signals(os.WTERMSIG(status)).name
            except ValueError:
                return "signal %d" % os.WTERMSIG(status)
        return "exit status %d" % os.WEXITSTATUS(status)


def fetch(pack: Pack, missing: list[int], lock: Lock, *, direct: bool) -> Child | None:
    """Fork a process that fetches ``missing`` while it holds ``lock``; None if the system refuses to fork.

    ``direct`` makes it this process's own child, whose exit status can then be asked for.
    """
    page = Page()
    parent = getpid()
    began = process(parent)[1]
    try:
        first = os.fork()
    except OSError:
        return None
    if not first:
        # os._exit, whatever happens: atexit handlers and buffers are the parent's.
        try:
            if direct or not os.fork():
                page.put(PID, "%d %s" % (getpid(), process(getpid())[1]))
                _run(pack, missing, lock, page, (parent, began))
        except OSError as error:
            page.put(ERROR, "lambdapack: a process that fetches the pack: %s" % error)
        finally:
            os._exit(0)
    if direct:
        return Child(page, first)
    try:
        waitpid(first, 0)
    except OSError:
        pass
    # The second process leaves its id as soon as it runs.
    for _ in range(1000):
        if page.get(PID) or page.get(ERROR):
            break
        time.sleep(0.0005)
    return Child(page)


def _run(pack: Pack, missing: list[int], lock: Lock, page: Page, parent: tuple[int, str]) -> None:
    """The whole work of the process that fetches."""
    # A waiting process that takes over forks with its finder and its audit hook: they must not act here.
    pack.fetching_threads = AllThreads()
    # This process was forked in the middle of the shim's own import, which never ends here, and a thread that
    # imports a module of a package waits until the package's import has ended (CPython 3.14 and later).
    from . import __spec__ as spec

    spec._initializing = False  # type: ignore[attr-defined]
    try:
        quieten()
        alive = parent_watch(*parent)
        pack.place.write_under(lock)
        fetcher = pack.make_fetcher(pack.place, alive)
        fetcher.tell = lambda text: page.put(TOLD, text)
        began = time.monotonic()
        try:
            fetcher.run(missing)
        finally:
            report = fetcher.stats.report(began)
            page.put(REPORT, " ".join(str(report[name]) for name in FIELDS))
    except PackError as error:
        page.put(ERROR, str(error))
        leave_word(pack.place.base, str(error))
    except ParentDeath:
        pass
    except BaseException as error:
        page.put(ERROR, "lambdapack: fetching the pack: %s: %s" % (type(error).__name__, error))


def parent_watch(pid: int, began: str) -> Callable[[], None]:
    """A function that raises ``ParentDeath`` once the process that wanted the frames has died.

    A descriptor of its entry in ``/proc`` stays its own, even when its number is given to another process.
    """
    try:
        fd = open("/proc/%d/stat" % pid, os.O_RDONLY)
    except OSError:
        fd = -1

    def check() -> None:
        try:
            state, start = parse(pread(fd, 1024, 0))
        except OSError:
            raise ParentDeath from None
        if state in ("", "Z", "X") or start != began:
            raise ParentDeath

    return check


def process(pid: int) -> tuple[str, str]:
    """A process's state (one letter) and start time; both ``""`` if there is no such process."""
    try:
        fd = open("/proc/%d/stat" % pid, os.O_RDONLY)
        try:
            return parse(read(fd, 1024))
        finally:
            close(fd)
    except OSError:
        return "", ""


def parse(line: bytes) -> tuple[str, str]:
    """State and start time in a line of ``/proc/PID/stat``: behind the name, which may hold any character."""
    fields = line.rpartition(b")")[2].split()
    return (fields[0].decode(), fields[19].decode()) if len(fields) > 19 else ("", "")


def quieten() -> None:
    """Let go of the parent's standard streams, so that their reader does not wait for this process."""
    null = open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        dup2(null, fd)
    if null > 2:
        close(null)
    # The built-in half of the signal module: the other half builds enumerations for 10 ms.
    import _signal  # type: ignore[import-not-found]  # typeshed has the other half

    # The parent's handlers (for a Ctrl-C, a shutdown hook) are not for this process.
    _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
    _signal.signal(_signal.SIGTERM, _signal.SIG_DFL)


def died(ending: str) -> str:
    """The error where children die without reporting one."""
    return (
        "lambdapack: the process that fetches the pack died %d times without having placed a frame, the last "
        "time by %s: SIGKILL is usually the function's memory (give it more: lambdapack deploy --memory), "
        "SIGILL, SIGSEGV and SIGABRT a zstd decoder for another processor or Python (build the function's "
        "zip again: lambdapack package)" % (DEATHS, ending)
    )


def tell(text: str) -> None:
    """Write one line to the log."""
    print(text, file=stderr, flush=True)


def single_threaded() -> bool:
    """Whether this process has one thread, native ones included: only then is forking safe."""
    try:
        return len(listdir("/proc/self/task")) == 1
    except OSError:
        return False
