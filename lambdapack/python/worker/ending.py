"""End a process that was started, and what it started in turn."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress

__all__ = ["end", "end_group"]

_TERMINATION_SECONDS = 5


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that still runs, and let it end its children first."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        _wait(process)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process that was started in a session of its own, with all that it started there."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        _wait(process)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_TERMINATION_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
