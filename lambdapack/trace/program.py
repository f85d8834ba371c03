"""The program that is traced, in the target's Python."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import runtime_shim
from lambdapack.errors import CheckError
from lambdapack.install import Workshop, check_binaries, portable_files
from lambdapack.model import Lock, Trace, Tree
from lambdapack.progress import Progress
from lambdapack.trace.modules import default_code, heuristic
from lambdapack.trace.tracing import run


@dataclass(frozen=True)
class TraceOptions:
    """What to run for the trace: ``code``, or ``handler`` of ``source``; neither: the requested imports.

    Attributes:
        code: Python code.
        handler: ``module.function``, called once.
        event: The event for it.
        source: Folder that the handler is imported from.
        environment: Environment variables of the function, which any traced code and the imports that prove
            slimming see.
        timeout: Seconds.
        assets: Name -> file or folder; no input of a build: what is in them is not in the pack.
    """

    code: str | None = None
    handler: str | None = None
    event: Any = None
    source: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 300.0
    assets: Mapping[str, Path] = field(default_factory=dict)


class Program:
    """What the user's program does with a tree; run as often as it takes to prove that it still works.

    Args:
        options: What to run.
        lock: What is installed, and for which target.
        workshop: Has the target's Python.
        work: A folder for what is needed meanwhile.
        progress: Told what could not be done.

    Attributes:
        options, lock, workshop: As given.
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
        """The files of ``tree`` that the program touches; by rule of thumb where it cannot run.

        Raises:
            CheckError: The program failed, or it loads a binary for another machine.
            ToolError: The interpreter could not be run.
        """
        if not self.native:
            self._progress.note(
                f"no Python for {tree.target.arch} runs on this machine: files are ordered by the heuristic"
            )
            return heuristic(tree, self.lock.requested)
        if self._code is None:
            # Of the first tree, which is whole: slimming must not change what is run.
            if self.options.handler:
                self._code = _call(self.options.handler, self.options.event)
            else:
                self._code = self.options.code or default_code(tree, self.lock.requested)
        try:
            return run(
                tree,
                self.workshop.interpreter,
                self._code,
                search=self._search(),
                assets=self.options.assets,
                environment=self.options.environment,
                timeout=self.options.timeout,
                elsewhere=self.workshop.ask_elsewhere,
                progress=self._progress,
            )
        except CheckError as error:
            # The dynamic linker says "No such file" of a library for another machine.
            said = f"{error.message}\n{error.detail or ''}"
            portable, glibc = portable_files(tree), self.lock.glibc
            check_binaries(tree, portable=portable, glibc=glibc, progress=self._progress, said=said)
            raise

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


def _call(handler: str, event: Any) -> str:
    """Code that calls ``handler`` once, with a context like Lambda's."""
    module, _, function = handler.replace("/", ".").rpartition(".")
    return f"""\
import importlib, json, types
context = types.SimpleNamespace(
    function_name="trace", function_version="$LATEST", aws_request_id="trace", memory_limit_in_mb="1769",
    invoked_function_arn="", log_group_name="", log_stream_name="", identity=None, client_context=None,
    get_remaining_time_in_millis=lambda: 300000)
event = json.loads({json.dumps(event)!r})
getattr(importlib.import_module({module!r}), {function!r})(event, context)
"""
