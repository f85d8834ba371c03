"""From the facts of a function to its predicted cold start, wherever its pack is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from lambdapack import limits
from lambdapack.model import Place
from lambdapack.plan import typical
from lambdapack.plan.cold import Frames, Prediction, Step, predict
from lambdapack.plan.model import Calibration, Check, ColdStart, Facts

__all__ = ["checks", "cold_start", "predicted"]


def cold_start(facts: Facts) -> ColdStart:
    """The cold start of the function as it is set."""
    known = _known(facts)
    constants = known.constants
    said = [f"{facts.memory_mb:,} MB of memory; init has two processors, which AWS does but does not promise"]
    if facts.calibrated:
        said.append(f"link, decoding and processor as measured on {constants.measured}: {constants.where}")
    else:
        said.append(
            f"typical constants ({constants.measured}): lambdapack calibrate measures this function's"
        )
    said.append(f"the imports' work {'as profiled' if known.work.measured else 'as told from the hot bytes'}")
    if facts.assets:
        said.append("without waiting for assets")
    if facts.snapshot is not None:
        said.append("before the snapshot: a restore takes less")
    return ColdStart(predicted(facts, facts.place), known.error, tuple(said))


def predicted(facts: Facts, place: Place) -> Prediction:
    """The cold start if the pack were at ``place``."""
    known = _known(facts)
    whole = facts.mode == "disk" or facts.snapshot == "all"
    frames = Frames.of(facts.index, linked=place == "s3", whole=whole)
    work = known.work
    if facts.mode == "disk":
        work = replace(work, init=(Step(len(frames.stored) - 1, 0.0), *work.init))
    return predict(known.constants, frames, work, memory_mb=facts.memory_mb)


def checks(facts: Facts, start: ColdStart | None) -> Iterator[Check]:
    """Init against its limit as the model has that, and memory against the peak of real starts."""
    if start is None:
        return
    most = limits.INIT_TIMEOUT if facts.snapshot is None else max(limits.INIT_TIMEOUT_LONG, facts.timeout)
    seconds, error = start.parts.init, start.error
    ok = seconds * (1 + error) <= most
    yield Check(
        "init.predicted", "advice", seconds, most, "seconds", ok,
        f"imports and all, as the model has it, which is off by {error:.0%}",
        None if ok else "lambdapack profile says which imports nothing uses",
    )  # fmt: skip
    peak = facts.calibrated.max_memory_mb if facts.calibrated else 0
    if peak:
        ok = peak <= facts.memory_mb * _HEADROOM
        yield Check(
            "memory", "advice", peak * limits.MIB, facts.memory_mb * limits.MIB, "bytes", ok,
            "the highest peak of the starts that were measured",
            None if ok else f"set memory to {_rounded(peak / _HEADROOM)} MB, to have some left",
        )  # fmt: skip


_HEADROOM = 0.9
"""The share of memory that may be in use: a garbage collection later, or another event, takes more."""


def _rounded(megabytes: float) -> int:
    return int(-(-megabytes // 64) * 64)


def _known(facts: Facts) -> Calibration:
    if facts.calibrated is not None:
        return facts.calibrated
    return Calibration(typical.CONSTANTS, typical.work(facts.index), typical.ERROR)
