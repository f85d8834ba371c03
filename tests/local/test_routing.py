"""The alias in the local cloud: calls go by weight, with real invocations; a version by its number."""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from lambdapack.deploy.shifting import AliasConflictError, Traffic
from lambdapack.errors import CheckError, ConfigurationError, ToolError
from lambdapack.local import LocalCloud, LocalTraffic
from lambdapack.model import Routing
from lambdapack.model.target import Target
from lambdapack.python.interpreter import installed
from tests.support.local_cloud import answer, make_spec
from tests.support.local_server import running_server

SOURCE = """
import os, time
def handler(event, context):
    if "seen" in event:
        open(event["seen"], "w").close()
        while not os.path.exists(event["until"]): time.sleep(0.01)
    if event.get("fail") == context.function_version: raise ValueError("as asked")
    e = os.environ
    return [context.function_version, e["AWS_LAMBDA_FUNCTION_VERSION"], e["AWS_LAMBDA_LOG_STREAM_NAME"],
            context.invoked_function_arn.partition(":function:")[2], e["NUMBER"]]
"""
CALLS = 150


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, lambdapack_cache: Path) -> Iterator[LocalCloud]:
    """A cloud with two versions of a function, whose random numbers are the same each time."""
    folder = tmp_path_factory.mktemp("cloud")
    chance = random.Random(12).random
    with LocalCloud(folder / "state", cache_dir=lambdapack_cache, isolation="none", chance=chance) as cloud:
        for number in (1, 2):
            cloud.publish(make_spec(folder, source=SOURCE, environment={"NUMBER": str(number)}), None)
        yield cloud


@pytest.fixture
def traffic(cloud: LocalCloud) -> Traffic:
    """The function's, with every call at version 1."""
    traffic: Traffic = LocalTraffic(cloud, "function")
    before = traffic.alias()
    traffic.route(Routing("1"), "", revision=before.revision if before else None)
    return traffic


def send(cloud: LocalCloud, **event: object) -> str:
    """Call through the alias; the version that ran."""
    return cloud.invoke("function", json.dumps(event).encode()).version


def reroute(traffic: Traffic, routing: Routing) -> None:
    seen = traffic.alias()
    assert seen is not None
    traffic.route(routing, "", revision=seen.revision)


def test_nothing_is_live_before_the_first_deployment(cloud: LocalCloud, tmp_path: Path) -> None:
    """A version that was published only is called by its number; the error of the alias says so."""
    assert LocalTraffic(cloud, "unshown").alias() is None
    spec = make_spec(tmp_path, "unshown", SOURCE, environment={"NUMBER": "1"})
    assert cloud.publish(spec, None) == "1"
    assert LocalTraffic(cloud, "unshown").alias() is None
    with pytest.raises(ConfigurationError, match="no alias live yet") as caught:
        cloud.invoke("unshown", b"{}")
    assert "--qualifier" in str(caught.value.hint)
    assert cloud.invoke("unshown", b"{}", qualifier="1").version == "1"
    with pytest.raises(ConfigurationError, match=r"no version '3' of unshown .*published: 1\)"):
        cloud.invoke("unshown", b"{}", qualifier="3")
    cloud.destroy("unshown")


def test_the_version_is_told_as_lambda_tells_it(cloud: LocalCloud, traffic: Traffic) -> None:
    """In the context, the environment, the log stream, the ARN and the log; the result names it too."""
    for qualifier, name in ((None, "live"), ("live", "live"), ("1", "1"), ("2", "2")):
        done = cloud.invoke("function", b"{}", qualifier=qualifier)
        number = "2" if qualifier == "2" else "1"
        *told, stream, arn, own = answer(done)
        assert [*told, own, done.version] == [number] * 4
        assert f"/[{number}]" in stream and arn == f"function:{name}"
        assert f"START RequestId: {done.request_id} Version: {number}\n" in done.log


