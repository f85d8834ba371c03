"""One case of a row: its random numbers, its folder, its scripts and starts."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .endpoint import Script
from .model import RIGHT, End, Verdict, judge
from .world import Start, World, start

__all__ = ["ROWS", "Case", "NotHereError", "Row", "row"]


class NotHereError(Exception):
    """A fault cannot be injected on this machine; says why."""


@dataclass(frozen=True)
class Row:
    """A kind of fault.

    Attributes:
        name: For people, and for ``--row``.
        count: Cases in a full run.
        bounded: Cases in the bounded run of CI.
        run: Injects the faults of one case: a verdict for each.
        slow: Left out of the bounded run of ``make test``.
        share: Where several rows are made by one function, what this one does.
        hidden: Only where it is named: it is there to test the harness.
    """

    name: str
    count: int
    bounded: int
    run: Callable[..., list[Verdict]]
    slow: bool = False
    share: tuple[Any, ...] = ()
    hidden: bool = False


ROWS: dict[str, Row] = {}


def row(
    name: str, count: int, bounded: int, *share: Any, slow: bool = False, hidden: bool = False
) -> Callable[[Callable[..., list[Verdict]]], Callable[..., list[Verdict]]]:
    """Register a function as a row."""

    def register(run: Callable[..., list[Verdict]]) -> Callable[..., list[Verdict]]:
        ROWS[name] = Row(name, count, bounded, run, slow, share, hidden)
        return run

    return register


class Case:
    """What a row's function works with.

    Attributes:
        rng: Random numbers of this row and seed alone.
        root: The loader's folder, not there yet.
    """

    def __init__(self, world: World, row_name: str, seed: int, folder: Path) -> None:
        self.world = world
        self.rng = random.Random(f"{row_name} {seed}")
        self.folder = folder
        self.root = folder / "root"
        self._grants: list[Mapping[str, str]] = []
        self._starts: list[Start] = []

    def script(self, **what: Any) -> tuple[Script, dict[str, str]]:
        """A script at the endpoint, and the variables that lead to it."""
        script = Script(**what)
        credentials = self.world.endpoint.grant(script)
        self._grants.append(credentials)
        return script, credentials

    def start(
        self,
        steps: Sequence[Sequence[Any]],
        environment: Mapping[str, str] | None = None,
        *,
        root: Path | None = None,
        function: str = "plain",
        prefix: Sequence[str] = (),
    ) -> Start:
        """Start a process; with a healthy endpoint unless ``environment`` says another."""
        if environment is None:
            environment = self.script()[1]
        if not {"AWS_ACCESS_KEY_ID"} & set(environment):
            environment = {**self.script()[1], **environment}
        began = start(
            self.world,
            root or self.root,
            steps,
            environment=environment,
            folder=self.folder,
            function=function,
            prefix=prefix,
        )
        self.owns(began)
        return began

    def owns(self, began: Start) -> None:
        """See to it that ``began`` ends with this case."""
        self._starts.append(began)

    def judge(
        self, began: Start, allowed: frozenset[End], results: int = 1, own: tuple[str, ...] = ()
    ) -> Verdict:
        """Wait for its end and judge it."""
        return judge(self.world, began, allowed, results=results, own=own)

    def next_is_right(self, before: Verdict | None = None) -> Verdict:
        """Start once more, undisturbed: nothing but the right answer will do."""
        if before is not None and before.end in (End.WRONG, End.HUNG):
            return before
        again = self.judge(self.start(LOOK), RIGHT)
        if again.end is not End.RIGHT:
            return Verdict(again.end, f"the next start: {again.reason}")
        return before or again

    def close(self) -> None:
        """End whatever this case began."""
        for began in self._starts:
            began.kill()
            if began.process.stdin is not None:
                with contextlib.suppress(OSError):
                    began.process.stdin.close()
        for credentials in self._grants:
            self.world.endpoint.forget(credentials)


LOOK: list[list[Any]] = [["load"], ["observe", True]]
"""The steps of a plain start."""


@contextlib.contextmanager
def opened(world: World, row_name: str, seed: int) -> Iterator[Case]:
    """A case with a folder that goes with it."""
    folder = Path(tempfile.mkdtemp(prefix="case-", dir=world.folder))
    case = Case(world, row_name, seed, folder)
    try:
        yield case
    finally:
        case.close()
        _remove(folder)


def _remove(folder: Path) -> None:
    # Orphans that are about to notice may still write for a moment.
    for _ in range(50):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)


def everything_below(root: Path) -> list[Path]:
    """Files and folders below the loader's folder, whatever they are for."""
    found = []
    for folder, folders, names in os.walk(root):
        found += [Path(folder, name) for name in [*folders, *names]]
    return sorted(found)


def damage(root: Path, rng: random.Random, *, mapped: bool, extend: bool = False) -> str:
    """Delete or cut one thing below ``root``; what was done, in words.

    Args:
        root: The loader's folder.
        rng: Chooses.
        mapped: Whether a living process may have mapped shared objects: those are deleted, not cut,
            because no process survives that, with a plain folder neither.
        extend: Cut to nothing and give it its length back, as a hole.
    """
    found = everything_below(root)
    if not found:
        return "nothing there"
    files = [path for path in found if path.is_file()]
    victim = rng.choice(files if extend and files else found)
    with contextlib.suppress(FileNotFoundError):
        if victim.is_dir():
            shutil.rmtree(victim, ignore_errors=True)
            return f"removed folder {victim.relative_to(root)}"
        size = victim.stat().st_size
        cut = rng.random() < 0.5 or extend
        if cut and not (mapped and ".so" in victim.name):
            to = 0 if extend else rng.choice([0, size // 2, max(0, size - 1), min(size, 4096)])
            os.truncate(victim, to)
            if extend:
                os.truncate(victim, size)
            return f"cut {victim.relative_to(root)} from {size} to {to}{' and back' if extend else ''}"
        victim.unlink()
        return f"removed {victim.relative_to(root)}"
    return "it was gone already"
