"""What this machine's dynamic linker goes by: other libraries may let another program load."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from lambdapack.python.interpreter import Interpreter

__all__ = ["linker_facts"]

_CACHE = Path("/etc/ld.so.cache")
_SETTINGS = ("LD_LIBRARY_PATH", "LD_PRELOAD")


def linker_facts(
    python: Interpreter, environment: Mapping[str, str] = os.environ, cache: Path = _CACHE
) -> list[object] | None:
    """The interpreter, and the size and time of the linker's cache, written anew as libraries come and go.

    Returns:
        What JSON can tell apart; ``None`` where that is not all that the linker goes by.
    """
    if any(environment.get(name) for name in _SETTINGS):
        return None
    try:
        files = [path.stat() for path in (python.path, cache)]
    except OSError:
        return None
    kernel = os.uname()
    return [
        *(kernel.nodename, kernel.release, str(python.path)),
        *((file.st_size, file.st_mtime_ns, file.st_ino) for file in files),
    ]
