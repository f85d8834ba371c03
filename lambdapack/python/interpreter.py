"""The Pythons of this machine: a stage that needs the target's own Python asks here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lambdapack.errors import ConfigurationError

__all__ = ["Interpreter", "find", "installed"]

_PROBE = """
import json, platform, sys
print(json.dumps({
    "path": getattr(sys, "_base_executable", None) or sys.executable,
    "version": platform.python_version(),
    "machine": ("" if sys.platform == "linux" else sys.platform + "-") + platform.machine(),
    "implementation": sys.implementation.name,
}))
"""


@dataclass(frozen=True)
class Interpreter:
    """A CPython, never a virtual environment's.

    Attributes:
        path: The executable.
        version: The full version, e.g. ``3.11.7``.
        machine: The kernel's name for the processor that this Python is built for, e.g. ``x86_64``; of
            another system than Linux with its name before, e.g. ``darwin-arm64``: no target's machine.
    """

    path: Path
    version: str
    machine: str

    @property
    def python(self) -> str:
        """Major and minor version, e.g. ``3.11``."""
        return ".".join(self.version.split(".")[:2])


def find(python: str) -> Interpreter:
    """The interpreter of version ``python`` (``3.11``), the running one first.

    Raises:
        ConfigurationError: This machine has no such Python; names the ways out.
    """
    interpreter = _first(python)
    if interpreter is not None:
        return interpreter
    have = ", ".join(other.python for other in installed()) or "none"
    raise ConfigurationError(
        f"no Python {python} on this machine (found: {have}); the lock, the bytecode and the trace of a "
        f"python{python} pack need that very version, because markers and bytecode differ between versions",
        hint=f"install it (pyenv install {python}, uv python install {python}, apt install python{python}), "
        f"build inside Lambda's image with --builder docker, or choose another target with --python",
    )


def installed() -> list[Interpreter]:
    """One interpreter for each version that ``find`` would find."""
    first = (_first(f"3.{minor}") for minor in range(8, 20))
    return [interpreter for interpreter in first if interpreter is not None]


def _first(python: str) -> Interpreter | None:
    for path in _candidates(python):
        probed = _probe(path)
        if probed is not None and probed.python == python:
            return probed
    return None


def _candidates(python: str) -> Iterator[Path]:
    if python == ".".join(map(str, sys.version_info[:2])):
        yield Path(sys.executable)
    home = Path.home()
    roots = [
        Path(os.environ.get("PYENV_ROOT") or home / ".pyenv") / "versions",
        home / ".local/share/uv/python",
    ]
    for root in roots:
        for folder in sorted(root.glob("*"), reverse=True):
            if folder.name.removeprefix("cpython-").startswith(f"{python}."):
                yield folder / "bin" / f"python{python}"
    # Last, because on a pyenv machine this is a shim that fails for versions that are not switched on.
    on_path = shutil.which(f"python{python}")
    if on_path:
        yield Path(on_path)


@cache
def _probe(path: Path) -> Interpreter | None:
    try:
        # "-I" keeps PYTHONPATH and the current folder out.
        done = subprocess.run(
            [str(path), "-I", "-c", _PROBE], capture_output=True, text=True, timeout=30, check=False
        )
        seen = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    if done.returncode or seen["implementation"] != "cpython":
        return None
    return Interpreter(Path(seen["path"]), seen["version"], seen["machine"])
