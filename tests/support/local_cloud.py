"""Functions for the tests of the local cloud, and what looks for things that it left behind."""

from __future__ import annotations

import dataclasses
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lambdapack.local import Invocation, LocalCloud
from lambdapack.model import FunctionSettings, FunctionSpec, Location
from lambdapack.model.target import Target

HANDLER = """
import json, os, sys, time

print("init of", os.getpid())
calls = 0

def handler(event, context):
    global calls
    calls += 1
    result = {"pid": os.getpid(), "calls": calls}
    for action, argument in event.items():
        result[action] = globals()["do_" + action](argument, context)
    return result

def do_env(name, context): return os.environ.get(name)
def do_print(text, context): print(text); print(text + " err", file=sys.stderr)
def do_sleep(seconds, context): time.sleep(seconds)
def do_exit(status, context): os._exit(status)
def do_fail(text, context): raise KeyError(text)
def do_write(name, context): open(os.path.join(os.environ.get("TMPDIR", "/tmp"), name), "w").close()
def do_list(_, context): return sorted(os.listdir(os.environ.get("TMPDIR", "/tmp")))
def do_large(size, context): return "x" * size
def do_python(code, context):
    names = {"context": context}
    exec(code, names)
    return names.get("result")
def do_allocate(size, context): return len(bytearray(b"x") * size)
def do_fill(_, context):
    written = 0
    with open(os.path.join(os.environ.get("TMPDIR", "/tmp"), "fill"), "wb", buffering=0) as file:
        try:
            while written < 1 << 30:
                written += file.write(b"x" * (1 << 20))
        except OSError as error:
            return [written, error.errno]
    return [written, 0]
def do_spawn(_, context):
    import subprocess
    return subprocess.Popen(["sleep", "1000"], start_new_session=True).pid
"""


def write_zip(path: Path, source: str = HANDLER) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("app.py", source)
    return path


def make_spec(tmp_path: Path, name: str = "function", source: str = HANDLER, **settings: Any) -> FunctionSpec:
    location = settings.pop("location", None)
    assert location is None or isinstance(location, Location)
    values: dict[str, Any] = {"memory_mb": 512, "timeout": 10, **settings}
    names = {field.name for field in dataclasses.fields(FunctionSettings)}
    chosen = FunctionSettings(**{name: values.pop(name) for name in names & values.keys()})
    values.setdefault("target", Target("3.11"))
    values.setdefault("handler", "app.handler")
    return FunctionSpec(
        name=name,
        zip_path=write_zip(tmp_path / f"{name}.zip", source),
        pack_id=None,
        location=location,
        settings=chosen,
        **values,
    )


def call(cloud: LocalCloud, name: str = "function", /, **options: Any) -> Invocation:
    """``cloud.invoke`` with the keywords that it has, and the others as the event."""
    own = {"cold", "memory_mb", "tmp_mb", "bandwidth_mbps", "latency_ms", "faults", "start"}
    event = {key: value for key, value in options.items() if key not in own}
    return cloud.invoke(
        name, json.dumps(event).encode(), **{key: value for key, value in options.items() if key in own}
    )


def answer(invocation: Invocation) -> Any:
    assert not invocation.error, invocation.payload
    return json.loads(invocation.payload)


def left_behind(state: Path, ids: set[str], name: str) -> list[str]:
    """Mounts, loop devices, control groups and processes of environments, wherever they are."""
    found = [
        f"loop device {path}"
        for path in Path("/sys/block").glob("loop*/loop/backing_file")
        if _read(path).startswith(str(state))
    ]
    for identity in ids:
        found += _control_groups(identity)
    found += processes_of(name)
    for process in Path("/proc").glob("[0-9]*"):
        if str(state) in _read(process / "mountinfo"):
            found.append(f"mounts in {process.name}: {_read(process / 'cmdline')}")
    return found


def _control_groups(identity: str) -> list[str]:
    """The control groups of an environment; one that goes away while it is looked at is there still."""
    try:
        return [f"cgroup {path}" for path in Path("/sys/fs/cgroup").rglob(f"lambdapack-{identity}")]
    except FileNotFoundError as error:
        return [f"cgroup {error.filename}"]


def processes_of(name: str) -> list[str]:
    """Processes with the environment variables of a function."""
    return [
        f"process {process.name}: {_read(process / 'cmdline')}"
        for process in Path("/proc").glob("[0-9]*")
        if f"AWS_LAMBDA_FUNCTION_NAME={name}\0" in _read(process / "environ")
    ]


def eventually(condition: Callable[[], bool], seconds: float = 20) -> bool:
    """Whether it becomes true; the kernel clears away some things a little later."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


def _read(path: Path) -> str:
    try:
        return path.read_text("latin-1")
    except OSError:
        return ""
