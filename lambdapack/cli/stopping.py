"""Have SIGTERM and SIGHUP end a command as Ctrl-C does: it ends what it started, and cleans up."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

_Command = TypeVar("_Command", bound=Callable[..., Any])
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


def stoppable(command: _Command) -> _Command:
    """A command that these signals interrupt; by default they would end this process alone."""
    return _as_interrupts()(command)


@contextmanager
def _as_interrupts() -> Iterator[None]:
    # A signal that is ignored stays ignored: nohup asks for that.
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    taken = [number for number, handler in before.items() if handler is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, before[number])


def _interrupt(number: int, frame: FrameType | None) -> None:
    # Only the first: the next would interrupt the cleaning up.
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
