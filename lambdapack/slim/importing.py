"""Import the modules of a tree in the target's Python, and say how two trees differ in that."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lambdapack.errors import ToolError
from lambdapack.interpreter import Interpreter
from lambdapack.progress import QUIET, Progress

__all__ = ["Outcome", "difference", "import_modules"]

_WORKER = Path(__file__).with_name("import_worker.py")
_GRACE_SECONDS = 60
_NAMES_SHOWN = 5
_FROM = re.compile(r"cannot import name '(\w+)' from (?:partially initialized module )?'([\w.]+)'")
_FILE = re.compile(r"<tree>/([^\s'\":,)]+)|([\w.+-]+\.so[\w.]*)")
_ADDRESS = re.compile(r"\b0x[0-9a-f]+\b")
_SETTLED = {
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
}
Worker = Callable[[Mapping[str, Any], Path, Path, Mapping[str, str]], dict[str, Any]]


@dataclass(frozen=True)
class Outcome:
    """How an import went.

    Attributes:
        kind: ``imported``, ``raised``, ``exited``, ``crashed`` or ``late``.
        names: Public names of an imported module.
        what: Why another one was not imported, e.g. ``ImportError: cannot import name 'x'``; the tree's
            own path reads ``<tree>`` there, and every address ``0x``.
        wanted: Modules and paths, these relative to the tree, that the errors were about.
    """

    kind: str
    names: frozenset[str] = frozenset()
    what: str = ""
    wanted: tuple[str, ...] = ()


def import_modules(
    root: Path,
    modules: Sequence[Sequence[str]],
    interpreter: Interpreter,
    *,
    timeout: float,
    jobs: int | None = None,
    elsewhere: Worker | None = None,
    progress: Progress = QUIET,
) -> dict[str, Outcome]:
    """Import modules of the tree ``root`` in ``interpreter``.

    Args:
        root: The tree; nothing is written to it.
        modules: Lists of names; those of one list are imported in one process.
        interpreter: The target's Python.
        timeout: Seconds that each of them may take.
        jobs: Processes at a time, by default one a core; does not change the outcome.
        elsewhere: Runs the worker where ``interpreter`` is, if that is not this machine.
        progress: Shows that something is being done.

    Raises:
        ToolError: The interpreter gave no answer.
    """
    with (
        tempfile.TemporaryDirectory(prefix="lambdapack-import-") as folder,
        progress.step(f"import {sum(map(len, modules))} modules"),
    ):
        work = Path(folder).resolve()
        (work / "cwd").mkdir()
        request = {
            "root": str(root.resolve()),
            "search": [],
            "assets": {},
            "cwd": str(work / "cwd"),
            "log": str(work / "log"),
            "modules": [list(names) for names in modules],
            "timeout": timeout,
            "jobs": jobs or len(os.sched_getaffinity(0)),
        }
        if elsewhere is None:
            answers = _ask_worker(interpreter, request, work)
        else:
            answers = elsewhere(request, work, _WORKER, _SETTLED)
    return {name: _outcome(answer) for name, answer in sorted(answers.items())}


def _ask_worker(interpreter: Interpreter, request: Mapping[str, Any], work: Path) -> dict[str, Any]:
    (work / "request.json").write_text(json.dumps(request))
    command = [str(interpreter.path), "-S", "-s", "-B", str(_WORKER)]
    worker = subprocess.Popen(
        [*command, str(work / "request.json"), str(work / "result.json")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=work,
        env=_environment(work),
    )
    count = sum(map(len, request["modules"]))
    try:
        _, complaint = worker.communicate(timeout=request["timeout"] * count + _GRACE_SECONDS)
    finally:
        _end(worker)
    try:
        answers: dict[str, Any] = json.loads((work / "result.json").read_text())
    except (OSError, ValueError) as error:
        raise ToolError(
            f"importing the tree's modules failed: {interpreter.path} ended with status "
            f"{worker.returncode} and no result",
            detail=complaint.decode(errors="replace")[-2000:] or None,
        ) from error
    return answers


def _end(worker: subprocess.Popen[bytes]) -> None:
    """End a worker that still runs, and let it end its children first."""
    if worker.poll() is None:
        with suppress(ProcessLookupError):
            worker.send_signal(signal.SIGTERM)
        try:
            worker.wait(5)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def _environment(work: Path) -> dict[str, str]:
    for name in ("home", "tmp"):
        (work / name).mkdir()
    environment = {
        "HOME": str(work / "home"),
        "TMPDIR": str(work / "tmp"),
        "XDG_CACHE_HOME": str(work / "home" / ".cache"),
        "MPLCONFIGDIR": str(work / "tmp"),
        "PATH": os.environ.get("PATH", os.defpath),
        **_SETTLED,
    }
    if "LD_LIBRARY_PATH" in os.environ:
        # Some builds of Python find their own libpython by it.
        environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    return environment


def _named(message: str) -> Iterator[str]:
    """Modules and files that an error names in its message only."""
    for name, module in _FROM.findall(message):
        yield f"{module}.{name}"
    yield from (match[1] or match[2] for match in _FILE.finditer(message))


def difference(before: Outcome, after: Outcome) -> str | None:
    """What became of an import, for people; ``None`` where nothing did, or nothing that counts.

    What took too long, crashed or ended the process before is not held against the tree after: it says
    nothing about a file.
    """
    if before.kind in ("late", "crashed", "exited"):
        return None
    if before.kind == after.kind == "imported":
        lost = sorted(before.names - after.names)
        return f"it lacks {', '.join(lost[:_NAMES_SHOWN])}" if lost else None
    if before.kind == "raised" and after.kind == "imported":
        return None
    same = (before.kind, before.what) == (after.kind, after.what)
    return None if same else after.what or after.kind


def _outcome(answer: Mapping[str, Any]) -> Outcome:
    kind = answer["kind"]
    if kind == "imported":
        return Outcome(kind, frozenset(answer["names"]))
    if kind == "raised":
        lines = [f"{error['type']}: {_ADDRESS.sub('0x', error['message'])}" for error in answer["errors"]]
        wanted = [one for error in answer["errors"] for one in (*error["wanted"], *_named(error["message"]))]
        return Outcome(kind, what=lines[0], wanted=tuple(dict.fromkeys(wanted)))
    if kind == "crashed":
        return Outcome(kind, what=f"crashed with {signal.Signals(answer['signal']).name}")
    if kind == "exited":
        return Outcome(kind, what=f"ended the process with status {answer['status']}")
    return Outcome(kind, what="took too long")
