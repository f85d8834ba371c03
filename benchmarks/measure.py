"""One cold start, measured: what docs/benchmarks.md calls a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from benchmarks.rig import Raw, Rig, Setting
from benchmarks.ways import Way
from benchmarks.workloads import Workload
from lambdapack.local.s3.objects import Entry

__all__ = ["Measurement", "measure"]

_WARM_CALLS = 20


@dataclass(frozen=True)
class Measurement:
    """One cold start.

    Attributes:
        workload, way: Names.
        memory_mb, boost, tmp_mb: The setting.
        round: From 1.
        outcome: ``ok``; ``no space``, ``out of memory``, ``timeout``, ``wrong answer``, ``failed``.
        detail: The last line that a failed start printed.
        total_s: From the start of the process to the first answer; ``None`` where there was none.
        unpack_s: From the start of the process to the first line that imports a dependency.
        import_s: From there to the first answer.
        cpu_s: CPU time of all its processes for it: it says what was computed, also where the machine has
            other work.
        child_cpu_s: Of that, what other processes than the main one took, lambdapack's fetching one say.
        peak_bytes: Resident memory of all its processes, each at its own peak.
        child_peak_bytes: Of that, what was not the main process's.
        requests, fetched_bytes: What S3 answered.
        written_bytes: Bytes that were given to the file system.
        tmp_peak_bytes, tmp_left_bytes: Space used in /tmp: at most, and in the end.
        warm_us: Microseconds of a warm call.
        shim: ``runtime_shim.stats()``.
    """

    workload: str
    way: str
    memory_mb: int
    boost: bool
    tmp_mb: int
    round: int
    outcome: str
    detail: str = ""
    total_s: float | None = None
    unpack_s: float | None = None
    import_s: float | None = None
    cpu_s: float | None = None
    child_cpu_s: float | None = None
    peak_bytes: int = 0
    child_peak_bytes: int = 0
    requests: int = 0
    fetched_bytes: int = 0
    written_bytes: int = 0
    tmp_peak_bytes: int = 0
    tmp_left_bytes: int = 0
    warm_us: float | None = None
    shim: dict[str, Any] = field(default_factory=dict)


def measure(rig: Rig, workload: Workload, way: Way, setting: Setting, number: int) -> Measurement:
    """Start ``way`` cold once, in a new environment."""
    rig.endpoint.log(clear=True)
    with rig.box(way, setting) as box:
        raw = box.start(warm_calls=_WARM_CALLS)
        killed = box.out_of_memory()
    log = rig.endpoint.log(clear=True)
    return Measurement(
        workload=workload.name,
        way=way.name,
        memory_mb=setting.memory_mb,
        boost=setting.boost,
        tmp_mb=setting.tmp_mb,
        round=number,
        **_outcome(raw, workload, killed),
        **_times(raw),
        **_sizes(raw, log),
    )


def _outcome(raw: Raw, workload: Workload, killed: bool) -> dict[str, Any]:
    if raw.document is not None:
        if raw.document["answer"] == workload.answer:
            return {"outcome": "ok"}
        return {"outcome": "wrong answer", "detail": str(raw.document["answer"])}
    lines = [line for line in raw.log.splitlines() if line.strip()]
    detail = lines[-1][:300] if lines else ""
    if raw.status is None:
        return {"outcome": "timeout", "detail": detail}
    if killed:
        return {"outcome": "out of memory", "detail": detail}
    full = "No space left on device" in raw.log or "ephemeral storage" in raw.log
    return {"outcome": "no space" if full else "failed", "detail": detail or f"status {raw.status}"}


def _times(raw: Raw) -> dict[str, Any]:
    if raw.document is None:
        return {}
    answered, ready = raw.document["answered"], raw.document["dependencies"]
    found = {
        "total_s": round(answered - raw.started, 4),
        "cpu_s": round(raw.document["cpu"], 2),
        "child_cpu_s": round(raw.document["child_cpu"], 2),
        "warm_us": raw.document["warm_us"],
        "shim": raw.document["stats"],
    }
    if ready is not None:
        found |= {"unpack_s": round(ready - raw.started, 4), "import_s": round(answered - ready, 4)}
    return found


def _sizes(raw: Raw, log: list[Entry]) -> dict[str, Any]:
    watch, document = raw.watch, raw.document
    main = document["peak"] if document else watch.main_peak
    return {
        "peak_bytes": main + watch.child_peak,
        "child_peak_bytes": watch.child_peak,
        "requests": len(log),
        "fetched_bytes": sum(entry.sent for entry in log),
        "written_bytes": max(0, document["written"]) if document else 0,
        "tmp_peak_bytes": watch.tmp_peak,
        "tmp_left_bytes": watch.tmp_left,
    }
