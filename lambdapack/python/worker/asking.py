"""Have the target's own Python, which has nothing but the standard library, do a piece of work."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lambdapack.errors import ToolError
from lambdapack.python.interpreter import Interpreter
from lambdapack.python.worker.ending import end

__all__ = ["SETTLED", "STARTER", "Elsewhere", "ask", "command", "library_path"]

STARTER = Path(__file__).with_name("start_worker.py")
"""Runs a worker's file; a container needs both."""
SETTLED = {
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    # The order of imports that follows a set's order would differ from run to run.
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
}
Elsewhere = Callable[[Mapping[str, Any], Path, Path, Mapping[str, str], str], dict[str, Any]]
"""``ask`` where the interpreter is, if that is not this machine: request, folder for what comes back, the
worker's file, environment, what is being done -> the worker's result. Paths in the request are moved."""
_GRACE_SECONDS = 60


def command(python: str | Path, file: str | Path, *arguments: str | Path) -> list[str]:
    """The command that runs a worker's file: no package of that Python's, no bytecode written."""
    return [str(part) for part in (python, "-S", "-s", "-B", file, *arguments)]


def library_path() -> dict[str, str]:
    """The variable by which some builds of Python find their own libpython."""
    return {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}


def ask(
    interpreter: Interpreter,
    worker: Path,
    request: Mapping[str, Any],
    work: Path,
    *,
    seconds: float,
    doing: str,
    environment: Mapping[str, str] | None = None,
    elsewhere: Elsewhere | None = None,
) -> dict[str, Any]:
    """Run a worker and return its result.

    It finds a home and a temporary folder of its own and none of this process's environment.

    Args:
        interpreter: What runs it.
        worker: A Python file that defines ``run(request) -> result``.
        request: What it is asked, of JSON's types.
        work: An empty folder for it, except for what the request names there.
        seconds: What it may take by itself; it is ended one minute later.
        doing: What it does, for errors.
        environment: Variables that it sees besides.
        elsewhere: Runs it where ``interpreter`` is, if that is not this machine.

    Raises:
        ToolError: It gave no result.
    """
    variables = environment or {}
    if elsewhere is not None:
        return elsewhere(request, work, worker, {**SETTLED, **variables}, doing)
    (work / "request.json").write_text(json.dumps(request))
    # The end of its stdin is the end of this process, however that came, and then of the worker.
    lifeline, held = os.pipe()
    process = subprocess.Popen(
        command(interpreter.path, STARTER, worker, work / "request.json", work / "result.json"),
        stdin=lifeline,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=work,
        env={**_surroundings(work), **variables},
    )
    try:
        _, complaint = process.communicate(timeout=seconds + _GRACE_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"{doing} failed: {interpreter.path} does not answer") from error
    finally:
        end(process)
        os.close(lifeline)
        os.close(held)
    try:
        result: dict[str, Any] = json.loads((work / "result.json").read_text())
    except (OSError, ValueError) as error:
        raise ToolError(
            f"{doing} failed: {interpreter.path} ended with status {process.returncode} and no result",
            detail=complaint.decode(errors="replace")[-2000:] or None,
        ) from error
    return result


def _surroundings(work: Path) -> dict[str, str]:
    """What a Lambda function finds, as far as a program's choice of files can depend on it."""
    home, temporary = work / "home", work / "tmp"
    home.mkdir()
    temporary.mkdir()
    return {
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "MPLCONFIGDIR": str(temporary),
        "PATH": os.environ.get("PATH", os.defpath),
        **SETTLED,
        **library_path(),
    }
