"""The local cloud's server, as a process of its own."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PROGRAM = """
import sys; from pathlib import Path; from lambdapack.local.server import serve
serve(Path(sys.argv[1]), cache_dir=Path(sys.argv[2]), ready=lambda address: print(address, flush=True))
"""


@contextlib.contextmanager
def running_server(state: Path, cache: Path) -> Iterator[subprocess.Popen[str]]:
    """A server on a state folder, which answers when the block begins and has ended when it ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(state), str(cache)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None and process.stdout.readline().startswith("127.0.0.1:")
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
