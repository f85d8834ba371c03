"""Many fetchers at once over real sockets: real time, real threads, one endpoint that holds the limit."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import resource
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.scale_limit import SLOW_DOWN, Limit
from benchmarks.scale_pack import SPACY, Constants, Miniature, Recorder, constants, decoder
from benchmarks.scale_world import KEYS, RANGE
from runtime_shim import PackError
from runtime_shim._fetch import Fetcher
from runtime_shim._s3 import Source

__all__ = ["LoopbackOutcome", "run"]

KEY = "team/packs/cf/cf97.tar.zst"
STACK = 256 * 1024
PATIENCE = 120.0
"""Seconds after which a part that says nothing is taken for dead."""


@dataclass(frozen=True)
class LoopbackOutcome:
    """What came of it.

    Attributes:
        succeeded: Starts that put every frame exactly once, each with its content.
        failed: Messages of the others.
        requests, retries: As the shim counts them, over all starts.
        most: Requests of the start that made most.
        admitted, refused: As the endpoint counts them.
        unsigned: Requests without a signature.
        seconds: From the first request that the endpoint saw to the last.
        peak: Most requests, refused ones included, in one second.
    """

    succeeded: int
    failed: list[str]
    requests: int
    retries: int
    most: int
    admitted: int
    refused: int
    unsigned: int
    seconds: float
    peak: int


def run(
    starts: int,
    rate: float | None,
    *,
    window: float = 1.0,
    stored: tuple[int, ...] = SPACY,
    chosen: Constants | None = None,
    processes: int = 8,
) -> LoopbackOutcome:
    """Let ``starts`` fetchers, spread over ``processes``, go at the same moment."""
    chosen = chosen or Constants()
    context = multiprocessing.get_context("spawn")
    processes = min(processes, starts)
    shares = [starts // processes + (number < starts % processes) for number in range(processes)]
    endpoint = _Part(context, _serve, stored, rate, window)
    parts: list[_Part] = []
    try:
        port = endpoint.hear()
        parts = [_Part(context, _fetch_many, stored, share, chosen, port) for share in shares]
        for part in parts:
            part.hear()
        moment = time.time() + 0.2
        for part in parts:
            part.say(moment)
        results = [part.hear() for part in parts]
        endpoint.say("done")
        seen = endpoint.hear()
    finally:
        for part in (*parts, endpoint):
            part.close()
    return LoopbackOutcome(
        succeeded=sum(result["succeeded"] for result in results),
        failed=[message for result in results for message in result["failed"]],
        requests=sum(sum(result["requests"]) for result in results),
        retries=sum(result["retries"] for result in results),
        most=max(max(result["requests"]) for result in results),
        **seen,
    )


class _Part:
    """A process that is talked to over a pipe and ends with us."""

    def __init__(self, context: Any, work: Callable[..., None], *arguments: object) -> None:
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=work, args=(other, *arguments), daemon=True)
        self._process.start()
        other.close()

    def say(self, what: object) -> None:
        self._pipe.send(what)

    def hear(self) -> Any:
        if not self._pipe.poll(PATIENCE):
            raise TimeoutError(f"{self._process.name} said nothing for {PATIENCE:g} s")
        return self._pipe.recv()

    def close(self) -> None:
        self._pipe.close()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _serve(pipe: Connection, stored: tuple[int, ...], rate: float | None, window: float) -> None:
    _allow_files()
    bucket = _Bucket(Miniature(stored).object, rate, window)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Conversation(bucket), "127.0.0.1", 0, backlog=4096)
        pipe.send(server.sockets[0].getsockname()[1])
        told = asyncio.Event()
        loop.add_reader(pipe.fileno(), told.set)
        await told.wait()

    asyncio.run(main())
    pipe.recv()
    pipe.send(bucket.seen())


class _Bucket:
    """Objects behind a limit a prefix, and what was asked of them."""

    def __init__(self, stored: bytes, rate: float | None, window: float) -> None:
        self.stored = stored
        self.limits: defaultdict[bytes, Limit] = defaultdict(lambda: Limit(rate, window))
        self.times: list[float] = []
        self.unsigned = 0

    def answer(self, request: bytes) -> bytes:
        now = time.monotonic()
        self.times.append(now)
        self.unsigned += b"\r\nauthorization: AWS4-HMAC-SHA256 " not in request
        prefix = request.split(b" ", 2)[1].rpartition(b"/")[0]
        if not self.limits[prefix].admit(now):
            return SLOW_DOWN
        match = RANGE.search(request)
        assert match, request
        body = self.stored[int(match[1]) : int(match[2]) + 1]
        return b"HTTP/1.1 206 Partial Content\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    def seen(self) -> dict[str, Any]:
        first = 0
        peak = 0
        for last, moment in enumerate(self.times):
            while self.times[first] <= moment - 1:
                first += 1
            peak = max(peak, last + 1 - first)
        return {
            "admitted": sum(limit.admitted for limit in self.limits.values()),
            "refused": sum(limit.refused for limit in self.limits.values()),
            "unsigned": self.unsigned,
            "seconds": self.times[-1] - self.times[0] if self.times else 0.0,
            "peak": peak,
        }


class _Conversation(asyncio.Protocol):
    """One connection."""

    def __init__(self, bucket: _Bucket) -> None:
        self._bucket = bucket
        self._received = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            request, _, self._received = self._received.partition(b"\r\n\r\n")
            answer = self._bucket.answer(request + b"\r\n")
            self._transport.write(answer)
            if answer is SLOW_DOWN:
                self._transport.close()


def _fetch_many(pipe: Connection, stored: tuple[int, ...], starts: int, chosen: Constants, port: int) -> None:
    _allow_files()
    # The endpoint answers first: what waits is to wait for the limit, not for a processor.
    os.nice(5)
    threading.stack_size(STACK)
    pack = Miniature(stored)
    environment = {**KEYS, "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{port}"}
    places: list[Any] = [Recorder(pack) for _ in range(starts)]
    fetchers = [
        Fetcher(
            place,
            Source("bucket", KEY, "us-east-1", environment),
            decoder,
            lambda: None,
            chosen.connections,
        )
        for place in places
    ]
    failed: list[str] = []
    begin = threading.Event()

    def start(fetcher: Fetcher) -> None:
        begin.wait()
        try:
            fetcher.run(list(range(len(stored))))
        except (PackError, AssertionError) as error:
            failed.append(str(error))

    with constants(chosen):
        threads = [threading.Thread(target=start, args=(fetcher,)) for fetcher in fetchers]
        for thread in threads:
            thread.start()
        pipe.send("ready")
        time.sleep(max(pipe.recv() - time.time(), 0))
        begin.set()
        for thread in threads:
            thread.join()
    pipe.send(
        {
            "succeeded": sum(place.complete for place in places),
            "failed": failed,
            "requests": [fetcher.stats.requests for fetcher in fetchers],
            "retries": sum(fetcher.stats.retries for fetcher in fetchers),
        }
    )


def _allow_files() -> None:
    """As many descriptors as the system lets us have: a connection is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
