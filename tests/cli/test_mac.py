"""The commands on a machine that is not Linux: this one, with all that only Linux has taken away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lambdapack.install.docker import engine, images
from lambdapack.model.target import Target
from lambdapack.python import machine
from tests.support import docker_world
from tests.support.aws_world import BUCKET, REGION, empty_aws
from tests.support.command_line import Run
from tests.support.wheelhouse import wheel

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PYTHON = ".".join(map(str, sys.version_info[:2]))
BUILT = "lambdapack-test/mac:python" + PYTHON
WITHOUT_LINUX = (("PYTHONPATH", os.pathsep.join((str(ROOT / "tests/support/without_linux"), str(ROOT)))),)
HANDLER = "import runtime_shim\nimport app\n\n\ndef handler(event, context):\n    return app.answer(event)\n"


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """A stand-in for the target's image, on an engine that answers."""
    with docker_world.running_engine(), engine.connect() as client:
        base = docker_world.base_image(client, PYTHON)
        images.build(client, Target(PYTHON), on=base, tag=BUILT)
        yield BUILT
        client.images.remove(BUILT, force=True)


@pytest.fixture(scope="module")
def folder(image: str, tmp_path_factory: pytest.TempPathFactory, run_lambdapack: Run) -> Path:
    """A project that a machine without Linux has built."""
    folder = tmp_path_factory.mktemp("mac") / "hello"
    (folder / "house").mkdir(parents=True)
    code = b"import os\n\n\ndef answer(event):\n    return {'system': os.uname().sysname, 'event': event}\n"
    wheel(folder / "house", "app", "1", files={"app.py": code})
    (folder / "app_handler.py").write_text(HANDLER)
    (folder / "requirements.txt").write_text("--no-index\n--find-links house\napp\n")
    (folder / "lambdapack.toml").write_text(
        f'[build]\nfiles = ["requirements.txt"]\npython = "{PYTHON}"\nimage = "{image}"\n'
        '[function]\nname = "hello"\nhandler = "app_handler.handler"\n'
        f'[store]\nlocation = "s3://{BUCKET}/packs"\nregion = "{REGION}"\n'
    )
    run_lambdapack("build", cwd=folder, environment=WITHOUT_LINUX)
    return folder


@pytest.fixture
def on_a_mac(run_lambdapack: Run, folder: Path) -> Any:
    """Runs a command in the project as a machine without Linux does."""
    return partial(run_lambdapack, cwd=folder, environment=WITHOUT_LINUX)


def test_what_is_taken_away_is_gone() -> None:
    """The tests below mean something: Python itself says that it lacks what a Mac lacks."""
    said = subprocess.run(
        [sys.executable, "-c",
         "import os, sys, platform; print(sys.platform, platform.system(), hasattr(os, 'sched_getaffinity'), "
         "hasattr(os, 'posix_fallocate'))"],
        env={**os.environ, **dict(WITHOUT_LINUX)}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert said.split() == ["darwin", "Darwin", "False", "False"]


def test_processors_are_counted_on_any_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system tells no affinity, all processors count, and at least one."""
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert machine.processors() == 1


def test_a_build_goes_through_docker_and_gives_the_same_pack(
    on_a_mac: Any, folder: Path, run_lambdapack: Run, tmp_path: Path
) -> None:
    """Without Linux the docker builder is the default, says why, and the pack is the one of Linux."""
    report = json.loads((folder / ".lambdapack/build/build.json").read_text())
    assert report["builder"]["name"] == "docker"
    elsewhere = json.loads(
        run_lambdapack(
            "build", "--builder", "docker", "--output", tmp_path / "pack", "--json", cwd=folder
        ).stdout
    )
    assert elsewhere["id"] == report["id"]


def test_the_local_builder_works_with_wheels_alone(on_a_mac: Any, folder: Path, tmp_path: Path) -> None:
    """--builder local, asked for, resolves and installs for Linux, whatever this machine is."""
    done = on_a_mac("build", "--builder", "local", "--output", tmp_path / "pack", "--json")
    assert [one["name"] for one in json.loads(done.stdout)["distributions"]] == ["app"]


def test_the_commands_for_aws_need_no_linux(on_a_mac: Any, folder: Path) -> None:
    """plan, package, push, deploy, status, rollback and destroy run where Linux's functions are not."""
    on_a_mac("plan")
    on_a_mac("inspect")
    on_a_mac("verify")
    with empty_aws() as url:
        aws = (*WITHOUT_LINUX, ("AWS_ENDPOINT_URL", url), ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
               ("AWS_SECRET_ACCESS_KEY", "secret"), ("AWS_REGION", REGION))  # fmt: skip
        import boto3  # noqa: PLC0415 - slow

        client: Any = boto3.client
        client(
            "s3", endpoint_url=url, region_name=REGION, aws_access_key_id="a", aws_secret_access_key="b"
        ).create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        for memory in ("512", "1024"):
            on_a_mac("deploy", "--cloud", "aws", "--memory", memory, environment=aws)
        on_a_mac("rollback", environment=aws)
        assert "hello" in on_a_mac("status", "--cloud", "aws", environment=aws).stdout
        on_a_mac("destroy", "--cloud", "aws", environment=aws)


def test_the_local_cloud_runs_in_a_container_and_says_so(on_a_mac: Any) -> None:
    """deploy and invoke run in a container of the engine, with the project's own state, and say so."""
    on_a_mac("deploy")
    done = on_a_mac("invoke", "--payload", '{"a": 1}')
    assert json.loads(done.stdout) == {"system": "Linux", "event": {"a": 1}}
    assert "container" in done.stderr
    assert "REPORT" in done.stderr
    piped = json.loads(on_a_mac("status", "--json").stdout)
    assert [function["name"] for function in piped["functions"]] == ["hello"]


def test_a_failure_in_the_container_is_the_commands_own(on_a_mac: Any) -> None:
    """The exit status and the error of the command come through unchanged."""
    done = on_a_mac("invoke", "nothing-of-that-name", status=2)
    assert "there is no function 'nothing-of-that-name'" in done.stderr


def test_without_an_engine_the_local_cloud_says_what_helps(on_a_mac: Any) -> None:
    """No traceback, and a hint: without Linux the local cloud needs an engine."""
    nowhere = (*WITHOUT_LINUX, ("DOCKER_HOST", "unix:///nowhere/docker.sock"))
    done = on_a_mac("invoke", status=3, environment=nowhere)
    assert "no Docker engine answers" in done.stderr
    assert "Traceback" not in done.stderr


def _commands() -> list[str]:
    with engine.connect() as client:
        running = client.api.containers(filters={"label": "org.lambdapack.command"})
        return [container["Id"] for container in running]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_container_ends_with_the_command(
    number: signal.Signals, on_a_mac: Any, folder: Path, lambdapack_cache: Path
) -> None:
    """Ctrl-C in this process, and its sudden death, end what runs in the container."""
    on_a_mac("deploy")
    process = subprocess.Popen(
        [sys.executable, "-m", "lambdapack", "local"], cwd=folder, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, **dict(WITHOUT_LINUX), "LAMBDAPACK_CACHE": str(lambdapack_cache)},
    )  # fmt: skip
    assert process.stdout is not None
    with process, process.stdout:
        assert any("127.0.0.1:" in line for line in process.stdout)
        assert len(_commands()) == 1
        process.send_signal(number)
        process.wait(60)
    deadline = time.monotonic() + 60
    while _commands() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert _commands() == []
