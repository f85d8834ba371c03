"""Local packages and lock files with the docker builder, on a real engine."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.install.docker.test_builder import PYTHON, build, c_sdist, world
from tests.support.command_line import Run
from tests.support.locking import package
from tests.support.wheelhouse import wheel

pytestmark = pytest.mark.slow
ENGINE: Callable[..., Any] = world


def test_a_pure_package_is_the_same_from_either_builder(
    world: Any, run_lambdapack: Run, tmp_path: Path
) -> None:
    """A folder of pure Python gives one lock and one pack id, built here or in the image."""
    (tmp_path / "wheels").mkdir()
    wheel(tmp_path / "wheels", "helper", "1")
    package(tmp_path / "lib")
    (tmp_path / "requirements.txt").write_text("--no-index\n-f wheels\n-e ./lib\n")
    found = [
        build(run_lambdapack, tmp_path, name, "-r", "requirements.txt", *where)
        for name, where in (("a", ()), ("b", ("--builder", "local")))
    ]
    assert found[0]["lock"] == found[1]["lock"]
    assert found[0]["id"] == found[1]["id"]
    assert str(tmp_path) not in json.dumps(found[0])


def test_c_code_of_a_folder_and_of_a_locked_sdist_is_compiled_in_the_image(
    world: Any, run_lambdapack: Run, tmp_path: Path
) -> None:
    """Both are built in the image and their function answers; the local builder says who can."""
    (tmp_path / "wheels").mkdir()
    sdist = c_sdist(tmp_path / "wheels")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "folder", filter="data")
    trace = ("--trace", "import rough; assert rough.answer() == 42")
    made = build(run_lambdapack, tmp_path, "a", "./folder/rough-1.0", *trace)
    assert [one["name"] for one in made["distributions"]] == ["rough"]
    digest = hashlib.sha256(sdist.read_bytes()).hexdigest()
    locked = {"version": "==1.0", "hashes": [f"sha256:{digest}"]}
    lock = {"_meta": {"pipfile-spec": 6, "sources": []}, "default": {"rough": locked}}
    (tmp_path / "Pipfile.lock").write_text(json.dumps(lock))
    links = (("PIP_FIND_LINKS", str(tmp_path / "wheels")), ("PIP_NO_INDEX", "1"))
    made = build(run_lambdapack, tmp_path, "b", "-r", "Pipfile.lock", *trace, environment=links)
    assert f"rough==1.0 \\\n    --hash=sha256:{digest}" in made["lock"]["text"]
    local = ("build", "--builder", "local", "--python", PYTHON)
    refused = run_lambdapack(*local, "./folder/rough-1.0", cwd=tmp_path, status=2)
    assert "not pure Python" in refused.stderr
    refused = run_lambdapack(*local, "-r", "Pipfile.lock", cwd=tmp_path, status=2, environment=links)
    assert "only an sdist" in refused.stderr
    assert "--builder docker" in refused.stderr
