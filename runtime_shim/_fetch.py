"""Fetching frames: range requests, verification, decompression, placing.

Runs in a process of its own on a cold start (which shares no interpreter lock with the imports), in threads
where forking is not safe, and in the importing thread itself for the rare frame that is fetched on demand.
"""

from __future__ import annotations

import os
import time
from _thread import allocate_lock
from hashlib import sha256
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap

from . import REFUSALS, PackError
from ._source import FetchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, Callable

    from ._disk import Place
    from ._source import Link, Source

# One connection gets 75 MB/s; functions with more memory (in MB) than this are said to have faster links.
ONE_CONNECTION_MB = 3008
CONNECTIONS = 3
# A request's bytes where there are several connections. The first request is small, so that the first imports
# start early; each later one is larger, so that there are few (S3 takes 5,500 GET/s a prefix from all clients
# together: docs/scale.md). A single connection asks once, and gets the frames in the order of their first
# use.
FIRST_REQUEST = 1024 * 1024
GROWTH = 4
REQUEST = 24 * 1024 * 1024
# Buffers to decompress into, shared by the connections: one for each core, which also bounds memory.
DECODERS = 2
ATTEMPTS = 8
# Codes of answers that are wrong rather than missing: the next one is likely to be as wrong.
WRONG = ("CorruptFrame", "WrongRange", "ExpiredToken", "RequestTimeTooSkewed", "NoCredentials")
ATTEMPTS_WRONG = 3
# Seconds without a verified frame, and with less than SLOWEST bytes a second, after which fetching is given
# up. Init ends after 10 s, and the log should by then say more than that.
SILENCE = 8.0
# Seconds of silence that one attempt adds at most: an environment frozen in an attempt may wake up hours
# later.
LONGEST_ATTEMPT = 4.0
# Seconds that an attempt at a dead endpoint takes at least: no attempt is begun that cannot end in time.
SHORTEST_ATTEMPT = 1.5
# Seconds that an attempt without any answer takes, with the writing of its error to the log.
LAST_ATTEMPT = 2.5
# Bytes a second below which a connection counts as dead: a frame of 5 MB would take 100 s.
SLOWEST = 50_000.0
# Seconds of transfer after which the measured rate is believed.
MEASURED = 1.5
# Seconds after which Lambda ends the init phase.
INIT = 10.0
# Seconds for which a request that S3 answers with SlowDown is repeated, however often. Many starts at once
# need longer than a broken network is waited for, and to fail would only bring the same requests again.
PATIENCE = 60.0
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0


class Stats:
    """Counts of one process's fetching; they only grow."""

    __slots__ = ("bytes", "frames", "requests", "retries")

    def __init__(self) -> None:
        self.bytes = 0
        self.frames = 0
        self.requests = 0
        self.retries = 0

    def report(self, began: float) -> dict[str, Any]:
        """Name in ``stats()`` -> count; with the milliseconds since ``began`` (monotonic)."""
        return {
            "bytes": self.bytes,
            "requests": self.requests,
            "retries": self.retries,
            "frames": self.frames,
            "fetch_ms": round((time.monotonic() - began) * 1000, 1),
        }


class Slot:
    """A buffer to decompress into, used again for each frame: new memory costs a page fault every 4 KB.

    The system gives each page when it is first written to, so that the first frame, which is small, does not
    wait for the memory of the largest.
    """

    __slots__ = ("buffer", "lock")

    def __init__(self, size: int) -> None:
        self.buffer = memoryview(mmap(-1, size, flags=MAP_PRIVATE | MAP_ANONYMOUS))
        self.lock = allocate_lock()


