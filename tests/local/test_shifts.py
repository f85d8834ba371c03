"""Shifts of real calls in the local cloud: to a version that fails now and then, and to one that does not."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lambdapack.deploy.shifting import AliasState, Outcome, Shifter, ShiftOptions, read
from lambdapack.local import LocalCloud, LocalTraffic
from lambdapack.model import Routing, Shift
from tests.support.local_cloud import make_spec

SOURCE = """
import os, random
chance = random.Random(int(os.environ["SEED"]))
def handler(event, context):
    if event.get("smoke") and os.environ.get("BROKEN"): raise RuntimeError("not ready")
    if chance.random() < float(os.environ["FAILS"]): raise ValueError("now and then")
"""


@pytest.fixture
def cloud(tmp_path: Path, lambdapack_cache: Path) -> Iterator[LocalCloud]:
    """A cloud with one good version of a function, live."""
    with LocalCloud(tmp_path / "state", cache_dir=lambdapack_cache, isolation="none") as cloud:
        cloud.deploy(make_spec(tmp_path, source=SOURCE, environment={"SEED": "1", "FAILS": "0"}), None)
        yield cloud


def publish(cloud: LocalCloud, folder: Path, **environment: str) -> str:
    """The number of a second version."""
    return cloud.publish(make_spec(folder, source=SOURCE, environment={"SEED": "7", **environment}), None)


class Callers:
    """Calls the alias without a pause, for as long as a shift lasts and a while longer."""

    def __init__(self, cloud: LocalCloud) -> None:
        self._cloud = cloud
        self._over = threading.Event()
        self.calls: list[tuple[float, str]] = []
        """When a call began, and the version that ran."""
        self._thread = threading.Thread(target=self._call)

    def _call(self) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            self.calls.append((began, self._cloud.invoke("function", b"{}").version))

    def __enter__(self) -> Callers:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._thread.join()

    def wait_for(self, further: int) -> None:
        """Until so many further calls have ended."""
        enough = len(self.calls) + further
        while len(self.calls) < enough:
            assert self._thread.is_alive()
            time.sleep(0.02)


class Timed(LocalTraffic):
    """Notes when each change of the alias was made."""

    def __init__(self, cloud: LocalCloud) -> None:
        super().__init__(cloud, "function")
        self.moves: list[tuple[float, Routing]] = []

    def route(self, routing: Routing, note: str, *, revision: str | None) -> AliasState:
        made = super().route(routing, note, revision=revision)
        self.moves.append((time.monotonic(), made.routing))
        return made


def shift(traffic: Timed, how: str, options: ShiftOptions | None = None) -> Outcome:
    return Shifter(traffic, replace(options or ShiftOptions(), asked=Shift.parse(how))).shift("2")


def test_a_version_that_fails_a_third_of_its_calls_is_rolled_back_by_itself(
    cloud: LocalCloud, tmp_path: Path
) -> None:
    """The canary's failures undo the shift, and no call that begins after that reaches the version."""
    assert publish(cloud, tmp_path, FAILS="0.3") == "2"
    traffic = Timed(cloud)
    with Callers(cloud) as callers:
        outcome = shift(traffic, "canary:30%,1m")
        callers.wait_for(60)
    assert outcome.version == "1"
    assert "of its calls failed" in (outcome.undone or "")
    (begun, canary), (undone, back) = traffic.moves
    assert (canary, back) == (Routing("1", "2", 0.3), Routing("1"))
    assert "2" in {version for at, version in callers.calls if begun < at < undone}
    after = [version for at, version in callers.calls if at > undone]
    assert len(after) >= 50
    assert set(after) == {"1"}
    state = traffic.alias()
    assert state is not None
    note = read(state.note)
    assert note is not None
    assert note.undone == outcome.undone


def test_a_healthy_version_ends_with_all_calls(cloud: LocalCloud, tmp_path: Path) -> None:
    """Each step lasts, is watched with real calls, and ends; then every call goes to the new version."""
    publish(cloud, tmp_path, FAILS="0")
    traffic = Timed(cloud)
    with Callers(cloud) as callers:
        outcome = shift(traffic, "linear:40%,4s")
        callers.wait_for(30)
    assert (outcome.version, outcome.undone) == ("2", None)
    assert [routing for _, routing in traffic.moves] == [
        Routing("1", "2", 0.4), Routing("1", "2", 0.8), Routing("2"),
    ]  # fmt: skip
    assert all(step.new.calls and not step.new.errors for step in outcome.steps)
    end = traffic.moves[-1][0]
    assert {version for at, version in callers.calls if at > end} == {"2"}


def test_a_version_that_fails_its_smoke_event_gets_no_call(cloud: LocalCloud, tmp_path: Path) -> None:
    """The new version is called by its number first; what it raised is the reason."""
    publish(cloud, tmp_path, FAILS="0", BROKEN="yes")
    traffic = Timed(cloud)
    outcome = shift(traffic, "canary:30%,1m", ShiftOptions(smoke=b'{"smoke": true}'))
    assert outcome.undone == "the smoke event failed: RuntimeError: not ready"
    assert {cloud.invoke("function", b"{}").version for _ in range(10)} == {"1"}


def test_an_alarm_of_the_local_cloud_undoes_a_shift(cloud: LocalCloud, tmp_path: Path) -> None:
    """``alarms.json`` stands for CloudWatch's alarms: who sets one to ALARM undoes the shift."""
    publish(cloud, tmp_path, FAILS="0")
    alarms = cloud.state / "alarms.json"
    alarms.write_text('{"queue-is-long": "OK"}')
    traffic = Timed(cloud)
    ring = threading.Timer(1.0, lambda: alarms.write_text('{"queue-is-long": "ALARM"}'))
    ring.start()
    try:
        outcome = shift(traffic, "canary:30%,1m", ShiftOptions(alarms=("queue-is-long",)))
    finally:
        ring.join()
    assert outcome.undone == "the alarm queue-is-long is in alarm"
    assert [routing for _, routing in traffic.moves] == [Routing("1", "2", 0.3), Routing("1")]
