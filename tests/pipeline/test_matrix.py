"""Several targets side by side: a folder and a row for each, and one failure stops no other."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from lambdapack.errors import ConfigurationError
from lambdapack.model import Target
from lambdapack.pipeline import BuildOptions, matrix
from lambdapack.python import interpreter, toolchain
from tests.support.command_line import Run, shown
from tests.support.wheelhouse import wheel

PYTHON = ".".join(map(str, sys.version_info[:2]))
HERE, THERE = f"python{PYTHON}/x86_64", f"python{PYTHON}/arm64"


@pytest.fixture
def house(tmp_path: Path, lambdapack_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels, the only place where pip looks: ``both`` for every machine, ``one`` for x86_64."""
    toolchain.ensure(interpreter.find(PYTHON), lambdapack_cache)
    folder = tmp_path / "house"
    folder.mkdir()
    wheel(folder, "both", "1")
    tag = f"cp{PYTHON.replace('.', '')}"
    wheel(folder, "one", "1", tag=f"{tag}-{tag}-manylinux_2_17_x86_64")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_each_target_has_the_pack_that_it_would_have_alone(
    house: Path, run_lambdapack: Run, tmp_path: Path
) -> None:
    """The ids are those of builds one by one, in folders of their own; the configuration names the matrix,
    and naming a processor builds that one alone."""
    (tmp_path / "lambdapack.toml").write_text(
        f'[build]\nrequirements = ["both"]\nmatrix = ["{HERE}", "{THERE}"]\n[pack]\nlevel = 3\n'
    )
    done = run_lambdapack("build", "--json", cwd=tmp_path)
    document = shown(done)
    assert document["document"] == "lambdapack.build-matrix"
    assert [(each["target"], each["error"]) for each in document["builds"]] == [(HERE, None), (THERE, None)]
    assert f"{THERE}: builder: local" in done.stderr
    for each, arch in zip(document["builds"], ("x86_64", "arm64"), strict=True):
        assert each["directory"] == str(tmp_path / ".lambdapack/build" / f"python{PYTHON}-{arch}")
        alone = run_lambdapack("build", "--arch", arch, "--python", PYTHON, "-q", "-o", arch, cwd=tmp_path)
        assert each["id"] == alone.stdout.strip()
    assert document["builds"][0]["id"] != document["builds"][1]["id"]


def test_a_target_that_fails_stops_no_other(house: Path, run_lambdapack: Run, tmp_path: Path) -> None:
    """The other's pack is there, the table has both, and the exit status is that of the failure."""
    done = run_lambdapack(
        *("build", "one", "--matrix", f"{THERE},{HERE}", "--level", "3", "-o", "out"), cwd=tmp_path, status=2
    )
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("python")]
    assert [(row[0], row[-1]) for row in rows] == [(THERE, "failed"), (HERE, "built")]
    assert "1 of 2 targets failed" in done.stderr
    assert f"| {THERE}: " in done.stderr
    run_lambdapack("verify", f"out/python{PYTHON}-x86_64", cwd=tmp_path)
    assert not (tmp_path / "out" / f"python{PYTHON}-arm64" / "build.json").exists()


@pytest.mark.parametrize("how", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interruption_ends_every_build(
    house: Path, lambdapack_cache: Path, tmp_path: Path, how: signal.Signals
) -> None:
    """What was started ends, nothing half made stays, and the exit status says that it was interrupted."""
    hidden, began = tmp_path / "hidden", tmp_path / "began"
    code = f"import fcntl, time; held = open({str(hidden)!r}, 'w'); fcntl.flock(held, 2); " + (
        f"import os; os.rename({str(hidden)!r}, {str(began)!r}); time.sleep(300)"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "lambdapack", "build", "both", "--matrix", HERE, "--trace", code, "-o", "out"],
        cwd=tmp_path, env={**os.environ, "LAMBDAPACK_CACHE": str(lambdapack_cache)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not began.exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(how)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "Traceback" not in told
    # Only a process that has ended lets go of its lock.
    with began.open() as file:
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert list((tmp_path / "out" / f"python{PYTHON}-x86_64").iterdir()) == []


def test_a_matrix_is_of_whole_targets_each_once(tmp_path: Path) -> None:
    """The same target twice is one build; an image is for one target."""
    options = BuildOptions((), (), Target(PYTHON), tmp_path)
    targets = [Target.parse(HERE), Target.parse(THERE), Target.parse(HERE)]
    assert [str(each.target) for each in matrix.members(options, targets)] == [HERE, THERE]
    named = BuildOptions((), (), Target(PYTHON), tmp_path, image="mine")
    assert len(matrix.members(named, targets[:1])) == 1
    with pytest.raises(ConfigurationError, match="is for one target"):
        matrix.members(named, targets)


@pytest.mark.parametrize(
    ("count", "cores", "expected"), [(4, 1, 1), (4, 2, 1), (4, 8, 4), (2, 64, 2), (40, 64, 16)]
)
def test_builds_share_the_cores(count: int, cores: int, expected: int) -> None:
    """Two cores a build, at least one build, and never more processes than a machine's memory bears."""
    assert matrix.side_by_side(count, cores=cores) == expected
