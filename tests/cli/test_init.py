"""`lambdapack init`: the project that it writes works as written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lambdapack.config import model as config
from tests.support.command_line import Run


def test_it_writes_a_valid_project(run_lambdapack: Run, tmp_path: Path) -> None:
    """The configuration is valid and names the function after the folder."""
    run_lambdapack("init", "hello world", cwd=tmp_path)
    loaded = config.load(tmp_path / "hello world" / "lambdapack.toml")
    assert loaded.function.name == "hello-world"
    assert json.loads((tmp_path / "hello world" / "event.json").read_text())


def test_it_overwrites_nothing(run_lambdapack: Run, tmp_path: Path) -> None:
    """A folder that has one of the files is refused, and left as it is."""
    (tmp_path / "app.py").write_text("mine")
    said = run_lambdapack("init", cwd=tmp_path, status=2).stderr
    assert "app.py" in said
    assert [path.name for path in tmp_path.iterdir()] == ["app.py"]
    assert (tmp_path / "app.py").read_text() == "mine"


@pytest.mark.slow
def test_the_project_builds_deploys_and_answers(run_lambdapack: Run, tmp_path: Path) -> None:
    """init, build, deploy and invoke need no further argument; a second build and a status are free."""
    run_lambdapack("init", "hello", cwd=tmp_path)
    folder = tmp_path / "hello"
    built = json.loads(run_lambdapack("build", "--json", cwd=folder).stdout)
    assert not built["reused"]
    run_lambdapack("deploy", cwd=folder)
    done = run_lambdapack("invoke", cwd=folder)
    assert json.loads(done.stdout) == {"count": 4, "mean": 2.5, "std": 1.118033988749895}
    assert "REPORT RequestId" in done.stderr
    assert "cold: init" in done.stderr

    again = run_lambdapack("build", "--quiet", cwd=folder)
    assert again.stdout.splitlines()[-1] == built["id"]
    assert json.loads(run_lambdapack("build", "--json", cwd=folder).stdout)["reused"]
    assert "hello" in run_lambdapack("status", cwd=folder).stdout
    run_lambdapack("destroy", cwd=folder)
    run_lambdapack("invoke", cwd=folder, status=2)
