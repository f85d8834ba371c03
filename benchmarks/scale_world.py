"""Many cold starts at once against S3, in virtual time with real sizes and rates."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

from benchmarks.scale_limit import SLOW_DOWN, Limit
from benchmarks.scale_pack import SCALE, SPACY, Constants, Miniature, Recorder, constants, decoder
from benchmarks.scale_time import VirtualTime, in_virtual_time
from lambdapack import limits
from runtime_shim import PackError, _s3
from runtime_shim._fetch import Fetcher

__all__ = ["Outcome", "Scenario", "requests_of_one", "simulate"]

CONNECT = 0.005
"""Seconds for TCP and TLS 1.3 within a region: two round trips and some arithmetic. Assumed."""
FIRST_BYTE = 0.03
FIRST_BYTE_SPREAD = 0.6
"""Seconds to a response's first byte: log-normal, median 30 ms, 99th percentile 121 ms. Assumed; AWS speaks
of "roughly 100-200 milliseconds", and quicker answers are the harder case for the limit."""
REFUSAL = 0.01
"""Seconds to a 503. Assumed."""
KEYS = {"AWS_ACCESS_KEY_ID": "ASIASCALE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token"}
RANGE = re.compile(rb"Range: bytes=(\d+)-(\d+)\r\n")


@dataclass(frozen=True)
class Scenario:
    """What is simulated.

    Attributes:
        starts: How many cold starts.
        spread: Seconds over which they begin, evenly; 0 is all in the same instant.
        rate: GETs a second that the prefix answers; ``None`` for no limit.
        window: Seconds over which the limit is counted.
        stored: Compressed size of each frame that a start fetches.
        constants: The shim's.
        first_byte: Median seconds to a response's first byte.
        seed: Of all chance.
    """

    starts: int = 1000
    spread: float = 0.0
    rate: float | None = limits.S3_GET_PER_SECOND
    window: float = 1.0
    stored: tuple[int, ...] = SPACY
    constants: Constants = field(default_factory=Constants)
    first_byte: float = FIRST_BYTE
    seed: int = 0


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Attributes:
        seconds: Of each start that got its pack, from its own beginning to its last frame, ascending.
        failed: Messages of those that gave up.
        requests, retries: As the shim counts them, over all starts.
        admitted, refused: As the endpoint counts them.
        most: Requests of the start that made most.
        lag: Seconds, the mean over the frames of a start and over all starts, until a frame and all before
            it were there: what an import that reads the pack in order waits for.
        verified: Whether every start that got its pack put each frame exactly once, with its content.
    """

    seconds: list[float]
    failed: list[str]
    requests: int
    retries: int
    admitted: int
    refused: int
    most: int
    lag: float
    verified: bool

    def percentile(self, share: float) -> float:
        """Seconds within which ``share`` of the starts had their pack."""
        return self.seconds[max(math.ceil(share * len(self.seconds)) - 1, 0)] if self.seconds else math.nan


class Link:
    """One environment's 600 Mbit/s, shared by its connections frame by frame."""

    def __init__(self, clock: VirtualTime) -> None:
        self._clock = clock
        self._free_at = 0.0

    def take(self, size: int) -> None:
        """Wait until ``size`` bytes (of the miniature) have come."""
        self._free_at = max(self._free_at, self._clock.now) + size * SCALE / limits.LINK_BYTES_PER_SECOND
        self._clock.sleep(self._free_at - self._clock.now)


class Bucket:
    """S3: one object behind one limit."""

    def __init__(self, clock: VirtualTime, scenario: Scenario, stored: bytes) -> None:
        self.clock = clock
        self.stored = stored
        self.limit = Limit(scenario.rate, scenario.window)
        self._first_byte = scenario.first_byte

    def answer(self, request: bytes) -> tuple[float, bytes, memoryview]:
        """Seconds to the first byte, head, body."""
        if not self.limit.admit(self.clock.now):
            return REFUSAL, SLOW_DOWN, memoryview(b"")
        match = RANGE.search(request)
        assert match, request
        first, last = int(match[1]), int(match[2])
        head = b"HTTP/1.1 206 Partial Content\r\nContent-Length: %d\r\n\r\n" % (last + 1 - first)
        wait = self._first_byte * self.clock.random.lognormvariate(0, FIRST_BYTE_SPREAD)
        return wait, head, memoryview(self.stored)[first : last + 1]


