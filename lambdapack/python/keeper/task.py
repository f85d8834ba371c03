"""Execute a command where a function's code is at /var/task, read-only, and there is no /dev/shm.

    python -I -S -c CODE FOLDER SOURCE PATH... -- COMMAND...

SOURCE is the folder with the code. Where this machine does not allow it, or a PATH would not be the file or
folder that it was, COMMAND is executed as things are; /var/task tells COMMAND which it is.
"""

from __future__ import annotations

import ctypes
import os
import sys

# So that a type checker of another system does not look for the Linux-only calls below.
assert sys.platform == "linux"

from . import kernel
from .dev_shm import PATH
from .namespaces import rebuild

TASK = "/var/task"


def main() -> None:
    """Become the command."""
    source, *rest = sys.argv[1:]
    end = rest.index("--")
    paths, command = rest[:end], rest[end + 1 :]
    for user in (False, True):
        # Tried in another process first: half of it is not to be undone.
        trial = os.fork()
        if not trial:
            os._exit(not _works(source, paths, user=user))
        if os.waitpid(trial, 0)[1] == 0:
            _enter(source, user=user)
            break
    os.execv(command[0], command)


def _works(source: str, paths: list[str], *, user: bool) -> bool:
    try:
        before = [_identity(path) for path in paths]
        _enter(source, user=user)
        return before == [_identity(path) for path in paths]
    except OSError:
        return False


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _enter(source: str, *, user: bool) -> None:
    """Enter a mount namespace, with ``user`` inside a user namespace, and change /var and /dev there."""
    ids = os.getuid(), os.getgid()
    kernel.call("unshare", ctypes.c_int(kernel.CLONE_NEWNS | (kernel.CLONE_NEWUSER if user else 0)))
    if user:
        kernel.map_user(*ids)
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    rebuild("/var", {TASK: source})
    rebuild("/dev", without=os.path.basename(PATH))
