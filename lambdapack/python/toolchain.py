"""pip-tools for each version of Python, in the cache: known versions, installed once."""

from __future__ import annotations

import fcntl
import hashlib
from pathlib import Path

from lambdapack.files import disk_errors, new_folder
from lambdapack.memo import CacheFolder
from lambdapack.progress import QUIET, Progress
from lambdapack.python import pip
from lambdapack.python.interpreter import Interpreter

__all__ = ["ensure", "requirements"]

# Exact, because the driver uses pip's internals. The newest that run on each Python.
_TOOLS = {
    "3.8": ("pip==25.0.1", "pip-tools==7.5.2"),
    "3.9": ("pip==26.0.1", "pip-tools==7.6.2"),
}
_TOOLS_TODAY = ("pip==26.3", "pip-tools==7.6.2")
_NO_TOMLLIB = ("3.8", "3.9", "3.10")


def requirements(python: str) -> tuple[str, ...]:
    """What is installed for Python ``python``; without pip-tools' build tools, since no wheel is built."""
    tools = (*_TOOLS.get(python, _TOOLS_TODAY), "click<9", "packaging<27")
    return (*tools, "tomli<3") if python in _NO_TOMLLIB else tools


def ensure(interpreter: Interpreter, cache_dir: Path, progress: Progress = QUIET) -> Path:
    """The folder with pip-tools for ``interpreter``, installed when it is not there yet.

    Processes that ask at the same time wait for the one that installs.
    """
    packages = requirements(interpreter.python)
    key = hashlib.sha256("\n".join((interpreter.machine, *packages)).encode()).hexdigest()[:12]
    folder = CacheFolder.TOOLS.of(cache_dir)
    final = folder / f"python{interpreter.python}-{key}"
    if final.is_dir():
        return final
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{final.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not final.is_dir():
                _install(packages, interpreter.python, final, progress)
    return final


def _install(packages: tuple[str, ...], python: str, final: Path, progress: Progress) -> None:
    doing = f"installing pip-tools for Python {python}"
    with progress.step(doing), new_folder(final) as made:
        scratch = made.work / "tmp"
        scratch.mkdir()
        pip.run(
            [
                *("install", "--target", made.path, "--ignore-installed", "--no-deps"),
                *("--only-binary=:all:", "--python-version", python, *packages),
            ],
            doing=doing,
            # What pip leaves there when it is killed goes with the folder.
            variables={"TMPDIR": str(scratch)},
        )
