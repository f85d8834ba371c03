"""What a function of the local cloud finds at /dev/shm: what Lambda has there, which is nothing."""

from __future__ import annotations

import errno
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lambdapack.local import LocalCloud
from tests.support.local_cloud import answer, call, eventually, left_behind, make_spec

FUNCTION = """
import multiprocessing, os, subprocess, threading
from multiprocessing.shared_memory import SharedMemory

SHM = "/dev/shm"
FILE = SHM + "/file"
MAKERS = {
    "lock": multiprocessing.Lock,
    "queue": multiprocessing.Queue,
    "pool": multiprocessing.Pool,
    "memory": lambda: SharedMemory(create=True, size=10),
    "file": lambda: open(FILE, "w"),
}
SEEKERS = {
    "stat": lambda: os.stat(SHM),
    "statvfs": lambda: os.statvfs(SHM),
    "list": lambda: os.listdir(SHM),
    "enter": lambda: os.chdir(SHM),
    "chmod": lambda: os.chmod(SHM, 0o777),
    "xattr": lambda: os.listxattr(SHM),
    "read": lambda: open(FILE),
    "attach": lambda: SharedMemory("file"),
    "mkdir": lambda: os.mkdir(FILE),
    "symlink": lambda: os.symlink("/", FILE),
}

def attempt(what):
    try:
        what()
    except OSError as error:
        return error.errno

def see():
    with open("/proc/mounts") as mounts:
        kind = [line.split()[2] for line in mounts if line.split()[1] == SHM][-1]
    return {
        "kind": kind,
        "makers": {name: attempt(what) for name, what in MAKERS.items()},
        "seekers": {name: attempt(what) for name, what in SEEKERS.items()},
        "there": [os.path.exists(SHM), os.path.isdir(SHM), os.access(SHM, os.W_OK)],
        "walked": [folder for folder, _, _ in os.walk("/dev") if folder.startswith(SHM)],
        "df": subprocess.run(["df", SHM], capture_output=True).returncode,
    }

def ask_forever():
    while True:
        for what in [*MAKERS.values(), *SEEKERS.values()]:
            attempt(what)

def handler(event, context):
    for _ in range(event.get("threads", 0)):
        threading.Thread(target=ask_forever, daemon=True).start()
    for _ in range(event.get("children", 0)):
        if not os.fork():
            ask_forever()
    while event.get("forever"):
        attempt(MAKERS["lock"])
    if event.get("crash"):
        os._exit(3)
    return see()
"""
UNSHARE = {"root": ["unshare", "-mpf"], "user": ["unshare", "-Urmpf"]}
AS_NOT_ROOT = ["unshare", "--user", "--map-user=1234", "--map-group=1234"]
WITHOUT_FUSE = ["unshare", "-m", "sh", "-c", 'mount --bind /dev/null /dev/fuse && exec "$@"', "sh"]
PROGRAM = """
import sys
from pathlib import Path
from lambdapack.local import LocalCloud

state, cache, level = sys.argv[1:]
with LocalCloud(Path(state), cache_dir=Path(cache), isolation=level) as cloud:
    print(cloud.invoke("sharing", b"{}").payload.decode())
"""


@pytest.fixture(params=["root", "user"])
def level(request: pytest.FixtureRequest) -> str:
    """A level that this machine has, with what the file system over /dev/shm needs."""
    name = str(request.param)
    if subprocess.run([*UNSHARE[name], "true"], check=False, capture_output=True).returncode:
        pytest.skip(f"level {name}: {' '.join(UNSHARE[name])} is not allowed here")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK) or not Path("/dev/shm").is_dir():
        pytest.skip("/dev/fuse cannot be opened, or there is no /dev/shm")
    if tuple(map(int, platform.libc_ver()[1].split("."))) < (2, 34):
        pytest.skip("this C library takes another tmpfs")
    return name


def see(prefix: list[str], tmp_path: Path, cache: Path, level: str) -> Any:
    """What the function sees in a cloud that is run by the command ``prefix``."""
    state = tmp_path / "state"
    with LocalCloud(state, cache_dir=cache) as cloud:
        cloud.deploy(make_spec(tmp_path, "sharing", FUNCTION), None)
        call(cloud, "sharing")  # so that the runtime is installed by us
    command = [*prefix, sys.executable, "-c", PROGRAM, str(state), str(cache), level]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def cloud(level: str, tmp_path: Path, lambdapack_cache: Path) -> Iterator[LocalCloud]:
    with LocalCloud(tmp_path / "state", cache_dir=lambdapack_cache, isolation=level) as cloud:
        cloud.deploy(make_spec(tmp_path, "sharing", FUNCTION, timeout=2), None)
        yield cloud


def test_semaphores_and_shared_memory_are_not_implemented(cloud: LocalCloud) -> None:
    """Locks, queues, pools and shared memory fail with Lambda's error; whatever else asks finds nothing."""
    seen = answer(call(cloud, "sharing"))
    assert seen["kind"] == "fuse"
    assert set(seen["makers"].values()) == {errno.ENOSYS}, seen["makers"]
    assert set(seen["seekers"].values()) == {errno.ENOENT}, seen["seekers"]
    assert seen["there"] == [False, False, False]
    assert seen["walked"] == []
    assert seen["df"] == 1


def test_whoever_asks_can_be_frozen_and_killed(cloud: LocalCloud) -> None:
    """Threads and processes with a request under way stop, go on, time out, crash and go as others do."""
    assert answer(call(cloud, "sharing", threads=4, children=4))["kind"] == "fuse"
    warm = call(cloud, "sharing")
    assert not warm.cold and set(answer(warm)["makers"].values()) == {errno.ENOSYS}
    assert json.loads(call(cloud, "sharing", forever=True).payload)["errorType"] == "Sandbox.Timedout"
    crash = call(cloud, "sharing", threads=4, children=4, crash=True)
    assert json.loads(crash.payload)["errorType"] == "Runtime.ExitError"
    assert answer(call(cloud, "sharing", threads=4, children=4))["there"] == [False, False, False]
    ids = {environment["id"] for environment in cloud.status()["functions"][0]["environments"]}
    assert ids
    cloud.close()
    assert eventually(lambda: not left_behind(cloud.state, ids, "sharing")), left_behind(
        cloud.state, ids, "sharing"
    )


def test_it_is_so_for_other_users_than_root(level: str, tmp_path: Path, lambdapack_cache: Path) -> None:
    """In a user namespace without a user 0, whose file the kernel would say it is, it is the same."""
    if level != "user" or subprocess.run([*AS_NOT_ROOT, "true"], check=False, capture_output=True).returncode:
        pytest.skip(f"for level user, where {' '.join(AS_NOT_ROOT)} is allowed")
    seen = see(AS_NOT_ROOT, tmp_path, lambdapack_cache, level)
    assert (seen["kind"], set(seen["makers"].values())) == ("fuse", {errno.ENOSYS}), seen["makers"]
    assert seen["there"] == [False, False, False]


def test_without_fuse_dev_shm_is_read_only(level: str, tmp_path: Path, lambdapack_cache: Path) -> None:
    """Where the file system cannot be had, the cloud starts all the same, and nothing can be made."""
    if os.geteuid():
        pytest.skip("only root can hide /dev/fuse")
    seen = see(WITHOUT_FUSE, tmp_path, lambdapack_cache, level)
    assert (seen["kind"], set(seen["makers"].values())) == ("tmpfs", {errno.EROFS}), seen["makers"]
