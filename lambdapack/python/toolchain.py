"""pip-tools for each version of Python, in the cache: known versions, installed once."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from pathlib import Path

from lambdapack.files import disk_errors, scratch_folder
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
    """What is installed for Python ``python``; pip-tools' own build tools are not, nothing is built."""
    tools = (*_TOOLS.get(python, _TOOLS_TODAY), "click<9", "packaging<27")
    return (*tools, "tomli<3") if python in _NO_TOMLLIB else tools


def ensure(interpreter: Interpreter, cache_dir: Path, progress: Progress = QUIET) -> Path:
    """The folder with pip-tools for ``interpreter``, installed when it is not there yet.

    Processes that ask at once wait for the one that installs; a folder that was killed half way never
    gets its final name.

    Raises:
        ToolError: pip could not install it.
    """
    wanted = requirements(interpreter.python)
    key = hashlib.sha256("\n".join((interpreter.machine, *wanted)).encode()).hexdigest()[:12]
    folder = CacheFolder.TOOLS.of(cache_dir)
    final = folder / f"python{interpreter.python}-{key}"
    if final.is_dir():
        return final
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{final.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not final.is_dir():
                _install(wanted, interpreter.python, final, progress)
    return final


def _install(wanted: tuple[str, ...], python: str, final: Path, progress: Progress) -> None:
    part = final.with_name(f"{final.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    doing = f"installing pip-tools for Python {python}"
    try:
        with progress.step(doing), scratch_folder() as scratch:
            pip.run(
                [
                    *("install", "--target", part, "--ignore-installed", "--no-deps"),
                    *("--only-binary=:all:", "--python-version", python, *wanted),
                ],
                doing=doing,
                # What pip leaves there when it is killed goes with the folder.
                variables={"TMPDIR": str(scratch)},
            )
        part.rename(final)
    finally:
        shutil.rmtree(part, ignore_errors=True)
