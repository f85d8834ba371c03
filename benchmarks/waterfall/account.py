"""Arithmetic on marks: which phase had which milliseconds. What it hands out adds up to the whole."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.waterfall.record import Mark, Recording

__all__ = ["Account", "Frame", "Phase", "Step", "Wait", "account", "document", "exclusive", "median"]

_SHIM = "runtime_shim"
_STANDARD = "standard library"
_REST = "the rest"
# The fetching child's marks, in the order in which they first happen.
_STEPS = {
    "forked": "fork",
    "quieten": "let go of standard streams",
    "import": "import socket, hashlib, …",
    "buffers": "buffers",
    "connect": "connect",
    "sign": "sign the request",
    "request": "send it, wait for the first byte",
    "decoder": "load the decoder",
    "receive": "receive",
    "verify": "SHA-256",
    "decompress": "zstd",
    "write": "write",
}


@dataclass(frozen=True)
class Phase:
    """A part of the importing process's way to the first answer.

    Attributes:
        name: For people.
        start_s: When it began, from the start of the process.
        wall_s: How long it took: the sum of the three that follow.
        cpu_s: On a processor.
        wait_s: Waiting for frames.
        other_s: Neither: the processor was the fetching child's, say, or a disk was waited for.
    """

    name: str
    start_s: float
    wall_s: float
    cpu_s: float
    wait_s: float = 0.0

    @property
    def other_s(self) -> float:
        return self.wall_s - self.cpu_s - self.wait_s


@dataclass(frozen=True)
class Step:
    """What the fetching child did, all frames together.

    Attributes:
        name: For people.
        wall_s, cpu_s: Without what it contains of other steps.
        size: Bytes worked on, uncompressed where it decompresses or writes.
    """

    name: str
    wall_s: float
    cpu_s: float
    size: int = 0


@dataclass(frozen=True)
class Wait:
    """One wait for a frame: from the start of the process, how long, and who wanted what."""

    start_s: float
    wall_s: float
    frame: int
    file: str
    wanted_by: str


@dataclass(frozen=True)
class Frame:
    """One frame's way: ``(start, end)`` of each step, seconds from the start of the process."""

    number: int
    hot: bool
    receive: tuple[float, float]
    verify: tuple[float, float]
    decompress: tuple[float, float]
    write: tuple[float, float]


@dataclass(frozen=True)
class Account:
    """Where a cold start's time went.

    Attributes:
        total_s, ready_s: From the start of the process to the first answer, to the handler.
        phases: Add up to ``total_s``.
        shim: What ``import runtime_shim`` is made of.
        packages: What the phase of the imports is made of, largest first.
        waits: For frames, in order.
        fetch: Of the fetching child; the CPU times add up to ``child_cpu_s``.
        fetch_start_s, fetch_end_s: When the child was forked, and when its last frame was in place.
        child_cpu_s: The child's CPU time.
        frames: In order.
        eager_bytes: Compressed bytes that had to come.
        floor_s: When the link could have delivered them, at the earliest, from the start of the process.
    """

    total_s: float
    ready_s: float
    phases: tuple[Phase, ...]
    shim: tuple[Phase, ...]
    packages: tuple[Phase, ...]
    waits: tuple[Wait, ...]
    fetch: tuple[Step, ...]
    fetch_start_s: float
    fetch_end_s: float
    child_cpu_s: float
    frames: tuple[Frame, ...]
    eager_bytes: int
    floor_s: float


