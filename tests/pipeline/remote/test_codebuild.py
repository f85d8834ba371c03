"""A build in CodeBuild, played: the same pack as here, and what happens when something goes wrong there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lambdapack import pack
from lambdapack.errors import CheckError, ToolError
from lambdapack.model import Target
from lambdapack.pipeline import BuildOptions, remote
from lambdapack.progress import QUIET, Progress
from lambdapack.python import interpreter, toolchain
from tests.pipeline.remote.conftest import LOCATION, World
from tests.support.aws_world import REGION
from tests.support.codebuild_player import ThisMachine
from tests.support.command_line import Run, shown
from tests.support.told import Told
from tests.support.wheelhouse import wheel

PYTHON = ".".join(map(str, sys.version_info[:2]))
Start = Callable[..., World]


@pytest.fixture
def house(tmp_path: Path, lambdapack_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels, the only place where pip looks; pip-tools are there already."""
    toolchain.ensure(interpreter.find(PYTHON), lambdapack_cache)
    monkeypatch.setenv("LAMBDAPACK_CACHE", str(lambdapack_cache))
    folder = tmp_path / "house"
    folder.mkdir()
    wheel(folder, "app", "1", needs=["part>=2"])
    wheel(folder, "part", "2")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def build(run: Run, folder: Path, *arguments: str, status: int = 0) -> Any:
    return run(
        *("build", *arguments, "--builder", "codebuild", "--location", LOCATION),
        *("--python", PYTHON, "--level", "3", "--json"),
        cwd=folder,
        status=status,
    )


def test_the_pack_is_the_local_builders(aws: Start, house: Path, run_lambdapack: Run, tmp_path: Path) -> None:
    """Id and lock are those of a build on this machine; the folder holds what that leaves, and build.json
    says where it was built. A second build makes nothing anew but the build."""
    world = aws()
    local = shown(run_lambdapack("build", "app", "--level", "3", "--json", "-o", "a", cwd=tmp_path))
    first = build(run_lambdapack, tmp_path, "app", "-o", "b")
    there = shown(first)
    assert there["id"] == local["id"]
    assert there["lock"] == local["lock"]
    assert {path.name for path in (tmp_path / "b").iterdir()} == {
        path.name for path in (tmp_path / "a").iterdir()
    }
    (played,) = world.player.builds.values()
    assert there["builder"]["name"] == "codebuild"
    assert there["builder"]["build"] == played.id
    assert "create project" in first.stderr
    assert "upload artifacts: 0 s" in first.stderr
    run_lambdapack("verify", "b", cwd=tmp_path)
    assert [key.split("/")[:3] for key in world.keys] == [["ours", "builds", "sources"]]
    again = build(run_lambdapack, tmp_path, "app", "-o", "c")
    assert shown(again)["id"] == local["id"]
    assert "create" not in again.stderr and "update" not in again.stderr
    assert "send the sources" not in again.stderr


class Scripted:
    """A host on which ``said`` is printed by each command that matches, and ``status`` is the command's."""

    def __init__(self, match: str, said: str, status: int) -> None:
        self._match, self._said, self._status = match, said, status

    def load(self, sources: Path) -> None:
        pass

    def run(self, command: str, write: Callable[[str], None]) -> int:
        if self._match not in command:
            return 0
        for line in self._said.splitlines():
            write(line)
        return self._status

    def collect(self, folder: str, destination: Path) -> bool:
        return False

    def end(self) -> None:
        pass


def on(host: Any) -> Callable[[str], Any]:
    """Builds run on ``host``."""
    return lambda _: lambda image, variables: nullcontext(host)


def build_here(tmp_path: Path, cache: Path, progress: Progress = QUIET, **options: Any) -> Any:
    """A build of ``app`` in CodeBuild, by this process."""
    asked = BuildOptions(("app",), (), Target(PYTHON), tmp_path / "out", builder="codebuild", level=3)
    place = remote.RemoteOptions(LOCATION, tmp_path)
    return remote.build(replace(asked, **options), place, cache_dir=cache, progress=progress)


