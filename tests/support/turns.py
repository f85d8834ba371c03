"""Two callers whose calls are made one at a time, in every order that there is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

BLOCKED = "sleep"
"""A caller that is at this step waits for another one, and goes on only where no other can."""


@dataclass
class _Caller:
    work: Callable[[], object]
    at: str | None = None
    done: bool = False
    error: BaseException | None = None
    may_go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))


class Turns:
    """Runs callers in threads; each stops at ``step`` until it is its turn."""

    def __init__(self, work: Mapping[str, Callable[[], object]], choices: list[str]) -> None:
        self._callers = {name: _Caller(one) for name, one in work.items()}
        self._choices = choices
        self._stopped = threading.Semaphore(0)
        self._names: dict[int, str] = {}
        self.made: list[tuple[str, str]] = []
        """Caller and step, in the order in which they went on."""
        self.open: list[list[str]] = []
        """At each of them, who else could have gone on."""

    def step(self, label: str) -> None:
        """Called by a caller before each of its calls."""
        name = self._names.get(threading.get_ident())
        if name is None:
            return
        caller = self._callers[name]
        caller.at = label
        self._stopped.release()
        caller.may_go.acquire()

    def run(self, after: Callable[[], None]) -> None:
        """Let all come to their end; ``after`` is called whenever all stand still."""
        for name, caller in self._callers.items():
            thread = threading.Thread(target=self._run, args=(name, caller), daemon=True)
            thread.start()
            self._stopped.acquire()
        while waiting := [name for name, caller in self._callers.items() if not caller.done]:
            after()
            free = [name for name in waiting if self._callers[name].at != BLOCKED] or waiting
            number = len(self.made)
            chosen = self._choices[number] if number < len(self._choices) else free[0]
            self.open.append([name for name in free if name != chosen])
            self.made.append((chosen, str(self._callers[chosen].at)))
            self._callers[chosen].may_go.release()
            self._stopped.acquire()
        after()
        for caller in self._callers.values():
            if caller.error is not None:
                raise caller.error

    def _run(self, name: str, caller: _Caller) -> None:
        self._names[threading.get_ident()] = name
        try:
            self.step("begin")
            caller.work()
        except BaseException as error:
            caller.error = error
        caller.done = True
        self._stopped.release()


def orders(play: Callable[[list[str]], Turns]) -> Iterator[Turns]:
    """Play again and again, until each order in which the callers can go on was played once."""
    pending: list[list[str]] = [[]]
    while pending:
        given = pending.pop()
        turns = play(given)
        yield turns
        taken = [name for name, _ in turns.made]
        for number in range(len(given), len(taken)):
            pending += [[*taken[:number], other] for other in turns.open[number]]
