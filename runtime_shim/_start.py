"""One process's view of a pack: start the fetch, wait for frames, take over when the fetch dies.

The process that gets the lock forks a child that fetches; all waiting threads, in this and in other
processes, watch the journal. If the child dies before it has finished, a waiting process takes over. Every
wait ends: it goes on while frames arrive, and after ``PATIENCE`` looks without a new frame the waiting thread
fetches by itself, which ends in the frames or in an error.
"""

from __future__ import annotations

import os
import time
from _thread import get_ident

from . import REFUSALS, PackError
from ._disk import Place
from ._signals import DeferredSignals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any, Callable

    from ._child import Child
    from ._fetch import Fetcher
    from ._index import Index
    from ._inprocess import InProcess
    from ._lock import Lock
    from ._prepare import Preparation

# Seconds between two looks of a waiting thread at the journal.
POLL = 0.001
# Seconds between two looks of a waiting thread at the fetching process.
LOOK = 0.02
# Looks without a new frame until a waiting thread gives the fetching process up: 9.6 s, so that an error is
# reported before init ends after 10 s. Counted in looks, because seconds would count the time in which the
# environment was frozen.
PATIENCE = 480
# The same where Lambda gives init 130 s at least: a large frame over a slow link may take longer than 10 s,
# and to fetch it a second time beside would only make the link slower.
PATIENCE_LONG = 6000
LONG_INIT = ("provisioned-concurrency", "snap-start", "lambda-managed-instances")
# How many children may die one after the other without a single new frame.
DEATHS = 3
# How often a file is fetched again because it was removed again.
TRIES = 5
# How many of the files that are fetched on demand the log names.
NAMES = 50


class AllThreads:
    """A set of threads that contains every thread."""

    def __contains__(self, ident: object) -> bool:
        return True


class ShimWork:
    """A context in which this thread does the shim's own work: it sees the real files and plain imports."""

    __slots__ = ("_nested", "_threads")

    def __init__(self, threads: Any) -> None:
        self._threads = threads
        self._nested = True

    def __enter__(self) -> None:
        ident = get_ident()
        self._nested = ident in self._threads
        if not self._nested:
            self._threads.add(ident)

    def __exit__(self, *exc: object) -> None:
        if not self._nested:
            self._threads.discard(get_ident())


