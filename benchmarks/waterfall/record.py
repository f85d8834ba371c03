"""Cold starts in the benchmark's rig, with marks."""

from __future__ import annotations

import ast
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from benchmarks.artifacts import Kit
from benchmarks.rig import Raw, Rig, Setting
from benchmarks.ways import Way
from benchmarks.workloads import Workload
from lambdapack.errors import ToolError
from lambdapack.local.environment.runtime import Runtime
from runtime_shim._index import Index

__all__ = ["Mark", "Recording", "Told", "instrumented", "record"]

_HERE = Path(__file__).parent
_SAMPLE = 0.004
_DEVICE = "fn:"


class Mark(NamedTuple):
    """One thing that a process did.

    Attributes:
        kind, name: What; ``driver.py`` has the kinds.
        depth: Number of imports it was within.
        start, end: Monotonic seconds.
        cpu_start, cpu_end: CPU seconds of its thread.
        size: Bytes that were worked on.
        frame: Number of a frame, -1 where it is not about one.
    """

    kind: str
    name: str
    depth: int
    start: float
    end: float
    cpu_start: float
    cpu_end: float
    size: int
    frame: int


@dataclass(frozen=True)
class Told:
    """What one process said as it ended.

    Attributes:
        marks: In the order in which they ended.
        cpu_s: Its CPU time until then.
        children_s: CPU time of its children.
    """

    marks: tuple[Mark, ...]
    cpu_s: float
    children_s: float


@dataclass(frozen=True)
class Recording:
    """One cold start.

    Attributes:
        started, ready, answered: Monotonic time at which the process was executed, had its handler, and
            had its first answer.
        main, child: What the importing process and the fetching one told.
        link: Monotonic time and bytes received so far; empty where the link cannot be watched.
        stored: Compressed bytes of each frame that is fetched at once.
        hot: Number of frames, from the first, that the trace touched.
        setting, mbit: What the function was given.
        limited: What was limited, and how.
    """

    started: float
    ready: float
    answered: float
    main: Told
    child: Told
    link: tuple[tuple[float, int], ...]
    stored: tuple[int, ...]
    hot: int
    setting: Setting
    mbit: float
    limited: dict[str, str]

    @property
    def total_s(self) -> float:
        """From the start of the process to the first answer."""
        return self.answered - self.started


@contextmanager
def instrumented(kit: Kit) -> Iterator[Runtime]:
    """The benchmark's runtime with a driver that takes marks."""
    plain = kit.runtime()
    with tempfile.TemporaryDirectory(prefix="waterfall-") as folder:
        Path(folder).chmod(0o755)
        shutil.copy(_HERE / "driver.py", folder)
        shutil.copy(_HERE.with_name("driver.py"), Path(folder, "plain_driver.py"))
        yield replace(plain, client=Path(folder))


def record(
    rig: Rig, workload: Workload, way: Way, setting: Setting, *, index: Index, mbit: float
) -> Recording:
    """Start ``way`` cold once, in a new environment.

    Raises:
        ToolError: It gave no right answer, or fetched nothing.
    """
    with rig.box(way, setting) as box, _Meter() as meter:
        raw = box.start()
    if raw.document is None or raw.document["answer"] != workload.answer:
        raise ToolError(f"the cold start of {workload.name} failed: {raw.log.strip()[-500:] or raw.status}")
    main, child = _told(raw)
    return Recording(
        started=raw.started,
        ready=raw.document["ready"],
        answered=raw.document["answered"],
        main=main,
        child=child,
        link=tuple(meter.samples),
        stored=tuple(index.frame_stored[: index.eager]),
        hot=index.hot,
        setting=setting,
        mbit=mbit,
        limited=dict(rig.limited),
    )


def _told(raw: Raw) -> tuple[Told, Told]:
    main = child = None
    for line in raw.log.splitlines():
        word, _, rest = line.partition(" ")
        if word != "WATERFALL":
            continue
        _, marks, cpu, children = ast.literal_eval(rest)
        told = Told(tuple(Mark(*mark) for mark in marks), cpu, children)
        kinds = {mark.kind for mark in told.marks}
        if "began" in kinds:
            main = told
        elif {"forked", "fetch"} <= kinds:
            child = told
    if main is None or child is None:
        raise ToolError("the cold start was not one: no process of its own fetched the pack")
    return main, child


class _Meter:
    """Bytes that the functions' side of the link has received, every few milliseconds."""

    def __init__(self) -> None:
        self.samples: list[tuple[float, int]] = []
        self._done = threading.Event()
        # It inherits the network namespace of the thread that makes it.
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> _Meter:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        with Path("/proc/thread-self/net/dev").open("rb", buffering=0) as file:
            while not self._done.wait(_SAMPLE):
                file.seek(0)
                text = file.read(1 << 14).decode()
                at = text.find(_DEVICE)
                if at < 0:
                    return
                self.samples.append((time.monotonic(), int(text[at + len(_DEVICE) :].split(None, 1)[0])))
