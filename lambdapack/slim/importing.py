"""Import the modules of a tree in the target's Python, and say how two trees differ in that."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lambdapack.files import scratch_folder
from lambdapack.progress import QUIET, Progress
from lambdapack.python import machine, worker
from lambdapack.python.interpreter import Interpreter
from lambdapack.python.worker import Elsewhere

_WORKER = Path(__file__).with_name("import_worker.py")
_NAMES_SHOWN = 5
_FROM = re.compile(r"cannot import name '(\w+)' from (?:partially initialized module )?'([\w.]+)'")
_FILE = re.compile(r"<tree>/([^\s'\":,)]+)|([\w.+-]+\.so[\w.]*)")
_ADDRESS = re.compile(r"\b0x[0-9a-f]+\b")


@dataclass(frozen=True)
class Outcome:
    """How an import went.

    Attributes:
        kind: ``imported``, ``raised``, ``exited``, ``crashed`` or ``late``.
        names: Public names of an imported module.
        what: Why another module was not imported, e.g. ``ImportError: cannot import name 'x'``; the tree's
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
    environment: Mapping[str, str] | None = None,
    elsewhere: Elsewhere | None = None,
    progress: Progress = QUIET,
) -> dict[str, Outcome]:
    """Import modules of the tree ``root``, to which nothing is written, in ``interpreter``.

    The modules of one list are imported in one process; each may take ``timeout`` seconds. ``elsewhere`` runs
    the worker where ``interpreter`` is, if that is not this machine.
    """
    count = sum(map(len, modules))
    with scratch_folder() as folder, progress.step(f"import {count} modules"):
        work = folder.resolve()
        (work / "cwd").mkdir()
        request = {
            "root": str(root.resolve()),
            "search": [],
            "cwd": str(work / "cwd"),
            "modules": [list(names) for names in modules],
            "timeout": timeout,
            "jobs": machine.processors(),
        }
        answers = worker.ask(
            interpreter,
            _WORKER,
            request,
            work,
            seconds=timeout * count,
            doing="importing the tree's modules",
            environment=environment,
            elsewhere=elsewhere,
        )
    return {name: _outcome(answer) for name, answer in sorted(answers.items())}


def _named(message: str) -> Iterator[str]:
    """Modules and files that an error names in its message alone."""
    for name, module in _FROM.findall(message):
        yield f"{module}.{name}"
    yield from (match[1] or match[2] for match in _FILE.finditer(message))


def difference(before: Outcome, after: Outcome) -> str | None:
    """How an import differs after slimming, for people; ``None`` where nothing that counts does.

    An import that took too long, crashed or ended the process before slimming is not held against the slimmed
    tree: such an end says nothing about a file.
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
        wanted = [
            name for error in answer["errors"] for name in (*error["wanted"], *_named(error["message"]))
        ]
        return Outcome(kind, what=lines[0], wanted=tuple(dict.fromkeys(wanted)))
    if kind == "crashed":
        return Outcome(kind, what=f"crashed with {signal.Signals(answer['signal']).name}")
    if kind == "exited":
        return Outcome(kind, what=f"ended the process with status {answer['status']}")
    return Outcome(kind, what="took too long")
