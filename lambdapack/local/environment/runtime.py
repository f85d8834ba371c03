"""The runtime that Lambda puts into an execution environment: awslambdaric and a bare Python."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from lambdapack.errors import ConfigurationError, ToolError
from lambdapack.files import new_folder
from lambdapack.memo import CacheFolder
from lambdapack.model import Target
from lambdapack.progress import QUIET, Progress
from lambdapack.python.interpreter import Interpreter, find

_PLATFORMS = ("manylinux_2_17", "manylinux_2_28", "manylinux_2_34")


@dataclass(frozen=True)
class Runtime:
    """The folders that are mounted beside the function.

    Attributes:
        client: Folder with awslambdaric, ``/var/runtime`` in the environment.
        lang: Folder of an empty virtual environment of the target's Python, ``/var/lang`` there, so
            that no package of this machine can be imported by accident.
        executable: The Python's name below ``lang``, ``bin/python3.12``.
        interpreter: The Python behind it.
    """

    client: Path
    lang: Path
    executable: str
    interpreter: Interpreter


def install(target: Target, cache_dir: Path, *, progress: Progress = QUIET) -> Runtime:
    """The runtime for ``target``, from the cache or by pip.

    Raises:
        ConfigurationError: This machine cannot run the target.
        ToolError: pip fails.
    """
    interpreter = find(target.python)
    if interpreter.machine != target.machine:
        raise ConfigurationError(
            f"running {target} locally: the Python on this machine is for {interpreter.machine}, "
            f"the function is for {target.machine}",
            hint="build it for this machine's architecture (--arch), or deploy it with --cloud aws",
        )
    # Two Pythons of one version may live in two places, and the link below leads to one of them.
    place = hashlib.sha256(str(interpreter.path).encode()).hexdigest()[:8]
    where = CacheFolder.RUNTIME.of(cache_dir) / f"python{interpreter.version}-{interpreter.machine}-{place}"
    if not where.is_dir():
        _install(where, interpreter, target, progress)
    executable = f"bin/python{target.python}"
    return Runtime(where / "client", where / "lang", executable, interpreter)


def _install(where: Path, interpreter: Interpreter, target: Target, progress: Progress) -> None:
    with new_folder(where) as new:
        with progress.step(f"install awslambdaric for Python {interpreter.python}"):
            client = new.path / "client"
            python = sys.executable if importlib.util.find_spec("pip") else str(interpreter.path)
            pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
            tag = target.cache_tag.replace("cpython-", "cp")
            wheels = ["--no-compile", "--only-binary=:all:", "--implementation=cp"]
            wheels += [f"--python-version={target.python}", f"--abi={tag}", "--abi=none"]
            wheels += [f"--platform={name}_{target.machine}" for name in _PLATFORMS]
            _run([*pip, *wheels, f"--target={client}", "awslambdaric"])
            compileall = [str(interpreter.path), "-m", "compileall", "-q"]
            _run([*compileall, "--invalidation-mode", "unchecked-hash", str(client)])
        _lang(new.path / "lang", interpreter)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolError(
            f"installing awslambdaric: {' '.join(command[:3])} failed (status {done.returncode})",
            hint="check that pip can reach its index: python -m pip download awslambdaric",
            detail="\n".join((done.stdout + done.stderr).splitlines()[-10:]),
        )


def _lang(lang: Path, interpreter: Interpreter) -> None:
    """Make an empty virtual environment of the interpreter."""
    (lang / "bin").mkdir(parents=True)
    (lang / "lib" / f"python{interpreter.python}" / "site-packages").mkdir(parents=True)
    (lang / "pyvenv.cfg").write_text(
        f"home = {interpreter.path.parent}\n"
        "include-system-site-packages = false\n"
        f"version = {interpreter.version}\n"
    )
    executable = lang / "bin" / f"python{interpreter.python}"
    executable.symlink_to(interpreter.path)
    for name in ("python3", "python"):
        (lang / "bin" / name).symlink_to(executable.name)
