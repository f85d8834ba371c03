"""Putting off the program's signal handlers while the main thread does the shim's own work.

Python runs a handler between any two instructions of the main thread. In the middle of a fetch, a handler
that opens a file of the pack would be taken for the shim and find nothing, and an error that it raises would
be taken for one of the network's. So a handler runs when the fetch is over, as it would after a call that a
slow file system keeps waiting.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # typeshed has the other half
import sys
from _thread import get_native_id
from posix import getpid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class DeferredSignals:
    """A context in which no signal handler of the program runs; those of signals that came run at its end."""

    def __init__(self) -> None:
        self._handlers: dict[int, Any] = {}
        self._came: dict[int, None] = {}

    def __enter__(self) -> None:
        if get_native_id() != getpid():
            return  # handlers run in the main thread alone
        try:
            for number in range(1, _signal.NSIG):
                handler = _signal.getsignal(number)
                if callable(handler):
                    self._handlers[number] = handler
                    _signal.signal(number, self._note)
        except ValueError:
            pass  # a subinterpreter has no handlers
        except BaseException:
            self._restore()
            raise

    def _note(self, number: int, frame: Any) -> None:
        self._came[number] = None

    def __exit__(self, *exc: object) -> None:
        error = self._restore()
        for number in self._came:
            try:
                self._handlers[number](number, sys._getframe(1))
            except BaseException as raised:
                error = error or raised
        if error is not None:
            raise error

    def _restore(self) -> BaseException | None:
        """Set every handler again. One that is set may run at once: the first error of such a one."""
        error, left = None, list(self._handlers)
        while left:
            try:
                while left:
                    _signal.signal(left[-1], self._handlers[left[-1]])
                    left.pop()
            except BaseException as raised:
                error = error or raised
        return error
