"""Run a program on a tree and record which files it touches, in order of first use.

The program runs in a process of its own, in an empty folder, with a home and a temporary folder of its own,
and sees the standard library, the tree and the folders to search: none of the interpreter's packages, none of
this process's environment.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lambdapack import elf
from lambdapack.errors import CheckError
from lambdapack.files import scratch_folder
from lambdapack.model import Trace, Tree
from lambdapack.progress import QUIET, Progress
from lambdapack.python import worker
from lambdapack.python.interpreter import Interpreter
from lambdapack.python.worker import Elsewhere

_WORKER = Path(__file__).with_name("trace_worker.py")
_DETAIL_LINES = 20
_PYTHON_SUFFIXES = (".py", ".pyc")


def run(
    tree: Tree,
    interpreter: Interpreter,
    code: str,
    *,
    search: Sequence[Path] = (),
    assets: Mapping[str, Path] | None = None,
    environment: Mapping[str, str] | None = None,
    timeout: float = 300,
    elsewhere: Elsewhere | None = None,
    progress: Progress = QUIET,
) -> Trace:
    """Run ``code`` on the tree and record every file of the tree that it opens.

    Args:
        tree: An installed tree that this machine can run; nothing is written to it.
        interpreter: The target's Python.
        code: What ``python -c`` would run.
        search: Further folders to import from, e.g. the handler's.
        assets: Name -> file or folder that ``runtime_shim.path`` gives the code.
        environment: Variables that the code sees.
        timeout: Seconds until the code is ended.
        elsewhere: Runs the worker where ``interpreter`` is, if that is not this machine.
        progress: Told when only part of the truth could be recorded.

    Raises:
        CheckError: The code raised, exited, crashed or took too long; ``detail`` has its last lines.
        ToolError: The interpreter could not be run.
    """
    request = {
        "root": str(tree.root.resolve()),
        "search": [str(path.resolve()) for path in search],
        "assets": {name: str(path.resolve()) for name, path in (assets or {}).items()},
        "code": code,
        "timeout": timeout,
    }
    result = _ask(interpreter, request, environment, elsewhere, progress)
    return _trace(tree, code, result)


def _ask(
    interpreter: Interpreter,
    request: Mapping[str, Any],
    environment: Mapping[str, str] | None,
    elsewhere: Elsewhere | None,
    progress: Progress,
) -> Mapping[str, Any]:
    """What the worker saw of a program that ended well."""
    with scratch_folder() as folder, progress.step("trace"):
        work = folder.resolve()
        (work / "cwd").mkdir()
        result = worker.ask(
            interpreter,
            _WORKER,
            {**request, "cwd": str(work / "cwd"), "log": str(work / "log")},
            work,
            seconds=request["timeout"],
            doing="tracing",
            environment=environment,
            elsewhere=elsewhere,
        )
        _check(result, work / "log", request["code"], request["timeout"])
    if result["problem"]:
        progress.warn(
            f"the trace does not see files that native code opens ({result['problem']}): "
            "all data files are kept and come before the first invocation, but none comes early for it"
        )
    return result


def _check(result: Mapping[str, Any], log: Path, code: str, timeout: float) -> None:
    """Raise where the program did not end well, with the last lines of its output."""
    status = result["status"]
    if status == 0:
        return
    if status is None:
        how = f"took longer than {timeout:g} s"
    elif os.WIFSIGNALED(status):
        how = f"crashed with {signal.Signals(os.WTERMSIG(status)).name}"
    else:
        how = f"ended with status {os.WEXITSTATUS(status)}"
    first = code.strip().splitlines()[0] if code.strip() else ""
    output = log.read_text("utf-8", "replace").splitlines() if log.exists() else []
    raise CheckError(
        f"the traced code {how}: {first[:100]}",
        hint="run it in a Python with the same packages, or trace other code with --trace",
        detail="\n".join(output[-_DETAIL_LINES:]) or None,
    )


def _trace(tree: Tree, code: str, result: Mapping[str, Any]) -> Trace:
    """``native`` are files that were opened, but not by Python, and that no loader reads."""
    opened = set(result["opened"])
    order = dict.fromkeys(result["watched"])
    if result["problem"]:
        # What inotify saw before it failed is only part of it, and in the right order only by itself.
        order = dict.fromkeys([*result["opened"], *result["mapped"]])
    files = tuple(path for path in order if (tree.root / path).is_file())
    # The dynamic linker opened an ELF file; a Python that the code started, Python files. Being mapped is no
    # proof: native code maps data files too.
    unclaimed = (path for path in files if path not in opened and not path.endswith(_PYTHON_SUFFIXES))
    native = frozenset(path for path in unclaimed if not elf.is_elf(tree.root / path))
    foreign = tuple((name, path) for name, path in result["foreign"])
    return Trace(files, native, "traced", code, foreign)
