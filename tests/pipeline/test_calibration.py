"""Calibrations: of real starts in the local cloud, and of what functions wrote in AWS."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lambdapack import limits
from lambdapack.errors import CheckError
from lambdapack.local import LinkSettings, LocalCloud, profiling
from lambdapack.model import FunctionSettings
from lambdapack.pack import Pack
from lambdapack.pipeline import calibration
from lambdapack.pipeline.calibration.record import path_of
from lambdapack.pipeline.calibration.work import imports_of, runtime_of, work_of
from lambdapack.plan import cold, typical
from lambdapack.python.interpreter import installed
from tests.support import packed_function
from tests.support.assets_world import running_assets_world

REPORT = (
    "REPORT RequestId: 1\tDuration: {call:.2f} ms\tBilled Duration: 9 ms\tMemory Size: {memory} MB\t"
    "Max Memory Used: 99 MB\tInit Duration: {init:.2f} ms\t"
)
WARM = (
    "REPORT RequestId: 2\tDuration: 3.00 ms\tBilled Duration: 3 ms\tMemory Size: 512 MB\t"
    "Max Memory Used: 98 MB\t"
)


def test_a_calibration_of_real_starts(tmp_path: Path, lambdapack_cache: Path) -> None:
    """The work is the profile's CPU time, frame by frame; what is read is what was kept."""
    interpreter = next(each for each in installed() if each.python == "3.11")
    with (
        LocalCloud(tmp_path / "state", cache_dir=lambdapack_cache) as cloud,
        running_assets_world(tmp_path / "world", interpreter, lambdapack_cache) as world,
    ):
        packed_function.deploy(cloud, world, FunctionSettings(memory_mb=1769, timeout=30))
        made = Pack(world.pack.id, Path(world.pack.path), tmp_path / "index.json", world.pack.index)
        subject = calibration.Subject("function", made, (), b"{}", link=LinkSettings(40, 30))
        found = calibration.calibrate(cloud, subject, (512, 1769), 1)
        profile = profiling.profile(cloud, "function", [b"{}"], bandwidth_mbps=40, latency_ms=30)
    index = made.index
    assert [start.memory_mb for start in found.starts] == [512, 1769]
    assert all(start.init > 0 and start.call > 0 for start in found.starts)
    assert 1_000_000 < found.constants.link < 6_000_000, "40 Mbit/s are 5 MB/s, and there is a burst"
    assert found.constants.latency == 0.03 and found.max_memory_mb > 10
    frames = cold.Frames.of(index)
    assert found.error == round(cold.error(cold.ratios(found.constants, frames, found.work, found.starts)), 4)

    for phase, steps in zip(
        profile.phases, (work_of(profile, index).init, work_of(profile, index).call), strict=True
    ):
        assert [step.frame for step in steps] == sorted({step.frame for step in steps}), phase.name
        assert all(-1 <= step.frame < index.eager and step.seconds >= 0 for step in steps)
    init = sum(step.seconds for step in work_of(profile, index).init) * 1000
    assert init == pytest.approx(profile.phases[0].cpu_ms - runtime_of(profile))
    assert 0 < runtime_of(profile) < profile.phases[0].cpu_ms
    assert max(step.frame for step in work_of(profile, index).init) >= 0, "modules of the pack were imported"
    assert sum(imports_of(profile, index, ()).values()) > 0

    path = calibration.write(tmp_path, found)
    assert calibration.read(tmp_path) == found
    path.write_bytes(path.read_bytes().replace(b'"version": 1', b'"version": 2'))
    assert calibration.read(tmp_path) is None
    path.write_bytes(path.read_bytes()[:100])
    assert calibration.read(tmp_path) is None


@pytest.fixture
def before(tmp_path: Path, lambdapack_cache: Path) -> tuple[calibration.CalibrationRecord, cold.Frames]:
    """What is assumed of a pack of three frames."""
    work = cold.Work((cold.Step(-1, 0.1), cold.Step(2, 0.4)), (cold.Step(-1, 0.01),), measured=False)
    assumed = calibration.CalibrationRecord(
        "local", "function", "id", True, typical.CONSTANTS, work, (), 0.4, 0, {}
    )
    return assumed, cold.Frames([5_000_000] * 3, [20_000_000] * 3)


def log_of(
    assumed: calibration.CalibrationRecord, frames: cold.Frames, *, speed: float, link: float
) -> list[str]:
    """The log of two cold starts on a machine of this speed and link, as the model has them."""
    lines = []
    for memory in (512, 3008):
        constants = replace(assumed.constants, speed=speed, link=link)
        made = cold.predict(constants, frames, assumed.work, memory_mb=memory)
        told = {"lambdapack": "cold_start", "bytes": 15_000_000, "fetch_ms": 15_000_000 / link * 1000}
        lines += [
            json.dumps(told),
            REPORT.format(init=made.init * 1000, call=made.call * 1000, memory=memory),
            WARM,
        ]
    return lines


def test_a_log_of_aws_gives_link_and_speed(
    before: tuple[calibration.CalibrationRecord, cold.Frames], tmp_path: Path
) -> None:
    """The link is the shim's, the speed such that Lambda's own figures come out; warm lines do not count."""
    found = calibration.from_log(log_of(*before, speed=0.6, link=50e6), *before)
    assert found.cloud == "aws" and len(found.starts) == 2 and found.max_memory_mb == 99
    assert found.constants.link == pytest.approx(50e6)
    assert found.constants.speed == pytest.approx(0.6, rel=0.02)
    assert found.error < 0.01 and found.constants.cpus is None
    calibration.write(tmp_path, replace(found, cloud="local"))
    calibration.write(tmp_path, found)
    assert calibration.read(tmp_path) == found, "AWS's own comes first"
    path_of(tmp_path, "aws").unlink()
    read = calibration.read(tmp_path)
    assert read is not None and read.cloud == "local"


def test_a_log_without_a_cold_start_is_told(
    before: tuple[calibration.CalibrationRecord, cold.Frames],
) -> None:
    """Nothing is fitted to nothing."""
    with pytest.raises(CheckError, match=r"2 lines of a log: none is a REPORT line with an Init Duration"):
        calibration.from_log([WARM, "x"], *before)


def test_files_of_the_function_tell_nothing_of_the_link(
    before: tuple[calibration.CalibrationRecord, cold.Frames],
) -> None:
    """A pack in the zip is read at the speed of files, which a plan for S3 must not take for the link's."""
    assumed, frames = before
    lines = log_of(assumed, frames, speed=1.0, link=3e9)
    found = calibration.from_log(lines, replace(assumed, linked=False), replace(frames, linked=False))
    assert found.constants.link == limits.LINK_BYTES_PER_SECOND
