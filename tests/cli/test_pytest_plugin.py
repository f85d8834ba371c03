"""Unit tests of a handler find its assets without any setting."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TEST = """
import runtime_shim

def test_words():
    assert open(runtime_shim.path("words")).read() == "hello"
"""


def run(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """pytest, as a user of lambdapack runs it; the plugin is loaded by name where it is not installed yet."""
    environment = {name: value for name, value in os.environ.items() if name != "LAMBDAPACK_ASSETS"}
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "lambdapack.cli.pytest_plugin",
            "-p",
            "no:cacheprovider",
        ],
        cwd=folder,
        env={**environment, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with an asset and a test of what reads it."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_it.py").write_text(TEST)
    (tmp_path / "words.txt").write_text("hello")
    (tmp_path / "lambdapack.toml").write_text('[assets]\nwords = "words.txt"\n')
    return tmp_path


def test_pytest_finds_the_assets_of_the_configuration(project: Path) -> None:
    """From any folder below the configuration, as a file of its own or in pyproject.toml."""
    for folder in (project, project / "tests"):
        done = run(folder)
        assert done.returncode == 0, done.stdout
    (project / "lambdapack.toml").unlink()
    (project / "pyproject.toml").write_text('[tool.lambdapack.assets]\nwords = "words.txt"\n')
    assert run(project).returncode == 0


def test_a_setting_of_the_users_own_is_kept(project: Path) -> None:
    """LAMBDAPACK_ASSETS wins over the configuration."""
    (project / "other.txt").write_text("other")
    assert "assert 'other' == 'hello'" in run(project, LAMBDAPACK_ASSETS="words=other.txt").stdout


def test_a_mistake_in_the_configuration_is_told(project: Path) -> None:
    """As wrong usage, by table and key, without a traceback."""
    (project / "lambdapack.toml").write_text("[assets]\nwords = 3\n")
    done = run(project)
    assert done.returncode == 4
    assert "[assets] words: expected a path" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_without_a_configuration_nothing_is_set(project: Path) -> None:
    """The error says which variable to set."""
    (project / "lambdapack.toml").unlink()
    assert "set LAMBDAPACK_ASSETS=words=PATH" in run(project).stdout
