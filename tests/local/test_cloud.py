"""The local cloud with real runtimes. Where this machine cannot limit something, it has to say so."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lambdapack.errors import CheckError, ConfigurationError
from lambdapack.limits import MIB
from lambdapack.local import Fault, LocalCloud
from lambdapack.model import Location
from lambdapack.model.target import Target
from lambdapack.python.interpreter import installed
from tests.support import signing
from tests.support.local_cloud import answer, call, eventually, left_behind, make_spec, processes_of
from tests.support.told import Told

REPORT = re.compile(
    r"^REPORT RequestId: (?P<id>[0-9a-f-]{36})\tDuration: (?P<duration>\d+\.\d\d) ms\t"
    r"Billed Duration: (?P<billed>\d+) ms\tMemory Size: (?P<size>\d+) MB\tMax Memory Used: (?P<used>\d+) MB"
    r"(?:\tInit Duration: (?P<init>\d+\.\d\d) ms)?(?:\tStatus: (?P<status>\w+))?"
    r"(?:\tError Type: (?P<type>[\w.]+))?\t$",
    re.MULTILINE,
)


@pytest.fixture(scope="module", params=["auto", "user", "none"])
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, lambdapack_cache: Path
) -> Iterator[LocalCloud]:
    """A cloud at each level of isolation; ``user`` falls back to ``none`` where the system says no."""
    folder = tmp_path_factory.mktemp("cloud")
    level = request.param
    if level == "user" and subprocess.run(["unshare", "-Urmpf", "true"], check=False).returncode:
        level = "none"
    with LocalCloud(folder / "state", cache_dir=lambdapack_cache, isolation=level) as cloud:
        cloud.deploy(make_spec(folder), None)
        cloud.deploy(make_spec(folder, "short", timeout=1), None)
        yield cloud


@pytest.fixture
def cloud(tmp_path: Path, lambdapack_cache: Path) -> Iterator[LocalCloud]:
    with LocalCloud(tmp_path / "state", cache_dir=lambdapack_cache) as cloud:
        yield cloud


def test_a_warm_invocation_reuses_the_process(shared: LocalCloud) -> None:
    """The second invocation runs in the process of the first, without an init of its own."""
    first, second = call(shared, cold=True), call(shared)
    assert (first.cold, second.cold) == (True, False)
    assert first.init_ms is not None and second.init_ms is None
    assert answer(second) == {"pid": answer(first)["pid"], "calls": 2}
    third = call(shared, cold=True)
    assert third.cold and answer(third)["calls"] == 1


def test_the_log_is_lambdas(shared: LocalCloud) -> None:
    """START, what was printed in order, END and REPORT; the figures are those of the result."""
    result = call(shared, cold=True, print="hello")
    lines = result.log.splitlines()
    assert lines[0].startswith("INIT_START Runtime Version: python:3.11.")
    assert lines[1].startswith("init of ")
    assert lines[2] == f"START RequestId: {result.request_id} Version: 1"
    assert lines[3:5] == ["hello", "hello err"]
    assert lines[5] == f"END RequestId: {result.request_id}"
    report = REPORT.match(lines[6])
    assert report and len(lines) == 7
    assert report["id"] == result.request_id
    assert float(report["duration"]) == pytest.approx(result.duration_ms, abs=0.01)
    assert int(report["billed"]) == result.billed_ms
    assert float(report["init"]) == pytest.approx(result.init_ms, abs=0.01)
    assert result.billed_ms >= result.duration_ms + (result.init_ms or 0) - 0.01
    assert 0 < int(report["used"]) == result.max_memory_mb <= int(report["size"]) == 512


def test_a_raised_exception_leaves_the_environment(shared: LocalCloud) -> None:
    """A handler's error is the payload, with its type and stack; the process goes on."""
    before = answer(call(shared))
    result = call(shared, fail="what")
    assert result.error and json.loads(result.payload)["errorType"] == "KeyError"
    assert "[ERROR] KeyError: 'what'\nTraceback" in result.log
    assert answer(call(shared))["pid"] == before["pid"]


def test_a_crash_resets_the_process_and_keeps_tmp(shared: LocalCloud) -> None:
    """After a crash a new process starts inside the next invocation, with /tmp as it was."""
    first = answer(call(shared, cold=True, write="kept"))
    result = call(shared, exit=3)
    error = json.loads(result.payload)
    assert error == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {result.request_id} Error: Runtime exited with error: exit status 3",
    }
    report = REPORT.search(result.log)
    assert report and (report["status"], report["type"]) == ("error", "Runtime.ExitError")
    after = call(shared, list=True)
    assert not after.cold and after.init_ms is None
    assert answer(after)["pid"] != first["pid"] and "kept" in answer(after)["list"]
    assert "kept" not in answer(call(shared, cold=True, list=True))["list"]