def median(recordings: Sequence[Recording]) -> Recording:
    """The one whose total is the median; of an even number, the lower."""
    return sorted(recordings, key=lambda one: one.total_s)[(len(recordings) - 1) // 2]


def account(recording: Recording) -> Account:
    """Hand out every millisecond of a start."""
    main, child, zero = recording.main.marks, recording.child.marks, recording.started
    shim = _one(main, "import", _SHIM)
    ready = _one(main, "ready")
    request = _one(child, "request")
    eager = sum(recording.stored)
    inside = [mark for mark in main if shim.end <= mark.start and mark.end <= ready.start]
    return Account(
        total_s=recording.total_s,
        ready_s=recording.ready - zero,
        phases=_phases(recording, shim, ready),
        shim=_shim(main, shim, zero),
        packages=_packages(inside, (shim.end, ready.start), ready.cpu_start - shim.cpu_end, zero),
        waits=tuple(_waits(main, zero)),
        fetch=_fetch(child, recording.main.children_s),
        fetch_start_s=_one(child, "forked").start - zero,
        fetch_end_s=max(mark.end for mark in child if mark.kind == "write") - zero,
        child_cpu_s=recording.main.children_s,
        frames=tuple(_frames(child, recording.hot, zero)),
        eager_bytes=eager,
        floor_s=request.start - zero + eager * 8 / (recording.mbit * 1e6),
    )


def exclusive(marks: Iterable[Mark]) -> list[tuple[Mark, float, float]]:
    """Each mark of one thread with its wall and CPU seconds less those of the marks within it."""
    found: list[list[Any]] = []
    stack: list[list[Any]] = []
    for mark in sorted(marks, key=lambda one: (one.start, -one.end)):
        while stack and stack[-1][0].end <= mark.start:
            stack.pop()
        wall, cpu = mark.end - mark.start, mark.cpu_end - mark.cpu_start
        if stack:
            stack[-1][1] -= wall
            stack[-1][2] -= cpu
        stack.append([mark, wall, cpu])
        found.append(stack[-1])
    return [(mark, wall, cpu) for mark, wall, cpu in found]


def _one(marks: Iterable[Mark], kind: str, name: str = "") -> Mark:
    return next(mark for mark in marks if mark.kind == kind and mark.name == name)


def _phases(recording: Recording, shim: Mark, ready: Mark) -> tuple[Phase, ...]:
    answered = _one(recording.main.marks, "answered")
    # The thread's clock runs since before the process was executed.
    before = max(0.0, shim.cpu_start - (shim.start - recording.started))
    # When, and how much CPU time the thread had had by then.
    bounds = (
        (recording.started, before),
        (shim.start, shim.cpu_start),
        (shim.end, shim.cpu_end),
        (ready.start, ready.cpu_start),
        (recording.ready, ready.cpu_end),
        (recording.answered, answered.cpu_start),
    )
    names = (
        "Python starts",
        "import runtime_shim",
        "imports and loading",
        "rest of the pack",
        "first answer",
    )
    waits = [mark for mark in recording.main.marks if mark.kind == "wait"]
    found = []
    for name, (start, spent), (end, spent_then) in zip(names, bounds, bounds[1:], strict=False):
        within = [mark for mark in waits if start <= mark.start < end]
        idle = [_idle(recording.main.marks, mark) for mark in within]
        waited, polling = sum(wall for wall, _ in idle), sum(spent for _, spent in idle)
        found.append(
            Phase(name, start - recording.started, end - start, spent_then - spent - polling, waited)
        )
    return tuple(found)


def _shim(marks: Iterable[Mark], shim: Mark, zero: float) -> tuple[Phase, ...]:
    within = [mark for mark in marks if shim.start <= mark.start and mark.end <= shim.end]
    sums: dict[str, list[float]] = {}
    for mark, wall, cpu in exclusive(within):
        name = mark.name if mark.kind == "shim" else "its own modules"
        if mark is shim:
            name = _REST
        held = sums.setdefault(name, [mark.start - zero, 0.0, 0.0])
        held[1] += wall
        held[2] += cpu
    rest = sums.pop(_REST)
    return tuple(Phase(name, *held) for name, held in [*sums.items(), (_REST, rest)])


def _packages(
    marks: Sequence[Mark], bounds: tuple[float, float], cpu: float, zero: float
) -> tuple[Phase, ...]:
    """By top-level package, each without the imports and the waits within its own."""
    whole = Mark("import", _REST, -1, *bounds, 0.0, cpu, 0, -1)
    sums: dict[str, list[float]] = {}
    waits: dict[str, float] = defaultdict(float)
    polling: dict[str, float] = defaultdict(float)
    for mark in marks:
        if mark.kind == "wait":
            holder = _holder(marks, mark) or whole
            idle, polled = _idle(marks, mark)
            waits[_package(holder.name)] += idle
            polling[_package(holder.name)] += polled
    for mark, wall, spent in exclusive([whole, *(one for one in marks if one.kind == "import")]):
        held = sums.setdefault(_package(mark.name), [mark.start - zero, 0.0, 0.0])
        held[0] = min(held[0], mark.start - zero)
        held[1] += wall
        held[2] += spent
    found = [
        Phase(name, start, wall, spent - polling[name], waits[name])
        for name, (start, wall, spent) in sums.items()
    ]
    return tuple(sorted(found, key=lambda one: -one.wall_s))


def _package(name: str) -> str:
    top = name.partition(".")[0]
    return _STANDARD if top in sys.stdlib_module_names else top


def _holder(marks: Iterable[Mark], inner: Mark) -> Mark | None:
    """The innermost import that a mark happened in."""
    around = [
        mark
        for mark in marks
        if mark.kind == "import" and mark.start <= inner.start and inner.end <= mark.end
    ]
    return max(around, key=lambda mark: mark.depth, default=None)


def _idle(marks: Iterable[Mark], wait: Mark) -> tuple[float, float]:
    """Wall and CPU time of a wait without the work that the waiting thread did meanwhile."""
    work = [
        mark for mark in marks if mark.kind == "prepare" and wait.start <= mark.start and mark.end <= wait.end
    ]
    wall = sum(mark.end - mark.start for mark in work)
    spent = sum(mark.cpu_end - mark.cpu_start for mark in work)
    return wait.end - wait.start - wall, wait.cpu_end - wait.cpu_start - spent


def _waits(marks: Sequence[Mark], zero: float) -> Iterable[Wait]:
    for mark in sorted(marks, key=lambda one: one.start):
        if mark.kind == "wait":
            holder = _holder(marks, mark)
            by = holder.name if holder else "handler"
            yield Wait(mark.start - zero, _idle(marks, mark)[0], mark.frame, mark.name, by)


def _fetch(marks: Sequence[Mark], cpu_s: float) -> tuple[Step, ...]:
    forked, leave = _one(marks, "forked"), _one(marks, "leave")
    whole = Mark("", "", 0, forked.start, leave.start, 0.0, leave.cpu_start, 0, -1)
    sums: dict[str, list[Any]] = {name: [0.0, 0.0, 0] for name in [*_STEPS.values(), _REST]}
    for mark, wall, cpu in exclusive([whole, *(mark for mark in marks if mark.end <= leave.start)]):
        kind = mark.name if mark.kind == "child" else mark.kind
        held = sums[_STEPS.get(kind, _REST)]
        held[0] += wall
        held[1] += cpu
        held[2] += mark.size
    steps = [Step(name, *held) for name, held in sums.items()]
    return (*steps, Step("end of the process, these marks", 0.0, cpu_s - leave.cpu_start))


def _frames(marks: Iterable[Mark], hot: int, zero: float) -> Iterable[Frame]:
    # A frame that had to be asked for again was received twice: the last one counts.
    last: dict[str, tuple[float, float]] = {}
    for mark in sorted(marks, key=lambda one: one.end):
        last[mark.kind] = mark.start - zero, mark.end - zero
        if mark.kind == "write":
            ways = [last[kind] for kind in ("receive", "verify", "decompress", "write")]
            yield Frame(mark.frame, mark.frame < hot, *ways)


def document(found: Account, recording: Recording, workload: str, totals: Sequence[float]) -> dict[str, Any]:
    """As ``--json`` prints it; seconds and bytes."""
    setting = asdict(recording.setting)
    shown = _rounded(asdict(found))
    for name in ("phases", "shim", "packages"):
        for row, phase in zip(shown[name], getattr(found, name), strict=True):
            row["other_s"] = round(phase.other_s, 6)
    return {
        "document": "lambdapack.waterfall",
        "version": 1,
        "workload": workload,
        "setting": setting,
        "mbit": recording.mbit,
        "limited": recording.limited,
        "totals_s": [round(total, 6) for total in totals],
        **shown,
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(one) for one in value]
    return value
