"""Snapshots, provisioned environments, Managed Instances: the local cloud with the real awslambdaric."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lambdapack.errors import CheckError, ConfigurationError
from lambdapack.local import LocalCloud
from lambdapack.model import FunctionSettings
from lambdapack.model.target import Target
from lambdapack.python.interpreter import find, installed
from tests.support import packed_function
from tests.support.assets_world import AssetsWorld, running_assets_world
from tests.support.local_cloud import answer, call, make_spec

PYTHON = next((each.python for each in installed() if each.python in ("3.12", "3.13", "3.14")), None)
needs_snap_start = pytest.mark.skipif(PYTHON is None, reason="SnapStart needs Python 3.12 or later")
HANDLER = """
import json, os, time, urllib.request
from snapshot_restore_py import register_after_restore, register_before_snapshot

told = []
register_before_snapshot(lambda: told.append("before"))
register_after_restore(lambda: told.append("after"))
if os.environ.get("SLOW"):
    time.sleep(float(os.environ["SLOW"]))

def keys():
    request = urllib.request.Request(os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"],
        headers={"Authorization": os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"]})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["AccessKeyId"]

AT_INIT = keys() if "AWS_CONTAINER_CREDENTIALS_FULL_URI" in os.environ else None

def handler(event, context):
    if event.get("exit"):
        os._exit(1)
    return {
        "pid": os.getpid(), "told": told, "kind": os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"],
        "version": context.function_version, "in environment": "AWS_SECRET_ACCESS_KEY" in os.environ,
        "keys": [AT_INIT, keys() if AT_INIT else None],
    }
"""


@pytest.fixture
def cloud(tmp_path: Path, lambdapack_cache: Path) -> Iterator[LocalCloud]:
    with LocalCloud(tmp_path / "state", cache_dir=lambdapack_cache) as cloud:
        yield cloud


@pytest.fixture
def snapped(tmp_path: Path, cloud: LocalCloud) -> LocalCloud:
    """A cloud with a function that has SnapStart."""
    assert PYTHON is not None
    spec = make_spec(tmp_path, source=HANDLER, target=Target(PYTHON), snap_start=True, timeout=20)
    cloud.deploy(spec, None)
    return cloud


MANAGED = next((each.python for each in installed() if each.python in ("3.13", "3.14")), None)
needs_managed = pytest.mark.skipif(MANAGED is None, reason="Managed Instances need Python 3.13 or later")


@needs_snap_start
def test_an_invocation_restores_the_snapshot_of_an_earlier_init(snapped: LocalCloud) -> None:
    """Init, hooks and snapshot come first; the first invocation of each environment restores it, once."""
    logs = snapped.prepare("function", 2)
    assert len(logs) == 2 and all(log.startswith("INIT_START") for log in logs)
    first = call(snapped)
    seen = answer(first)
    assert seen["told"] == ["before", "after"]
    assert (seen["kind"], seen["version"]) == ("snap-start", "1")
    assert first.cold and first.init_ms is None and first.restore_ms is not None
    assert re.search(r"^RESTORE_START .*\n(.*\n)*RESTORE_REPORT Restore Duration: \d+\.\d\d ms\n", first.log)
    assert f"Restore Duration: {first.restore_ms:.2f} ms\tBilled Restore Duration: " in first.log
    again = call(snapped)
    assert (again.cold, again.restore_ms) == (False, None) and answer(again)["pid"] == seen["pid"]


@needs_snap_start
def test_the_credentials_of_before_the_snapshot_are_no_more(snapped: LocalCloud) -> None:
    """None stand in the environment; the address gives others after the restore than during init."""
    seen = answer(call(snapped))
    before, after = seen["keys"]
    assert not seen["in environment"] and before.startswith("ASIA") and after.startswith("ASIA")
    assert before != after


@needs_snap_start
def test_init_before_a_snapshot_may_take_longer_than_ten_seconds(tmp_path: Path, cloud: LocalCloud) -> None:
    """The cap of 10 s is for starts on demand alone; provisioned environments and snapshots have 130 s."""
    assert PYTHON is not None
    for name, snap_start in (("snap", True), ("plain", False)):
        cloud.deploy(
            make_spec(
                tmp_path, name, HANDLER, target=Target(PYTHON), snap_start=snap_start, timeout=30,
                environment={"SLOW": "11"},
            ),
            None,
        )  # fmt: skip
    assert "timeout" not in cloud.prepare("snap")[0]
    assert "timeout" not in cloud.prepare("plain", start="provisioned-concurrency")[0]
    done = call(cloud, "plain", start="provisioned-concurrency")
    assert answer(done)["kind"] == "provisioned-concurrency"
    assert done.init_ms is not None and done.init_ms > 10_000 > done.billed_ms


@needs_snap_start
def test_a_crash_after_a_restore_starts_anew(snapped: LocalCloud) -> None:
    """The next invocation runs an init without waiting for a restore that will not come."""
    first = answer(call(snapped))
    assert call(snapped, exit=True).error
    again = call(snapped)
    assert answer(again)["pid"] != first["pid"] and not again.cold


@needs_snap_start
def test_no_snapshot_is_taken_of_a_failed_init(tmp_path: Path, cloud: LocalCloud) -> None:
    """AWS would publish no version: the error says so, with the log."""
    assert PYTHON is not None
    broken = make_spec(tmp_path, source="raise KeyError('why')", target=Target(PYTHON), snap_start=True)
    cloud.deploy(broken, None)
    with pytest.raises(CheckError, match=r"its init failed \(KeyError\)") as caught:
        cloud.prepare("function")
    assert "[ERROR] KeyError: 'why'" in (caught.value.detail or "")


def test_what_aws_refuses_with_snap_start_is_refused(tmp_path: Path, cloud: LocalCloud) -> None:
    """A Python before 3.12, and a /tmp of more than 512 MB."""
    with pytest.raises(ConfigurationError) as caught:
        cloud.deploy(make_spec(tmp_path, snap_start=True, tmp_mb=513, target=Target("3.11")), None)
    assert "needs Python 3.12 or later, and the function runs python3.11" in caught.value.message
    assert "at most 512 MB of tmp, and the function has 513 MB" in caught.value.message


def test_a_start_that_lambda_does_not_have_is_refused(tmp_path: Path, cloud: LocalCloud) -> None:
    """The message names those that there are."""
    cloud.deploy(make_spec(tmp_path), None)
    with pytest.raises(ConfigurationError, match="one of on-demand, provisioned-concurrency, snap-start"):
        cloud.invoke("function", json.dumps({}).encode(), start="warm")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, lambdapack_cache: Path) -> Iterator[AssetsWorld]:
    """A function with a pack and assets, for a Python that has SnapStart."""
    folder = tmp_path_factory.mktemp("world")
    with running_assets_world(folder, find(PYTHON or "3.11"), lambdapack_cache) as world:
        yield world


@needs_snap_start
def test_environments_of_a_snapshot_answer_without_a_byte_from_s3(
    tmp_path: Path, lambdapack_cache: Path, world: AssetsWorld
) -> None:
    """Three are restored at once; neither a first invocation nor a credential of before asks for anything.

    What is lazy comes with new credentials, although the environment's clock is a day behind S3's.
    """
    state = tmp_path / "state"
    with LocalCloud(state, cache_dir=lambdapack_cache, restore_after=86400.0) as cloud:
        packed_function.deploy(cloud, world, FunctionSettings(memory_mb=1024, timeout=60, snap_start=True))
        cloud.prepare("function", 3)
        before = cloud.requests(clear=True)
        assert sum(entry.sent for entry in before) == 3 * packed_function.eager_bytes(world)
        with ThreadPoolExecutor(3) as threads:
            done = list(threads.map(lambda _: call(cloud, sleep=2), range(3)))
        seen = [answer(each) for each in done]
        assert all(each.restore_ms is not None for each in done)
        assert [each["leaf"] for each in seen] == ["leaf"] * 3
        assert all(each["model"] == ["empty", "sub", "weights.bin"] for each in seen)
        assert cloud.requests(clear=True) == []
        lazy = answer(call(cloud, lazy=True))
        assert (lazy["source"], lazy["late"]) == ("COLD = 'never traced'\n", 2_000_000)
        after = cloud.requests()
        assert not {entry.access_key for entry in after} & {entry.access_key for entry in before}
        assert {entry.status for entry in after} == {206, 403}


@needs_snap_start
def test_a_snapshot_of_everything_asks_s3_for_nothing_ever_after(
    tmp_path: Path, cloud: LocalCloud, world: AssetsWorld
) -> None:
    """``snapshot = "all"`` has lazy frames and late assets in the snapshot."""
    moved = world.moved(tmp_path / "function")
    (tmp_path / "built").symlink_to(world.function.parent / "built")
    location = moved.function / "runtime_shim/location.json"
    location.write_text(json.dumps({**json.loads(location.read_text()), "snapshot": "all"}))
    packed_function.deploy(cloud, moved, FunctionSettings(memory_mb=1024, timeout=60, snap_start=True))
    cloud.prepare("function")
    cloud.requests(clear=True)
    seen = answer(call(cloud, lazy=True))
    assert (seen["source"], seen["late"]) == ("COLD = 'never traced'\n", 2_000_000)
    assert cloud.requests() == []


@pytest.fixture(scope="module")
def managed_world(tmp_path_factory: pytest.TempPathFactory, lambdapack_cache: Path) -> Iterator[AssetsWorld]:
    """A function with a pack and assets, for a Python that Managed Instances have."""
    folder = tmp_path_factory.mktemp("managed")
    with running_assets_world(folder, find(MANAGED or "3.11"), lambdapack_cache) as world:
        yield world


def start_sixteen(cloud: LocalCloud, world: AssetsWorld) -> None:
    """Sixteen shims start in the same instant: each byte is fetched once, and all answers are right."""
    cloud.requests(clear=True)
    event = json.dumps({"sleep": 2}).encode()
    done = cloud.invoke_together("function", [event] * 16, workers=16, cold=True)
    seen = [answer(each) for each in done]
    assert len({each["pid"] for each in seen}) == 16
    assert all((each["leaf"], each["version"]) == ("leaf", "1.0") for each in seen)
    assert all(each["model"] == ["empty", "sub", "weights.bin"] for each in seen)
    assert sum(entry.sent for entry in cloud.requests(clear=True)) == packed_function.eager_bytes(world)
    assert sorted(each["stats"]["role"] for each in seen).count("fetcher") <= 1
    assert sum(each["stats"]["bytes"] for each in seen) == sum(
        world.pack.index.frame_stored[: world.pack.index.eager]
    )


@needs_managed
def test_sixteen_workers_fetch_each_frame_once(cloud: LocalCloud, managed_world: AssetsWorld) -> None:
    """Also what is fetched on demand: the same lazy frame and asset, asked for by all at once."""
    packed_function.deploy(cloud, managed_world, FunctionSettings(memory_mb=3008, timeout=100))
    start_sixteen(cloud, managed_world)
    event = json.dumps({"sleep": 1, "lazy": True}).encode()
    seen = [answer(each) for each in cloud.invoke_together("function", [event] * 16, workers=16)]
    assert all(each["source"] == "COLD = 'never traced'\n" for each in seen)
    index, late = managed_world.pack.index, managed_world.index("late")
    sent = sum(entry.sent for entry in cloud.requests())
    assert sum(late.frame_stored) < sent <= sum(late.frame_stored) + sum(index.frame_stored[index.eager :])
    asked = [(entry.path, entry.range) for entry in cloud.requests()]
    assert len(asked) == len(set(asked))


@needs_managed
@pytest.mark.slow
def test_sixteen_workers_fetch_each_frame_once_every_time(
    cloud: LocalCloud, managed_world: AssetsWorld
) -> None:
    """Ten instances in a row: whoever of the sixteen comes first."""
    packed_function.deploy(cloud, managed_world, FunctionSettings(memory_mb=3008, timeout=100))
    for _ in range(10):
        start_sixteen(cloud, managed_world)


@needs_managed
def test_a_managed_instance_runs_events_side_by_side(tmp_path: Path, cloud: LocalCloud) -> None:
    """As many as there are workers, one process each; errors and time-outs are those of their own event."""
    source = """
import os, time
def handler(event, context):
    if "fail" in event:
        raise KeyError(event["fail"])
    time.sleep(event["sleep"])
    return [os.getpid(), os.getppid(), os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"],
            os.environ["AWS_LAMBDA_MAX_CONCURRENCY"], context.aws_request_id]
"""
    assert MANAGED is not None
    cloud.deploy(make_spec(tmp_path, source=source, target=Target(MANAGED), timeout=10), None)
    events = [{"sleep": 1}, {"fail": "it"}, {"sleep": 1}, {"sleep": 1}]
    done = cloud.invoke_together("function", [json.dumps(each).encode() for each in events], workers=4)
    assert [each.error for each in done] == [False, True, False, False]
    assert json.loads(done[1].payload)["errorType"] == "KeyError"
    seen = [answer(done[number]) for number in (0, 2, 3)]
    assert len({each[0] for each in seen}) == 3 and len({each[1] for each in seen}) == 1
    assert [each[2:4] for each in seen] == [["lambda-managed-instances", "4"]] * 3
    assert [each[4] for each in seen] == [done[number].request_id for number in (0, 2, 3)]
    late = cloud.invoke_together("function", [b'{"sleep": 0}', b'{"sleep": 60}'], workers=4)
    assert not late[0].error and json.loads(late[1].payload)["errorType"] == "Sandbox.Timedout"
    again = cloud.invoke_together("function", [b'{"sleep": 0}'], workers=4)
    assert answer(again[0])[1] != seen[0][1]


def test_managed_instances_are_for_pythons_that_have_them(tmp_path: Path, cloud: LocalCloud) -> None:
    """Python 3.13 is the first."""
    cloud.deploy(make_spec(tmp_path, target=Target("3.11")), None)
    with pytest.raises(ConfigurationError, match=r"python3\.11 has none of these, Python 3\.13 is the first"):
        cloud.invoke_together("function", [b"{}"], workers=2)