def test_a_timeout_kills_and_keeps_tmp(shared: LocalCloud) -> None:
    """The invocation ends with Lambda's words; whatever it had started is gone, /tmp is not."""
    first = answer(call(shared, "short", cold=True, write="kept"))
    result = call(shared, "short", sleep=30)
    assert result.error and json.loads(result.payload)["errorType"] == "Sandbox.Timedout"
    assert f" {result.request_id} Task timed out after 1.00 seconds\n" in result.log
    report = REPORT.search(result.log)
    assert report and (report["duration"], report["status"]) == ("1000.00", "timeout")
    after = answer(call(shared, "short", list=True))
    assert after["pid"] != first["pid"] and "kept" in after["list"]


def test_memory_over_the_setting_kills(shared: LocalCloud) -> None:
    """Twice the memory is not to be had; the same amount is in a larger function."""
    result = call(shared, memory_mb=128, allocate=256 * MIB, sleep=3)
    assert result.error and json.loads(result.payload)["errorType"] == "Runtime.OutOfMemory"
    assert "Error: Runtime exited with error: signal: killed" in result.log
    assert result.max_memory_mb == 128
    assert answer(call(shared, memory_mb=1024, allocate=256 * MIB))["allocate"] == 256 * MIB


def test_tmp_has_the_set_size(shared: LocalCloud) -> None:
    """Writing ends with ENOSPC at the set size, within 1 %; where there is no cap, it is said."""
    # More memory than /tmp: a tmpfs counts as memory.
    result = call(shared, memory_mb=3000, tmp_mb=600, fill=True)
    written, number = answer(result)["fill"]
    assert shared.limits is not None
    if shared.limits.tmp == "folder":
        assert number == errno.EFBIG and written == 600 * MIB
        assert "not private and not capped" in shared.status()["limits"]
    else:
        assert number == errno.ENOSPC
        assert 600 * MIB <= written <= 606 * MIB
    shared.discard("function")


