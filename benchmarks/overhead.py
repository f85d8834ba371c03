"""What the shim costs where there is nothing to fetch: in a warm call, and in a new process."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.rig import Box, Rig, Setting
from benchmarks.ways import FLOOR, OURS, Way
from benchmarks.workloads import Workload
from lambdapack.errors import ToolError

__all__ = ["new_process", "warm_system_calls"]

_CALLS = 10


def new_process(
    rig: Rig, workload: Workload, ways: Mapping[str, Way], setting: Setting, *, rounds: int
) -> list[dict[str, Any]]:
    """Milliseconds of new processes in an environment that has the pack already.

    The shims of other commits take turns with this one's.
    """
    shims = [way for name, way in ways.items() if name == OURS or name.startswith(f"{OURS} of ")]
    bare: list[float] = []
    ours: list[float] = []
    over: dict[str, list[float]] = {way.name: [] for way in shims}
    with ExitStack() as stack:
        boxes = {way.name: _begun(stack, rig, way, setting) for way in shims}
        plain_box = stack.enter_context(rig.box(ways[FLOOR], setting))
        rig.endpoint.log(clear=True)
        for _ in range(rounds):
            for name, box in boxes.items():
                bare.append(_answered(box, "entry_bare.handler"))
                over[name].append(_answered(box, "entry_shim.handler") - bare[-1])
            ours.append(_answered(boxes[OURS], None))
        requests = len(rig.endpoint.log(clear=True))
        plain = [_answered(plain_box, None) for _ in range(rounds)]
    ratio = median(b / a for a, b in zip(plain, ours, strict=True))
    found = [
        {
            "workload": workload.name,
            "what": "import runtime_shim in a new process, pack in place"
            + name.removeprefix(OURS).replace(" of ", ", shim of "),
            "milliseconds": round(median(times), 2),
            "requests": requests,
            "text": f"{median(times):.2f} ms over bare Python ({median(bare):.1f} ms), {requests} requests",
        }
        for name, times in over.items()
    ]
    start = {
        "workload": workload.name,
        "what": "a new process to its first answer, pack in place",
        "milliseconds": round(median(ours), 1),
        "ratio": round(ratio, 3),
        "text": f"{median(ours):.0f} ms, {ratio:.2f} x the plain directory's {median(plain):.0f} ms",
    }
    return [*found, start]


def warm_system_calls(rig: Rig, workload: Workload, ways: Mapping[str, Way]) -> dict[str, Any]:
    """System calls of warm invocations, counted by strace, of nothing and of the workload.

    The limits are not needed for it, so this runs outside of an execution environment.
    """
    found: dict[str, Any] = {"workload": workload.name, "what": "system calls of a warm invocation"}
    strace = shutil.which("strace")
    if strace is None:
        return {**found, "text": "not counted: there is no strace"}
    empty = _count(strace, rig, ways[OURS], "entry_shim.handler") / _CALLS
    ours = _count(strace, rig, ways[OURS], None) / _CALLS
    plain = _count(strace, rig, ways[FLOOR], None) / _CALLS
    return {
        **found,
        "empty_handler": empty,
        "workload_calls": ours,
        "plain_calls": plain,
        "text": f"{empty:g} with an empty handler; {ours:g} with this one, {plain:g} from a plain directory",
    }


def _begun(stack: ExitStack, rig: Rig, way: Way, setting: Setting) -> Box:
    """An environment in which a process has answered."""
    box = stack.enter_context(rig.box(way, setting))
    _answered(box, None)
    return box


def _answered(box: Box, handler: str | None) -> float:
    raw = box.start(handler)
    if raw.document is None:
        raise ToolError(f"measuring {handler or 'the workload'}: no answer", detail=raw.log[-2000:])
    return float(raw.document["answered"] - raw.started) * 1000


def _count(strace: str, rig: Rig, way: Way, handler: str | None) -> int:
    with tempfile.TemporaryDirectory(prefix="lambdapack-bench-") as scratch:
        log = Path(scratch) / "strace.log"
        runtime = rig.runtime
        command: list[str | Path] = [
            strace,
            "-f",
            "-qq",
            "-o",
            log,
            runtime.lang / runtime.executable,
            runtime.client / "driver.py",
        ]
        variables = {
            **rig.variables(way, str(way.task), handler, _CALLS),
            "LAMBDAPACK_ROOT": f"{scratch}/lambdapack",
            "TMPDIR": scratch,
        }
        rig.endpoint.grant(rig.keys, way.objects)
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
        if "BENCH-WARM" not in done.stdout:
            raise ToolError(f"counting the system calls of {way.name}: no answer", detail=done.stderr[-2000:])
        return calls_between(log.read_text(encoding="latin-1").splitlines(), "BENCH-WARM")


def calls_between(lines: Sequence[str], mark: str) -> int:
    """System calls between the two lines of a strace log that write ``mark``.

    Signals and ends of threads are not calls; the second half of an interrupted call is no other call.
    """
    first, second = (number for number, line in enumerate(lines) if f"\\n{mark}" in line)
    return sum(1 for line in lines[first + 1 : second] if re.match(r"\d+ +\w+\(", line))
