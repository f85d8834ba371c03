"""``lambdapack tune``: in the local cloud, and against moto with a Lambda that answers as AWS's does."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lambdapack.local import LocalCloud
from lambdapack.model import FunctionSpec
from tests.support.aws_world import REGION, empty_aws
from tests.support.command_line import Run, shown
from tests.support.local_cloud import eventually, make_spec, processes_of

THREE = ("--memory", "128", "--memory", "512", "--memory", "1024")
MEMORIES = [128, 512, 1024]
HANDLER = """
import os, time

def handler(event, context):
    memory = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
    if memory in event.get("large", []):
        kept = bytearray(b"x") * (1 << 28)
        time.sleep(3)
    if memory in event.get("slow", []):
        time.sleep(30)
    if event.get("wrong"):
        raise KeyError("wrong")
    return sum(number * number for number in range(100_000))
"""


@pytest.fixture
def project(tmp_path: Path, lambdapack_cache: Path) -> Path:
    """A project with a function in its local cloud; there is no pack, since no pack matters here."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "lambdapack.toml").write_text(
        '[function]\nname = "tuned"\n[traffic]\ninvocations = 1000\nduration = 100\ncold = 0.5\n'
    )
    with LocalCloud(folder / ".lambdapack/local", cache_dir=lambdapack_cache) as cloud:
        cloud.deploy(make_spec(tmp_path, "tuned", HANDLER, timeout=5), None)
    return folder


class Begun:
    """``lambdapack tune`` in a process that can be sent signals."""

    def __init__(self, folder: Path, cache: Path, *words: str, environment: Any = ()) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lambdapack", "tune", *words],
            cwd=folder,
            env={**os.environ, "LAMBDAPACK_CACHE": str(cache), **dict(environment)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self, number: signal.Signals) -> str:
        """Send a signal; what the process has said when it has ended."""
        self.process.send_signal(number)
        return self.process.communicate(timeout=60)[1]


def kept(folder: Path, cloud: str = "local") -> list[Any]:
    """The runs that the build folder holds."""
    path = folder / f".lambdapack/build/tune-{cloud}.json"
    return list(json.loads(path.read_bytes())["samples"]) if path.exists() else []


def test_an_interrupted_run_goes_on(run_lambdapack: Run, project: Path, lambdapack_cache: Path) -> None:
    """Ctrl-C keeps whole runs and leaves no process; the next does the rest, a third nothing."""
    begun = Begun(project, lambdapack_cache, *THREE, "--runs", "3")
    assert eventually(lambda: len(kept(project)) >= 2, 60)
    said = begun.end(signal.SIGINT)
    first = kept(project)
    assert begun.process.returncode == 130, said
    assert 2 <= len(first) < 9
    assert f"{len(first)} runs are kept in" in said and "Traceback" not in said
    assert eventually(lambda: not processes_of("tuned"))
    done = shown(run_lambdapack("tune", *THREE, "--runs", "3", "--json", cwd=project))
    assert done["samples"][: len(first)] == first
    assert [(each["memory_mb"], each["runs"]) for each in done["settings"]] == [(m, 3) for m in MEMORIES]
    again = run_lambdapack("tune", *THREE, "--runs", "3", "--json", cwd=project)
    assert shown(again) == done
    assert "measured before" in again.stderr


def test_each_setting_is_measured_cold_and_warm(run_lambdapack: Run, project: Path) -> None:
    """A run is a cold start and four warm invocations, with that memory; the figures follow from these."""
    done = shown(run_lambdapack("tune", *THREE, "--runs", "1", "--json", cwd=project))
    assert (done["document"], done["version"], done["name"]) == ("lambdapack.tune", 1, "tuned")
    assert [sample["memory_mb"] for sample in done["samples"]] == MEMORIES
    for sample, setting in zip(done["samples"], done["settings"], strict=True):
        cold, *warm = sample["invocations"]
        assert cold["init_ms"] and [each["init_ms"] for each in warm] == [None] * 4
        assert {each["memory_mb"] for each in (cold, *warm)} == {sample["memory_mb"]}
        assert setting["cold_ms"] == cold["init_ms"] + cold["duration_ms"]
        assert setting["time_ms"] == pytest.approx((setting["cold_ms"] + setting["warm_ms"]) / 2)
    assert done["recommended"]["cost"] in MEMORIES and done["recommended"]["time"] in MEMORIES
    shown_table = run_lambdapack("tune", *THREE, "--runs", "1", cwd=project).stdout
    assert re.search(r"^ *512 .*now", shown_table, re.MULTILINE)
    assert f"least cost  {done['recommended']['cost']:,} MB" in shown_table


