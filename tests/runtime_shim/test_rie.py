"""The function's zip under AWS's own runtime interface emulator: nothing of ours but the zip."""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lambdapack import deploy
from lambdapack.deploy.bundle import make_zip
from lambdapack.deploy.function import Dependencies, FunctionOptions
from lambdapack.local.environment import runtime
from lambdapack.model import Location
from lambdapack.model.target import Target
from lambdapack.python import interpreter
from tests.support.shim_world import World, running_world

RUNNING = interpreter.find("{}.{}".format(*sys.version_info))
APP = """
import runtime_shim
import heavy
from heavy.second import leaf


def handler(event, context):
    if event.get("fail"):
        heavy.fail()
    return {
        "hello": event["name"], "leaf": leaf.LEAF, "file": heavy.__file__,
        "stats": runtime_shim.stats(), "requests": context.aws_request_id,
    }
"""


@pytest.fixture(scope="module")
def emulator(lambdapack_cache: Path) -> Path:
    """The emulator's binary, out of the aws-sam-cli wheel, fetched once."""
    name = "aws-lambda-rie-" + {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    kept = lambdapack_cache / "rie" / name
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(kept.parent)]
        subprocess.run([*command, "--only-binary=:all:", "aws-sam-cli"], check=True, capture_output=True)
        with zipfile.ZipFile(next(kept.parent.glob("*.whl"))) as wheel:
            part = kept.with_suffix(f".{os.getpid()}")
            part.write_bytes(wheel.read(f"samcli/local/rapid/{name}"))
        part.chmod(0o755)
        part.rename(kept)
    return kept


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, lambdapack_cache: Path) -> Iterator[World]:
    with running_world(tmp_path_factory.mktemp("rie"), RUNNING, lambdapack_cache) as world:
        yield world


@pytest.fixture(scope="module")
def task(world: World, tmp_path_factory: pytest.TempPathFactory, lambdapack_cache: Path) -> Path:
    """The zip that ``lambdapack package`` makes, unpacked by hand."""
    folder = tmp_path_factory.mktemp("task")
    source = folder / "source"
    source.mkdir()
    (source / "app.py").write_text(APP)
    bundle = make_zip(
        FunctionOptions("demo", "app.handler", source, Target(RUNNING.python)),
        Dependencies(world.pack.id, world.pack.index_path, Location("bucket", world.key, "us-east-1")),
        interpreter=RUNNING,
        output=folder / "function.zip",
        cache_dir=lambdapack_cache,
    )
    subprocess.run(
        [sys.executable, "-m", "zipfile", "-e", str(bundle.path), str(folder / "task")], check=True
    )
    return folder / "task"


UNCHANGED = """
import heavy
from heavy.second import leaf


def handler(event, context):
    return {"hello": event["name"], "leaf": leaf.LEAF, "file": heavy.__file__}
"""
# As /var/runtime/bootstrap of Lambda's images: the wrapper gets the command, and the environment names the
# handler.
BOOTSTRAP = """exec "$AWS_LAMBDA_EXEC_WRAPPER" "$0" -c '
import os
from awslambdaric.__main__ import main

main(["awslambdaric", os.environ["_HANDLER"]])'"""