def test_calls_go_by_weight(cloud: LocalCloud, traffic: Traffic) -> None:
    """Of many calls a version has about its share: within four standard deviations, the seed being fixed."""
    reroute(traffic, Routing("1", "2", 0.3))
    ran = [send(cloud) for _ in range(CALLS)]
    deviation = (CALLS * 0.3 * 0.7) ** 0.5
    assert abs(ran.count("2") - CALLS * 0.3) < 4 * deviation
    assert set(ran) == {"1", "2"}


@pytest.mark.parametrize(("weight", "wanted"), [(0.0, {"1"}), (1.0, {"2"})])
def test_no_share_is_no_call(cloud: LocalCloud, traffic: Traffic, weight: float, wanted: set[str]) -> None:
    """With a weight of 0 not one call goes to the other version, with 1 every call."""
    reroute(traffic, Routing("1", "2", weight))
    assert {send(cloud) for _ in range(30)} == wanted


def test_each_version_keeps_its_environment(cloud: LocalCloud, traffic: Traffic) -> None:
    """Calls that alternate between versions are warm: an environment belongs to one version."""
    for qualifier in ("1", "2"):
        cloud.invoke("function", b"{}", qualifier=qualifier, cold=True)
    assert not any(cloud.invoke("function", b"{}", qualifier=each).cold for each in "1212")
    (function,) = cloud.status()["functions"]
    assert [version["warm"] for version in function["versions"]] == [1, 1]
    assert sorted(environment["version"] for environment in function["environments"]) == ["1", "2"]


def test_after_a_change_no_call_reaches_the_old_version(cloud: LocalCloud, traffic: Traffic) -> None:
    """Calls come all the time, from several threads: whichever begins after ``route`` has returned runs 1."""
    reroute(traffic, Routing("1", "2", 0.9))
    moved, stop = threading.Event(), threading.Event()
    after: list[str] = []
    before: list[str] = []

    def work() -> None:
        while not stop.is_set():
            late = moved.is_set()
            (after if late else before).append(send(cloud))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        while before.count("2") < 20:
            stop.wait(0.01)
        reroute(traffic, Routing("1"))
        moved.set()
        while len(after) < 40:
            stop.wait(0.01)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert set(after) == {"1"}


def test_a_call_that_has_begun_ends_where_it_began(
    cloud: LocalCloud, traffic: Traffic, tmp_path: Path
) -> None:
    """The alias moves while a call runs: the call ends, in the version that it was given to."""
    ran: list[str] = []
    seen, until = tmp_path / "seen", tmp_path / "until"
    thread = threading.Thread(target=lambda: ran.append(send(cloud, seen=str(seen), until=str(until))))
    thread.start()
    while not seen.exists():
        thread.join(0.01)
    reroute(traffic, Routing("2"))
    assert send(cloud) == "2"
    until.touch()
    thread.join()
    assert ran == ["1"]


def test_traffic_is_what_a_shift_needs(cloud: LocalCloud, traffic: Traffic) -> None:
    """Routing, note and revision change together; health counts the alias's calls alone."""
    begun = datetime.now(timezone.utc)
    seen = traffic.alias()
    assert seen is not None
    state = traffic.route(Routing("1", "2", 1.0), "half way", revision=seen.revision)
    assert state == traffic.alias() and (state.routing.weight, state.note) == (1.0, "half way")
    with pytest.raises(AliasConflictError, match="has changed meanwhile"):
        traffic.route(Routing("2"), "", revision=seen.revision)
    with pytest.raises(AliasConflictError):
        traffic.route(Routing("2"), "", revision=None)
    with pytest.raises(ToolError, match="no version 9"):
        traffic.route(Routing("9"), "", revision=state.revision)
    assert traffic.alias() == state
    for event in ({}, {"fail": "2"}, {"fail": "2"}, {}):
        send(cloud, **event)
    assert traffic.smoke("2", b"{}") is None
    assert traffic.smoke("1", b'{"fail": "1"}') == "ValueError: as asked"
    health = traffic.health("2", begun)
    assert (health.calls, health.errors) == (4, 2) and health.duration_ms
    assert traffic.health("1", begun).calls == 0, "a smoke call is no call through the alias"
    assert traffic.health("2", datetime.now(timezone.utc)).duration_ms is None


