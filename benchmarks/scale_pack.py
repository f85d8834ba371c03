"""A real pack in miniature: frames ``SCALE`` times smaller, so that a thousand starts fit one machine.

The shim's code is run as it is. What is divided along with the frames is the two constants that it compares
sizes with, so it cuts the same frames into the same requests.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import zstandard

from runtime_shim import PackError, _fetch
from runtime_shim._index import Index

__all__ = ["SCALE", "SPACY", "TORCH", "Constants", "Miniature", "Recorder", "constants", "decoder"]

SCALE = 1024

# Compressed bytes of the frames that a cold start fetches, in order, as `lambdapack build` wrote them for
# python3.11/x86_64: `spacy en-core-web-sm` and `torch` (CPU).
SPACY = (
    200674, 637318, 1018759, 1887640, 1777312, 1318082, 911333, 723231, 1735122, 843155, 1146919, 1460406,
    1356134, 72589, 1167439, 1479493, 1361214, 1063795, 1161432, 1049714, 1049435, 1143685, 1141830, 268581,
    5817394, 883852, 5702946, 954526,
)  # fmt: skip
TORCH = (
    150735, 93523, 397656, 1493597, 910184, 2268737, 2578182, 2503768, 1761703, 1408552, 2166238, 1566465,
    1948532, 1898304, 2068311, 2815196, 2556295, 1684025, 1581612, 1344502, 1309501, 1802065, 1685876,
    2222098, 2038423, 2469646, 2199379, 848141, 1995553, 2222132, 1144852, 2522329, 2048852, 1495710,
    971779, 1517125, 1387317, 1641772, 2297880, 1559840, 683909, 1998479, 1435785, 1658812, 2070749,
    13264, 1719877, 2183575, 1753578, 808107, 1166475, 1760569, 2157135, 1337156, 986247, 1094153,
    1017153, 1055828, 1076755, 462740, 1606074, 1341462, 1623388, 1513963, 1740267, 1506765, 2132126,
    788052,
)  # fmt: skip


@dataclass(frozen=True)
class Constants:
    """The shim's constants that decide how many requests there are and when they are repeated.

    Attributes:
        connections: At once.
        first_request, request: Bytes of a request, while each connection has its first and later.
        attempts: Of one request, before the start fails.
        first_pause, longest_pause: Seconds.
    """

    connections: int = _fetch.connections_for({})
    first_request: int = _fetch.FIRST_REQUEST
    request: int = _fetch.REQUEST
    attempts: int = _fetch.ATTEMPTS
    first_pause: float = _fetch.FIRST_PAUSE
    longest_pause: float = _fetch.LONGEST_PAUSE


@contextmanager
def constants(chosen: Constants) -> Iterator[None]:
    """Run the shim with these constants, its sizes divided by ``SCALE``."""
    replaced = {
        "FIRST_REQUEST": chosen.first_request // SCALE,
        "REQUEST": chosen.request // SCALE,
        "ATTEMPTS": chosen.attempts,
        "FIRST_PAUSE": chosen.first_pause,
        "LONGEST_PAUSE": chosen.longest_pause,
        "SLOWEST": _fetch.SLOWEST / SCALE,
    }
    kept = {name: getattr(_fetch, name) for name in replaced}
    for name, value in replaced.items():
        setattr(_fetch, name, value)
    try:
        yield
    finally:
        for name, value in kept.items():
            setattr(_fetch, name, value)


class Miniature:
    """A pack whose frames are ``SCALE`` times smaller than ``stored`` says.

    Attributes:
        index: Its index.
        object: What S3 would hold.
        contents: Each frame's content.
    """

    def __init__(self, stored: tuple[int, ...]) -> None:
        noise = random.Random(0)
        compressor = zstandard.ZstdCompressor(level=1)
        # Noise does not compress: zstd adds ten bytes to it.
        self.contents = [noise.randbytes(max(size // SCALE - 10, 16)) for size in stored]
        frames = [compressor.compress(content) for content in self.contents]
        self.object = b"".join(frames)
        sizes = [len(content) for content in self.contents]
        self.index = Index(
            target="python3.11/x86_64", lock="", tool="", glibc="", hot=len(frames), eager=len(frames),
            frame_stored=[len(frame) for frame in frames], frame_size=sizes,
            frame_sha256=[sha256(frame).hexdigest() for frame in frames],
            paths=["all"], classes="d", sizes=[sum(sizes)], offsets=[0], executable=[], needs={}, native={},
        )  # fmt: skip


class Recorder:
    """Stands where the shim's Place does: compares each frame with what it must be, and counts it."""

    def __init__(self, pack: Miniature) -> None:
        self.index = pack.index
        self._contents = pack.contents
        self.times = [0] * len(pack.contents)

    @property
    def complete(self) -> bool:
        """Whether every frame came exactly once."""
        return all(times == 1 for times in self.times)

    def put(self, frame: int, data: memoryview) -> None:
        """Take one frame."""
        if data != self._contents[frame]:
            raise AssertionError(f"frame {frame} was accepted with a wrong content")
        self.times[frame] += 1

    def failure(self, error: OSError) -> PackError:
        """As the shim's own Place."""
        return PackError(str(error))


def decoder() -> Any:
    """The zstd decoder, as the shim loads it."""
    return zstandard