@pytest.fixture
def opt(world: World, tmp_path: Path, lambdapack_cache: Path) -> Path:
    """The folder with the layer that ``lambdapack layer`` makes, unpacked by hand; the pack is in it."""
    made = deploy.layer(
        FunctionOptions("any", "", tmp_path, Target(RUNNING.python), place="layer"),
        world.pack,
        lambda _: None,
        output=tmp_path / "layer.zip",
        cache_dir=lambdapack_cache,
    )
    assert [path.name for path in made.paths] == ["layer.zip"]
    with zipfile.ZipFile(made.paths[0]) as layer:
        for entry in layer.infolist():
            Path(layer.extract(entry, tmp_path / "root/opt")).chmod(entry.external_attr >> 16 & 0o777)
    assert made.environment == {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/lambdapack-wrapper"}
    return tmp_path / "root/opt"


@pytest.fixture
def unchanged(
    emulator: Path, opt: Path, world: World, tmp_path: Path, lambdapack_cache: Path
) -> Iterator[str]:
    """The URL of a function that knows nothing of lambdapack, with the layer and one variable."""
    client = runtime.install(Target(RUNNING.python), lambdapack_cache).client
    world.forget()
    world.log()
    task = tmp_path / "task"
    task.mkdir()
    (task / "app.py").write_text(UNCHANGED)
    port = free_port()
    process = subprocess.Popen(
        [
            str(emulator),
            *("--runtime-interface-emulator-address", f"127.0.0.1:{port}"),
            *("--runtime-api-address", f"127.0.0.1:{free_port()}"),
            *("/bin/sh", "-c", BOOTSTRAP, str(RUNNING.path)),
        ],
        cwd=task,
        env={
            "PATH": os.environ["PATH"], "PYTHONPATH": str(client), "LAMBDA_TASK_ROOT": str(task),
            "_HANDLER": "app.handler", "LAMBDAPACK_ROOT": str(world.root),
            "LAMBDAPACK_FILES": str(opt.parent), "AWS_LAMBDA_EXEC_WRAPPER": str(opt / "lambdapack-wrapper"),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
    finally:
        process.kill()
        process.wait()


def test_an_unchanged_function_answers_with_layer_and_wrapper(unchanged: str, world: World) -> None:
    """The handler's file imports what is in the pack, and knows nothing of the shim; S3 is not asked."""
    cold = invoke(unchanged, {"name": "cold"})
    assert (cold["hello"], cold["leaf"]) == ("cold", "leaf")
    assert str(cold["file"]).startswith(str(world.root))
    assert invoke(unchanged, {"name": "warm"})["hello"] == "warm"
    assert world.log() == []


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.fixture
def function(emulator: Path, task: Path, world: World, lambdapack_cache: Path) -> Iterator[str]:
    """The running emulator's URL; cold, its log in the function's folder."""
    client = runtime.install(Target(RUNNING.python), lambdapack_cache).client
    world.forget()
    world.log()
    port = free_port()
    process = subprocess.Popen(
        [
            str(emulator),
            *("--runtime-interface-emulator-address", f"127.0.0.1:{port}"),
            *("--runtime-api-address", f"127.0.0.1:{free_port()}"),
            *(str(RUNNING.path), "-m", "awslambdaric", "app.handler"),
        ],
        cwd=task,
        env={**world.environment, "PYTHONPATH": str(client), "LAMBDA_TASK_ROOT": str(task),
             "_HANDLER": "app.handler", "AWS_LAMBDA_FUNCTION_NAME": "heavy"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
    finally:
        process.kill()
        process.wait()


def invoke(url: str, event: object) -> dict[str, object]:
    """POST an event, waiting for the emulator to listen."""
    deadline = time.monotonic() + 30
    while True:
        try:
            request = urllib.request.Request(url, json.dumps(event).encode(), method="POST")
            with urllib.request.urlopen(request, timeout=30) as answer:
                document: dict[str, object] = json.load(answer)
                return document
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_the_zip_answers_under_awss_emulator(function: str, world: World) -> None:
    """Cold and warm: signed requests fetch the pack once, the second invocation makes none."""
    cold = invoke(function, {"name": "cold"})
    assert (cold["hello"], cold["leaf"]) == ("cold", "leaf")
    assert str(cold["file"]).startswith(str(world.root))
    entries = world.log()
    assert {entry.status for entry in entries} == {206}
    assert {entry.access_key for entry in entries} == {world.keys.access_key}
    assert sum(entry.sent for entry in entries) == cold["stats"]["bytes"]  # type: ignore[index]
    warm = invoke(function, {"name": "warm"})
    assert warm["hello"] == "warm"
    assert world.log() == []


def test_an_error_in_the_pack_has_its_source_line(function: str) -> None:
    """A traceback through the pack shows the line of the source, which is fetched for it."""
    failed = invoke(function, {"name": "x", "fail": True})
    assert failed["errorType"] == "ValueError"
    assert "this very line" in json.dumps(failed["stackTrace"])


def test_the_zip_holds_what_the_format_says(task: Path, world: World) -> None:
    """Handler, shim with bytecode, decoder, index and location: nothing else, and the index is the pack's."""
    shim = task / "runtime_shim"
    assert (shim / "index.json").read_bytes() == world.pack.index_path.read_bytes()
    assert json.loads((shim / "location.json").read_text()) == {
        "id": world.pack.id, "bucket": "bucket", "key": world.key, "region": "us-east-1",
    }  # fmt: skip
    assert (shim / "backend_c.so").stat().st_size < 1_500_000
    assert {p.name for p in shim.iterdir() if p.is_dir()} == {"__pycache__", "children"}
