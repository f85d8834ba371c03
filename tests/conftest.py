"""What several test files share."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from lambdapack.config.model import FILE_NAME
from tests.support import newer_pythons
from tests.support.command_line import Run

ROOT = Path(__file__).parent.parent
# Runtimes end; no test may fail on that day. Commands that tests start inherit it.
os.environ.setdefault("LAMBDAPACK_TODAY", "2026-11-26")
if newer_pythons.BIN.is_dir():
    os.environ["PATH"] = os.pathsep.join((os.environ.get("PATH", os.defpath), str(newer_pythons.BIN)))


@pytest.fixture(scope="session")
def lambdapack_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for a whole run, whatever the number of workers: pip-tools and decoders come once."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "lambdapack-cache"


@pytest.fixture(scope="session")
def run_lambdapack(lambdapack_cache: Path) -> Run:
    """Runs the command line in a process of its own, as a user does."""

    def run(
        *arguments: str | Path,
        cwd: Path,
        status: int | None = 0,
        environment: Sequence[tuple[str, str]] = (),
        unset: Sequence[str] = (),
        umask: int = -1,
        inside: Sequence[str] = (),
    ) -> subprocess.CompletedProcess[str]:
        inherited = {name: value for name, value in os.environ.items() if name not in unset}
        done = subprocess.run(
            [*inside, sys.executable, "-m", "lambdapack", *map(str, arguments)],
            cwd=cwd,
            env={**inherited, "LAMBDAPACK_CACHE": str(lambdapack_cache), **dict(environment)},
            capture_output=True,
            text=True,
            timeout=570,
            check=False,
            umask=umask,
        )
        if status is not None:
            assert done.returncode == status, f"{done.stdout}\n{done.stderr}"
        return done

    return run


@pytest.fixture
def project(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a ``lambdapack.toml`` into an empty folder and returns the folder."""

    def write(text: str = "") -> Path:
        folder = tmp_path / "project"
        folder.mkdir(exist_ok=True)
        (folder / FILE_NAME).write_text(text, encoding="utf-8")
        return folder

    return write


@pytest.fixture
def tiny(built: Path, tmp_path: Path) -> Path:
    """A copy, to change, of the project that the test file's own ``built`` made."""
    return Path(shutil.copytree(built, tmp_path / "tiny"))
