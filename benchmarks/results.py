"""From runs to figures: medians, and medians of the ratios within each round."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import lambdapack
from benchmarks.measure import Measurement
from benchmarks.ways import FLOOR, OURS, S3_PEERS, WAYS
from lambdapack.files import write_bytes

__all__ = ["Case", "Line", "document", "fastest_peer", "summarise", "write"]

VERSION = 1


@dataclass(frozen=True, order=True)
class Case:
    """What may be compared with each other: one workload in one setting."""

    workload: str
    tmp_mb: int
    memory_mb: int
    boost: bool


@dataclass(frozen=True)
class Line:
    """One way in one case, over all rounds. Medians of the runs that gave the right answer.

    Attributes:
        runs, ok: How many, and how many of them gave the right answer.
        outcome: ``ok``, or what became of most of the others.
        lowest_s, highest_s: Of the totals.
        ours: Median over the rounds of this way's total over lambdapack's: how many times faster that is.
        floor: Median over the rounds of this way's total over the plain directory's.
        shim: Medians of the numbers of ``runtime_shim.stats()``.
    """

    case: Case
    way: str
    runs: int
    ok: int
    outcome: str
    detail: str
    total_s: float | None
    lowest_s: float | None
    highest_s: float | None
    unpack_s: float | None
    import_s: float | None
    cpu_s: float | None
    child_cpu_s: float | None
    ours: float | None
    floor: float | None
    peak_bytes: int
    requests: int
    fetched_bytes: int
    written_bytes: int
    tmp_peak_bytes: int
    warm_us: float | None
    shim: Mapping[str, float]


def summarise(runs: Iterable[Measurement]) -> list[Line]:
    """A line for each case, in the order in which they were first measured, and way."""
    groups: dict[tuple[Case, str], list[Measurement]] = {}
    for run in runs:
        case = Case(run.workload, run.tmp_mb, run.memory_mb, run.boost)
        groups.setdefault((case, run.way), []).append(run)
    cases = dict.fromkeys(case for case, _ in groups)
    ways = dict.fromkeys([*WAYS, *(way for _, way in groups)])
    return [
        _line(case, way, groups[case, way], groups) for case in cases for way in ways if (case, way) in groups
    ]


def fastest_peer(lines: Sequence[Line], case: Case) -> Line | None:
    """The fastest of the peers that load from S3 in this case; ``None`` where none gave the answer."""
    peers = [line for line in lines if line.case == case and line.way in S3_PEERS and line.total_s]
    return min(peers, key=lambda line: line.total_s or 0.0, default=None)


def _line(
    case: Case, way: str, group: Sequence[Measurement], groups: Mapping[tuple[Case, str], list[Measurement]]
) -> Line:
    good = [run for run in group if run.outcome == "ok"]
    bad = [run for run in group if run.outcome != "ok"]
    shown = good or group
    totals = [run.total_s for run in good if run.total_s is not None]
    return Line(
        case=case,
        way=way,
        runs=len(group),
        ok=len(good),
        outcome=bad[-1].outcome if bad else "ok",
        detail=bad[-1].detail if bad else "",
        total_s=_median(totals),
        lowest_s=min(totals, default=None),
        highest_s=max(totals, default=None),
        unpack_s=_median(run.unpack_s for run in good),
        import_s=_median(run.import_s for run in good),
        cpu_s=_median(run.cpu_s for run in good),
        child_cpu_s=_median(run.child_cpu_s for run in good),
        ours=_ratio(good, groups.get((case, OURS), [])),
        floor=_ratio(good, groups.get((case, FLOOR), [])),
        peak_bytes=int(median(run.peak_bytes for run in shown)),
        requests=int(median(run.requests for run in shown)),
        fetched_bytes=int(median(run.fetched_bytes for run in shown)),
        written_bytes=int(median(run.written_bytes for run in shown)),
        tmp_peak_bytes=int(median(run.tmp_peak_bytes for run in shown)),
        warm_us=_median(run.warm_us for run in good),
        shim=_shim(good),
    )


def _shim(runs: Sequence[Measurement]) -> dict[str, float]:
    numbers: dict[str, list[float]] = {}
    for run in runs:
        for name, value in run.shim.items():
            if isinstance(value, (int, float)):
                numbers.setdefault(name, []).append(value)
    return {name: median(values) for name, values in numbers.items()}


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _ratio(runs: Sequence[Measurement], others: Sequence[Measurement]) -> float | None:
    """The median over the rounds of ``runs`` over ``others``: what drifts, drifts for both."""
    theirs = {run.round: run.total_s for run in others if run.outcome == "ok" and run.total_s}
    return _median(
        run.total_s / theirs[run.round] for run in runs if run.round in theirs and run.total_s is not None
    )


def document(
    runs: Sequence[Measurement],
    overheads: Sequence[Mapping[str, Any]],
    *,
    limited: Mapping[str, str],
    packs: Mapping[str, Any],
    python: str,
    mbit: float,
) -> dict[str, Any]:
    """The benchmark as JSON."""
    lines = summarise(runs)
    return {
        "document": "lambdapack.benchmark",
        "version": VERSION,
        "tool": f"lambdapack {lambdapack.__version__}",
        "machine": {
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
            "cpus": os.cpu_count(),
            "python": python,
            "load_average": [round(value, 2) for value in os.getloadavg()],
        },
        "mbit": mbit,
        "limited": dict(limited),
        "packs": dict(packs),
        "summary": [asdict(line) for line in lines],
        "overheads": [dict(one) for one in overheads],
        "runs": [asdict(run) for run in runs],
    }


def write(content: Mapping[str, Any], path: Path) -> None:
    """Write it, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, json.dumps(content, indent=1).encode() + b"\n")
