"""Slim a tree, and run the traced code before and after: what it needs stays."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import runtime_shim
from lambdapack import build as build_stage
from lambdapack import slim as slim_stage
from lambdapack import trace as trace_stage
from lambdapack.buildoptions import BuildOptions
from lambdapack.errors import LambdapackError
from lambdapack.model import Lock, SlimReport, Trace, Tree
from lambdapack.progress import Progress
from lambdapack.slim import SlimOptions

__all__ = ["Runner", "slim"]


class Runner:
    """Runs the traced code on a tree, where the target's Python can run here."""

    def __init__(
        self,
        options: BuildOptions,
        lock: Lock,
        workshop: build_stage.Workshop,
        work: Path,
        progress: Progress,
    ) -> None:
        self.python = workshop.interpreter
        self.native = self.python.machine == options.target.machine
        # Loading needs the stripped files and the Python in one place.
        self.loads = self.python if self.native and workshop.runs_here else None
        self._elsewhere = workshop.trace_elsewhere
        self._options = options.trace
        self._requested = lock.requested
        self._work = work
        self._progress = progress
        self._code: str | None = None

    def trace(self, tree: Tree) -> Trace:
        """The files that the code touches; by rule of thumb where it cannot run."""
        if not self.native:
            self._progress.note(
                f"no Python for {tree.target.arch} runs on this machine: files are ordered by the heuristic"
            )
            return trace_stage.heuristic(tree, self._requested)
        if self._code is None:
            self._code = self._what(tree)
        return trace_stage.run(
            tree,
            self.python,
            self._code,
            search=self._search(),
            environment=self._options.environment,
            timeout=self._options.timeout,
            elsewhere=self._elsewhere,
            progress=self._progress,
        )

    def _what(self, tree: Tree) -> str:
        if self._options.handler:
            return _call(self._options.handler, self._options.event)
        return self._options.code or trace_stage.default_code(tree, self._requested)

    def _search(self) -> tuple[Path, ...]:
        if self._options.handler is None or self._options.source is None:
            return ()
        # A handler may begin with "import runtime_shim". Without an index it does nothing; alone in a
        # folder it brings no other package of this environment along.
        beside = self._work / "shim"
        if not beside.exists():
            shim = Path(runtime_shim.__file__).parent
            shutil.copytree(shim, beside / shim.name, ignore=shutil.ignore_patterns("__pycache__"))
        return (self._options.source, beside)


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


def slim(
    tree: Tree, trace: Trace, options: SlimOptions, *, runner: Runner, work: Path, progress: Progress
) -> tuple[Tree, SlimReport, list[str]]:
    """Slim, then run the traced code again; a step that broke it is taken back, and said."""
    attempts = [
        (options, "stripping"),
        (replace(options, strip=False), "dropping files"),
        (replace(options, strip=False, keep=("**", "**/*", "*"), drop=()), ""),
    ]
    restored: list[str] = []
    for number, (attempt, suspect) in enumerate(attempts):
        slimmed, report = slim_stage.slim(
            tree,
            work / f"slim{number}",
            trace=trace,
            interpreter=runner.loads,
            options=attempt,
            progress=progress,
        )
        try:
            if runner.native:
                runner.trace(slimmed)
        except LambdapackError as error:
            if not suspect:
                raise
            restored.append(f"{suspect} was taken back: {error.message}")
            progress.warn(
                f"the traced code fails on the slimmed tree; without {suspect} then: {error.message}"
            )
        else:
            break
    return slimmed, report, restored