def test_what_was_measured_of_another_event_or_function_is_not_used(
    run_lambdapack: Run, project: Path, tmp_path: Path, lambdapack_cache: Path
) -> None:
    """More settings or runs add to what is there; another event, setting or code begins anew."""
    spec = make_spec(tmp_path, "tuned", HANDLER, timeout=5)

    def deploy(spec: FunctionSpec) -> None:
        with LocalCloud(project / ".lambdapack/local", cache_dir=lambdapack_cache) as cloud:
            cloud.deploy(spec, None)

    deploy(spec)
    one = ("tune", "--memory", "512", "--runs", "1", "--json")
    first = shown(run_lambdapack(*one, cwd=project))["samples"]
    more = ("tune", "--memory", "512", "--memory", "1024", "--runs", "2", "--json")
    assert shown(run_lambdapack(*more, cwd=project))["samples"][0] == first[0]
    assert len(kept(project)) == 4
    assert len(shown(run_lambdapack(*one, "--payload", '{"n": 1}', cwd=project))["samples"]) == 1
    deploy(replace(spec, settings=replace(spec.settings, memory_mb=999)))
    before = kept(project)
    same = shown(run_lambdapack(*one, "--payload", '{"n": 1}', cwd=project))
    assert (same["samples"], same["memory_mb"]) == (before, 999)
    deploy(make_spec(tmp_path, "tuned", HANDLER + "# other\n", timeout=5))
    anew = shown(run_lambdapack(*one, "--payload", '{"n": 1}', cwd=project))
    assert anew["key"] != same["key"] and anew["samples"] != before


def test_too_little_memory_or_time_is_a_result(run_lambdapack: Run, project: Path) -> None:
    """Such a setting is tried once and never recommended; the others are measured as ever."""
    event = json.dumps({"large": ["128"], "slow": ["1024"]})
    words = ("tune", *THREE, "--runs", "2", "--payload", event)
    done = shown(run_lambdapack(*words, "--json", cwd=project))
    assert [(each["memory_mb"], each["runs"], each["failure"]) for each in done["settings"]] == [
        (128, 1, "memory"),
        (512, 2, None),
        (1024, 1, "timeout"),
    ]
    assert done["recommended"] == {"cost": 512, "time": 512, "knee": None}
    said = run_lambdapack(*words, cwd=project).stdout
    assert "out of memory" in said and "timed out" in said


def test_a_function_that_never_answers_is_told(run_lambdapack: Run, project: Path) -> None:
    """Exit status 1, with each setting's reason."""
    said = run_lambdapack("tune", *THREE, "--payload", '{"wrong": 1}', cwd=project, status=1).stderr
    assert "tuned answered at none of the settings (128 MB: failed: KeyError; 512 MB" in said


def test_a_function_that_is_not_there_is_told(run_lambdapack: Run, project: Path) -> None:
    """In the words of invoke; and nothing is written."""
    said = run_lambdapack("tune", "other", cwd=project, status=2).stderr
    assert "there is no function 'other'" in said and "lambdapack deploy" in said
    assert not (project / ".lambdapack/build").exists()


