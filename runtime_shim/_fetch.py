"""Fetching frames: range requests, verification, decompression, placing.

Runs in a child process on a cold start (no interpreter lock shared with the imports), in threads where
forking is not possible, and in the importing thread itself for the rare frame that is fetched on demand.
"""

from __future__ import annotations

import os
import time
from _thread import allocate_lock
from hashlib import sha256

from ._disk import PackError
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
        self._failed: BaseException | None = None
        self._slots: list[Slot] = []

    def prepare(self) -> None:
        """Import everything that fetching needs: a thread that fetches must not import."""
        import hmac  # noqa: F401

        self.source.prepare()
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
        if one:
            connection = Connection(self.source)
            for job in jobs:
                self._job(connection, job)
            connection.close()
            return
        self._run_beside(jobs, spawn)

    def _run_beside(self, jobs: list[list[int]], spawn: Any) -> None:
        from _thread import start_new_thread

        pending = iter(jobs)
        done = allocate_lock()
        done.acquire()
        running = [0] * min(self.connections, len(jobs))

        def work() -> None:
            connection = Connection(self.source)
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
                running.pop()
                if not running:
                    done.release()

        for _ in list(running):
            (spawn or start_new_thread)(work, ())
        self._decompressor()
        done.acquire()
        if self._failed is not None:
            raise self._failed

    def _job(self, connection: Connection, job: list[int]) -> None:
        """Fetch one run of neighbouring frames, resuming after each failure at the first one missing."""
        left = list(job)
        attempt = 0
        patient = time.time() + PATIENCE
        while left:
            before = len(left)
            self.alive()
            try:
                self._frames(connection, left)
            except S3Error as error:
                # What goes on arriving is not given up: each freeze of an environment breaks its connections.
                attempt = attempt + 1 if len(left) == before else 1
                connection.close()
                slow_down = error.status in (429, 503) and time.time() < patient
                if not error.retry or (attempt >= ATTEMPTS and not slow_down):
                    raise PackError(self._gave_up(error, attempt)) from error
                self.stats.retries += 1
                self.source.forget_signature()
                pause(attempt)
            except OSError as error:
                raise self.place.failure(error) from error

    def _frames(self, connection: Connection, left: list[int]) -> None:
        index = self.place.index
        first = index.frame_stored_start[left[0]]
        last = index.frame_stored_start[left[-1] + 1] - 1
        self.stats.requests += 1
        connection.request(first, last)
        stored = memoryview(bytearray(max(index.frame_stored[frame] for frame in left)))
        decoder = self._decompressor()
        while left:
            self.alive()
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

    def _decompressor(self) -> Any:
        """The decoder's module; the first who asks loads it, the others wait."""
        with self._decoder_lock:
            if self._decoder is None:
                self._decoder = self._load_decoder()
            return self._decoder

    def _gave_up(self, error: S3Error, attempts: int) -> str:
        tried = " (%d attempts)" % attempts if attempts > 1 else ""
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


def pause(attempt: int) -> None:
    """Wait before the next attempt: exponential, with full jitter so that a thousand starts spread out."""
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempt, 10))
    share = int.from_bytes(os.urandom(2), "big") / 65535
    time.sleep(longest * (0.25 + 0.75 * share))
