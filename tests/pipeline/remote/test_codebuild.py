"""A build in CodeBuild, played: the same pack as here, and what happens when something goes wrong there."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lambdapack.python import interpreter, toolchain
from tests.pipeline.remote.conftest import LOCATION, World
from tests.support.command_line import Run, shown
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
