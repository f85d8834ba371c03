"""Ask the driver: one resolution in a process of the target's Python."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lambdapack.errors import ToolError
from lambdapack.files import scratch_folder, write_bytes
from lambdapack.lock.resolver.place import CODE, FOLDER, AnswerReader, DriverRequest, Place
from lambdapack.lock.resolver.solution import Candidate, Failure, Question, Solution
from lambdapack.memo import CacheFolder
from lambdapack.model import PipOptions
from lambdapack.progress import Advance, Progress
from lambdapack.python import pip, toolchain
from lambdapack.python.interpreter import Interpreter


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
        hints = self._hints(question)
        request = _request(question, _words(hints))
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

    def _hints(self, question: Question) -> Path:
        """The file with the names that the same requirements needed last time."""
        asked = "\n".join((str(question.target), *question.requirements.lines))
        return CacheFolder.HINTS.of(self.cache_dir) / hashlib.sha256(asked.encode()).hexdigest()


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
        return self._run(full, log, AnswerReader(advance))

    def _run(self, request: Mapping[str, Any], log: TextIO, answers: AnswerReader) -> dict[str, Any] | None:
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


def _words(path: Path) -> list[str]:
    """The names in a file of hints: pages to fetch early. Where there are none, resolving takes longer."""
    try:
        return path.read_text().split()
    except (OSError, UnicodeDecodeError):
        return []


def _request(question: Question, hints: list[str]) -> DriverRequest:
    requirements = question.requirements
    # For pip a package that is to be built is one whose wheels are not to be taken.
    formats = [("only-binary", ":all:"), *(("no-binary", name) for name in sorted(question.sdists))]
    if ":all:" in question.sdists:
        # Behind "--no-binary :all:" these are exceptions from it.
        formats += [("only-binary", name) for name in requirements.only_binary]
    facts = {
        "glibc": f"{question.glibc[0]}.{question.glibc[1]}",
        "machine": question.target.machine,
        "leaf_prefixes": question.leaf_prefixes,
        "leaf_names": question.leaf_names,
        "hints": hints,
        "weighed": question.weighed,
        "alone": question.alone,
        "origins": requirements.origins,
        "constraint_origins": (
            *requirements.constraint_origins,
            *("lambdapack" for _ in question.constraints),
        ),
    }
    texts = {
        "requirements": "\n".join(requirements.lines) + "\n",
        "constraints": "\n".join((*requirements.constraints, *question.constraints)) + "\n",
    }
    return DriverRequest(facts, PipOptions(tuple(formats)) + requirements.options, texts)


def _solution(answer: Mapping[str, Any]) -> Solution:
    parents: dict[str, set[str]] = {}
    for pin in answer["pins"]:
        for need in pin["needs"]:
            parents.setdefault(canonicalize_name(Requirement(need).name), set()).add(pin["name"])
    candidates = tuple(
        Candidate(
            pin["name"],
            pin["version"],
            pin["filename"],
            pin["hash"],
            parents=tuple(sorted({*pin["parents"], *parents.get(canonicalize_name(pin["name"]), ())})),
            cpu=tuple(pin["cpu"]),
            needs=tuple(pin["needs"]),
            bytes=pin["bytes"],
            url=pin["url"],
        )
        for pin in answer["pins"]
    )
    return Solution(candidates, tuple(answer["unreachable"]))
