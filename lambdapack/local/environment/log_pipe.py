"""The output of a function, in the order in which it was printed."""

from __future__ import annotations

import contextlib
import os
import re
import select
import threading

_ERROR = re.compile(r"^\[ERROR\].*$", re.MULTILINE)


class LogPipe:
    """The pipe behind the runtime's stdout and stderr, which is emptied before it is full.

    Attributes:
        writer: The descriptor for the runtime.
    """

    def __init__(self) -> None:
        self._reader, self.writer = os.pipe()
        os.set_blocking(self._reader, False)
        self._lock = threading.Lock()
        self._data = bytearray()
        self._closed = False
        threading.Thread(target=self._pump, daemon=True).start()

    def take(self) -> str:
        """The text that was written since the last call; a line feed ends it unless it is empty."""
        with self._lock:
            self._read()
            text = self._data.decode("utf-8", "replace")
            self._data.clear()
        # awslambdaric keeps an error's lines together by carriage returns, for Lambda's log to split.
        text = _ERROR.sub(lambda match: match[0].replace("\r", "\n"), text)
        return text + "\n" if text and not text.endswith("\n") else text

    def close(self) -> None:
        """Close both ends."""
        with self._lock:
            self._closed = True
            os.close(self.writer)
            os.close(self._reader)

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while not self._closed and (data := os.read(self._reader, 1 << 16)):
                self._data += data

    def _pump(self) -> None:
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        while not self._closed:
            # With a time-out, because a close does not end a poll.
            poll.poll(200)
            with self._lock:
                self._read()
