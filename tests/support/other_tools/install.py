"""SAM, Serverless, the CDK and what reads Terraform's files, in the versions of ``package.json``.

Each is installed once, by pip or npm as these are configured, and kept for the next run::

    ~/.cache/lambdapack-tests/other-tools-DIGEST/
    |-- sam/, cdk/       virtual environments
    |-- node/            node_modules with serverless and @cdktf/hcl2json
    `-- providers/       the declarations (index.d.ts) of Terraform's providers

``python -m tests.support.other_tools.install`` installs all.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

PINS = Path(__file__).with_name("package.json")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lambdapack-tests"
FOLDER = CACHE / f"other-tools-{hashlib.sha256(PINS.read_bytes()).hexdigest()[:12]}"
_SECONDS = 400
_NPM = ["npm", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]


def python_tool(name: str) -> Path:
    """``bin`` of the virtual environment of ``sam`` or ``cdk``."""
    requirements = json.loads(PINS.read_text())["pythonVenvs"][name]

    def install(folder: Path) -> None:
        _run([sys.executable, "-m", "venv", folder], folder.parent)
        _run(
            [folder / "bin/python", "-m", "pip", "install", "--quiet", "--no-compile", *requirements],
            folder.parent,
        )

    return _made(name, install) / "bin"


def node_modules() -> Path:
    """The folder with the packages of npm."""

    def install(folder: Path) -> None:
        folder.mkdir()
        shutil.copy(PINS, folder)
        _run([*_NPM, "install", "--omit=dev", "--ignore-scripts"], folder)

    _need("node", "npm")
    return _made("node", install) / "node_modules"


def provider(name: str) -> Path:
    """The folder of the declarations of a Terraform provider: ``lib/lambda-alias/index.d.ts`` and so on."""
    package = f"@cdktf/provider-{name}"
    version = json.loads(PINS.read_text())["terraformProviders"][package]

    def install(folder: Path) -> None:
        folder.mkdir()
        _run([*_NPM, "pack", f"{package}@{version}"], folder)
        (archive,) = folder.glob("*.tgz")
        with tarfile.open(archive) as tar:
            for member in tar:
                parts = Path(member.name).parts
                # The declarations of some resource: the whole unpacks to 400 MB.
                if len(parts) == 4 and parts[1] == "lib" and parts[3] == "index.d.ts":
                    path = folder.joinpath(*parts[1:])
                    path.parent.mkdir(parents=True, exist_ok=True)
                    content = tar.extractfile(member)
                    assert content is not None
                    path.write_bytes(content.read())
        archive.unlink()

    _need("npm")
    return _made(f"provider-{name}", install) / "lib"


def _made(name: str, install: Callable[[Path], None]) -> Path:
    """A folder of the cache, installed if nothing has; a half of a killed run is thrown away."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    folder, done = FOLDER / name, FOLDER / f"{name}.done"
    with (FOLDER / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            print(f"installing {name} for the tests in {folder}, once", flush=True)
            try:
                install(folder)
            except (OSError, subprocess.SubprocessError) as error:
                said = getattr(error, "stderr", None) or ""
                _absent(f"{name} cannot be installed: {error}: {said[-500:]}")
            done.touch()
    return folder


def _need(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            _absent(f"there is no {program} here (Debian has it in nodejs and npm)")


def _absent(reason: str) -> None:
    """Without the tool there is no test, which continuous integration does not put up with."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def _run(command: Sequence[str | Path], folder: Path) -> None:
    subprocess.run(
        list(map(str, command)), cwd=folder, check=True, capture_output=True, text=True, timeout=_SECONDS
    )


if __name__ == "__main__":
    for each in ("sam", "cdk"):
        python_tool(each)
    node_modules()
    for each in ("aws", "archive"):
        provider(each)