def test_alarms_are_those_of_the_file(cloud: LocalCloud, traffic: Traffic) -> None:
    """Without names none is looked at; a name that is not there, and a file that is broken, are errors."""
    path = cloud.state / "alarms.json"
    assert traffic.alarms([]) == []
    with pytest.raises(ConfigurationError, match="no 'errors'"):
        traffic.alarms(["errors"])
    path.write_text('{"errors": "ALARM", "slow": "OK"}')
    assert traffic.alarms(["slow", "errors"]) == ["errors"]
    path.write_text("[1]")
    with pytest.raises(ConfigurationError, match=r"alarms\.json"):
        traffic.alarms(["errors"])
    path.unlink()


SNAP = next((each.python for each in installed() if each.python in ("3.12", "3.13", "3.14")), None)


# Where CI is set a lacking Python is a failure, not a skip: `make pythons` makes one.
@pytest.mark.skipif(SNAP is None and not os.environ.get("CI"), reason="SnapStart needs Python 3.12 or later")
def test_a_version_without_a_snapshot_fails_its_smoke_call(cloud: LocalCloud, tmp_path: Path) -> None:
    """Where init fails before the snapshot, the reason is the smoke call's, not an error of the tool."""
    assert SNAP is not None
    source = "raise RuntimeError('no')\n"
    spec = make_spec(tmp_path, "snapped", source, target=Target(SNAP), snap_start=True)
    number = cloud.publish(spec, None)
    reason = LocalTraffic(cloud, "snapped").smoke(number, b"{}")
    assert reason and "init failed" in reason
    with pytest.raises(CheckError):
        cloud.invoke("snapped", b"{}", qualifier=number)
    traffic = LocalTraffic(cloud, "snapped")
    traffic.route(Routing(number), "", revision=None)
    with pytest.raises(CheckError):
        cloud.invoke("snapped", b"{}")
    health = traffic.health(number, datetime.fromtimestamp(0, timezone.utc))
    assert (health.calls, health.errors) == (1, 1), "whoever called has got an error"
    cloud.destroy("snapped")


def test_a_server_routes_as_the_alias_says(tmp_path: Path, lambdapack_cache: Path) -> None:
    """Whichever process moves the alias: the server's next call goes there; versions stay warm in it."""
    state = tmp_path / "state"
    with running_server(state, lambdapack_cache), LocalCloud(state, cache_dir=lambdapack_cache) as cloud:
        for number in (1, 2):
            spec = make_spec(tmp_path, source=SOURCE, environment={"NUMBER": str(number)})
            assert cloud.deploy(spec, None) == str(number)
            assert send(cloud) == str(number)
        assert cloud.rollback("function").version == "1"
        again = cloud.invoke("function", b"{}")
        assert (again.version, again.cold) == ("1", False)
        assert not cloud.invoke("function", b"{}", qualifier="2").cold
        traffic = LocalTraffic(cloud, "function")
        assert [traffic.health(each, datetime.fromtimestamp(0, timezone.utc)).calls for each in "12"] == [
            2,
            1,
        ]
        (function,) = cloud.status()["functions"]
        assert [(v["number"], v["weight"], v["warm"]) for v in function["versions"]] == [
            ("1", 1.0, 1), ("2", 0.0, 1),
        ]  # fmt: skip
        assert function["live"] == "1" and function["versions"][1]["last_cold"]["init_ms"] > 0
        with pytest.raises(ConfigurationError, match="no version '7'"):
            cloud.invoke("function", b"{}", qualifier="7")