class Socket:
    """As much of a socket as the shim's Connection uses."""

    def __init__(self, bucket: Bucket, link: Link) -> None:
        self._bucket = bucket
        self._link = link
        self._ready = 0.0
        self._head = b""
        self._body = memoryview(b"")

    def fileno(self) -> int:
        return -1  # no descriptor that anybody could close

    def settimeout(self, _: float) -> None:
        """Its time is the simulation's."""

    def sendall(self, request: bytes) -> None:
        wait, self._head, self._body = self._bucket.answer(request)
        self._ready = self._bucket.clock.now + wait

    def recv(self, _: int) -> bytes:
        self._bucket.clock.sleep(max(self._ready - self._bucket.clock.now, 0.0))
        head, self._head = self._head, b""
        return head

    def recv_into(self, view: memoryview, size: int, _: int = 0) -> int:
        self._link.take(size)
        view[:size] = self._body[:size]
        self._body = self._body[size:]
        return size

    def close(self) -> None:
        self._body = memoryview(b"")


class Source(_s3.Source):
    """The shim's Source; only the connection leads elsewhere."""

    def __init__(self, bucket: Bucket) -> None:
        super().__init__("bucket", "team/packs/cf/cf97.tar.zst", "us-east-1", KEYS)
        self._bucket = bucket
        self._link = Link(bucket.clock)

    def connect(self) -> Any:
        self._bucket.clock.sleep(CONNECT)
        return Socket(self._bucket, self._link)


class TimedRecorder(Recorder):
    """Also notes when each frame came."""

    def __init__(self, pack: Miniature, clock: VirtualTime) -> None:
        super().__init__(pack)
        self._clock = clock
        self._began = clock.now
        self._arrived = [0.0] * len(self.times)

    def put(self, frame: int, data: memoryview) -> None:
        super().put(frame, data)
        self._arrived[frame] = self._clock.now - self._began

    @property
    def last(self) -> float:
        """Seconds to the last frame."""
        return max(self._arrived)

    @property
    def lag(self) -> float:
        """Mean seconds until a frame and all before it were there."""
        latest, total = 0.0, 0.0
        for arrived in self._arrived:
            latest = max(latest, arrived)
            total += latest
        return total / len(self._arrived)


class _Starts:
    """All cold starts of one simulation."""

    def __init__(self, clock: VirtualTime, scenario: Scenario) -> None:
        self._clock = clock
        self._connections = scenario.constants.connections
        self._pack = Miniature(scenario.stored)
        self.bucket = Bucket(clock, scenario, self._pack.object)
        self.fetchers: list[Fetcher] = []
        self.arrived: list[TimedRecorder] = []
        self.failed: list[str] = []

    def begin(self) -> None:
        """One start, from its first request to its last frame."""
        place: Any = TimedRecorder(self._pack, self._clock)
        fetcher = Fetcher(place, Source(self.bucket), decoder, lambda: None, self._connections)
        self.fetchers.append(fetcher)
        try:
            fetcher.run(list(range(len(place.times))), spawn=self._clock.spawn)
        except PackError as error:
            self.failed.append(str(error))
        else:
            self.arrived.append(place)


def simulate(scenario: Scenario) -> Outcome:
    """Run it. A few seconds for a thousand starts, whatever happens in them."""
    clock = VirtualTime(scenario.seed)
    starts = _Starts(clock, scenario)
    with constants(scenario.constants), in_virtual_time(clock):
        for number in range(scenario.starts):
            clock.spawn(starts.begin, delay=scenario.spread * number / scenario.starts)
        clock.run()
    stats = [fetcher.stats for fetcher in starts.fetchers]
    return Outcome(
        seconds=sorted(place.last for place in starts.arrived),
        failed=starts.failed,
        requests=sum(each.requests for each in stats),
        retries=sum(each.retries for each in stats),
        admitted=starts.bucket.limit.admitted,
        refused=starts.bucket.limit.refused,
        most=max(each.requests for each in stats),
        lag=sum(place.lag for place in starts.arrived) / max(len(starts.arrived), 1),
        verified=all(place.complete for place in starts.arrived),
    )


def requests_of_one(stored: tuple[int, ...], chosen: Constants | None = None) -> int:
    """How many requests one start makes when nothing goes wrong."""
    return simulate(Scenario(starts=1, rate=None, stored=stored, constants=chosen or Constants())).requests
