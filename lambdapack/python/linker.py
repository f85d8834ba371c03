"""What this machine's dynamic linker goes by: with other libraries, other programs can be loaded."""

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
    """The interpreter, and size and time of the linker's cache, which is written when libraries come and go.

    Returns:
        Values for ``memo.key_of``; ``None`` where variables make the linker look elsewhere too.
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
