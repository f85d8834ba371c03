"""Run a program on a tree and record which files it touches, in order of first use.

The program runs in a process of its own, in an empty folder, with a home and a temporary folder of its own,
and sees the standard library, the tree and the folders to search: none of the interpreter's packages, none of
this process's environment.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import runtime_shim
from lambdapack import elf, limits
from lambdapack.errors import CheckError
from lambdapack.files import scratch_folder
from lambdapack.install import Workshop, check_binaries, portable_files
from lambdapack.model import Lock, Trace, Tree, bytecode_of
from lambdapack.progress import QUIET, Progress
from lambdapack.python import keeper, worker
from lambdapack.python.interpreter import Interpreter
from lambdapack.python.worker import Elsewhere
from lambdapack.trace.modules import default_code, heuristic

PATCHERS = frozenset(("eventlet", "gevent", "ddtrace"))
"""Distributions that replace parts of the standard library, which then must not be imported before them."""
NOT_EARLY = {
    "antigravity": "opens a browser",
    "distutils": "setuptools puts its own in its place",
    "idlelib": "opens windows",
    "lib2to3": "reads grammars and writes them down",
    "multiprocessing": "remembers the working folder",
    "readline": "changes the terminal",
    "rlcompleter": "changes the terminal",
    "site": "changes the path",
    "test": "changes whatever it tests",
    "this": "prints",
    "tkinter": "opens windows",
    "turtle": "opens windows",
    "zoneinfo": "reads PYTHONTZPATH once",
}
"""Modules and packages that are never imported early -> why. Others are tried: ``stdlib_worker`` says how."""
_WORKER = Path(__file__).with_name("trace_worker.py")
_STDLIB_WORKER = Path(__file__).with_name("stdlib_worker.py")
_DETAIL_LINES = 20
_PYTHON_SUFFIXES = (".py", ".pyc")


@dataclass(frozen=True)
class TraceOptions:
    """What to run for the trace: ``code``, or ``handler`` of ``source``; neither: the requested imports.

    Attributes:
        code: Python code.
        handler: ``module.function``, called with each of ``events``.
        events: One call each, in one process.
        source: Folder that the handler is imported from.
        environment: Environment variables of the function, which any traced code and the imports that prove
            slimming see.
        timeout: Seconds until the code is ended.
        memory: The function's, in MB, which limits the code; ``None`` for the default, which does not.
        touched: Paths in the tree that are hot besides, where they exist.
        assets: Name -> file or folder that ``runtime_shim.path`` gives the code; no input of a build: what is
            in them is not in the pack.
    """

    code: str | None = None
    handler: str | None = None
    events: Sequence[Any] = ({},)
    source: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 300.0
    memory: int | None = None
    touched: Sequence[str] = ()
    assets: Mapping[str, Path] = field(default_factory=dict)


_PLAIN = TraceOptions()


class Program:
    """What the user's program does with a tree; run as often as it takes to prove that it still works.

    Args:
        options: What to run.
        lock: What is installed, and for which target.
        workshop: Has the target's Python.
        work: A folder for what is needed meanwhile.
        progress: Told what could not be done.

    Attributes:
        native: Whether the target's Python can run, here or in an image.
    """

    def __init__(
        self, options: TraceOptions, lock: Lock, workshop: Workshop, work: Path, progress: Progress
    ) -> None:
        self.options, self.lock, self.workshop = options, lock, workshop
        self.native = workshop.interpreter.machine == lock.target.machine
        self._work = work
        self._progress = progress
        self._code: str | None = None

    def trace(self, tree: Tree) -> Trace:
        """What ``run`` says of the program; where the program cannot run, a guess by rule of thumb."""
        if not self.native:
            self._progress.note(
                f"no Python for {tree.target.arch} runs on this machine: files are ordered by the heuristic"
            )
            return heuristic(tree, self.lock.requested)
        if self._code is None:
            # Of the first tree, which is whole: slimming must not change what is run.
            if self.options.handler:
                self._code = _call(self.options)
            else:
                self._code = self.options.code or default_code(tree, self.lock.requested)
        try:
            return run(
                tree,
                self.workshop.interpreter,
                self._code,
                search=self._search(),
                options=replace(self.options, environment={**self._variables(), **self.options.environment}),
                elsewhere=self.workshop.ask_elsewhere,
                progress=self._progress,
            )
        except CheckError as error:
            # The dynamic linker says "No such file" of a library for another machine.
            said = f"{error.message}\n{error.detail or ''}"
            portable, glibc = portable_files(tree), self.lock.glibc
            check_binaries(tree, portable=portable, glibc=glibc, progress=self._progress, said=said)
            raise

    def _variables(self) -> dict[str, str]:
        """The variables by which a program knows Lambda; ``LAMBDA_TASK_ROOT`` comes from the worker."""
        return {
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{self.lock.target.runtime}",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self.options.memory or limits.MEMORY_PER_VCPU_MB),
            "AWS_LAMBDA_FUNCTION_NAME": "trace",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/trace",
            "AWS_LAMBDA_LOG_STREAM_NAME": "trace",
            "AWS_REGION": "us-east-1",
            "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
            "LAMBDA_RUNTIME_DIR": "/var/runtime",
            "_HANDLER": self.options.handler or "app.handler",
        }

    def with_touched(self, tree: Tree, trace: Trace) -> Trace:
        """``trace`` with the files that the options say are touched, after those that it saw.

        A source is read beside its bytecode, and only by a program that has imported the module.
        """
        files = dict.fromkeys(trace.files)
        for path in self.options.touched:
            named = (bytecode_of(path, tree.target), path) if path.endswith(".py") else (path,)
            files.update(dict.fromkeys(name for name in named if (tree.root / name).is_file()))
        return replace(trace, files=tuple(files))

    def early(self, trace: Trace) -> Trace:
        """``trace`` with those ``stdlib`` modules alone that may be imported early, in the order to do so.

        Where a package is installed that patches the standard library, none: it may have to come first.
        """
        patched = PATCHERS.intersection(pin.name for pin in self.lock.pins)
        if patched or not trace.stdlib:
            return replace(trace, stdlib=())
        with scratch_folder() as folder:
            work = folder.resolve()
            (work / "root").mkdir()
            # A worker elsewhere is given the folders that a request names.
            places = {"root": str(work / "root"), "search": (), "log": str(work / "log")}
            found = worker.ask(
                self.workshop.interpreter,
                _STDLIB_WORKER,
                {**places, "names": trace.stdlib, "unsafe": list(NOT_EARLY)},
                work,
                seconds=60,
                doing="importing the standard library",
                elsewhere=self.workshop.ask_elsewhere,
            )
        return replace(trace, stdlib=tuple(found["early"]))

    def _search(self) -> tuple[Path, ...]:
        if self.options.handler is None or self.options.source is None:
            return ()
        # A handler may begin with "import runtime_shim". Without an index the shim does nothing; alone in a
        # folder it brings no other package of this environment along.
        beside = self._work / "shim"
        if not beside.exists():
            shim = Path(runtime_shim.__file__).parent
            shutil.copytree(shim, beside / shim.name, ignore=shutil.ignore_patterns("__pycache__"))
        return (self.options.source, beside)


def _call(options: TraceOptions) -> str:
    """Code that calls the handler with each event, and a context like Lambda's."""
    module, _, function = str(options.handler).replace("/", ".").rpartition(".")
    return f"""\
import importlib, json, types
context = types.SimpleNamespace(
    function_name="trace", function_version="$LATEST", aws_request_id="trace",
    memory_limit_in_mb="{options.memory or limits.MEMORY_PER_VCPU_MB}",
    invoked_function_arn="", log_group_name="", log_stream_name="", identity=None, client_context=None,
    get_remaining_time_in_millis=lambda: 300000)
handler = getattr(importlib.import_module({module!r}), {function!r})
for event in json.loads({json.dumps(list(options.events))!r}):
    handler(event, context)
"""


