"""The waterfall's arithmetic: what it hands out adds up to what was measured."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from benchmarks.artifacts import Kit
from benchmarks.rig import Setting
from benchmarks.waterfall.__main__ import compared, measured
from benchmarks.waterfall.account import account, document, exclusive, median
from benchmarks.waterfall.picture import bandwidth, draw, flame
from benchmarks.waterfall.record import Mark, Recording, Told
from benchmarks.workloads import Workload
from lambdapack.errors import ConfigurationError
from lambdapack.model.target import Target
from lambdapack.progress import QUIET
from tests.benchmarks.test_bench import cache, noise, workload

__all__ = ["cache", "noise", "workload"]

SETTING = Setting(1769, False, 512)


def mark(kind: str, start: float, end: float, name: str = "", **more: float) -> Mark:
    """A mark whose thread was on the processor half of the time."""
    depth, size, frame = (
        int(more.get(key, other)) for key, other in [("depth", 0), ("size", 0), ("frame", -1)]
    )
    return Mark(kind, name, depth, start, end, start / 2, end / 2, size, frame)


@pytest.fixture
def recording() -> Recording:
    """Times in tenths: 10.0 executed, 10.1 to 10.3 the shim, ready at 12.0, an answer at 12.5."""
    main = [
        mark("began", 10.05, 10.06),
        mark("shim", 10.15, 10.2, "decode the index"),
        mark("import", 10.1, 10.3, "runtime_shim", depth=1),
        mark("wait", 10.5, 10.9, "spam/a.so", frame=1),
        mark("import", 10.4, 11.0, "spam._native", depth=2),
        mark("import", 10.35, 11.5, "spam", depth=1),
        mark("import", 10.08, 11.6, "app"),
        mark("ready", 11.7, 12.0),
        mark("answered", 12.5, 12.5),
        mark("leave", 12.6, 12.6),
    ]
    child = [
        Mark("forked", "", 0, 10.2, 10.21, 0.0, 0.01, 0, -1),
        Mark("sign", "", 0, 10.31, 10.32, 0.02, 0.03, 0, -1),
        Mark("request", "", 0, 10.3, 10.4, 0.02, 0.05, 0, -1),
        Mark("receive", "", 0, 10.4, 10.5, 0.05, 0.06, 1000, -1),
        Mark("verify", "", 0, 10.5, 10.6, 0.06, 0.1, 1000, -1),
        Mark("decompress", "", 0, 10.6, 10.7, 0.1, 0.2, 3000, -1),
        Mark("write", "", 0, 10.7, 10.8, 0.2, 0.25, 3000, 0),
        Mark("fetch", "", 0, 10.25, 10.85, 0.02, 0.26, 0, -1),
        Mark("leave", "", 0, 10.9, 10.9, 0.3, 0.3, 0, -1),
    ]
    link = tuple((10.0 + number / 100, number * 750_000) for number in range(20))
    return Recording(
        started=10.0, ready=12.0, answered=12.5, main=Told(tuple(main), 2.0, 0.4),
        child=Told(tuple(child), 0.3, 0.0), link=link, stored=(500, 500), hot=1, setting=SETTING, mbit=0.08,
        limited={},
    )  # fmt: skip


def test_phases_add_up_to_the_whole_start(recording: Recording) -> None:
    """Each phase begins where the one before ends; CPU, waits and the rest are all of each."""
    found = account(recording)
    assert sum(phase.wall_s for phase in found.phases) == pytest.approx(found.total_s) == pytest.approx(2.5)
    for phase in found.phases:
        assert phase.cpu_s + phase.wait_s + phase.other_s == pytest.approx(phase.wall_s)
    for one, other in zip(found.phases, found.phases[1:], strict=False):
        assert other.start_s == pytest.approx(one.start_s + one.wall_s)
    imports = found.phases[2]
    assert (imports.wall_s, imports.wait_s) == (pytest.approx(1.4), pytest.approx(0.4))


def test_parts_of_a_phase_add_up_to_it(recording: Recording) -> None:
    """What the shim's import and the packages are made of is all of those phases, in wall and CPU time."""
    found = account(recording)
    for parts, phase in ((found.shim, found.phases[1]), (found.packages, found.phases[2])):
        assert sum(part.wall_s for part in parts) == pytest.approx(phase.wall_s)
        assert sum(part.cpu_s for part in parts) == pytest.approx(phase.cpu_s)
    spam = next(part for part in found.packages if part.name == "spam")
    assert (spam.wall_s, spam.wait_s) == (pytest.approx(1.15), pytest.approx(0.4))


def test_the_child_is_accounted_for_to_its_end(recording: Recording) -> None:
    """The steps' CPU times add up to what the kernel says of the child; nested steps count once."""
    found = account(recording)
    assert sum(step.cpu_s for step in found.fetch) == pytest.approx(0.4)
    steps = {step.name: step for step in found.fetch}
    assert steps["send it, wait for the first byte"].wall_s == pytest.approx(0.09)
    assert (steps["zstd"].size, steps["zstd"].cpu_s) == (3000, pytest.approx(0.1))


