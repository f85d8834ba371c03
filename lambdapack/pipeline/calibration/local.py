"""A calibration in the local cloud."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date

from lambdapack import limits
from lambdapack.errors import CheckError
from lambdapack.local import Invocation, LinkSettings, LocalCloud, profiling
from lambdapack.local.profiling import Profile
from lambdapack.pack import Pack
from lambdapack.pipeline.calibration import decoding
from lambdapack.pipeline.calibration.record import CalibrationRecord
from lambdapack.pipeline.calibration.starts import fitted
from lambdapack.pipeline.calibration.starts import link as link_of
from lambdapack.pipeline.calibration.work import imports_of, runtime_of, work_of
from lambdapack.plan import SizedDistribution, cold, typical
from lambdapack.progress import QUIET, Progress

__all__ = ["MEMORIES", "Subject", "calibrate"]

MEMORIES = (512, limits.MEMORY_PER_VCPU_MB, 3008)
"""The settings that are started besides the function's own."""


@dataclass(frozen=True)
class Subject:
    """What is measured.

    Attributes:
        function: Its name in the local cloud.
        pack: Its pack.
        distributions: What is in the pack.
        payload: The event.
        linked: Whether the function fetches the pack from S3.
        link: The link to S3; its faults are left out.
    """

    function: str
    pack: Pack
    distributions: Sequence[SizedDistribution]
    payload: bytes
    linked: bool = True
    link: LinkSettings = field(default_factory=LinkSettings)


def calibrate(
    cloud: LocalCloud, subject: Subject, memories: Sequence[int], runs: int, progress: Progress = QUIET
) -> CalibrationRecord:
    """Profile a cold start, decode the pack, and start the function cold, ``runs`` times at each setting.

    Raises:
        CheckError: The function fails.
        ConfigurationError: No such function.
        ToolError: No environment can be made.
    """
    link = subject.link
    profile = profiling.profile(
        cloud, subject.function, [subject.payload], progress=progress,
        bandwidth_mbps=link.bandwidth_mbps, latency_ms=link.latency_ms,
    )  # fmt: skip
    index = subject.pack.index
    rates = decoding.measure(subject.pack.path, index, progress)
    done: list[tuple[int, Invocation]] = []
    with progress.step("start cold", total=len(memories) * runs, unit="starts") as advance:
        for memory in [*memories] * runs:
            done.append((memory, _start(cloud, subject, memory)))
            advance()
    made = CalibrationRecord(
        cloud="local",
        function=subject.function,
        pack=subject.pack.id,
        linked=subject.linked,
        constants=_constants(subject, profile, rates, [each for _, each in done]),
        work=work_of(profile, index),
        starts=tuple(_start_of(memory, each) for memory, each in done),
        error=0.0,
        max_memory_mb=max(each.max_memory_mb for _, each in done),
        imports=imports_of(profile, index, subject.distributions),
    )
    return fitted(made, cold.Frames.of(index, linked=subject.linked))


def _constants(
    subject: Subject, profile: Profile, rates: decoding.Rates, done: Iterable[Invocation]
) -> cold.Constants:
    """The constants at a speed of 1."""
    return cold.Constants(
        link=link_of((each.stats or {} for each in done), linked=subject.linked),
        latency=(subject.link.latency_ms or 0.0) / 1000,
        check=rates.check,
        decode=rates.decode,
        write=_write(profile, rates, cold.Frames.of(subject.pack.index)),
        runtime=runtime_of(profile) / 1000,
        measured=date.today(),
        where=f"the local cloud on {os.cpu_count()} processors",
        cpus=os.cpu_count(),
    )


def _write(profile: Profile, rates: decoding.Rates, frames: cold.Frames) -> float:
    """CPU time of receiving and writing, for a decoded byte: what of the fetch is neither of the others."""
    if not profile.fetching_cpu_ms:  # a thread has fetched
        return typical.CONSTANTS.write
    stored, size = sum(frames.stored), sum(frames.size)
    rest = profile.fetching_cpu_ms / 1000 - stored * rates.check - size * rates.decode
    return max(0.0, rest) / max(size, 1)


def _start_of(memory_mb: int, done: Invocation) -> cold.Start:
    return cold.Start(memory_mb, (done.init_ms or 0.0) / 1000, done.duration_ms / 1000)


def _start(cloud: LocalCloud, subject: Subject, memory_mb: int) -> Invocation:
    """A cold start on demand."""
    name, link = subject.function, subject.link
    done = cloud.invoke(
        name, subject.payload, cold=True, memory_mb=memory_mb, start=limits.INITIALIZATION_TYPES[0],
        bandwidth_mbps=link.bandwidth_mbps, latency_ms=link.latency_ms,
    )  # fmt: skip
    if done.error:
        raise CheckError(
            f"calibrating {name}: it fails with {memory_mb:,} MB: "
            f"{done.payload[:500].decode(errors='replace')}",
            hint=f"see what it logs: lambdapack invoke {name} --cold --memory {memory_mb}",
        )
    return done
