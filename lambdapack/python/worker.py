"""Start a worker's file in the target's Python, hand it a request, wait for its answer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lambdapack.errors import ToolError
from lambdapack.python.interpreter import Interpreter

__all__ = ["SETTLED", "STARTER", "Elsewhere", "ask", "command", "end_group", "library_path"]

STARTER = Path(__file__).with_name("start_worker.py")
"""The file that loads and runs the file of a worker."""
SETTLED = {
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    # The order of imports that follows a set's order would differ from run to run.
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
}
Elsewhere = Callable[[Mapping[str, Any], Path, Path, Mapping[str, str], str], dict[str, Any]]
"""``ask`` where the interpreter is, if that is not this machine: request, folder for the result, the worker's
file, environment, what is being done -> the worker's result. Paths of the request are replaced by copies'."""
_GRACE_SECONDS = 60
_TERMINATION_SECONDS = 5
_CHARACTERS = 2000


def command(python: str | Path, file: str | Path, *arguments: str | Path) -> list[str]:
    """The command that runs a worker's file: without that Python's packages, and writing no bytecode."""
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
    inside: Sequence[str] = (),
    elsewhere: Elsewhere | None = None,
) -> dict[str, Any]:
    """Run a worker in a home and an environment of its own, and return its result.

    Args:
        interpreter: What runs it.
        worker: A Python file that defines ``run(request) -> result``.
        request: The argument of ``run``, of JSON's types.
        work: A folder for the worker, empty but for what the request names there.
        seconds: How long the worker may take by its own clock; it is ended one minute later.
        doing: What the worker does, for errors.
        environment: Variables that the worker sees besides.
        inside: A command that executes the command which follows as its last arguments.
        elsewhere: Runs the worker where ``interpreter`` is, if that is not this machine.

    Raises:
        ToolError: The worker gave no result.
    """
    variables = environment or {}
    if elsewhere is not None:
        return elsewhere(request, work, worker, {**SETTLED, **variables}, doing)
    (work / "request.json").write_text(json.dumps(request))
    words = [
        *inside,
        *command(interpreter.path, STARTER, worker, work / "request.json", work / "result.json"),
    ]
    status, complaint = _run(words, work, variables, seconds=seconds, doing=doing)
    try:
        result: dict[str, Any] = json.loads((work / "result.json").read_text())
    except (OSError, ValueError) as error:
        raise ToolError(
            f"{doing} failed: {interpreter.path} ended with status {status} and no result",
            detail=complaint.decode(errors="replace")[-_CHARACTERS:] or None,
        ) from error
    return result


def _run(
    words: list[str], work: Path, variables: Mapping[str, str], *, seconds: float, doing: str
) -> tuple[int, bytes]:
    """Run a worker's command in ``work``; its status and what it wrote to stderr."""
    # The worker ends when its stdin does, which is when this process ends, however that comes.
    lifeline, held = os.pipe()
    process = subprocess.Popen(
        words,
        stdin=lifeline,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=work,
        env={**_surroundings(work), **variables},
    )
    try:
        _, complaint = process.communicate(timeout=seconds + _GRACE_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"{doing} failed: {words[0]} does not answer") from error
    finally:
        # It may end its children first.
        process.terminate()
        _wait(process)
        os.close(lifeline)
        os.close(held)
    return process.returncode, complaint


def _surroundings(work: Path) -> dict[str, str]:
    """The variables that a program's choice of files can depend on, as a Lambda function finds them."""
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


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process that was started in a session of its own, with all that it started there."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        _wait(process)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_TERMINATION_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
