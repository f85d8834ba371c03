"""Fetching frames: range requests, verification, decompression, placing.

Runs in a child process on a cold start (no interpreter lock shared with the imports), in threads where
forking is not possible, and in the importing thread itself for the rare frame that is fetched on demand.
"""

from __future__ import annotations

import os
import time
from _thread import allocate_lock
from hashlib import sha256

from . import REFUSALS, PackError
from ._s3 import Connection, S3Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Callable

    from ._disk import Place
    from ._s3 import Source

# Functions above this many MB are said to have faster links than the 75 MB/s that one connection fills.
ONE_CONNECTION_MB = 3008
CONNECTIONS = 3
# A request's bytes where there are several connections: the first small so that the first imports start
# early, each later one larger so that there are few (S3 takes 5,500 GET/s a prefix from everybody
# together: docs/scale.md). One connection asks once, and gets the frames in the order of their first use.
FIRST_REQUEST = 1024 * 1024
GROWTH = 4
REQUEST = 24 * 1024 * 1024
# Buffers to decompress into, shared by the connections: a core each, and a bound on memory.
DECODERS = 2
ATTEMPTS = 8
# Of an answer that is wrong rather than missing: it is likely to be as wrong again.
WRONG = ("CorruptFrame", "WrongRange", "ExpiredToken", "RequestTimeTooSkewed", "NoCredentials")
ATTEMPTS_WRONG = 3
# Seconds without a verified frame, or bytes at less than SLOWEST, after which fetching is given up. Init ends
# after 10, and who reads the log is to learn more than that.
SILENCE = 8.0
# What one attempt adds at most: an environment that was frozen in one wakes up an hour later.
LONGEST_ATTEMPT = 4.0
# The least that an attempt at a dead endpoint takes: none is begun that cannot end in time.
SHORTEST_ATTEMPT = 1.5
# What an attempt takes that finds nobody to answer, with what there is to say about it.
LAST_ATTEMPT = 2.5
# Bytes a second below which a connection counts as dead: a frame of 5 MB would take 100 s.
SLOWEST = 50_000.0
# Seconds of transfer after which the rate is believed.
MEASURED = 1.5
INIT = 10.0
# Seconds for which a request that S3 answers with SlowDown is repeated, however often: many starts at once
# are waited for longer than a broken network, and failing would only bring the same requests again.
PATIENCE = 60.0
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0


class Stats:
    """Counts of one process's fetching; all of them only ever grow."""

    __slots__ = ("bytes", "connect", "frames", "requests", "retries")

    def __init__(self) -> None:
        self.bytes = 0
        self.connect = 0
        self.frames = 0
        self.requests = 0
        self.retries = 0

    def report(self, began: float) -> dict[str, Any]:
        """The counts, and the milliseconds since ``began`` (monotonic), by their names in ``stats()``."""
        return {
            "bytes": self.bytes,
            "requests": self.requests,
            "retries": self.retries,
            "frames": self.frames,
            "fetch_ms": round((time.monotonic() - began) * 1000, 1),
        }


class Slot:
    """A buffer to decompress into, used again for each frame: fresh memory costs a fault a page."""

    __slots__ = ("buffer", "lock")

    def __init__(self, size: int) -> None:
        self.buffer = memoryview(bytearray(size))
        self.lock = allocate_lock()


