"""Engines that do not do as they are told: full disks and closed doors, on a real engine without images."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from lambdapack.errors import LambdapackError, ToolError
from lambdapack.install.docker import container, engine, images
from lambdapack.model.target import Target
from tests.support import docker_world
from tests.support.command_line import Run

pytestmark = pytest.mark.slow

NOBODY = 65534
MEGABYTES = 48
EMPTY = "lambdapack-test/empty:1"


@contextmanager
def small_disk() -> Iterator[str]:
    """A folder with little room, which only root can mount."""
    with TemporaryDirectory(prefix="lambdapack-small-") as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", folder], check=True)
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture(scope="module")
def small_engine() -> Iterator[tuple[Any, Path]]:
    """An engine whose disk is small, with one image that is nearly empty, and where that disk is.

    Where none can be started, which CI takes for a failure, what is said without one is looked at instead.
    """
    if (os.geteuid() != 0 or shutil.which("dockerd") is None) and not os.environ.get("CI"):
        with pytest.raises(ToolError, match="no Docker engine answers"):
            unreachable()
        pytest.skip("only root can start an engine on a disk of its own (apt install docker.io)")
    with small_disk() as folder, docker_world.own_engine(folder), engine.connect() as client:
        path = Path(folder, "empty.tar")
        with tarfile.open(path, "w") as archive:
            entry = tarfile.TarInfo("empty")
            entry.type = tarfile.DIRTYPE
            archive.addfile(entry)
        with path.open("rb") as file:
            name, _, tag = EMPTY.partition(":")
            client.api.import_image_from_data(file, repository=name, tag=tag)
        yield client, Path(folder)


def unreachable() -> None:
    """Ask an engine that is not there."""
    before = os.environ.get("DOCKER_HOST")
    os.environ["DOCKER_HOST"] = "unix:///no/such.sock"
    try:
        with engine.connect():
            pass
    finally:
        if before is None:
            del os.environ["DOCKER_HOST"]
        else:
            os.environ["DOCKER_HOST"] = before


def fill(folder: Path) -> Path:
    """Leave no byte free on the disk of ``folder``."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return path


def test_a_full_disk_of_the_engine_is_told(small_engine: tuple[Any, Path]) -> None:
    """Starting a container and installing packages: the disk is the engine's, and what frees it is said."""
    client, folder = small_engine
    image = images.find(client, Target("3.12"), EMPTY) if os.uname().machine == "x86_64" else None
    found = image or images.find(client, Target("3.12", "arm64"), EMPTY)
    filler = fill(folder)
    try:
        for attempt in (
            lambda: started(client, found),
            lambda: images.with_packages(client, found, ["x"], {}),
        ):
            with pytest.raises(ToolError, match="disk is full") as caught:
                attempt()
            assert "docker system prune" in str(caught.value.hint)
    finally:
        filler.unlink()


def started(client: Any, image: Any) -> None:
    with container.start(client, image, Target("3.12"), container.BuildLimits(), {}):
        raise AssertionError("it started")


def test_an_engine_that_one_may_not_use(small_engine: tuple[Any, Path]) -> None:
    """A user without rights to the socket: the message says that, and the group that gives them."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            with engine.connect():
                said = "connected"
        except LambdapackError as error:
            said = f"{error.message}\n{error.hint}"
        except BaseException:
            said = traceback.format_exc()
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    assert "may not use the Docker engine" in said
    assert "usermod" in said


def test_a_full_disk_of_the_output_is_told(
    small_engine: tuple[Any, Path], run_lambdapack: Run, tmp_path: Path
) -> None:
    """A build into a folder without room says so, without a traceback, and leaves nothing there."""
    with small_disk() as folder:
        output = Path(folder, "out")
        filler = fill(Path(folder))
        with filler.open("r+b") as file:
            file.truncate(filler.stat().st_size - 200_000)
        done = run_lambdapack(
            "build", "setuptools==80.9.0", "--builder", "local", "--output", output, cwd=tmp_path, status=None
        )
        assert done.returncode in (2, 3)
        assert "Traceback" not in done.stderr
        assert "unexpectedly" not in done.stderr
        assert "No space left on device" in done.stderr
        assert not output.exists() or list(output.iterdir()) == []
