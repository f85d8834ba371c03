"""The keeper, and the processes of its environment: start the runtime, freeze, thaw, count, kill."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys
import time
from contextlib import suppress
from typing import Any

# So that a type checker of another system does not look for the Linux-only calls below.
assert sys.platform == "linux"

from . import kernel
from .namespaces import enter, mount_all

_KEPT_CAPABILITIES = (1, 2)  # DAC_OVERRIDE, DAC_READ_SEARCH: root's files stay readable
_WATCH_EVERY = 0.1
"""Seconds between two looks at the memory of the processes, where no control group has a cap."""


def main() -> None:
    """Become the keeper."""
    # Read without a buffer, so that the commands stay in the pipe, where ``select`` sees them.
    with open(0, "rb", buffering=0, closefd=False) as stdin:
        line = stdin.readline()
    if not line.endswith(b"\n"):
        os._exit(0)
    configuration = json.loads(line)
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


def say(**document: Any) -> None:
    """Write one line to stdout."""
    os.write(1, json.dumps(document).encode() + b"\n")


class Keeper:
    """Executes commands and watches the runtime's processes.

    Attributes:
        runtime: Process id of the runtime, 0 where there is none.
        running: Whether the processes are neither stopped nor dead.
        over: Whether they were killed for their memory.
    """

    def __init__(self, configuration: dict[str, Any]) -> None:
        self.level: str = configuration["level"]
        self.limits: dict[str, Any] = configuration["limits"]
        self.cgroups: list[str] = configuration["cgroups"]
        self.watch: int | None = configuration["watch"]
        self.log: int = configuration["log"]
        self.runtime = 0
        self.running = False
        self.over = False

    def run(self) -> None:
        """Serve until stdin ends."""
        wake, signalled = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(signalled)
        kernel.LIBC.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        say(event="ready")
        pending = b""
        while True:
            timeout = _WATCH_EVERY if self.watch and self.running else None
            readable = select.select([0, wake], [], [], timeout)[0]
            if wake in readable:
                os.read(wake, 4096)
                self.reap()
            if 0 in readable:
                data = os.read(0, 65536)
                if not data:
                    self.end()
                pending += data
                *lines, pending = pending.split(b"\n")
                for line in lines:
                    self.execute(json.loads(line))
            if self.watch and self.running:
                self.check_memory(self.watch)

    def execute(self, command: dict[str, Any]) -> None:
        """Execute one command and write one answer."""
        verb = command["do"]
        if verb == "start":
            self.start(command)
        elif verb == "kill":
            self.kill()
            say(event="killed")
        elif verb == "peak":
            say(event="peak", bytes=sum(_memory(pid, "VmHWM") for pid in self.members()))
        else:
            self.running = verb == "continue"
            self.signal(signal.SIGCONT if self.running else signal.SIGSTOP)
            say(event=verb)

    def start(self, command: dict[str, Any]) -> None:
        """Fork the runtime, and answer at the moment at which it is executed."""
        reader, writer = os.pipe2(os.O_CLOEXEC)
        self.runtime = os.fork()
        if not self.runtime:
            self.execute_runtime(command, writer)
        os.close(writer)
        with os.fdopen(reader, "rb") as errors:
            problem = errors.read().decode()
        self.running = not problem
        self.over = False
        if problem:
            os.waitpid(self.runtime, 0)
            self.runtime = 0
            say(event="unstarted", why=problem)
        else:
            say(event="started", at=time.monotonic())

    def execute_runtime(self, command: dict[str, Any], writer: int) -> None:
        """In the child: take on the limits and execute the runtime; never returns."""
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            if self.level == "none":
                kernel.LIBC.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            for path in self.cgroups:
                kernel.write(path, "0")
            self.limit()
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, 0)
            os.dup2(self.log, 1)
            os.dup2(self.log, 2)
            os.closerange(3, writer)
            os.closerange(writer + 1, 256)
            os.umask(0o022)
            os.chdir(command["cwd"])
            os.execve(command["argv"][0], command["argv"], command["env"])
        except BaseException as error:
            os.write(writer, str(error).encode())
        os._exit(127)

    def limit(self) -> None:
        """Set Lambda's resource limits, and drop the privileges that it does not give."""
        for kind, limit in (
            (resource.RLIMIT_NOFILE, self.limits["nofile"]),
            (resource.RLIMIT_FSIZE, self.limits["fsize"]),
            (resource.RLIMIT_CORE, 0),
        ):
            if limit is not None:
                hard = resource.getrlimit(kind)[1]
                value = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
                resource.setrlimit(kind, (value, value))
        if self.level == "root":
            for capability in range(64):
                if capability not in _KEPT_CAPABILITIES:
                    kernel.LIBC.prctl(kernel.PR_CAPBSET_DROP, capability, 0, 0, 0)
        kernel.LIBC.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)

    def reap(self) -> None:
        """Collect dead children, and say so if the runtime is among them."""
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                if pid == self.runtime:
                    self.runtime = 0
                    self.running = False
                    say(event="exit", status=os.waitstatus_to_exitcode(status), over=self.over)

    def members(self) -> list[int]:
        """Every process of the environment except this one."""
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        if self.level != "none":
            return [pid for pid in pids if pid != 1]
        return _descendants(pids)

    def signal(self, number: int) -> None:
        """Send a signal to every member; twice, because the first round may miss a process just forked."""
        for _ in range(2):
            for pid in self.members():
                with suppress(ProcessLookupError):
                    os.kill(pid, number)

    def kill(self) -> None:
        """Kill every member, and return once they are gone, without an ``exit`` for the runtime."""
        self.running = False
        members = self.members()
        while members:
            for pid in members:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            members = self.members()
            if members:
                time.sleep(0.001)
        self.runtime = 0

    def check_memory(self, limit: int) -> None:
        """Kill the processes if they hold more than ``limit`` bytes; for where no control group has a cap."""
        members = self.members()
        # The peak of each process counts too, so that a short excess between two looks is noticed.
        peaks = [_memory(pid, "VmHWM") for pid in members]
        if max([sum(_memory(pid, "VmRSS") for pid in members), *peaks]) > limit:
            self.over = True
            self.signal(signal.SIGKILL)

    def end(self) -> None:
        """Kill everything and exit: the process that started this one has closed stdin."""
        self.kill()
        if self.level != "none":
            os.chdir("/")
            with suppress(OSError):
                kernel.detach("/tmp")
        os._exit(0)


def _descendants(pids: list[int]) -> list[int]:
    """The descendants of this process among ``pids``, orphans included, since it adopts them."""
    children: dict[int, list[int]] = {}
    for pid in pids:
        with suppress(OSError, IndexError), open(f"/proc/{pid}/stat", encoding="latin-1") as file:
            children.setdefault(int(file.read().rpartition(")")[2].split()[1]), []).append(pid)
    descendants = list(children.get(os.getpid(), ()))
    for pid in descendants:
        descendants += children.get(pid, ())
    return descendants


def _memory(pid: int, field: str) -> int:
    """Bytes in a field (in KiB) of ``/proc/PID/status``, 0 if there is no such process."""
    with suppress(OSError), open(f"/proc/{pid}/status", encoding="latin-1") as file:
        for line in file:
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    return 0
