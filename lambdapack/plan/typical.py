"""A cold start of which nothing was measured: typical constants, and work told from a pack's bytes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final

from lambdapack import limits
from lambdapack.plan.cold import Constants, Step, Work
from runtime_shim._index import CODE, DATA, EXTENSION, LIBRARY, Index

__all__ = ["CONSTANTS", "ERROR", "work"]

CONSTANTS: Final = Constants(
    link=limits.LINK_BYTES_PER_SECOND,
    latency=0.02,
    check=0.57e-9,
    decode=1.0e-9,
    write=1.7e-9,
    runtime=0.05,
    measured=date(2026, 11, 26),
    where="typical figures",
)
"""Of the benchmarks' machine, with Lambda's link (``python -m benchmarks.prediction``)."""
ERROR: Final = 0.16
"""By what share a prediction from these was off, in the median of that benchmark's cold starts, each workload
with rates that were fitted to the others."""
_RATES: Final[Mapping[str, float]] = {CODE: 21e-9, EXTENSION: 0.4e-9, LIBRARY: 0.4e-9, DATA: 29e-9}
"""CPU seconds for each byte of the files that the trace touched, by class: fitted to the same."""
_CALL: Final = 0.005
"""CPU seconds of a first invocation."""


def work(index: Index) -> Work:
    """What the importing process computes, told from the bytes that the trace touched."""
    seconds = [0.0] * index.eager
    for file, letter in enumerate(index.classes):
        frames = index.frames_of(file)
        if frames[-1] < index.hot:
            seconds[frames[-1]] += index.sizes[file] * _RATES.get(letter, 0.0)
    steps = tuple(Step(frame, effort) for frame, effort in enumerate(seconds) if effort)
    return Work(steps, (Step(-1, _CALL),), measured=False)
