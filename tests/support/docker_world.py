"""A Docker engine to test with, and a stand-in for AWS's build image made of this machine's own files."""

from __future__ import annotations

import os
import shutil
import socket
import socketserver
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lambdapack.install.docker import engine
from lambdapack.python import interpreter

BASE = "lambdapack-test/base-python{}:latest"
_SECONDS_TO_START = 60
_ARGUMENTS = ("--iptables=false", "--ip6tables=false", "--bridge=none")
# Of a Debian: what a compiler, a linker and a Python need.
_PARTS = (
    "usr/bin",
    "usr/lib/gcc",
    "usr/lib64",
    "usr/include",
    "usr/libexec/gcc",
    "etc/alternatives",
    "etc/ssl",
)
_FILES = ("etc/passwd", "etc/group", "etc/nsswitch.conf", "etc/ld.so.conf", "etc/ld.so.cache")
_LINKS = {"bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64", "sbin": "usr/bin"}
# Big, and of no use to a build.
_LEFT_OUT = ("perl", "dri", "valgrind", "node_modules", "llvm-", "postgresql")
_BIG = 35_000_000


def startable() -> bool:
    """Whether an engine answers, or one can be started."""
    return engine.answers() or (os.geteuid() == 0 and shutil.which("dockerd") is not None)


@contextmanager
def running_engine() -> Iterator[None]:
    """An engine that answers: the one that is there, else one started here, which only root may."""
    if engine.answers():
        yield
        return
    if not startable():
        raise AssertionError("no Docker engine answers, and none can be started: docker.io as root is needed")
    with TemporaryDirectory(prefix="lambdapack-dockerd-") as folder, own_engine(folder):
        yield


@contextmanager
def own_engine(folder: str) -> Iterator[str]:
    """An engine with all its files in ``folder``, named in DOCKER_HOST; the address of its socket."""
    log = Path(folder, "log")
    address = f"unix://{folder}/docker.sock"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["dockerd", *_ARGUMENTS, "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec",
             "--pidfile", f"{folder}/pid", "--host", address],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    before = os.environ.get("DOCKER_HOST")
    os.environ["DOCKER_HOST"] = address
    try:
        deadline = time.monotonic() + _SECONDS_TO_START
        while not engine.answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"dockerd does not start: {log.read_text()[-3000:]}")
            time.sleep(0.2)
        yield address
    finally:
        if before is None:
            del os.environ["DOCKER_HOST"]
        else:
            os.environ["DOCKER_HOST"] = before
        process.terminate()
        process.wait(60)
        _unmount(folder)


def _unmount(folder: str) -> None:
    """Let go of what an engine leaves mounted below its folder: its network's name, for one."""
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for point in sorted((one for one in mounted if one.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "--lazy", point], check=False)


def base_image(client: Any, python: str) -> str:
    """Import a base with this machine's Python ``python`` and compiler, and nothing of lambdapack's."""
    import docker.errors  # noqa: PLC0415

    name = BASE.format(python)
    try:
        client.images.get(name)
    except docker.errors.ImageNotFound:
        with TemporaryDirectory(prefix="lambdapack-base-") as folder:
            path = Path(folder, "base.tar")
            with tarfile.open(path, "w") as archive:
                _add_root(archive, python)
            with path.open("rb") as file:
                client.api.import_image_from_data(
                    file, repository=name.partition(":")[0], tag="latest",
                    changes=["ENV PATH=/var/lang/bin:/usr/bin:/bin"],
                )  # fmt: skip
    return name


def _add_root(archive: tarfile.TarFile, python: str) -> None:
    for folder in ("tmp", "run", "proc", "sys", "dev", "root", "var", "usr", "etc"):
        entry = tarfile.TarInfo(folder)
        entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
        archive.addfile(entry)
    for name, target in _LINKS.items():
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = tarfile.SYMTYPE, target
        archive.addfile(entry)
    libraries = [str(path).lstrip("/") for path in Path("/usr/lib").glob("*-linux-gnu")]
    for part in (*_PARTS, *libraries):
        if Path("/", part).exists():
            archive.add(f"/{part}", part, filter=_wanted)
    for part in _FILES:
        if Path("/", part).exists():
            archive.add(f"/{part}", part)
    _add_python(archive, python)


def _wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    parts = entry.name.split("/")
    if entry.isfile() and entry.size > _BIG:
        return None
    return None if any(part.startswith(_LEFT_OUT) for part in parts[2:]) else entry


def _add_python(archive: tarfile.TarFile, python: str) -> None:
    """The interpreter, found where Lambda's images have theirs, without what is installed in it."""
    prefix = interpreter.find(python).path.resolve().parent.parent
    skipped = ("site-packages", "dist-packages", "test", "__pycache__", "idlelib", "tkinter")

    def wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        parts = entry.name.split("/")
        useless = entry.name.endswith(".a") or any(part in skipped for part in parts)
        return None if useless else entry

    patterns = (f"bin/python{python}", "lib/libpython3*", f"lib/python{python}", f"include/python{python}")
    for path in (path for pattern in patterns for path in prefix.glob(pattern)):
        # At its own place: the interpreter finds its library by a path that is written into it.
        archive.add(path, str(path).lstrip("/"), filter=wanted)
    entry = tarfile.TarInfo("var/lang")
    entry.type, entry.linkname = tarfile.SYMTYPE, str(prefix)
    archive.addfile(entry)


@contextmanager
def over_tcp(socket_path: str) -> Iterator[str]:
    """The address of a port on the loopback address behind which is the engine of a Unix socket."""

    class Through(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.socket(socket.AF_UNIX) as engine_side:
                engine_side.connect(socket_path)
                back = threading.Thread(target=_copy, args=(engine_side, self.request), daemon=True)
                back.start()
                _copy(self.request, engine_side)
                back.join()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Through) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"tcp://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def _copy(source: socket.socket, destination: socket.socket) -> None:
    """All bytes, and then that there are no more."""
    with suppress(OSError):
        while data := source.recv(1 << 16):
            destination.sendall(data)
    with suppress(OSError):
        destination.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    with running_engine(), engine.connect() as client:
        print(base_image(client, sys.argv[1]))