def test_waits_and_frames_say_whose_they_are(recording: Recording) -> None:
    """A wait is of the innermost import around it; a frame has its four steps; the floor is the link's."""
    found = account(recording)
    assert [(wait.wanted_by, wait.file, wait.frame) for wait in found.waits] == [
        ("spam._native", "spam/a.so", 1)
    ]
    assert [(frame.number, frame.hot) for frame in found.frames] == [(0, True)]
    assert found.frames[0].receive == (pytest.approx(0.4), pytest.approx(0.5))
    assert found.floor_s == pytest.approx(0.3 + 0.1)


def test_the_link_s_speed_is_what_came_in_between(recording: Recording) -> None:
    """Steady samples give one rate; none give none."""
    rates = bandwidth(recording.link, recording.started)
    assert rates and all(rate == pytest.approx(75) for _, rate in rates)
    assert bandwidth((), 0.0) == []


def test_the_flame_leaves_out_the_handler_s_own_module(recording: Recording) -> None:
    """Imports within it, outermost first."""
    names = [one.name for one in flame(recording.main.marks, 2)]
    assert names == ["runtime_shim", "spam", "spam._native"]


def test_a_picture_and_a_document(recording: Recording, tmp_path: Path) -> None:
    """The same start gives the same picture; the document is JSON with a version."""
    found = account(recording)
    drawn = [draw(found, recording, "a start", tmp_path / f"{number}.svg") for number in range(2)]
    assert drawn == [bool(importlib.util.find_spec("matplotlib"))] * 2
    if all(drawn):
        assert (tmp_path / "0.svg").read_bytes() == (tmp_path / "1.svg").read_bytes()
    told = json.loads(json.dumps(document(found, recording, "spam", [2.5])))
    assert (told["document"], told["version"]) == ("lambdapack.waterfall", 1)
    assert told["phases"][0]["name"] == "Python starts"


@given(some.lists(some.tuples(some.integers(0, 50), some.integers(1, 50)), max_size=12))
def test_exclusive_times_add_up_to_the_outermost(spans: list[tuple[int, int]]) -> None:
    """However marks nest, their own times are together what the whole took."""
    nested = [mark("x", 0.0, 1000.0)]
    low, high = 0.0, 1000.0
    for before, after in spans:
        low, high = low + before, high - after
        if low >= high:
            break
        nested.append(mark("x", low, high))
    found = exclusive(nested)
    assert sum(wall for _, wall, _ in found) == pytest.approx(1000.0)
    assert sum(cpu for _, _, cpu in found) == pytest.approx(500.0)


@pytest.mark.slow
def test_a_real_start_is_accounted_for(workload: Workload, cache: Path) -> None:
    """Every frame of a pack is seen on its way, every byte once, and the phases are the whole start."""
    kit = Kit(cache, Target(f"3.{sys.version_info[1]}"), reuse=False, progress=QUIET)
    ((_, recordings),) = measured(kit, workload, SETTING, mbit=600, runs=1).items()
    told = median(recordings)
    found = account(told)
    assert sum(phase.wall_s for phase in found.phases) == pytest.approx(found.total_s)
    assert [frame.number for frame in found.frames] == list(range(len(told.stored)))
    steps = {step.name: step for step in found.fetch}
    assert steps["receive"].size == steps["SHA-256"].size == found.eager_bytes
    assert steps["zstd"].size == steps["write"].size > 0
    assert sum(step.cpu_s for step in found.fetch) == pytest.approx(found.child_cpu_s)
    assert any("bench_sample" in one.name for one in told.main.marks)


@pytest.mark.slow
def test_two_shims_start_by_turns_on_one_pack(workload: Workload, cache: Path) -> None:
    """Each as often as the other; the line says which is faster. Where there is no other, that is said."""
    kit = Kit(cache, Target(f"3.{sys.version_info[1]}"), reuse=False, progress=QUIET)
    with pytest.raises(ConfigurationError, match="the shim of absent"):
        measured(kit, workload, SETTING, mbit=600, runs=1, shim_of="absent")
    if not (Path(__file__).parents[2] / ".git").exists():
        return
    found = measured(kit, workload, SETTING, mbit=600, runs=1, shim_of="HEAD")
    (ours, others) = found.values()
    assert len(ours) == len(others) == 1
    assert [name.endswith(" of HEAD") for name in found] == [False, True]
    difference = (ours[0].total_s - others[0].total_s) * 1e3
    assert f"{difference:+.0f} ms, medians of 1" in compared(ours, others, "HEAD")


def test_work_in_a_wait_is_no_waiting(recording: Recording) -> None:
    """What the importing process did while it waited counts as its work; an import in it, as an import."""
    work = [mark("import", 10.6, 10.65, "json", depth=3), mark("prepare", 10.55, 10.7)]
    told = replace(recording.main, marks=(*work, *recording.main.marks))
    found = account(replace(recording, main=told))
    assert found.phases[2].wait_s == found.waits[0].wall_s == pytest.approx(0.25)
    assert found.phases[2].cpu_s == pytest.approx(account(recording).phases[2].cpu_s + 0.075)
    assert sum(part.cpu_s for part in found.packages) == pytest.approx(found.phases[2].cpu_s)
    assert sum(part.wait_s for part in found.packages) == pytest.approx(0.25)
