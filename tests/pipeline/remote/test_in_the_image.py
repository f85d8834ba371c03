"""A build in CodeBuild on a real Docker engine: the buildspec is carried out in the image's stand-in."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lambdapack.errors import ToolError
from lambdapack.install.docker import engine, images
from lambdapack.model import Target
from tests.install.docker.test_builder import c_sdist
from tests.pipeline.remote.conftest import LOCATION, World
from tests.support import docker_world
from tests.support.codebuild_player import containers
from tests.support.command_line import Run, shown

pytestmark = pytest.mark.slow

PYTHON = ".".join(map(str, sys.version_info[:2]))
HANDLER = """
import json
import jinja2

def handler(event, context):
    import markupsafe._speedups
    return jinja2.Template("{{ x }}").render(x=event.get("x"))
"""
CONFIGURATION = f"""
[build]
python = "{PYTHON}"
files = ["requirements.txt"]
[trace]
handler = "app.handler"
[function]
handler = "app.handler"
source = "src"
[pack]
level = 3
"""


@pytest.fixture(scope="module")
def world() -> Iterator[Any]:
    """An engine; without one, which CI takes for a failure, nothing is tested."""
    if not docker_world.startable() and not os.environ.get("CI"):
        with pytest.raises(ToolError), engine.connect():
            pass
        pytest.skip("no Docker engine answers, and only root can start one (apt install docker.io)")
    with docker_world.running_engine(), engine.connect() as client:
        yield client


def test_the_buildspec_in_the_image_gives_the_local_id(
    world: Any, aws: Callable[..., World], run_lambdapack: Run, tmp_path: Path
) -> None:
    """Everything in the container comes from the buildspec: lambdapack out of the sources, what lambdapack
    needs out of pip's index. Extensions and a traced handler are in the pack, and its id is the local one."""
    (tmp_path / "requirements.txt").write_text("markupsafe==3.0.2\njinja2==3.1.6\n")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").write_text(HANDLER)
    (tmp_path / "lambdapack.toml").write_text(CONFIGURATION)
    stand_in = docker_world.base_image(world, PYTHON)
    played = aws(lambda moto: containers(world, {images.base(Target(PYTHON)): stand_in}, moto))
    local = shown(run_lambdapack("build", "--json", "-o", "here", cwd=tmp_path))
    done = run_lambdapack(
        *("build", "--builder", "codebuild", "--location", LOCATION, "--json", "-o", "there"), cwd=tmp_path
    )
    there = shown(done)
    assert there["id"] == local["id"]
    assert there["lock"] == local["lock"]
    assert there["trace"] == local["trace"]
    assert there["trace"]["how"] == "traced"
    assert there["builder"]["image"] == images.base(Target(PYTHON))
    run_lambdapack("verify", "there", cwd=tmp_path)
    assert world.api.containers(all=True, filters={"label": "lambdapack-test-build"}) == []
    assert len(played.player.builds) == 1


def test_an_sdist_is_compiled_there_as_in_the_docker_builder(
    world: Any, aws: Callable[..., World], run_lambdapack: Run, tmp_path: Path
) -> None:
    """What has no wheel is built by the image's compiler, and the pack is the docker builder's."""
    (tmp_path / "house").mkdir()
    c_sdist(tmp_path / "house")
    (tmp_path / "requirements.txt").write_text("--no-index\n--find-links house\nrough\n")
    stand_in = docker_world.base_image(world, PYTHON)
    aws(lambda moto: containers(world, {images.base(Target(PYTHON)): stand_in}, moto))
    asked = ("-r", "requirements.txt", "--python", PYTHON, "--level", "3")
    docker = run_lambdapack(
        "build", *asked, "--builder", "docker", "--image", stand_in, "--quiet", "-o", "here", cwd=tmp_path
    )
    done = run_lambdapack(
        *("build", *asked, "--builder", "codebuild", "--location", LOCATION, "--json", "-o", "there"),
        cwd=tmp_path,
    )
    assert "lock: resolved in CodeBuild, where rough can be built" in done.stderr
    assert shown(done)["lock"]["built"] == ["rough"]
    assert shown(done)["id"] == docker.stdout.strip()