class Fetcher:
    """Fetches frames of one pack.

    Args:
        place: Where they go.
        source: Where they are.
        load_decoder: Loads the zstd decoder's module, while the first bytes are on their way.
        alive: Called between frames; raises to give up (the parent process is gone).
        connections: At once; ``connections_for`` says how many serve a function.

    Attributes:
        tell: Called with one line for the log, of the first attempt that fails and of a link that is too
            slow; None for nobody.
        init_ends: When init does (monotonic; ``init_ends`` tells), None where there is no such bound.
    """

    def __init__(
        self,
        place: Place,
        source: Source,
        load_decoder: Callable[[], Any],
        alive: Callable[[], None],
        connections: int = 1,
    ) -> None:
        self.place = place
        self.source = source
        self._load_decoder = load_decoder
        self._decoder: Any = None
        self._decoder_lock = allocate_lock()
        self.alive = alive
        self.connections = connections
        self.stats = Stats()
        self.tell: Callable[[str], None] | None = None
        self.init_ends: float | None = None
        self._told_failure = self._told_slow = False
        self._failed: BaseException | None = None
        self._slots: list[Slot] = []
        self._links: list[Connection] = []
        self._wanted = 0
        self._began = 0.0

    def prepare(self) -> None:
        """Import and load all that ``run`` needs, so that a thread that fetches imports nothing.

        Raises:
            PackError: A setting cannot be used.
        """
        try:
            self.source.prepare()
        except S3Error as error:
            raise PackError(self._gave_up(error, 1, 0.0)) from error
        self._decompressor()

    def run(self, frames: list[int], spawn: Any = None) -> None:
        """Fetch ``frames`` (ascending); return when all are in place.

        ``spawn`` starts a thread (``_thread.start_new_thread`` unless told otherwise).

        Raises:
            PackError: Names what failed and what helps. Frames that are in place stay.
        """
        one = self.connections == 1
        jobs = cut(frames, self.place.index.frame_stored, bounded=not one)
        largest = max(self.place.index.frame_size[frame] for frame in frames)
        self._slots = [Slot(largest) for _ in range(1 if one else min(DECODERS, len(jobs)))]
        self._failed = None
        self._links = []
        self._wanted = sum(self.place.index.frame_stored[frame] for frame in frames)
        self._began = time.monotonic()
        if one:
            connection = self._link()
            try:
                for job in jobs:
                    self._job(connection, job)
            finally:
                connection.close()
            return
        self._run_beside(jobs, spawn)

    def _link(self) -> Connection:
        connection = Connection(self.source, SLOWEST, self._look)
        self._links.append(connection)
        return connection

    def _run_beside(self, jobs: list[list[int]], spawn: Any) -> None:
        from _thread import start_new_thread

        pending = iter(jobs)
        done, counting = allocate_lock(), allocate_lock()
        done.acquire()
        # This thread is one of them, until it has started the others.
        running = [1]

        def leave() -> None:
            with counting:
                running[0] -= 1
                last = not running[0]
            if last:
                done.release()

        def work() -> None:
            connection = self._link()
            try:
                # next() on a list's iterator is one step for the interpreter: no job is taken twice.
                for job in pending:
                    if self._failed is not None:
                        break
                    self._job(connection, job)
            except BaseException as error:
                self._failed = self._failed or error
            finally:
                connection.close()
                leave()

        for _ in range(min(self.connections, len(jobs))):
            with counting:
                running[0] += 1
            try:
                (spawn or start_new_thread)(work, ())
            except Exception:
                # No thread to be had: those that run do its part, and this one where there is none.
                with counting:
                    running[0] -= 1
                    alone = running[0] == 1
                    running[0] += alone
                if alone:
                    work()
                break
        try:
            self._decompressor()
        except BaseException as error:
            self._failed = self._failed or error
        leave()
        done.acquire()
        if self._failed is not None:
            raise self._failed

    def _job(self, connection: Connection, job: list[int]) -> None:
        """Fetch one run of neighbouring frames, resuming after each failure at the first one missing."""
        left = list(job)
        attempt = 0
        silent = 0.0
        patient = time.monotonic() + PATIENCE
        while left:
            self._check()
            before = len(left)
            began = time.monotonic()
            try:
                self._frames(connection, left)
            except S3Error as error:
                connection.close()
                slow_down = error.status in (429, 503) and time.monotonic() < patient
                # What goes on arriving is not given up: each freeze of an environment breaks its connections.
                attempt = attempt + 1 if len(left) == before else 1
                if len(left) < before or connection.moved > began:
                    silent = 0.0
                elif not slow_down:
                    silent += min(time.monotonic() - began, LONGEST_ATTEMPT)
                self._say_failure(error, time.monotonic() - began, slow_down)
                enough = self._late() or (self._enough(error, attempt, silent) and not slow_down)
                if enough or not error.retry:
                    raise PackError(self._gave_up(error, attempt, silent)) from error
                self.stats.retries += 1
                self.source.forget_signature()
                began = time.monotonic()
                pause(attempt)
                if not slow_down:
                    silent += min(time.monotonic() - began, LONGEST_PAUSE)
            except REFUSALS as error:
                raise self.place.failure(error) from error

    def _late(self) -> bool:
        """Whether another attempt could not end before init does: what failed is to be said before that."""
        return self.init_ends is not None and time.monotonic() + LAST_ATTEMPT > self.init_ends

    def _enough(self, error: S3Error, attempt: int, silent: float) -> bool:
        """Whether another attempt is not worth it, or could not end in time."""
        most = ATTEMPTS_WRONG if error.code in WRONG else ATTEMPTS
        return attempt >= most or silent + SHORTEST_ATTEMPT > SILENCE

    def _frames(self, connection: Connection, left: list[int]) -> None:
        index = self.place.index
        first = index.frame_stored_start[left[0]]
        last = index.frame_stored_start[left[-1] + 1] - 1
        self.stats.requests += 1
        connection.request(first, last)
        stored = memoryview(bytearray(max(index.frame_stored[frame] for frame in left)))
        decoder = self._decompressor()
        while left:
            self._check()
            frame = left[0]
            view = stored[: index.frame_stored[frame]]
            connection.read_into(view)
            self.stats.bytes += len(view)
            if sha256(view).hexdigest() != index.frame_sha256[frame]:
                raise S3Error(
                    "frame %d of %s does not have the digest that the function's index gives"
                    % (frame, self.source.url),
                    code="CorruptFrame",
                )
            slot = self._slots[frame % len(self._slots)]
            with slot.lock:
                # The digest vouches for the bytes; the sizes in the index bound what they may become.
                data = slot.buffer[: index.frame_size[frame]]
                decompress(decoder, view, data)
                self.place.put(frame, data)
            self.stats.frames += 1
            del left[0]
            self._look()

    def _check(self) -> None:
        """Between frames and attempts: raises where there is nothing more to do this for."""
        self.alive()
        if self._failed is not None:
            raise self._failed

    def _look(self) -> None:
        """Say so once, while there is time, if the link is too slow for what is left."""
        if self.tell is None or self._told_slow or self.init_ends is None:
            return
        now = time.monotonic()
        spent, got = now - self._began, sum(link.received for link in self._links)
        if spent < MEASURED or not got or now >= self.init_ends:
            return
        left = max(self._wanted - got, 0)
        seconds = left * spent / got
        if now + seconds <= self.init_ends:
            return
        self._told_slow = True
        self.tell(
            "lambdapack: %.1f MB of the pack are still to come, at %.2f MB/s that takes %.0f s, and init "
            "ends in %.0f s. What has arrived is kept: the next init goes on from there. More memory gives a "
            "function more CPU and a faster link; lambdapack plan shows what the pack is made of"
            % (left / 1e6, got / spent / 1e6, seconds, self.init_ends - now)
        )

    def _say_failure(self, error: S3Error, seconds: float, slow_down: bool) -> None:
        """Say at once what the first attempt failed of: init may end before the last one does."""
        if self.tell is None or self._told_failure:
            return
        self._told_failure = True
        if slow_down:
            then = "it is repeated for %.0f s" % PATIENCE
        elif error.retry:
            then = "trying again, for %.0f s in all" % SILENCE
        else:
            then = "trying again would not help"
        self.tell(
            "lambdapack: fetching %s failed at %s after %.1f s; %s: %s"
            % (self.source.url, self.source.at, seconds, then, error)
        )

    def _decompressor(self) -> Any:
        """The decoder's module; the first who asks loads it, the others wait."""
        with self._decoder_lock:
            if self._decoder is None:
                self._decoder = self._load_decoder()
            return self._decoder

    def _gave_up(self, error: S3Error, attempts: int, seconds: float) -> str:
        tried = " (%d attempts, %.1f s)" % (attempts, seconds) if attempts > 1 else ""
        return "lambdapack: the pack could not be fetched%s: %s" % (tried, error)