def test_a_failure_there_is_the_failure_here(
    aws: Start, house: Path, run_lambdapack: Run, tmp_path: Path
) -> None:
    """What lambdapack says there is said here: the same message, detail, hint and exit status as a local
    build's, and the output folder stays as it was."""
    aws()
    trace = ("--trace", "import app; raise ValueError('no model')", "--level", "3", "-o", "out")
    local = run_lambdapack("build", "app", *trace, cwd=tmp_path, status=1)
    there = build(run_lambdapack, tmp_path, "app", *trace, status=1)

    def of(text: str) -> str:
        return text[text.index("error: ") :]

    assert "no model" in of(local.stderr)
    assert of(there.stderr) == of(local.stderr)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_phase_that_fails_is_named(aws: Start, house: Path, lambdapack_cache: Path, tmp_path: Path) -> None:
    """The error names the phase and what CodeBuild says, has the last lines, and hints at what helps."""
    aws(on(Scripted("pip install", "Looking for it\nno such index", 1)))
    told = Told()
    with pytest.raises(ToolError) as caught:
        build_here(tmp_path, lambdapack_cache, told)
    assert "failed in the phase INSTALL: Error while executing command" in caught.value.message
    assert (caught.value.detail or "").endswith("Looking for it\nno such index")
    assert "reach a package index" in (caught.value.hint or "")
    assert "  no such index" in told.notes
    assert not any("[Container]" in line for line in told.said)


def test_an_image_that_cannot_be_pulled_is_told(
    aws: Start, house: Path, lambdapack_cache: Path, tmp_path: Path
) -> None:
    """The phase is that of the machine's preparation, and the hint names the option for the image."""

    def none(image: str, variables: Any) -> Any:
        raise LookupError(f"BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE: Unable to pull {image}")

    aws(lambda _: none)
    with pytest.raises(ToolError, match=r"PROVISIONING: BUILD_CONTAINER_UNABLE.*mine") as caught:
        build_here(tmp_path, lambdapack_cache, image="mine")
    assert "--image" in (caught.value.hint or "")


