"""The example projects of other tools, built once, and lambdapack on the path as a user has it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command_line import Run

EXAMPLES = Path(__file__).parents[3] / "examples"
RUNNING = "{}.{}".format(*sys.version_info)
Project = Callable[[str], Path]


def copy(name: str, folder: Path) -> Path:
    """An example for the Python that runs the tests, of which every machine has one."""
    made = Path(shutil.copytree(EXAMPLES / name, folder, ignore=shutil.ignore_patterns(".lambdapack")))
    for path in (path for path in made.rglob("*") if path.suffix in (".toml", ".yaml", ".yml")):
        text = path.read_text("utf-8").replace('python = "3.12"', f'python = "{RUNNING}"')
        path.write_text(text.replace("python3.12", f"python{RUNNING}"), "utf-8")
    configuration = made / "lambdapack.toml"
    configuration.write_text(configuration.read_text("utf-8") + "\n[pack]\nlevel = 1\n", "utf-8")
    return made


@pytest.fixture(scope="session")
def months(run_lambdapack: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build that the four examples have in common."""
    folder = copy("sam", tmp_path_factory.mktemp("months") / "sam")
    run_lambdapack("build", cwd=folder)
    return folder / ".lambdapack/build"


@pytest.fixture
def project(months: Path, tmp_path: Path) -> Project:
    """Copies an example, with its build."""

    def make(name: str) -> Path:
        folder = copy(name, tmp_path / name)
        shutil.copytree(months, folder / ".lambdapack/build")
        return folder

    return make


@pytest.fixture
def on_path(tmp_path: Path, lambdapack_cache: Path) -> dict[str, str]:
    """An environment in which ``lambdapack`` is a command, for a tool that calls it."""
    script = tmp_path / "bin/lambdapack"
    script.parent.mkdir()
    script.write_text(
        f'#!/bin/sh\nPYTHONPATH="{EXAMPLES.parent}" exec "{sys.executable}" -m lambdapack "$@"\n'
    )
    script.chmod(0o755)
    return {
        **os.environ,
        "PATH": os.pathsep.join((str(script.parent), os.environ.get("PATH", os.defpath))),
        "LAMBDAPACK_CACHE": str(lambdapack_cache),
    }
