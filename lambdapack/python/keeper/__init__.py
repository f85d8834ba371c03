"""The keeper of one execution environment: a process that holds its namespaces and its processes.

Lambdapack imports ``command`` alone: ``python -I -S`` runs the rest with the standard library alone, as the
top-level package ``keeper``, at every cold start of the local cloud. So it does without pathlib and other
slow imports. The module ``task`` is the trace's, ``main`` the keeper itself.

The keeper takes JSON lines on stdin, answers each with one on stdout, and gets its configuration first:

    level     "root": mount and PID namespace; "user": the same inside a user namespace; "none"
    mounts    [source, destination] pairs: below /var and /opt read-only, /mnt/NAME writable
    tmp       {"kind": "ext4", "tmpfs" or "folder", "image": PATH for ext4, "bytes": N for tmpfs}
    limits    {"nofile": N, "fsize": N or null}
    cgroups   the cgroup.procs files that a process joins before it becomes the runtime
    watch     kill all processes when they hold more bytes than this, or null
    log       descriptor that becomes stdout and stderr of the runtime

then come the commands ``start`` (argv, env, cwd), ``stop``, ``continue``, ``kill``, ``peak``. When the
runtime dies, the keeper says so without being asked, as ``exit``. The end of stdin ends everything: the
process that started the keeper may be killed at any moment. The kernel then takes down the PID namespace with
all that runs in it, and the mount namespace with its mounts and their loop device.
"""

from __future__ import annotations

import os
import sys

__all__ = ["command"]

_CODE = "import sys; sys.path.append(sys.argv.pop(1)); from keeper.{} import main; del sys.path[-1]; main()"


def command(module: str) -> list[str]:
    """The command that runs ``main`` of a module of this package; arguments may follow."""
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return [sys.executable, "-I", "-S", "-c", _CODE.format(module), folder]
