"""Bytecode by the target's own Python: same source and Python version, same bytes."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from lambdapack.errors import ToolError
from lambdapack.files import walk
from lambdapack.progress import QUIET, Progress
from lambdapack.python import machine, worker
from lambdapack.python.interpreter import Interpreter

__all__ = ["ENVIRONMENT", "WORKER", "compile_tree"]

WORKER = Path(__file__).with_name("bytecode_worker.py")
# All of the environment that the bytes could depend on; see the worker.
ENVIRONMENT = {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
_NOT_WRITTEN = b"! "


def compile_tree(
    root: Path,
    interpreter: Interpreter,
    *,
    only: Collection[str] | None = None,
    jobs: int | None = None,
    progress: Progress = QUIET,
) -> None:
    """Compile every ``*.py`` under ``root`` to ``__pycache__/x.<cache tag>.pyc``, in place.

    The bytecode is of PEP 552's unchecked-hash kind and names its source by a path relative to ``root``. It
    depends on the source and on the interpreter's version alone: not on the folder, the order, ``jobs``,
    the environment or what else is compiled. A file that does not compile is left without bytecode.

    Args:
        root: The tree; what pip compiled in it is replaced.
        interpreter: The target's Python version; the architecture does not matter.
        only: Files to compile, relative to ``root``; ``None`` for all.
        jobs: Processes at a time; ``None`` for as many as there are processors.
        progress: Advances by one a file.

    Raises:
        ToolError: The bytecode could not be written, or the interpreter failed.
    """
    names = list(only if only is not None else (path for path in walk(root) if path.endswith(".py")))
    jobs = max(1, min(jobs or machine.processors(), len(names)))
    # Every `jobs`-th of the files, largest first, so that no process is left with a long rest.
    names.sort(key=lambda name: (-(root / name).stat().st_size, name))
    with (
        progress.step("compile", total=len(names), unit="files") as advance,
        _workers(root, interpreter, [names[i::jobs] for i in range(jobs)]) as lines,
    ):
        for line in lines:
            if line.startswith(_NOT_WRITTEN):
                reason = line[len(_NOT_WRITTEN) :].decode(errors="replace").strip()
                raise ToolError(f"compiling {root} to bytecode failed: {reason}")
            advance()


@contextmanager
def _workers(root: Path, interpreter: Interpreter, shares: Sequence[Sequence[str]]) -> Iterator[IO[bytes]]:
    """Start a worker for each share of the files; their answers, a line for each file, as one stream."""
    environment = {**ENVIRONMENT, **worker.library_path()}
    command = worker.command(interpreter.path, WORKER, root.resolve())
    ours, theirs = os.pipe()
    processes: list[subprocess.Popen[bytes]] = []
    with os.fdopen(ours, "rb") as answers, tempfile.TemporaryFile() as complaints:
        try:
            with os.fdopen(theirs, "wb") as output:
                for share in shares:
                    with tempfile.TemporaryFile() as names:
                        names.write(b"".join(os.fsencode(name) + b"\0" for name in share))
                        names.seek(0)
                        started = subprocess.Popen(
                            command, stdin=names, stdout=output, stderr=complaints, env=environment, cwd="/"
                        )
                        processes.append(started)
            yield answers
            statuses = [process.wait() for process in processes]
            if any(statuses):
                complaints.seek(0)
                raise ToolError(
                    f"compiling to bytecode failed: {interpreter.path} ended with status "
                    f"{max(statuses, key=abs)}",
                    detail=complaints.read().decode(errors="replace")[-2000:],
                )
        finally:
            for process in processes:
                process.kill()
                process.wait()