class Lambda:
    """moto, with a Lambda that runs: warm in 100 ms with a vCPU, slower in proportion below, and not at 128.

    Attributes:
        url: Its address.
        invoked: Memory, version and whether it was a cold start, of each invocation.
        broken: Whether Lambda answers that it failed, after it may have run the function.
        pause_at: The invocation that waits for ``go``; ``paused`` is set then.
    """

    def __init__(self, moto: str) -> None:
        self.moto = moto
        self.invoked: list[tuple[int, str, bool]] = []
        self.pause_at = 0
        self.broken = False
        self.paused, self.go = threading.Event(), threading.Event()
        self._last: Any = None
        world = self

        class Handler(BaseHTTPRequestHandler):
            def any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                answer = world.invoke(self.path) if "/invocations" in self.path else world.pass_on(self, body)
                status, headers, data = answer
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(data))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        for verb in ("GET", "POST", "PUT", "DELETE", "HEAD"):
            setattr(Handler, f"do_{verb}", Handler.any)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def pass_on(self, asked: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """What moto answers."""
        names = ("Authorization", "Content-Type", "X-Amz-Target", "X-Amz-Date")
        headers = {name: asked.headers[name] for name in names if asked.headers[name]}
        request = urllib.request.Request(self.moto + asked.path, body or None, headers, method=asked.command)
        try:
            answer = urllib.request.urlopen(request)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            kept = ("content-type", "x-amzn-errortype")
            found = {name: value for name, value in answer.headers.items() if name.lower() in kept}
            return answer.status, found, answer.read()

    def invoke(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """One invocation, with the end of its log as AWS sends it."""
        now = self.configuration()
        memory, version = now["MemorySize"], urllib.parse.unquote(path.partition("Qualifier=")[2])
        cold, self._last = now != self._last, now
        self.invoked.append((memory, version, cold))
        if len(self.invoked) == self.pause_at:
            self.paused.set()
            self.go.wait(30)
        if self.broken:
            return 500, {"x-amzn-ErrorType": "ServiceException"}, b'{"Message": "internal"}'
        duration = 100 * max(1769 / memory, 1)
        init = duration * 10 if cold else 0
        used = min(memory, 200)
        line = (
            f"START RequestId: 8f5c Version: $LATEST\nEND RequestId: 8f5c\nREPORT RequestId: 8f5c\t"
            f"Duration: {duration:.2f} ms\tBilled Duration: {int(duration + init) + 1} ms\t"
            f"Memory Size: {memory} MB\tMax Memory Used: {used} MB\t"
        )
        headers = {"X-Amz-Executed-Version": "$LATEST"}
        if used == memory:
            line += "Status: error\tError Type: Runtime.OutOfMemory"
            headers["X-Amz-Function-Error"] = "Unhandled"
        elif cold:
            line += f"Init Duration: {init:.2f} ms\t"
        headers["X-Amz-Log-Result"] = base64.b64encode(f"{line}\n".encode()).decode()
        return 200, headers, b'{"errorType": "Runtime.OutOfMemory"}' if used == memory else b"1"

    def client(self, service: str) -> Any:
        """boto3's client of moto."""
        import boto3  # noqa: PLC0415 - slow

        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        make: Any = boto3.client
        return make(service, endpoint_url=self.moto, region_name=REGION, **keys)

    def configuration(self) -> dict[str, Any]:
        """What ``$LATEST`` is set to."""
        found = self.client("lambda").get_function_configuration(FunctionName="tuned")
        return {"MemorySize": found["MemorySize"], "Environment": found["Environment"]["Variables"]}

    @property
    def environment(self) -> list[tuple[str, str]]:
        """What points AWS's tools here."""
        return [
            ("AWS_ENDPOINT_URL", self.url),
            ("AWS_ACCESS_KEY_ID", "testing"),
            ("AWS_SECRET_ACCESS_KEY", "testing"),
            ("AWS_DEFAULT_REGION", REGION),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ]


BEFORE = {"MemorySize": 999, "Environment": {"STAGE": "test"}}
TO_AWS = ("--cloud", "aws", *THREE, "--runs", "2")


@pytest.fixture
def running() -> Iterator[Lambda]:
    """An account with a function, its version 1 and its alias."""
    with empty_aws() as url:
        world = Lambda(url)
        trust = json.dumps({"Version": "2012-10-17", "Statement": []})
        role = world.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("app.py", HANDLER)
        client = world.client("lambda")
        client.create_function(
            FunctionName="tuned", Runtime="python3.12", Role=role, Handler="app.handler", Timeout=900,
            MemorySize=999, Environment={"Variables": {"STAGE": "test"}}, Publish=True,
            Code={"ZipFile": buffer.getvalue()},
        )  # fmt: skip
        client.create_alias(FunctionName="tuned", Name="live", FunctionVersion="1")
        try:
            yield world
        finally:
            world.go.set()
            world.server.shutdown()
            world.server.server_close()


def test_in_aws_the_memory_of_latest_is_changed_and_set_back(
    run_lambdapack: Run, project: Path, running: Lambda
) -> None:
    """Each run begins with a cold start of $LATEST; REPORT lines give the figures; the alias stays."""
    words = ("tune", *TO_AWS, "--yes", "--json")
    done = shown(run_lambdapack(*words, cwd=project, environment=running.environment))
    expected = [(128, "$LATEST", True)]
    for memory in (512, 1024, 512, 1024):
        expected += [(memory, "$LATEST", cold) for cold in (True, *[False] * 4)]
    assert running.invoked == expected
    assert running.configuration() == BEFORE
    client = running.client("lambda")
    assert client.get_alias(FunctionName="tuned", Name="live")["FunctionVersion"] == "1"
    assert len(client.list_versions_by_function(FunctionName="tuned")["Versions"]) == 2
    assert (done["cloud"], done["region"], done["memory_mb"]) == ("aws", REGION, 999)
    low, *others = done["settings"]
    assert (low["failure"], low["runs"]) == ("memory", 1)
    for each in others:
        warm = 100 * 1769 / each["memory_mb"]
        assert each["warm_ms"] == pytest.approx(warm, abs=0.01)
        assert each["cold_ms"] == pytest.approx(11 * warm, abs=0.02)
    again = shown(run_lambdapack(*words, cwd=project, environment=running.environment))
    assert again == done
    assert running.invoked == expected, "nothing is invoked for what is known"


def test_in_aws_the_bound_is_shown_and_confirmed(run_lambdapack: Run, project: Path, running: Lambda) -> None:
    """Without a yes nothing is invoked and nothing changed; the number and the most it may cost are said."""
    said = run_lambdapack("tune", *TO_AWS, cwd=project, status=2, environment=running.environment).stderr
    # 3 settings, 2 runs, 5 invocations, each at most 10 s of init and 900 s of timeout.
    usd = 2 * 5 * 910 * (128 + 512 + 1024) / 1024 * 0.0000166667 + 30 * 0.2e-6
    assert f"at most 30 invocations at 3 memory settings, which cost at most ${usd + 0.005:.2f} " in said
    assert "not confirmed" in said and "--yes" in said
    assert running.invoked == []
    assert running.configuration() == BEFORE
    assert not kept(project, "aws")


def test_in_aws_no_more_is_spent_than_allowed(run_lambdapack: Run, project: Path, running: Lambda) -> None:
    """A run that could cost more than is left is not begun; what was measured is shown."""
    # Enough for the whole timeout at 128 and at 512 MB, not at 1,024.
    words = ("tune", *TO_AWS, "--yes", "--json", "--max-cost", "0.06")
    done = run_lambdapack(*words, cwd=project, environment=running.environment)
    assert [each["memory_mb"] for each in shown(done)["settings"]] == [128, 512]
    assert "stopped before the cost could be above $0.06" in done.stderr
    words = ("tune", "--cloud", "aws", "--memory", "999", "--yes", "--max-cost", "0.001")
    said = run_lambdapack(*words, cwd=project, status=1, environment=running.environment).stderr
    assert "nothing was measured of tuned" in said
    assert [memory for memory, _, _ in running.invoked] == [128, 512, 512, 512, 512, 512]
    assert running.configuration() == BEFORE


def test_in_aws_an_invocation_is_made_once(run_lambdapack: Run, project: Path, running: Lambda) -> None:
    """What may have run is not run again, since it would be paid for again; the memory is set back."""
    running.broken = True
    words = ("tune", *TO_AWS, "--yes")
    said = run_lambdapack(*words, cwd=project, status=3, environment=running.environment).stderr
    assert "invoking tuned" in said and "internal" in said
    assert len(running.invoked) == 1
    assert running.configuration() == BEFORE


def test_in_aws_ctrl_c_sets_the_memory_back(
    run_lambdapack: Run, project: Path, running: Lambda, lambdapack_cache: Path
) -> None:
    """What was measured is kept, $LATEST is as before, and the next run goes on."""
    running.pause_at = 8
    begun = Begun(project, lambdapack_cache, *TO_AWS, "--yes", environment=running.environment)
    assert running.paused.wait(60)
    assert running.configuration()["MemorySize"] != 999
    said = begun.end(signal.SIGINT)
    assert begun.process.returncode == 130, said
    assert running.configuration() == BEFORE
    first = kept(project, "aws")
    assert [sample["memory_mb"] for sample in first] == [128, 512]
    running.go.set()
    words = ("tune", *TO_AWS, "--yes", "--json")
    done = shown(run_lambdapack(*words, cwd=project, environment=running.environment))
    assert done["samples"][:2] == first
    assert [each["runs"] for each in done["settings"]] == [1, 2, 2]


def test_in_aws_the_next_run_sets_back_what_a_killed_one_left(
    run_lambdapack: Run, project: Path, running: Lambda, lambdapack_cache: Path
) -> None:
    """The memory of before is not lost with the process."""
    running.pause_at = 3
    begun = Begun(project, lambdapack_cache, *TO_AWS, "--yes", environment=running.environment)
    assert running.paused.wait(60)
    begun.end(signal.SIGKILL)
    running.go.set()
    assert running.configuration()["MemorySize"] == 512
    words = ("tune", *TO_AWS, "--yes", "--json")
    done = shown(run_lambdapack(*words, cwd=project, environment=running.environment))
    assert (done["memory_mb"], running.configuration()) == (999, BEFORE)