def decompress(decoder: Any, stored: memoryview, data: memoryview) -> None:
    """Fill ``data`` with one frame's content, which must be exactly as long.

    One call with room for everything lets zstd write straight into ``data``, without a window of its own.
    """
    reader = decoder.ZstdDecompressor().stream_reader(stored)
    done = reader.readinto(data)
    while 0 < done < len(data):
        got = reader.readinto(data[done:])
        if not got:
            break
        done += got
    if done != len(data) or reader.read(1):
        raise S3Error(
            "a frame does not decompress to the %d bytes that the index gives" % len(data), retry=False
        )


def connections_for(environ: Mapping[str, str]) -> int:
    """How many connections serve a function of this size."""
    memory = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
    return CONNECTIONS if memory.isdigit() and int(memory) > ONE_CONNECTION_MB else 1


def cut(frames: list[int], stored: list[int], bounded: bool = True) -> list[list[int]]:
    """Runs of neighbouring frames, one a request, in order; each may be larger than the one before."""
    jobs: list[list[int]] = []
    size = 0
    limit = FIRST_REQUEST
    for frame in frames:
        if jobs and jobs[-1][-1] + 1 == frame and (size + stored[frame] <= limit or not bounded):
            jobs[-1].append(frame)
            size += stored[frame]
        else:
            if jobs:
                limit = min(REQUEST, limit * GROWTH)
            jobs.append([frame])
            size = stored[frame]
    return jobs


def init_ends(environ: Mapping[str, str]) -> float | None:
    """When init ends (monotonic) for a process that began now, None where nothing cuts it short at 10 s.

    https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
    """
    kind = environ.get("AWS_LAMBDA_INITIALIZATION_TYPE", "")
    return time.monotonic() + INIT if kind == "on-demand" else None


def pause(attempt: int) -> None:
    """Wait before the next attempt: exponential, with full jitter so that a thousand starts spread out."""
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempt, 10))
    share = int.from_bytes(os.urandom(2), "big") / 65535
    time.sleep(longest * (0.25 + 0.75 * share))
