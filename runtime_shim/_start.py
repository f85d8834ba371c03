"""One process's view of a pack: who fetches, and waiting for frames.

The process that gets the lock forks a child that fetches; everybody, in this process and in others, watches
the journal, which is shared memory. If the child dies without having finished, whoever waits takes over.
"""

from __future__ import annotations

import os
import time
from _thread import get_ident, start_new_thread

from ._disk import PackError, Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from ._fetch import Fetcher
    from ._index import Index

POLL = 0.001
# How often a waiting thread looks whether the fetching process is still there.
LOOK = 0.02


class ParentGone(BaseException):
    """The process that wanted the frames has died; its successor goes on from the journal."""


class Everyone:
    """A set of threads that has every thread in it."""

    def __contains__(self, ident: object) -> bool:
        return True


class Pack:
    """A pack that is in place or on its way.

    Args:
        place: Where its frames go.
        make_fetcher: Makes a fetcher for it, given what to call between frames. Called only by who
            fetches: a warm start imports neither sockets nor hashes.
        eager: Number of frames to fetch at once, from the first; the rest are fetched on demand.
    """

    def __init__(
        self, place: Place, make_fetcher: Callable[[Place, Callable[[], None]], Fetcher], eager: int
    ) -> None:
        self.place = place
        self.index: Index = place.index
        self.make_fetcher = make_fetcher
        self.eager = eager
        self.began = time.time()
        self.waited = 0.0
        self.resumed = 0
        self.on_demand = 0
        self.role = "warm"
        self.fetching_threads: Any = set()
        self.report: dict[str, Any] = {}
        self.problems: dict[str, str] = {}
        self._child = 0
        self._pipe = -1
        self._thread_lock = -1
        self._error: PackError | None = None

    def start(self) -> None:
        """Begin to fetch what is missing, unless another process already does.

        Raises:
            PackError: No room for it.
        """
        os.register_at_fork(before=self._fork, after_in_child=self._forked)
        place = self.place
        if not place.missing(0, self.eager) and not place.check_files():
            self.resumed = self.eager
            return
        lock = place.lock()
        if lock is None:
            self.role = "follower"
            return
        try:
            self._fetch(lock)
        finally:
            os.close(lock)

    def _fork(self) -> None:
        """Before the function forks: a lock that our thread holds then would stay locked in the child."""
        while self._thread_lock >= 0 and get_ident() not in self.fetching_threads:
            time.sleep(POLL)

    def _forked(self) -> None:
        """In a process that the function forks: the fetching child is its parent's."""
        if self._child:
            os.close(self._pipe)
        self._child, self._pipe = 0, -1
        self.fetching_threads = set()

    def _fetch(self, lock: int) -> None:
        """Fetch as the holder of ``lock``: the caller closes its descriptor, the child keeps its own."""
        if self._thread_lock < 0:
            self.place.check_files()
        missing = self.place.missing(0, self.eager)
        self.resumed = self.eager - len(missing)
        if not missing:
            return
        self.place.check_space(missing)
        self.role = "fetcher"
        if single_threaded():
            reading, writing = os.pipe()
            try:
                child = os.fork()
            except OSError:
                os.close(reading)
                os.close(writing)
            else:
                if not child:
                    self._in_child(missing, writing)
                os.close(writing)
                self._child, self._pipe = child, reading
                return
        self._in_threads(missing, os.dup(lock))

    def _in_child(self, missing: list[int], writing: int) -> None:
        parent = os.getppid()
        status = 1
        # When a waiting process takes over, the child inherits its audit hook: it must not wait for itself.
        self.fetching_threads = Everyone()
        try:
            quieten()

            def alive() -> None:
                if os.getppid() != parent:
                    raise ParentGone

            fetcher = self.make_fetcher(self.place, alive)
            began = time.time()
            try:
                fetcher.run(missing)
                status = 0
            finally:
                os.write(writing, encode_report(fetcher, began))
        except PackError as error:
            os.write(writing, b"\0" + str(error).encode("utf-8", "replace")[:4000])
        except ParentGone:
            pass
        except BaseException as error:
            text = "lambdapack: fetching the pack: %s: %s" % (type(error).__name__, error)
            os.write(writing, b"\0" + text.encode("utf-8", "replace")[:4000])
        finally:
            # Not sys.exit: the parent's atexit handlers and buffers are not ours.
            os._exit(status)

    def _in_threads(self, missing: list[int], lock: int) -> None:
        """The same in this process: it has threads already, so forking it is not safe."""
        self._thread_lock = lock
        fetcher = self.make_fetcher(self.place, lambda: None)
        began = time.time()

        def marked(work: Callable[[], None]) -> None:
            self.fetching_threads.add(get_ident())
            try:
                work()
            finally:
                self.fetching_threads.discard(get_ident())

        def spawn(work: Callable[[], None], _: tuple[()]) -> int:
            return start_new_thread(marked, (work,))

        def run() -> None:
            try:
                fetcher.run(missing, spawn=spawn)
            except PackError as error:
                self._error = error
            except BaseException as error:
                self._error = PackError(
                    "lambdapack: fetching the pack: %s: %s" % (type(error).__name__, error)
                )
            finally:
                self.report = decode_report(encode_report(fetcher, began))
                os.close(lock)
                self._thread_lock = -1

        spawn(run, ())

    def present(self, file: int) -> bool:
        """Whether every byte of file number ``file`` is in place."""
        journal = self.place.journal
        return all(journal[frame] for frame in self.index.frames_of(file))

    def wait_file(self, file: int) -> None:
        """Return once every byte of file number ``file`` is in place."""
        journal = self.place.journal
        for frame in self.index.frames_of(file):
            if not journal[frame]:
                self.wait_frame(frame)

    def wait_frame(self, frame: int) -> None:
        """Return once ``frame`` is in place.

        Raises:
            PackError: It cannot be had.
        """
        began = time.time()
        try:
            if frame >= self.eager:
                self._demand(frame)
            else:
                self._watch(frame)
        finally:
            self.waited += time.time() - began

    def wait_eager(self) -> None:
        """Return once everything is in place that must be before the first invocation."""
        for frame in range(self.eager):
            if not self.place.journal[frame]:
                self.wait_frame(frame)
        self._reap()

    def _watch(self, frame: int) -> None:
        journal = self.place.journal
        look = time.time() + LOOK
        while not journal[frame]:
            time.sleep(POLL)
            if time.time() < look:
                continue
            look = time.time() + LOOK
            if self._error is not None:
                raise self._error
            if self._thread_lock >= 0:
                continue
            lock = self.place.lock()
            if lock is None:
                continue
            try:
                # Nobody is fetching any more: it is done, it failed, or it was killed.
                if journal[frame]:
                    return
                self._reap()
                if self._error is not None:
                    raise self._error
                self._fetch(lock)
            finally:
                os.close(lock)

    def _demand(self, frame: int) -> None:
        """Fetch one cold frame now. Two processes may do so at once: they write the same bytes."""
        self.on_demand += 1
        ident = get_ident()
        self.fetching_threads.add(ident)
        try:
            self.place.check_space([frame])
            self.make_fetcher(self.place, lambda: None).run([frame])
        finally:
            self.fetching_threads.discard(ident)

    def _reap(self) -> None:
        """Read what the child has to say and let the kernel forget it."""
        while self._thread_lock >= 0:
            time.sleep(POLL)  # all frames are in place; the thread is about to add up
        if not self._child:
            return
        said = b""
        while True:
            part = os.read(self._pipe, 65536)
            if not part:
                break
            said += part
        os.close(self._pipe)
        try:
            os.waitpid(self._child, 0)
        except OSError:
            pass  # a handler that waits for any child got there first
        self._child = 0
        counts, _, error = said.partition(b"\0")
        if counts:
            self.report = decode_report(counts)
        if error:
            self._error = PackError(error.decode("utf-8", "replace"))

    def stats(self) -> dict[str, Any]:
        """What this process's start did, for people and for CloudWatch."""
        report: dict[str, Any] = {"bytes": 0, "requests": 0, "retries": 0, "frames": 0, "fetch_ms": 0.0}
        report.update(self.report)
        report.update(
            role=self.role,
            resumed=self.resumed,
            on_demand=self.on_demand,
            wait_ms=round(self.waited * 1000, 1),
            start_ms=round((time.time() - self.began) * 1000, 1),
            **self.problems,
        )
        return report


def single_threaded() -> bool:
    """Whether this process has one thread, native ones included: only then is forking safe."""
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False


def quieten() -> None:
    """Let go of the parent's standard streams: who reads them must not wait for this process."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
    # The built-in half of the signal module: the other one costs 10 ms of enumerations.
    import _signal  # type: ignore[import-not-found]  # typeshed has the other half

    # Handlers of the parent's (a Ctrl-C, a shutdown hook) are not for this process.
    _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
    _signal.signal(_signal.SIGTERM, _signal.SIG_DFL)


def encode_report(fetcher: Fetcher, began: float) -> bytes:
    """A fetcher's counts as one line."""
    stats = fetcher.stats
    values = (stats.bytes, stats.requests, stats.retries, stats.frames, int((time.time() - began) * 1e4))
    return (" ".join(map(str, values)) + "\n").encode("ascii")


def decode_report(line: bytes) -> dict[str, Any]:
    """The counts of ``encode_report``."""
    values = [int(value) for value in line.split()]
    return {
        "bytes": values[0],
        "requests": values[1],
        "retries": values[2],
        "frames": values[3],
        "fetch_ms": values[4] / 10,
    }