def test_the_environment_is_lambdas_and_nothing_else(shared: LocalCloud) -> None:
    """Lambda's variables are there, this machine's are not, and the code cannot be changed."""
    os.environ["LAMBDAPACK_TEST_LEAK"] = "1"
    try:
        seen = answer(call(shared, cold=True, python="import os; result = dict(os.environ)"))["python"]
    finally:
        del os.environ["LAMBDAPACK_TEST_LEAK"]
    assert "LAMBDAPACK_TEST_LEAK" not in seen and "HOME" not in seen
    assert seen["AWS_LAMBDA_FUNCTION_NAME"] == "function" and seen["_HANDLER"] == "app.handler"
    assert seen["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.11"
    code = "import os, sys; result = [os.getcwd(), sys.path, os.access('app.py', os.W_OK)]"
    folder, path, writable = answer(call(shared, python=code))["python"]
    assert folder == path[0] == seen["LAMBDA_TASK_ROOT"]
    assert shared.limits is not None
    if shared.limits.level != "none":
        assert folder == "/var/task" and not writable
        assert "TMPDIR" not in seen
    else:
        assert seen["LAMBDAPACK_ROOT"] == f"{seen['TMPDIR']}/lambdapack"
    code = "import importlib.util as u; result = [u.find_spec(n) is None for n in ('lambdapack', 'pytest')]"
    assert answer(call(shared, python=code))["python"] == [True, True]


def test_the_context_is_filled_in(shared: LocalCloud) -> None:
    """What awslambdaric makes of the Runtime API's headers is right."""
    code = (
        "result = [context.aws_request_id, context.invoked_function_arn, context.memory_limit_in_mb, "
        "context.get_remaining_time_in_millis()]"
    )
    result = call(shared, python=code)
    request_id, arn, memory, remaining = answer(result)["python"]
    assert request_id == result.request_id
    assert arn.endswith(":function:function:live") and memory == "512" and 0 < remaining <= 10_000


def test_descriptors_are_limited_as_in_lambda(shared: LocalCloud) -> None:
    """1,024 open files, no more."""
    code = "import resource; result = resource.getrlimit(resource.RLIMIT_NOFILE)"
    assert answer(call(shared, python=code))["python"] == [1024, 1024]


def test_a_response_over_six_megabytes_is_an_error(shared: LocalCloud) -> None:
    """Lambda's error, and the function goes on."""
    result = call(shared, large=6 * MIB + 200)
    assert result.error
    assert json.loads(result.payload)["errorType"] == "Function.ResponseSizeTooLarge"
    assert not call(shared, large=6 * MIB - 200).error


@pytest.mark.parametrize("level", ["auto", "none"])
def test_processes_that_a_function_left_do_not_outlive_it(
    tmp_path: Path, lambdapack_cache: Path, level: str
) -> None:
    """A reset and the end take down what the function started, daemons in sessions of their own too."""
    cloud = LocalCloud(tmp_path / "state", cache_dir=lambdapack_cache, isolation=level)
    cloud.deploy(make_spec(tmp_path, "spawns", timeout=1), None)
    answer(call(cloud, "spawns", spawn=True))
    assert any("sleep" in process for process in processes_of("spawns"))
    call(cloud, "spawns", exit=1)
    assert eventually(lambda: not processes_of("spawns"))
    answer(call(cloud, "spawns", spawn=True))
    cloud.close()
    assert eventually(lambda: not processes_of("spawns"))


@pytest.mark.parametrize(
    ("payload", "complaint"), [(b"{", "not JSON"), (b'"' + b"x" * (6 * MIB) + b'"', "6291456")]
)
def test_a_payload_that_lambda_refuses_is_refused(shared: LocalCloud, payload: bytes, complaint: str) -> None:
    """Before anything runs."""
    with pytest.raises(ConfigurationError, match=complaint):
        shared.invoke("function", payload)


def test_bad_settings_are_refused_together(cloud: LocalCloud, tmp_path: Path) -> None:
    """Every setting that Lambda would refuse is named in one error; nothing is deployed."""
    variables = {"AWS_REGION": "x", "_X_AMZN_TRACE_ID": "x", "AWS_EXECUTION_ENV": "x", "A-B": "x"}
    spec = make_spec(tmp_path, memory_mb=64, tmp_mb=20_000, timeout=901, environment=variables)
    for dry_run in (True, False):
        with pytest.raises(ConfigurationError) as caught:
            cloud.deploy(spec, None, dry_run=dry_run)
        for word in ("64", "20000", "901", *variables):
            assert word in caught.value.message
    with pytest.raises(ConfigurationError, match="no function 'function'"):
        call(cloud)


def test_broken_zips_are_refused(cloud: LocalCloud, tmp_path: Path) -> None:
    """No file, no zip, a zip that would leave its folder, a zip that is too large."""
    spec = make_spec(tmp_path)
    with pytest.raises(ConfigurationError, match="no file"):
        cloud.deploy(replace(spec, zip_path=tmp_path / "none.zip"), None)
    (tmp_path / "bad.zip").write_bytes(b"PK bad")
    with pytest.raises(ConfigurationError, match="not a zip"):
        cloud.deploy(replace(spec, zip_path=tmp_path / "bad.zip"), None)
    with zipfile.ZipFile(tmp_path / "up.zip", "w") as archive:
        archive.writestr("../up.py", "")
    with pytest.raises(ConfigurationError, match="leaves it"):
        cloud.deploy(replace(spec, zip_path=tmp_path / "up.zip"), None)
    with zipfile.ZipFile(tmp_path / "big.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("big", bytes(262_144_001))
    with pytest.raises(CheckError, match="262144000"):
        cloud.deploy(replace(spec, zip_path=tmp_path / "big.zip"), None)
    assert not list((cloud.state / "code").iterdir())


def test_a_failing_init_runs_again_inside_the_invocation(cloud: LocalCloud, tmp_path: Path) -> None:
    """An import error is reported by both inits, and is what the invocation answers."""
    cloud.deploy(make_spec(tmp_path, source="import not_there_at_all\n"), None)
    result = call(cloud)
    error = json.loads(result.payload)
    assert result.error and error["errorType"] == "Runtime.ImportModuleError"
    assert "not_there_at_all" in error["errorMessage"]
    phases = re.findall(
        r"^INIT_REPORT Init Duration: [\d.]+ ms\tPhase: (\w+)\tStatus: error\tError Type: (\S+)",
        result.log,
        re.MULTILINE,
    )
    assert phases == [("init", "Runtime.ImportModuleError"), ("invoke", "Runtime.ImportModuleError")]
    assert result.init_ms is None and call(cloud).error


def test_an_exit_during_init_is_reported(cloud: LocalCloud, tmp_path: Path) -> None:
    """A module that ends the process is a crash of the runtime, not a hang."""
    cloud.deploy(make_spec(tmp_path, source="import os\nos._exit(7)\n"), None)
    result = call(cloud)
    assert json.loads(result.payload)["errorType"] == "Runtime.ExitError"
    assert "exit status 7" in json.loads(result.payload)["errorMessage"]


@pytest.mark.slow
def test_an_init_over_ten_seconds_is_killed_and_run_again(cloud: LocalCloud, tmp_path: Path) -> None:
    """The second init runs under the function's timeout; /tmp keeps what the first one wrote."""
    source = (
        "import os, time\n"
        "place = os.path.join(os.environ.get('TMPDIR', '/tmp'), 'starts')\n"
        "with open(place, 'a') as file: file.write('x')\n"
        "starts = os.path.getsize(place)\n"
        "time.sleep(60 if starts == 1 else 0)\n"
        "def handler(event, context): return starts\n"
    )
    cloud.deploy(make_spec(tmp_path, source=source, timeout=15), None)
    result = call(cloud)
    assert answer(result) == 2
    assert "INIT_REPORT Init Duration: 10000.00 ms\tPhase: init\tStatus: timeout\n" in result.log
    assert result.init_ms is None and result.billed_ms >= 10_000
    assert answer(call(cloud)) == 2


def test_a_changed_function_gets_new_environments(cloud: LocalCloud, tmp_path: Path) -> None:
    """Code and settings that were deployed later are what runs next."""
    cloud.deploy(make_spec(tmp_path, environment={"COLOUR": "red"}), None)
    assert answer(call(cloud, env="COLOUR"))["env"] == "red"
    cloud.deploy(make_spec(tmp_path, environment={"COLOUR": "blue"}), None)
    changed = call(cloud, env="COLOUR")
    assert changed.cold and answer(changed)["env"] == "blue"


def test_simultaneous_invocations_have_their_own_environments(cloud: LocalCloud, tmp_path: Path) -> None:
    """An environment handles one event at a time; afterwards both are warm."""
    cloud.deploy(make_spec(tmp_path), None)
    results = []
    threads = [threading.Thread(target=lambda: results.append(call(cloud, sleep=1))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.cold for result in results] == [True, True]
    assert len(cloud.status()["functions"][0]["environments"]) == 2
    assert not call(cloud).cold


def test_idle_environments_expire(tmp_path: Path, lambdapack_cache: Path) -> None:
    """After the idle time the next invocation is cold."""
    with LocalCloud(tmp_path / "state", cache_dir=lambdapack_cache, idle_seconds=0) as cloud:
        cloud.deploy(make_spec(tmp_path), None)
        assert call(cloud).cold
        assert call(cloud).cold


def test_between_invocations_everything_is_frozen(cloud: LocalCloud, tmp_path: Path) -> None:
    """No thread of the function is scheduled while no invocation runs."""
    source = (
        "import threading, time\n"
        "ticks = []\n"
        "def tick():\n"
        "    while True: ticks.append(1); time.sleep(0.001)\n"
        "threading.Thread(target=tick, daemon=True).start()\n"
        "def handler(event, context):\n"
        "    seen = len(ticks)\n"
        "    time.sleep(event.get('sleep', 0))\n"
        "    return [seen, len(ticks)]\n"
    )
    cloud.deploy(make_spec(tmp_path, source=source, environment={"MARK": tmp_path.name}), None)
    during = answer(call(cloud, sleep=0.2))
    assert during[1] > during[0]
    mark, looks = f"MARK={tmp_path.name}", [0, 1]
    # The answer may come before the last signal; a thread that runs free never looks the same twice.
    while looks[-1] != looks[-2] and len(looks) < 100:
        looks.append(switches(mark))
        threading.Event().wait(0.1)
    assert looks[-1] > during[1], "each tick gives up the processor once"
    threading.Event().wait(0.5)
    assert switches(mark) == looks[-1]
    call(cloud)
    assert switches(mark) > looks[-1]


def switches(variable: str) -> int:
    """How often the kernel has scheduled the threads of all processes that have this in their environment."""
    count = 0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if variable.encode() in (process / "environ").read_bytes().split(b"\0"):
                for thread in (process / "task").iterdir():
                    words = (thread / "status").read_text().split()
                    count += sum(
                        int(words[at + 1]) for at, word in enumerate(words) if "ctxt_switches" in word
                    )
    return count


def test_a_pack_is_read_with_the_functions_own_credentials(cloud: LocalCloud, tmp_path: Path) -> None:
    """The function may read its pack over the link that was asked for, and nothing else."""
    location = Location("packs-bucket", "p/packs/ab/abc.tar.zst", "eu-central-1")
    pack = tmp_path / "abc.tar.zst"
    pack.write_bytes(os.urandom(100_000))
    signer = Path(signing.__file__).read_text(encoding="utf-8")
    source = (
        f"{signer}\nimport http.client, os\n"
        "def handler(event, context):\n"
        "    e = os.environ\n"
        "    host = e['AWS_ENDPOINT_URL_S3'].split('/')[2]\n"
        "    keys = e['AWS_ACCESS_KEY_ID'], e['AWS_SECRET_ACCESS_KEY'], e['AWS_SESSION_TOKEN']\n"
        "    out = []\n"
        "    for path in event['paths']:\n"
        "        now = datetime.now(timezone.utc)\n"
        "        headers = sign('GET', path, {'host': host}, keys, region=e['AWS_REGION'], now=now)\n"
        "        connection = http.client.HTTPConnection(host)\n"
        "        connection.request('GET', path, headers=headers)\n"
        "        response = connection.getresponse()\n"
        "        out.append([response.status, len(response.read())])\n"
        "    return out\n"
    )
    cloud.deploy(make_spec(tmp_path, source=source, location=location), pack)
    path = f"/{location.bucket}/{location.key}"
    wanted = answer(call(cloud, paths=[path, "/packs-bucket/other", path], faults=[Fault(2, "status")]))
    assert wanted[0] == [200, 100_000] and wanted[1][0] == 403 and wanted[2][0] == 500
    log = cloud.requests(clear=True)
    assert [(e.status, e.fault) for e in log] == [(200, ""), (403, ""), (500, "status")]
    assert log[0].sent == 100_000 and cloud.requests() == []
    cloud.destroy("function")
    assert not (cloud.state / "s3" / location.bucket / location.key).exists()


@pytest.mark.slow
def test_every_python_of_this_machine_runs(cloud: LocalCloud, tmp_path: Path) -> None:
    """The runtime client is found for each version that is installed here, 3.8 included."""
    for interpreter in installed():
        if (3, 8) <= tuple(map(int, interpreter.python.split("."))) <= (3, 15):
            name = "python" + interpreter.python.replace(".", "")
            cloud.deploy(make_spec(tmp_path, name, target=Target(interpreter.python)), None)
            code = "import sys; result = '%d.%d' % sys.version_info[:2]"
            assert answer(call(cloud, name, python=code))["python"] == interpreter.python


def test_closing_leaves_nothing_behind(tmp_path: Path, lambdapack_cache: Path) -> None:
    """No process, mount, loop device, control group or folder of an environment remains."""
    told = Told()
    with LocalCloud(tmp_path / "state", cache_dir=lambdapack_cache, progress=told) as cloud:
        cloud.deploy(make_spec(tmp_path, "leaves"), None)
        call(cloud, "leaves")
        ids = {e["id"] for e in cloud.status()["functions"][0]["environments"]}
        assert len(ids) == 1 and left_behind(cloud.state, ids, "leaves")
        expected = "root" if os.geteuid() == 0 and os.access("/dev/loop-control", os.W_OK) else ""
        assert len(told.said) == 1 and f"local cloud ({expected}" in told.notes[0]
    assert eventually(lambda: not left_behind(cloud.state, ids, "leaves")), left_behind(
        cloud.state, ids, "leaves"
    )
    assert not list((cloud.state / "environments").iterdir())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["SIGKILL", "SIGINT"])
def test_a_killed_cloud_is_cleared_away(tmp_path: Path, lambdapack_cache: Path, number: int) -> None:
    """Whatever way we end, the environments end with us; the next start removes their folders."""
    state = tmp_path / "state"
    with LocalCloud(state, cache_dir=lambdapack_cache) as cloud:
        cloud.deploy(make_spec(tmp_path, "killed", timeout=60), None)
    program = (
        "import sys; from pathlib import Path; from lambdapack.local import LocalCloud\n"
        "cloud = LocalCloud(Path(sys.argv[1]), cache_dir=Path(sys.argv[2]))\n"
        "cloud.invoke('killed', b'{}'); print('warm', flush=True)\n"
        "cloud.invoke('killed', b'{\"sleep\": 50}')\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(state), str(lambdapack_cache)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "warm\n"
    ids = {folder.name for folder in (state / "environments").iterdir()}
    process.send_signal(number)
    process.wait(20)
    assert eventually(lambda: not left_behind(state, ids, "killed")), left_behind(state, ids, "killed")
    with LocalCloud(state, cache_dir=lambdapack_cache):
        assert not list((state / "environments").iterdir())
