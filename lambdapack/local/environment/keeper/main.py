"""The keeper from its configuration to its end."""

from __future__ import annotations

import json
import os
import signal

from .namespaces import enter, mount_all
from .processes import Keeper, say


def main() -> None:
    """Become the keeper."""
    configuration = json.loads(_first_line())
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    level = configuration["level"]
    try:
        if level != "none":
            shm = enter(level, configuration["cgroups"])
            mount_all(configuration["mounts"], configuration["tmp"], shm)
    except OSError as error:
        say(event="failed", why=f"{error.filename or level}: {error.strerror}")
        os._exit(1)
    Keeper(configuration).run()


def _first_line() -> bytes:
    """Read without a buffer, so that the commands stay in the pipe, where ``select`` sees them."""
    line = b""
    while not line.endswith(b"\n"):
        data = os.read(0, 65536)
        if not data:
            os._exit(0)
        line += data
    return line
