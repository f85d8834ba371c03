"""Ask the driver: one resolution by the target's Python, which is on this machine or in an image."""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TextIO

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pydantic import TypeAdapter

from lambdapack.errors import ToolError
from lambdapack.files import scratch_folder, write_bytes
from lambdapack.lock.resolver.solution import Candidate, Failure, Question, Solution
from lambdapack.memo import CacheFolder
from lambdapack.model import PipOptions
from lambdapack.progress import Advance, Progress
from lambdapack.python import pip, toolchain
from lambdapack.python.interpreter import Interpreter

FOLDER = Path(__file__).parent / "driver"
"""The driver's package, which the target's Python imports; it sees nothing else of lambdapack."""
CODE = "import sys; sys.path.insert(0, sys.argv[1]); from driver.main import main; del sys.path[0]; main()"
"""What ``python -c`` runs, with the parent folder of ``driver`` as its argument."""


@dataclass(frozen=True)
class DriverRequest:
    """What the driver is asked, before a place adds its own paths.

    Attributes:
        facts: What goes into the driver's JSON request as it is.
        options: pip's options; ``pip_args`` of the JSON request.
        texts: Content of files that the place writes; the JSON request names their paths by these keys.
    """

    facts: Mapping[str, Any]
    options: PipOptions
    texts: Mapping[str, str]


class Place(Protocol):
    """Where the driver runs."""

    def ask(
        self, request: DriverRequest, tools: Path, log: TextIO, advance: Advance
    ) -> dict[str, Any] | None:
        """The driver's last answer to ``request``, ``None`` where it died.

        Args:
            request: What the driver is asked.
            tools: The folder with pip-tools.
            log: Gets what pip prints.
            advance: Told each package that is looked up.
        """


class AnswerReader:
    """Reads the driver's output as it comes.

    Attributes:
        last: The last event that did not only report progress.
    """

    def __init__(self, advance: Advance) -> None:
        self.last: dict[str, Any] | None = None
        self._advance = advance
        self._pending = b""

    def feed(self, data: bytes) -> None:
        """Take the next piece of the output.

        Raises:
            ValueError: The driver does not write such a line.
        """
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            event = json.loads(line)
            if event["event"] == "package":
                self._advance(1, note=event["name"])
            else:
                self.last = event


_CANDIDATES = TypeAdapter(tuple[Candidate, ...])


@dataclass(frozen=True)
class Driver:
    """pip-tools in the target's Python; they are fetched before the first question.

    Attributes:
        interpreter: A Python of the target's version.
        place: Where it runs, if not on this machine.
        cache_dir: Where pip-tools and metadata of wheels are kept.
        progress: Told each package that is looked up.
    """

    interpreter: Interpreter
    place: Place | None
    cache_dir: Path
    progress: Progress

    def ask(self, question: Question) -> Solution | Failure:
        """Resolve once.

        Raises:
            ToolError: pip-tools cannot be fetched, or the process died without an answer.
        """
        tools = toolchain.ensure(self.interpreter, self.cache_dir, self.progress)
        # The names that the same requirements needed last time: pages to fetch early.
        asked = "\n".join((str(question.target), *question.requirements.lines))
        hints = CacheFolder.HINTS.of(self.cache_dir) / hashlib.sha256(asked.encode()).hexdigest()
        names: list[str] = []
        with contextlib.suppress(OSError, UnicodeDecodeError):
            names = hints.read_text().split()
        request = _request(question, names)
        label = f"resolve for {question.target}, glibc {question.glibc[0]}.{question.glibc[1]}"
        with scratch_folder() as folder, (folder / "log").open("w+", errors="replace") as log:
            place = self.place or _Here(self.interpreter, CacheFolder.METADATA.of(self.cache_dir), folder)
            with self.progress.step(label, unit="packages") as advance:
                answer = place.ask(request, tools, log, advance)
            log.seek(0)
            printed = log.read()
        if answer is None:
            raise ToolError(
                f"resolving the requirements with pip-tools in {self.interpreter.path} failed",
                hint="run it again; if it repeats, report it with the lines below",
                detail=pip.tail(printed),
            )
        if answer["event"] != "solved":
            return Failure(answer["kind"], answer)
        solution = _solution(answer)
        write_bytes(hints, "\n".join(candidate.name for candidate in solution.candidates).encode())
        return solution


@dataclass(frozen=True)
class _Here:
    """Runs the driver on this machine."""

    interpreter: Interpreter
    metadata: Path
    folder: Path

    def ask(
        self, request: DriverRequest, tools: Path, log: TextIO, advance: Advance
    ) -> dict[str, Any] | None:
        own: dict[str, object] = {"tools": str(tools), "cache": str(self.metadata)}
        for name, text in request.texts.items():
            path = self.folder / f"{name}.txt"
            path.write_text(text)
            own[name] = str(path)
        full = {**request.facts, **own, "pip_args": request.options.arguments}
        answers = AnswerReader(advance)
        process = subprocess.Popen(
            # -I: neither the user's site-packages nor PYTHONPATH may change what is resolved.
            [str(self.interpreter.path), "-I", "-B", "-c", CODE, str(FOLDER.parent)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            # What pip leaves in TMPDIR when it is interrupted is removed with the folder.
            env=pip.environment({"TMPDIR": str(self.folder)}),
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with process.stdin as stdin:
                stdin.write(json.dumps(full).encode())
            for line in process.stdout:
                answers.feed(line)
        except (BrokenPipeError, ValueError) as error:
            answers.last = None
            log.write(f"the resolver's output: {error}\n")
        else:
            if process.wait() != 0:
                answers.last = None
                log.write(f"the resolver ended with status {process.returncode}\n")
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        return answers.last


def _request(question: Question, hints: list[str]) -> DriverRequest:
    requirements = question.requirements
    # For pip a package that is to be built is one whose wheels are not to be taken.
    formats = [("only-binary", ":all:"), *(("no-binary", name) for name in sorted(question.sdists))]
    if ":all:" in question.sdists:
        # Behind "--no-binary :all:" these are exceptions from it.
        formats += [("only-binary", name) for name in requirements.only_binary]
    own = ["lambdapack"] * len(question.constraints)
    facts = {
        "glibc": f"{question.glibc[0]}.{question.glibc[1]}",
        "machine": question.target.machine,
        "leaf_prefixes": question.leaf_prefixes,
        "leaf_names": question.leaf_names,
        "hints": hints,
        "weighed": question.weighed,
        "alone": question.alone,
        "origins": requirements.origins,
        "constraint_origins": (*requirements.constraint_origins, *own),
    }
    texts = {
        "requirements": "\n".join(requirements.lines) + "\n",
        "constraints": "\n".join((*requirements.constraints, *question.constraints)) + "\n",
    }
    return DriverRequest(facts, PipOptions(tuple(formats)) + requirements.options, texts)


def _solution(answer: Mapping[str, Any]) -> Solution:
    found = _CANDIDATES.validate_python(answer["pins"])
    parents = {canonicalize_name(candidate.name): set(candidate.parents) for candidate in found}
    for candidate in found:
        for need in candidate.needs:
            parents.setdefault(canonicalize_name(Requirement(need).name), set()).add(candidate.name)
    candidates = tuple(
        replace(candidate, parents=tuple(sorted(parents[canonicalize_name(candidate.name)])))
        for candidate in found
    )
    return Solution(candidates, tuple(answer["unreachable"]))
