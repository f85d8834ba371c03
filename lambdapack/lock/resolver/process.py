"""Talk to the driver: one resolution in a process of the target's Python."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lambdapack.errors import ToolError
from lambdapack.files import scratch_folder, write_bytes
from lambdapack.lock.requirements.read import Requirements
from lambdapack.lock.resolver import place as lockdriver
from lambdapack.memo import CacheFolder
from lambdapack.model import PipOptions, Target
from lambdapack.progress import Advance, Progress
from lambdapack.python import pip
from lambdapack.python.interpreter import Interpreter

__all__ = ["Failure", "Found", "Query", "Solution", "resolve_once"]


@dataclass(frozen=True)
class Query:
    """What is asked of every resolution of one lock.

    Attributes:
        requirements, target, interpreter: What to resolve, for what, by which Python.
        tools: The folder with pip-tools.
        cache_dir: Where pip-tools may keep files.
        progress: Told each package that is looked up.
        leaf_prefixes, leaf_names: Packages of which nothing is asked but their names.
        place: Where the driver runs, and sdists can be built; ``None`` for this machine, wheels only.
        alone: Whether nothing but the requirements themselves is to be found, and no dependency.
        weighed: Names of which the size is asked.
    """

    requirements: Requirements
    target: Target
    interpreter: Interpreter
    tools: Path
    cache_dir: Path
    progress: Progress
    leaf_prefixes: tuple[str, ...] = ()
    leaf_names: tuple[str, ...] = ()
    place: lockdriver.Place | None = None
    alone: bool = False
    weighed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """One distribution of a solution.

    Attributes:
        name, version: Canonical name and exact version.
        filename: Its wheel's.
        hash: ``sha256:…`` of that wheel.
        parents: Names of the distributions that depend on it.
        cpu: Versions of it built for the CPU alone (``2.13.0+cpu``) that the target can use, newest first.
        needs: What it depends on, as requirements without markers, those that hold for the target.
        bytes: What it takes when it is unpacked; 0 where nobody asked.
        url: The address by which the metadata of another names it, else nothing.
    """

    name: str
    version: str
    filename: str
    hash: str
    parents: tuple[str, ...]
    cpu: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    bytes: int = 0
    url: str = field(default="", repr=False)


@dataclass(frozen=True)
class Solution:
    """A set of distributions that fit together.

    Attributes:
        found: Each of them, by name.
        unreachable: Index pages that could not be had, with the reason.
    """

    found: tuple[Found, ...]
    unreachable: tuple[str, ...]


@dataclass(frozen=True)
class Failure:
    """Why there is no solution, as the driver saw it.

    Attributes:
        kind: ``unsatisfiable``, ``network``, ``hash`` or ``pip``.
        facts: The driver's whole answer.
    """

    kind: str
    facts: Mapping[str, Any]


def resolve_once(
    query: Query,
    glibc: tuple[int, int],
    extra_constraints: Sequence[str] = (),
    built: Collection[str] = (),
) -> Solution | Failure:
    """Resolve for C library ``glibc``, with ``extra_constraints`` besides the user's own.

    Of the packages ``built``, sdists are taken, and of all others wheels.

    Raises:
        ToolError: The process died without an answer.
    """
    with scratch_folder() as folder:
        request = _request(query, glibc, extra_constraints, built)
        place = query.place or _Here(query, folder)
        with (folder / "log").open("w+", errors="replace") as log:
            label = f"resolve for {query.target}, glibc {glibc[0]}.{glibc[1]}"
            with query.progress.step(label, unit="packages") as advance:
                answer = place.ask(request, query.tools, log, advance)
            log.seek(0)
            printed = log.read()
    if answer is None:
        raise ToolError(
            f"resolving the requirements with pip-tools in {query.interpreter.path} failed",
            hint="run it again; if it repeats, report it with the lines below",
            detail=pip.tail(printed),
        )
    outcome = _read(answer)
    if isinstance(outcome, Solution):
        write_bytes(_hints_path(query), "\n".join(found.name for found in outcome.found).encode())
    return outcome


def _hints_path(query: Query) -> Path:
    asked = "\n".join((str(query.target), *query.requirements.lines))
    return CacheFolder.HINTS.of(query.cache_dir) / hashlib.sha256(asked.encode()).hexdigest()


def _hints(query: Query) -> list[str]:
    """What the same requirements needed last time: pages to fetch early, and nothing more."""
    try:
        return _hints_path(query).read_text().split()
    except (OSError, UnicodeDecodeError):
        return []


def _request(
    query: Query, glibc: tuple[int, int], extra: Sequence[str], built: Collection[str]
) -> lockdriver.DriverRequest:
    # For pip a package that is to be built is one whose wheels are not to be taken.
    formats = [("only-binary", ":all:"), *(("no-binary", name) for name in sorted(built))]
    # Behind "--no-binary :all:", these are exceptions from it.
    formats += [("only-binary", name) for name in query.requirements.only_binary if ":all:" in built]
    facts = {
        "glibc": f"{glibc[0]}.{glibc[1]}",
        "machine": query.target.machine,
        "leaf_prefixes": list(query.leaf_prefixes),
        "leaf_names": list(query.leaf_names),
        "hints": _hints(query),
        "weighed": list(query.weighed),
        "alone": query.alone,
        "origins": list(query.requirements.origins),
        "constraint_origins": [*query.requirements.constraint_origins, *("lambdapack" for _ in extra)],
    }
    texts = {
        "requirements": "\n".join(query.requirements.lines) + "\n",
        "constraints": "\n".join((*query.requirements.constraints, *extra)) + "\n",
    }
    return lockdriver.DriverRequest(facts, PipOptions(tuple(formats)) + query.requirements.options, texts)


class _Here:
    """Runs the driver on this machine."""

    def __init__(self, query: Query, folder: Path) -> None:
        self._interpreter = query.interpreter
        self._cache = CacheFolder.METADATA.of(query.cache_dir)
        self._folder = folder

    def ask(
        self, request: lockdriver.DriverRequest, tools: Path, log: TextIO, advance: Advance
    ) -> dict[str, Any] | None:
        own = {"tools": str(tools), "cache": str(self._cache)}
        full = {**request.facts, **own, "pip_args": request.options.arguments}
        for name, text in request.texts.items():
            path = self._folder / f"{name}.txt"
            path.write_text(text)
            full[name] = str(path)
        return self._run(full, log, lockdriver.Answers(advance))

    def _run(
        self, request: Mapping[str, Any], log: TextIO, answers: lockdriver.Answers
    ) -> dict[str, Any] | None:
        process = subprocess.Popen(
            # -I: neither the user's site-packages nor PYTHONPATH may change what is resolved.
            [str(self._interpreter.path), "-I", "-B", "-c", lockdriver.CODE, str(lockdriver.FOLDER.parent)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            # What pip leaves there when it is interrupted goes with the folder.
            env=pip.environment({"TMPDIR": str(self._folder)}),
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with process.stdin as stdin:
                stdin.write(json.dumps(request).encode())
            for line in process.stdout:
                answers.feed(line)
            return answers.last if process.wait() == 0 else None
        except (BrokenPipeError, ValueError):
            return None
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def _read(answer: Mapping[str, Any]) -> Solution | Failure:
    if answer["event"] != "solved":
        return Failure(answer["kind"], answer)
    needers: dict[str, set[str]] = {}
    for pin in answer["pins"]:
        for need in pin["needs"]:
            needers.setdefault(canonicalize_name(Requirement(need).name), set()).add(pin["name"])
    found = tuple(
        Found(
            pin["name"],
            pin["version"],
            pin["filename"],
            pin["hash"],
            tuple(sorted({*pin["parents"], *needers.get(canonicalize_name(pin["name"]), ())})),
            tuple(pin["cpu"]),
            tuple(pin["needs"]),
            pin["bytes"],
            pin["url"],
        )
        for pin in answer["pins"]
    )
    return Solution(found, tuple(answer["unreachable"]))
