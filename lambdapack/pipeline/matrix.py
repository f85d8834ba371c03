"""Several targets built side by side, each by a process of its own, into a folder of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import FrameType
from typing import Any

from lambdapack.errors import ConfigurationError, LambdapackError, ToolError
from lambdapack.model import Target
from lambdapack.pipeline.options import BuildOptions
from lambdapack.pipeline.stages import BuildResult
from lambdapack.progress import QUIET, Advance, Progress

__all__ = ["Build", "Outcome", "build_all", "folder_name", "members", "side_by_side"]

Build = Callable[..., BuildResult]
"""Takes ``BuildOptions`` and ``progress=``; it can be sent to another process."""
_SECONDS_TO_END = 60
_SIDE_BY_SIDE_MAX = 16


@dataclass(frozen=True)
class Outcome:
    """What came of one target.

    Attributes:
        target: e.g. ``python3.12/x86_64``.
        directory: Where its build is, or would be.
        id: Its pack's id; ``None`` where it failed.
        bytes: The size of its pack.
        seconds: How long it took.
        reused: Whether the pack is that of an earlier build.
        error: Why it failed.
    """

    target: str
    directory: Path
    id: str | None
    bytes: int
    seconds: float
    reused: bool = False
    error: LambdapackError | None = None


def members(options: BuildOptions, targets: Sequence[Target]) -> tuple[BuildOptions, ...]:
    """The options of each target: those given, into a folder of its own below the output folder.

    Raises:
        ConfigurationError: No target, or an image was named, which is for one target.
    """
    if not targets:
        raise ConfigurationError("a matrix of no targets", hint="--matrix python3.12/x86_64,python3.13/arm64")
    if options.image is not None and len(set(targets)) > 1:
        raise ConfigurationError(
            f"the image {options.image} is for one target, and the matrix has {len(set(targets))}",
            hint="leave the image out, or build one target at a time",
        )
    return tuple(
        replace(options, target=target, output=options.output / folder_name(target))
        for target in dict.fromkeys(targets)
    )


def folder_name(target: Target) -> str:
    """The folder of a target below the output folder, e.g. ``python3.12-x86_64``."""
    return f"python{target.python}-{target.arch}"


def side_by_side(count: int, *, cores: int) -> int:
    """How many of ``count`` builds run at a time on ``cores`` cores: each has two of them, or is alone."""
    return max(1, min(count, cores // 2, _SIDE_BY_SIDE_MAX))


def build_all(
    builds: Sequence[tuple[BuildOptions, Build]], *, at_a_time: int, progress: Progress = QUIET
) -> tuple[Outcome, ...]:
    """Run the builds, ``at_a_time`` of them side by side.

    A build that fails stops no other. An interruption ends all of them, and each cleans up.

    Args:
        builds: Options, and what builds them.
        at_a_time: How many run at once.
        progress: Told what each build tells, with its target before it.

    Returns:
        What came of each, in the order given.
    """
    waiting, running = list(enumerate(builds)), dict[Connection, _Member]()
    outcomes: dict[int, Outcome] = {}
    try:
        while waiting or running:
            while waiting and len(running) < at_a_time:
                number, (options, build) = waiting.pop(0)
                member = _Member.start(number, options, build)
                running[member.pipe] = member
            for pipe in wait(list(running)):
                assert isinstance(pipe, Connection)
                outcome = running[pipe].listen(progress)
                if outcome is not None:
                    outcomes[running.pop(pipe).number] = outcome
                    progress.note(_told(outcome))
    finally:
        for member in running.values():
            member.process.terminate()
        for member in running.values():
            member.drain(progress)
            member.end()
    return tuple(outcomes[number] for number in sorted(outcomes))


def _told(outcome: Outcome) -> str:
    if outcome.error is not None:
        return f"{outcome.target}: failed after {outcome.seconds:.1f} s"
    return f"{outcome.target}: {outcome.id} in {outcome.seconds:.1f} s"


@dataclass
class _Member:
    """A build in a process of its own."""

    number: int
    options: BuildOptions
    process: SpawnProcess
    pipe: Connection
    begun: float

    @classmethod
    def start(cls, number: int, options: BuildOptions, build: Build) -> _Member:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_run, args=(build, options, theirs))
        with _uninterrupted():
            process.start()
        # Only the other process holds this end now: when it ends, the pipe does.
        theirs.close()
        return cls(number, options, process, ours, time.monotonic())

    def listen(self, progress: Progress) -> Outcome | None:
        """Pass one message on; the outcome, once the build has ended."""
        try:
            kind, told = self.pipe.recv()
        except (EOFError, ConnectionError):
            self.end()
            status = self.process.exitcode
            kind, told = (
                "failed",
                ToolError(f"its process ended with status {status} before its work was done"),
            )
        target = str(self.options.target)
        if kind in ("note", "warning"):
            self._pass_on(kind, told, progress)
            return None
        self.end()
        seconds = round(time.monotonic() - self.begun, 3)
        if kind == "failed":
            return Outcome(target, self.options.output, None, 0, seconds, error=told)
        return Outcome(target, self.options.output, told[0], told[1], seconds, reused=told[2])

    def drain(self, progress: Progress) -> None:
        """Pass on what a build that is asked to end still has to tell, e.g. what it stopped elsewhere."""
        with suppress(EOFError, OSError):
            while self.pipe.poll(_SECONDS_TO_END):
                kind, told = self.pipe.recv()
                if kind == "warning":
                    self._pass_on(kind, told, progress)

    def _pass_on(self, kind: str, told: str, progress: Progress) -> None:
        (progress.warn if kind == "warning" else progress.note)(f"{self.options.target}: {told}")

    def end(self) -> None:
        """Wait for the process, which is asked to end or has nothing more to do."""
        self.process.join(_SECONDS_TO_END)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.pipe.close()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """What is started here does not get Ctrl-C: whoever started it ends it, once."""
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:
        # Only the main thread has to do with signals.
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _run(build: Build, options: BuildOptions, pipe: Connection) -> None:
    """What a member's process does."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with suppress(BrokenPipeError):
            pipe.send(_ended(build, options, pipe))
    except KeyboardInterrupt:
        # The one who asked for it waits for nothing but the end.
        pass


def _ended(build: Build, options: BuildOptions, pipe: Connection) -> tuple[str, Any]:
    try:
        result = build(options, progress=_Piped(pipe))
    except LambdapackError as error:
        return "failed", error
    except Exception as error:
        if os.environ.get("LAMBDAPACK_DEBUG"):
            raise
        return "failed", ToolError(
            f"lambdapack failed unexpectedly: {type(error).__name__}: {error}",
            hint="this is a bug; LAMBDAPACK_DEBUG=1 shows the traceback to report",
        )
    made = result.report.pack
    return "built", (made.id, made.bytes, result.reused)


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


class _Piped:
    """A ``Progress`` that another process shows: a line for each step that has ended."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    @contextmanager
    def step(self, name: str, *, total: int | None = None, unit: str = "") -> Iterator[Advance]:
        """Begin a step."""

        def advance(amount: int = 1, *, note: str | None = None) -> None:
            return None

        begun = time.perf_counter()
        yield advance
        self.note(f"{name}: {time.perf_counter() - begun:.1f} s")

    def note(self, message: str) -> None:
        """Send a note."""
        self._pipe.send(("note", message))

    def warn(self, message: str) -> None:
        """Send a warning."""
        self._pipe.send(("warning", message))
