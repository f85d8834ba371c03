"""The model of a cold start: a link, a process that fetches, a process that imports, and their CPU time.

The two processes share what CPU time the function has. The fetching one receives, checks, decodes and writes
one frame after the other, each as soon as the link has delivered the frame. The importing one computes, and
waits wherever what it needs is not in place yet. Times are seconds, sizes bytes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from math import inf
from statistics import median

from lambdapack import limits
from runtime_shim._index import Index

__all__ = [
    "Constants", "Frames", "Prediction", "Start", "Step", "Work", "error", "fit", "predict",
    "ratios",
]  # fmt: skip

_TINY = 1e-9
_SPEEDS = (0.05, 20.0)
_HALVINGS = 30


@dataclass(frozen=True)
class Constants:
    """What a machine takes.

    Attributes:
        link: Bytes a second between S3 and the function.
        latency: From the request to the first byte, connecting included.
        check: CPU time of a compressed byte's digest.
        decode: CPU time of decoding, for a decoded byte.
        write: CPU time of the rest, receiving and writing into /tmp, for a decoded byte.
        runtime: CPU time of the interpreter and the runtime client until they import the handler.
        speed: How much faster the machine computes than the one on which a ``Work`` was measured.
        cpus: Processors that there are, however many the setting would give; ``None`` for no such bound.
        measured: The day of the measurement.
        where: What was measured, for people.
    """

    link: float
    latency: float
    check: float
    decode: float
    write: float
    runtime: float
    measured: date
    where: str
    speed: float = 1.0
    cpus: float | None = None


@dataclass(frozen=True)
class Step:
    """What the importing process computes once a frame is in place.

    Attributes:
        frame: The number of the last frame that it needs, ``-1`` for none.
        seconds: CPU time.
    """

    frame: int
    seconds: float


@dataclass(frozen=True)
class Work:
    """What the importing process does in a cold start.

    Attributes:
        init: Its steps while the handler is imported, in order.
        call: The same in the first invocation.
        measured: Whether they were, or are an estimate from the pack's bytes.
    """

    init: tuple[Step, ...]
    call: tuple[Step, ...]
    measured: bool = True

    def less(self, kept: Sequence[int], seconds: float) -> Work:
        """The work where the frames ``kept`` alone are left, and ``seconds`` of the imports are gone.

        Which steps those seconds were in is not known: each step becomes shorter by the same share.
        """
        whole = sum(step.seconds for step in self.init)
        left = max(0.0, whole - seconds) / whole if whole else 1.0
        init, call = (
            tuple(Step(bisect_right(kept, step.frame) - 1, step.seconds * share) for step in steps)
            for steps, share in ((self.init, left), (self.call, 1.0))
        )
        return replace(self, init=init, call=call)


@dataclass(frozen=True)
class Frames:
    """What is fetched at a start, in order: each frame's compressed and decoded bytes.

    Attributes:
        stored, size: Of each frame.
        linked: Whether they come over the link; else they are files of the function, which are read at once.
    """

    stored: Sequence[int]
    size: Sequence[int]
    linked: bool = True

    @classmethod
    def of(cls, index: Index, *, linked: bool = True, whole: bool = False) -> Frames:
        """What a start fetches of a pack: what the first invocation may need, or the ``whole`` pack."""
        end = None if whole else index.eager
        return cls(index.frame_stored[:end], index.frame_size[:end], linked)


@dataclass(frozen=True)
class Prediction:
    """A cold start as the model predicts one.

    Attributes:
        init: Until the runtime asks for an event.
        call: The first invocation.
        runtime, waits, imports: The parts of init, which add up: until the first import, waiting for the
            pack, and computing.
        call_waits: Of the first invocation, waiting for the pack.
        link, check, decode, write: What each alone takes, beside the imports: the link's time, and CPU
            time.
        import_cpu: CPU time of the imports.
    """

    init: float
    call: float
    runtime: float
    waits: float
    imports: float
    call_waits: float
    link: float
    check: float
    decode: float
    write: float
    import_cpu: float

    @property
    def total(self) -> float:
        """What a caller waits for."""
        return self.init + self.call


def predict(
    constants: Constants, frames: Frames, work: Work, *, memory_mb: int, boost: bool = True
) -> Prediction:
    """The cold start of a function with so much memory; ``boost``: whether init has ``limits.INIT_VCPUS``."""
    share = min(memory_mb / limits.MEMORY_PER_VCPU_MB, constants.cpus or inf)
    boosted = min(max(share, limits.INIT_VCPUS), constants.cpus or inf) if boost else share
    machine = _Machine(constants, frames)
    runtime = machine.compute(constants.runtime / constants.speed, boosted)
    machine.begin_to_fetch()
    # The shim lets init end once everything is in place that a first invocation may need.
    waits, imports = machine.go((*work.init, Step(len(frames.stored) - 1, 0.0)), boosted)
    call_waits, calls = machine.go(work.call, share)
    stored, size = sum(frames.stored), sum(frames.size)
    return Prediction(
        init=runtime + waits + imports,
        call=call_waits + calls,
        runtime=runtime,
        waits=waits,
        imports=imports,
        call_waits=call_waits,
        link=stored / constants.link if frames.linked else 0.0,
        check=stored * constants.check,
        decode=size * constants.decode,
        write=size * constants.write,
        import_cpu=sum(step.seconds for step in work.init) / constants.speed,
    )


class _Machine:
    """Both processes, at one moment."""

    def __init__(self, constants: Constants, frames: Frames) -> None:
        self._constants = constants
        self._frames = frames
        self._now = 0.0
        self._arrivals: list[float] = []
        self._efforts = list(_efforts(constants, frames))
        self._next = len(self._efforts)  # nothing is fetched so far
        self._left = 0.0

    def begin_to_fetch(self) -> None:
        """The shim runs: the request is on its way."""
        at = self._now + (self._constants.latency if self._frames.linked else 0.0)
        for stored in self._frames.stored:
            at += stored / self._constants.link if self._frames.linked else 0.0
            self._arrivals.append(at)
        self._next = 0
        self._left = self._efforts[0] if self._efforts else 0.0

    def go(self, steps: Iterable[Step], cpus: float) -> tuple[float, float]:
        """Take ``steps``; how long that was waiting, and how long computing."""
        waited = computed = 0.0
        for step in steps:
            began = self._now
            while self._next <= min(step.frame, len(self._efforts) - 1):
                self._advance(inf, cpus)
            waited += self._now - began
            computed += self.compute(step.seconds / self._constants.speed, cpus)
        return waited, computed

    def compute(self, seconds: float, cpus: float) -> float:
        """Compute so many CPU seconds beside the fetch; how long that takes."""
        began = self._now
        while seconds > _TINY:
            seconds = self._advance(seconds, cpus)
        return self._now - began

    def _advance(self, seconds: float, cpus: float) -> float:
        """Go on until something happens; what is left of ``seconds``, infinite for a process that waits."""
        computes = seconds < inf
        waits_for_link = self._next < len(self._arrivals) and self._arrivals[self._next] > self._now + _TINY
        fetches = self._next < len(self._arrivals) and not waits_for_link
        rate = min(1.0, cpus / max(computes + fetches, 1))
        until = seconds / rate if computes else inf
        if waits_for_link:
            until = min(until, self._arrivals[self._next] - self._now)
        if fetches:
            until = min(until, self._left / rate)
            self._left -= until * rate
        self._now += until
        if fetches and self._left <= _TINY:
            self._next += 1
            self._left = self._efforts[self._next] if self._next < len(self._efforts) else 0.0
        return seconds - until * rate if computes else seconds


def _efforts(constants: Constants, frames: Frames) -> Iterable[float]:
    """CPU time of the fetching process for each frame."""
    for stored, size in zip(frames.stored, frames.size, strict=True):
        effort = stored * constants.check + size * (constants.decode + constants.write)
        yield effort / constants.speed


@dataclass(frozen=True)
class Start:
    """A real cold start.

    Attributes:
        memory_mb: The setting.
        init, call: Seconds of init, and of the first invocation.
    """

    memory_mb: int
    init: float
    call: float

    @property
    def total(self) -> float:
        """What a caller waited for."""
        return self.init + self.call


def fit(constants: Constants, frames: Frames, work: Work, starts: Sequence[Start]) -> Constants:
    """The constants with that speed at which half of the ``starts`` are predicted too short."""
    low, high = _SPEEDS

    def ratio(speed: float) -> float:
        return median(ratios(replace(constants, speed=speed), frames, work, starts))

    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        if ratio(middle) > 1:
            low = middle
        else:
            high = middle
    return replace(constants, speed=(low * high) ** 0.5)


def ratios(constants: Constants, frames: Frames, work: Work, starts: Iterable[Start]) -> list[float]:
    """The prediction of each start, in proportion to what was measured."""
    return [
        predict(constants, frames, work, memory_mb=start.memory_mb).total / start.total for start in starts
    ]


def error(found: Iterable[float]) -> float:
    """By what share the predictions are off, in the median of their ``ratios``."""
    return median(abs(ratio - 1) for ratio in found)