def run(
    tree: Tree,
    interpreter: Interpreter,
    code: str,
    *,
    search: Sequence[Path] = (),
    options: TraceOptions = _PLAIN,
    elsewhere: Elsewhere | None = None,
    progress: Progress = QUIET,
) -> Trace:
    """Run ``code`` on the tree and record every file of the tree that it opens.

    Args:
        tree: An installed tree that this machine can run; nothing is written to it.
        interpreter: The target's Python.
        code: What ``python -c`` would run.
        search: Further folders to import from, e.g. the handler's.
        options: Its assets, environment, timeout and memory count.
        elsewhere: Runs the worker where ``interpreter`` is, if that is not this machine.
        progress: Told when only part of the truth could be recorded.

    Raises:
        CheckError: The code raised, exited, crashed, took too long or too much memory; ``detail`` has its
            last lines.
        ToolError: The interpreter could not be run.
    """
    request = {
        "root": str(tree.root.resolve()),
        "search": [str(path.resolve()) for path in search],
        "assets": {name: str(path.resolve()) for name, path in options.assets.items()},
        "code": code,
        "timeout": options.timeout,
        "memory": options.memory,
    }
    result = _ask(interpreter, request, options.environment, elsewhere, progress)
    return _trace(tree, code, result)


def _ask(
    interpreter: Interpreter,
    request: Mapping[str, Any],
    environment: Mapping[str, str],
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
            inside=_sandbox(interpreter, request, work),
            elsewhere=elsewhere,
        )
        _check(result, work / "log", request)
    if result["problem"]:
        progress.warn(
            f"the trace does not see files that native code opens ({result['problem']}): "
            "all data files are kept and come before the first invocation, but none comes early for it"
        )
    return result


def _sandbox(interpreter: Interpreter, request: Mapping[str, Any], work: Path) -> list[str]:
    """What shows a command the function's code, or an empty folder, at /var/task; see ``keeper.task``."""
    task = [*request["search"], str(work / "cwd")][0]
    needed = [request["root"], *request["search"], *request["assets"].values(), work, interpreter.path]
    return [*keeper.command("task"), task, *map(str, (*needed, worker.STARTER, _WORKER)), "--"]


def _check(result: Mapping[str, Any], log: Path, request: Mapping[str, Any]) -> None:
    """Raise where the program did not end well, with the last lines of its output."""
    status, code = result["status"], request["code"]
    remedy = "run it in a Python with the same packages"
    if status == 0:
        return
    if result["over"]:
        how = f"needs more than the function's {request['memory']} MB"
        remedy = "set a larger [function] memory in lambdapack.toml"
    elif status is None:
        how = f"took longer than {request['timeout']:g} s"
    elif os.WIFSIGNALED(status):
        how = f"crashed with {signal.Signals(os.WTERMSIG(status)).name}"
    else:
        how = f"ended with status {os.WEXITSTATUS(status)}"
    first = code.strip().splitlines()[0] if code.strip() else ""
    output = log.read_text("utf-8", "replace").splitlines() if log.exists() else []
    raise CheckError(
        f"the traced code {how}: {first[:100]}",
        hint=f"{remedy}, or trace other code with --trace",
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
    return Trace(files, native, "traced", code, foreign, tuple(result["stdlib"]))