class Fetcher:
    """Fetches frames of one pack.

    Args:
        load_decoder: Loads the zstd decoder's module, while the first bytes are on their way.
        alive: Called between frames; raises to give up (the parent process is gone).
        connections: How many at once; ``connections_for`` says how many serve a function.

    Attributes:
        tell: Called with a line for the log when the first attempt fails, and when the link is too slow;
            None where no log is written.
        init_ends: See the function ``init_ends``.
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
        self._links: list[Link] = []
        self._wanted = 0
        self._began = 0.0

    def prepare(self) -> None:
        """Import and load all that ``run`` needs: a fetching thread must not wait for an import lock.

        Raises:
            PackError: A setting cannot be used.
        """
        try:
            self.source.prepare()
        except FetchError as error:
            raise PackError(self._gave_up(error, 1, 0.0)) from error
        self._decompressor()

    def run(self, frames: list[int], spawn: Any = None) -> None:
        """Fetch ``frames`` (ascending); return when all are in place.

        ``spawn`` starts a thread for a further connection, as ``_thread.start_new_thread`` (the default)
        does.

        Raises:
            PackError: Names what failed and what helps. Frames that are in place stay.
        """
        alone = self.connections == 1
        jobs = cut(frames, self.place.index.frame_stored, bounded=not alone)
        largest = max(self.place.index.frame_size[frame] for frame in frames)
        self._slots = [Slot(largest) for _ in range(1 if alone else min(DECODERS, len(jobs)))]
        self._failed = None
        self._links = []
        self._wanted = sum(self.place.index.frame_stored[frame] for frame in frames)
        self._began = time.monotonic()
        if alone:
            self._work(iter(jobs))
        else:
            self._work_beside(jobs, spawn)

    def _work(self, jobs: Iterator[list[int]]) -> None:
        """Take jobs, one after the other, and fetch them over a connection of this thread's own."""
        connection = self.source.open(SLOWEST, self._look)
        self._links.append(connection)
        try:
            # Several threads may take from it: next() on a list's iterator is one step for the interpreter.
            for job in jobs:
                self._job(connection, job)
        finally:
            connection.close()

    def _work_beside(self, jobs: list[list[int]], spawn: Any) -> None:
        """Fetch ``jobs`` in a thread for each connection, while this thread loads the decoder."""
        from _thread import start_new_thread

        pending = iter(jobs)

        def attempt(step: Callable[..., Any], *args: Any) -> None:
            try:
                step(*args)
            except BaseException as error:
                self._failed = self._failed or error

        def work(ended: Any) -> None:
            attempt(self._work, pending)
            ended.release()

        threads: list[Any] = []
        try:
            for _ in range(min(self.connections, len(jobs))):
                ended = allocate_lock()
                ended.acquire()
                (spawn or start_new_thread)(work, (ended,))
                threads.append(ended)
        except Exception:
            pass  # the system gives no further thread: those that run fetch its part
        attempt(self._decompressor)
        if not threads:
            attempt(self._work, pending)
        for ended in threads:
            ended.acquire()
        if self._failed is not None:
            raise self._failed

    def _job(self, connection: Link, job: list[int]) -> None:
        """Fetch one run of neighbouring frames; after a failure go on at the first frame that is missing."""
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
            except FetchError as error:
                connection.close()
                slow_down = error.status in (429, 503) and time.monotonic() < patient
                # A fetch that makes progress is not given up: each freeze of an environment breaks
                # connections.
                attempt = attempt + 1 if len(left) == before else 1
                if len(left) < before or connection.moved > began:
                    silent = 0.0
                elif not slow_down:
                    silent += min(time.monotonic() - began, LONGEST_ATTEMPT)
                self._say_failure(error, time.monotonic() - began, slow_down)
                if not error.retry or self._enough(error, attempt, silent, slow_down):
                    raise PackError(self._gave_up(error, attempt, silent)) from error
                self.stats.retries += 1
                self.source.forget_signature()
                began = time.monotonic()
                pause(attempt)
                if not slow_down:
                    silent += min(time.monotonic() - began, LONGEST_PAUSE)
            except REFUSALS as error:
                raise self.place.failure(error) from error

    def _enough(self, error: FetchError, attempt: int, silent: float, slow_down: bool) -> bool:
        """Whether there have been enough attempts, or another one could not end in time."""
        # Too late to report the failure before init ends.
        if self.init_ends is not None and time.monotonic() + LAST_ATTEMPT > self.init_ends:
            return True
        most = ATTEMPTS_WRONG if error.code in WRONG else ATTEMPTS
        return not slow_down and (attempt >= most or silent + SHORTEST_ATTEMPT > SILENCE)

    def _frames(self, connection: Link, left: list[int]) -> None:
        """Request the frames ``left`` and place them; each is removed from ``left`` once it is in place."""
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
                raise self.source.corrupt(frame)
            slot = self._slots[frame % len(self._slots)]
            with slot.lock:
                # The digest vouches for the stored bytes; the index bounds the size of their content.
                data = slot.buffer[: index.frame_size[frame]]
                decompress(decoder, view, data)
                self.place.put(frame, data)
            self.stats.frames += 1
            del left[0]
            self._look()

    def _check(self) -> None:
        """Raise, between frames and attempts, if the parent is gone or another connection has failed."""
        self.alive()
        if self._failed is not None:
            raise self._failed

    def _look(self) -> None:
        """Write a line to the log, once, if the link is too slow to fetch the rest before init ends."""
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

    def _say_failure(self, error: FetchError, seconds: float, slow_down: bool) -> None:
        """Log the first attempt's failure at once: init may end before the last attempt does."""
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
        """The decoder's module; the first thread that asks loads it, the others wait."""
        with self._decoder_lock:
            if self._decoder is None:
                self._decoder = self._load_decoder()
            return self._decoder

    def _gave_up(self, error: FetchError, attempts: int, seconds: float) -> str:
        tried = " (%d attempts, %.1f s)" % (attempts, seconds) if attempts > 1 else ""
        return "lambdapack: the pack could not be fetched%s: %s" % (tried, error)


def decompress(decoder: Any, stored: memoryview, data: memoryview) -> None:
    """Fill ``data`` with one frame's content, which must have exactly this length.

    One call with room for everything lets zstd write straight into ``data``, without a window of its own.

    Raises:
        FetchError: The content has another length.
    """
    reader = decoder.ZstdDecompressor().stream_reader(stored)
    done = reader.readinto(data)
    while 0 < done < len(data):
        got = reader.readinto(data[done:])
        if not got:
            break
        done += got
    if done != len(data) or reader.read(1):
        raise FetchError(
            "a frame does not decompress to the %d bytes that the index gives" % len(data), retry=False
        )


def connections_for(environ: Mapping[str, str]) -> int:
    """How many connections serve a function of this size."""
    memory = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
    return CONNECTIONS if memory.isdigit() and int(memory) > ONE_CONNECTION_MB else 1


def cut(frames: list[int], stored: list[int], bounded: bool = True) -> list[list[int]]:
    """Cut ``frames`` into runs of neighbouring frames, one a request, in order.

    Where they are ``bounded``, each may be larger than the one before.
    """
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


def init_ends(environ: Mapping[str, str], began: float) -> float | None:
    """When init ends for a process that began at ``began`` (monotonic).

    None once that has passed, and where Lambda does not end init after 10 s
    (https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html).
    """
    kind = environ.get("AWS_LAMBDA_INITIALIZATION_TYPE", "")
    return began + INIT if kind == "on-demand" and time.monotonic() < began + INIT else None


def pause(attempt: int) -> None:
    """Wait before the next attempt: exponentially longer, with jitter to spread a thousand starts."""
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempt, 10))
    share = int.from_bytes(os.urandom(2), "big") / 65535
    time.sleep(longest * (0.25 + 0.75 * share))