@pytest.mark.parametrize("matrix", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_an_interruption_stops_the_build_there(
    aws: Start, house: Path, lambdapack_cache: Path, tmp_path: Path, matrix: bool
) -> None:
    """Ctrl-C ends what costs money, says so, and leaves nothing; also where several are built."""
    began, ended = threading.Event(), threading.Event()

    class Waiting(Scripted):
        def run(self, command: str, write: Callable[[str], None]) -> int:
            if "remote_job" in command:
                began.set()
                assert ended.wait(120)
            return 0

        def end(self) -> None:
            ended.set()

    world = aws(on(Waiting("", "", 0)))
    target = ("--matrix", f"python{PYTHON}/x86_64") if matrix else ("--python", PYTHON)
    process = subprocess.Popen(
        [sys.executable, "-m", "lambdapack", "build", "app", *target, "--builder", "codebuild",
         "--location", LOCATION, "-o", "out"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert began.wait(120)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=100)
    assert process.returncode == 130, told
    (played,) = world.player.builds.values()
    assert played.stopped
    assert f"the build {played.id} was stopped" in told
    assert "Traceback" not in told
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


@pytest.mark.slow
def test_a_pack_that_was_changed_on_its_way_is_refused(
    aws: Start, house: Path, lambdapack_cache: Path, tmp_path: Path
) -> None:
    """Every frame is verified, and the lock is the one that was sent; the build before stays whole."""

    kept = tmp_path / "kept"

    class Changing(ThisMachine):
        """Builds once, and then gives what that build made, changed."""

        change: Callable[[Path], None] | None = None

        def run(self, command: str, write: Callable[[str], None]) -> int:
            return 0 if self.change else super().run(command, write)

        def collect(self, folder: str, destination: Path) -> bool:
            if self.change is None:
                assert super().collect(folder, kept)
            shutil.copytree(kept, destination)
            if self.change is not None:
                self.change(destination)
            return True

    def flip(folder: Path) -> None:
        (path,) = folder.glob("*.tar.zst")
        data = bytearray(path.read_bytes())
        data[20] ^= 1
        path.write_bytes(data)

    def other_lock(folder: Path) -> None:
        document = json.loads((folder / "build.json").read_text())
        document["lock"]["digest"] = "0" * 64
        (folder / "build.json").write_text(json.dumps(document))

    host = Changing({})
    aws(on(host))
    good = build_here(tmp_path, lambdapack_cache).report.pack.id
    for change, said in ((flip, "frame 0"), (other_lock, "lock: asked for")):
        host.change = change
        with pytest.raises(CheckError, match="is not what was asked for") as caught:
            build_here(tmp_path, lambdapack_cache)
        assert said in caught.value.message
        assert pack.load(tmp_path / "out").id == good
        assert pack.verify(tmp_path / "out" / f"{good}.tar.zst") == []


@pytest.mark.slow
def test_several_targets_are_built_at_once(
    aws: Start, house: Path, run_lambdapack: Run, tmp_path: Path
) -> None:
    """Each on a machine of its own kind, with one project, which is made once."""
    world = aws()
    done = run_lambdapack(
        *("build", "app", "--matrix", f"python{PYTHON}/x86_64,python{PYTHON}/arm64", "--level", "3"),
        *("--builder", "codebuild", "--location", LOCATION, "--json", "-o", "out"),
        cwd=tmp_path,
    )
    assert [each["error"] for each in shown(done)["builds"]] == [None, None]
    kinds = {played.asked["environmentTypeOverride"] for played in world.player.builds.values()}
    assert kinds == {"LINUX_CONTAINER", "ARM_CONTAINER"}
    assert done.stderr.count("create project") == 1
    for arch in ("x86_64", "arm64"):
        run_lambdapack("verify", f"out/python{PYTHON}-{arch}", cwd=tmp_path)


@pytest.mark.slow
def test_other_commands_take_the_configuration_and_the_pack(
    aws: Start, house: Path, run_lambdapack: Run, tmp_path: Path
) -> None:
    """The builder and the bucket of the configuration are used; an estimate starts no build; a pack of
    CodeBuild is built again here, to the byte."""
    world = aws()
    (tmp_path / "lambdapack.toml").write_text(
        f'[build]\nrequirements = ["app"]\npython = "{PYTHON}"\nbuilder = "codebuild"\n[pack]\nlevel = 3\n'
        f'[store]\nlocation = "{LOCATION}"\nregion = "{REGION}"\n'
    )
    run_lambdapack("plan", cwd=tmp_path)
    assert world.player.builds == {}
    made = run_lambdapack("build", "--quiet", cwd=tmp_path).stdout.strip()
    assert len(world.player.builds) == 1
    assert (
        run_lambdapack("build", "--builder", "local", "-o", "here", "-q", cwd=tmp_path).stdout.strip() == made
    )
    again = run_lambdapack("verify", "--rebuild", cwd=tmp_path)
    assert "every byte is the same" in again.stdout


BACKEND = """
import os, zipfile

def build_wheel(folder, settings=None, metadata=None):
    info = "mine-1.dist-info/"
    with zipfile.ZipFile(os.path.join(folder, "mine-1-py3-none-any.whl"), "w") as wheel:
        wheel.writestr("mine.py", open("mine.py").read())
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: mine\\nVersion: 1\\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "RECORD", "mine.py,,\\n" + info + "METADATA,,\\n" + info + "WHEEL,,\\n")
    return "mine-1-py3-none-any.whl"
"""


@pytest.mark.slow
def test_a_package_of_the_project_is_built_there(
    aws: Start, house: Path, run_lambdapack: Run, tmp_path: Path
) -> None:
    """A folder that a requirement names travels, with the lock still to be made, and gives the local id."""
    aws()
    project = tmp_path / "project"
    (project / "libs" / "mine").mkdir(parents=True)
    (project / "libs" / "mine" / "mine.py").write_text("import app\n")
    (project / "libs" / "mine" / "backend.py").write_text(BACKEND)
    (project / "libs" / "mine" / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "mine"\nversion = "1"\n'
    )
    (project / "requirements.txt").write_text("app\n./libs/mine\n")
    asked = ("-r", "requirements.txt")
    local = run_lambdapack("build", *asked, "--level", "3", "--quiet", "-o", "a", cwd=project)
    there = build(run_lambdapack, project, *asked, "-o", "b")
    assert "lock: resolved in CodeBuild" in there.stderr
    assert shown(there)["id"] == local.stdout.strip()
    assert {each["name"] for each in shown(there)["distributions"]} == {"app", "part", "mine"}