class Pack:
    """A pack that is in place or being fetched; what cannot be fetched makes its methods raise a PackError.

    Args:
        make_fetcher: Makes a fetcher, given the place and a function to call between frames. Called only by a
            process that fetches: a warm start imports neither sockets nor hashes.
        eager: Number of frames to fetch at once, from the first; the rest are fetched on demand.
    """

    def __init__(
        self, place: Place, make_fetcher: Callable[[Place, Callable[[], None]], Fetcher], eager: int
    ) -> None:
        self.place = place
        self.index: Index = place.index
        self.make_fetcher = make_fetcher
        self.eager = eager
        self.began = time.monotonic()
        self.waited = 0.0
        # Whether a thread that waits works meanwhile, and what it has unmarshalled: file -> code, None once
        # an import has taken it.
        self.prepares = False
        self.codes: dict[int, CodeType | None] = {}
        self._preparation: Preparation | None = None
        self.prepared = 0.0
        self.resumed = 0
        self.on_demand = 0
        long = os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") in LONG_INIT
        self._patience = PATIENCE_LONG if long else PATIENCE
        # How often the process was restored from a snapshot.
        self.restores = 0
        # The frames that were fetched on demand, and the files that were read from them, as far as they are
        # named; and whether the line about the start, which names them, has been written.
        self._late: set[int] = set()
        self.demanded: dict[str, None] = {}
        self.told = False
        self.role = "warm"
        self.source = "s3"
        self.fetching_threads: Any = set()
        self.report: dict[str, Any] = {}
        self.problems: dict[str, str] = {}
        self._fetching: Child | None = None
        # The processes that this one has forked; the snapshot waits for their end.
        self._children: list[Child] = []
        self.running = False
        # Locks that threads of this process hold: a process that it forks must let go of them.
        self.locks: list[Lock] = []
        self.error: PackError | None = None
        self._deaths = 0
        self._arrived = 0

    def own(self) -> ShimWork:
        """A context in which this thread does the shim's own work."""
        return ShimWork(self.fetching_threads)

    def start(self) -> None:
        """Begin to fetch the missing frames, unless another process does so already."""
        os.register_at_fork(after_in_child=self._forked)
        self.begin()

    def begin(self) -> None:
        """``start``, and again where frames are missing that were in place."""
        with self.own():
            if not self.place.missing(0, self.eager):
                self.resumed = self.eager
                return
        # A warm start, which ends above, has no handlers to set.
        with DeferredSignals(), self.own():
            lock = self.place.lock("lock")
            if lock is None:
                self.role = "follower"
                return
            self._fetch(lock)

    def _forked(self) -> None:
        """In a process that the function forks: fetching process, threads and locks are the parent's."""
        self._fetching = None
        self._children = []
        self.running = False
        self.error = None
        locks, self.locks = self.locks, []
        for lock in locks:
            lock.release()
        if not isinstance(self.fetching_threads, AllThreads):
            self.fetching_threads = set()
        self.place._writer = None

    # Fetching

    def _fetch(self, lock: Lock) -> None:
        """Fetch the missing frames as the holder of ``lock``, which is released when the fetch ends."""
        place, handed = self.place, False
        try:
            missing = place.missing(0, self.eager)
            self.resumed = self.eager - len(missing)
            if missing:
                place.forget(missing)
                place.check_space(missing)
                self.role = "fetcher"
                if self._in_child(missing, lock):
                    return
                in_process = self.in_process()
                handed = True
                in_process.begin(missing, lock)
        except REFUSALS as error:
            raise place.failure(error) from error
        finally:
            # The process that fetches has a copy of the descriptor; threads release this one.
            if not handed:
                lock.release()

    def _in_child(self, missing: list[int], lock: Lock) -> bool:
        """Fetch in a process of its own; False if none can be forked."""
        from ._child import fetch, single_threaded

        if not single_threaded():
            return False
        # The last attempt is this process's own child: a process learns only of its own children how they
        # end.
        self._fetching = fetch(self, missing, lock, direct=self._deaths + 1 >= DEATHS)
        if self._fetching is None:
            return False
        self._children.append(self._fetching)
        return True

    def add(self, report: dict[str, Any]) -> None:
        """Add one fetch's counts to this process's."""
        for name, value in report.items():
            self.report[name] = self.report.get(name, 0) + value

    # Waiting

    def present(self, file: int) -> bool:
        """Whether every byte of file number ``file`` is in place."""
        if self.index.classes[file] not in self.place.in_arena:
            return self.place.whole(file)
        return self.arrived(file)

    def arrived(self, file: int) -> bool:
        """Whether every frame of file number ``file`` was put in place once."""
        journal = self.place.journal
        return all(journal[frame] for frame in self.index.frames_of(file))

    def read(self, file: int) -> bytes:
        """The bytes of a file in the arena, fetched if they are not there, or not there any more."""
        for _ in range(TRIES):
            self.wait_file(file)
            data = self.place.read(file)
            if data is not None:
                return data
        raise self._removed(self._path(file))

    def wait_file(self, file: int) -> None:
        """Return once every byte of file number ``file`` is in place."""
        if self.index.classes[file] in self.place.in_arena:
            journal = self.place.journal
            for frame in self.index.frames_of(file):
                if not journal[frame]:
                    if frame >= self.eager:
                        self._late.add(frame)
                    self.wait_frame(frame)
                if frame in self._late:
                    self._note(self.index.paths[file])
        elif not self.place.whole(file):
            self._wait_real(file)

    def _note(self, path: str) -> None:
        """Let the log name a file that is fetched on demand: the next build can have it come earlier."""
        # What is written as JSON without a look at its letters has only plain ones.
        plain = path.isascii() and path.isprintable() and not {"'", '"', "\\"}.intersection(path)
        if not plain or path in self.demanded or len(self.demanded) >= NAMES:
            return
        self.demanded[path] = None
        if self.told:
            with DeferredSignals():
                from ._child import tell

            pack = self.place.base.rpartition("/")[2]
            tell('{"lambdapack": "on_demand", "pack": "%s", "on_demand_files": ["%s"]}' % (pack, path))

    def _wait_real(self, file: int) -> None:
        """Wait for a real file, which may have been in place before and been removed since."""
        place, journal = self.place, self.place.journal
        frames = self.index.frames_of(file)
        for _ in range(TRIES):
            if place.whole(file):
                return
            awaited = [frame for frame in frames if not journal[frame]]
            for frame in awaited:
                if frame < self.eager and not place.whole(file):
                    self.wait_frame(frame)
            if not place.whole(file):
                self._demand(list(frames), lambda: place.whole(file))
        if not place.whole(file):
            raise self._removed(self._path(file))

    def _path(self, file: int) -> str:
        return self.place.site + "/" + self.index.paths[file]

    def _removed(self, path: str) -> PackError:
        return PackError(
            "lambdapack: %s is removed as often as it is put in place: something empties %s while the "
            "pack is in use" % (path, self.place.root)
        )

    def wait_frame(self, frame: int) -> None:
        """Return once ``frame`` has been put in place."""
        began = time.monotonic()
        try:
            if frame >= self.eager:
                self._demand([frame], lambda: bool(self.place.journal[frame]))
            else:
                self._watch(frame)
        finally:
            self.waited += time.monotonic() - began

    def wait_eager(self) -> None:
        """Return once all frames have been put in place that a first invocation may need."""
        journal = self.place.journal
        for frame in range(self.eager):
            if not journal[frame]:
                self.wait_frame(frame)
        self._collect()
        self.error = None

    def _watch(self, frame: int) -> None:
        """Wait for a frame that is being fetched; fetch it here if no process gets on with that."""
        journal = self.place.journal
        began = time.monotonic()
        look, quiet, count, turns = began + LOOK, 0, 0, 0
        while not journal[frame]:
            if not (self.prepares and self._prepare()):
                time.sleep(POLL)
            if time.monotonic() < look:
                continue
            look = time.monotonic() + LOOK
            if self._fetching is not None:
                self._fetching.tell()
            arrived = sum(journal.look())
            quiet = quiet + 1 if arrived <= count else 0
            count = max(arrived, count)
            if quiet >= self._patience:
                # The fetching process does not get on: it is stopped, or runs on another machine. To fetch
                # the frame a second time does no harm.
                self._demand([frame], lambda: bool(self.place.journal[frame]))
                return
            if not self._alive() and not journal[frame]:
                turns += self._take_over(frame, began)
                if turns > TRIES:
                    raise self._removed(self.place.journal.file.path)

    def _prepare(self) -> bool:
        """Do a piece of the work that lies before this process; False if there is none now."""
        began = time.monotonic()
        if self._preparation is None:
            with DeferredSignals(), self.own():
                try:
                    from ._prepare import Preparation
                except REFUSALS:
                    # The system refuses a file or memory; what is needed is going to say so.
                    self.prepares = False
                    return False
            self._preparation = Preparation(self)
        try:
            return self._preparation.step()
        finally:
            self.prepared += time.monotonic() - began

    def take(self, file: int) -> CodeType | None:
        """The code of a file that was unmarshalled in a wait, once; None if it was not."""
        code = self.codes.get(file)
        self.codes[file] = None
        return code

    def _alive(self) -> bool:
        """Whether a thread of this process, or the process that it has forked, fetches."""
        return self.running or (self._fetching is not None and self._fetching.alive())

    def _take_over(self, frame: int, since: float) -> bool:
        """Go on with a fetch that has ended too early, unless another process does; whether this one did.

        Raises:
            PackError: What ended the fetch of this process, or of the process that it waited for.
        """
        with DeferredSignals(), self.own():
            self.place.follow()
            lock = self.place.lock("lock")
            if lock is None:
                return False
            self._collect()
            error, self.error = self.error, None
            if error is None and self.role == "follower":
                from ._lock import word

                said = word(self.place.base, since)
                error = PackError(said) if said else None
            arrived = self.place.journal.look()[frame]
            if not arrived and error is None:
                self._fetch(lock)
                return True
            lock.release()
            if not arrived and error is not None:
                # Raised once; a later wait tries again.
                raise error
            return False

    def _demand(self, frames: list[int], done: Callable[[], bool]) -> None:
        """Fetch frames now, in this thread, unless they are ``done`` when it is this process's turn."""
        self.in_process().demand(frames, done)

    def in_process(self) -> InProcess:
        """What fetches in this process; most starts fetch in a child alone, and do not import that.

        A signal handler in the middle of an import would be given the half of a module.
        """
        with DeferredSignals():
            try:
                from ._inprocess import InProcess
            except REFUSALS as error:
                raise self.place.failure(error) from error
        return InProcess(self)

    def _collect(self) -> None:
        """Add the counts of this process's fetch once it has ended, and keep its error."""
        child = self._fetching
        for _ in range(PATIENCE):
            # All frames are in place; the thread or the process is about to write down its counts.
            if not self._alive():
                break
            time.sleep(POLL)
        if child is None:
            return
        self._fetching = None
        child.tell()
        report, said = child.outcome()
        self.add(report)
        arrived = sum(self.place.journal.look())
        if arrived > self._arrived:
            self._deaths = 0
        self._arrived = arrived
        if said:
            self.error = PackError(said)
        elif not report:
            self._deaths += 1
            if self._deaths >= DEATHS:
                self._deaths = 0
                from ._child import died

                self.error = PackError(died(child.ending()))

    def stats(self) -> dict[str, Any]:
        """The counts and times of this process's start, for people and for CloudWatch."""
        report: dict[str, Any] = {"bytes": 0, "requests": 0, "retries": 0, "frames": 0, "fetch_ms": 0.0}
        report.update(self.report)
        report.update(
            source=self.source,
            role=self.role,
            resumed=self.resumed,
            on_demand=self.on_demand,
            restores=self.restores,
            on_demand_files=list(self.demanded),
            wait_ms=round(self.waited * 1000, 1),
            prepared_ms=round(self.prepared * 1000, 1),
            start_ms=round((time.monotonic() - self.began) * 1000, 1),
            **self.problems,
        )
        return report
