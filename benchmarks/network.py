"""Two network namespaces and a link of a set bandwidth between them.

The S3 endpoint lives in one, the functions in the other. The queueing discipline is on the endpoint's side,
so that it is the functions' download that is limited, by the kernel.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType

from lambdapack.errors import ToolError

__all__ = ["Network"]

_CLONE_NEWNET = 0x40000000  # include/uapi/linux/sched.h
_NAME = "lambdapack-bench"
_FAR, _NEAR = "10.83.7.1", "10.83.7.2"


class Network:
    """The namespaces; a context manager that takes them down.

    Args:
        mbit: Megabits a second towards the functions.

    Attributes:
        far: Name of the endpoint's namespace.
        host: The endpoint's address.

    Raises:
        ToolError: They are not to be had; the message says why.
    """

    host = _FAR

    def __init__(self, mbit: float) -> None:
        if os.geteuid():
            raise ToolError("network namespaces need root")
        if missing := [name for name in ("ip", "tc", "nsenter") if not _program(name)]:
            raise ToolError(f"there is no {' and no '.join(missing)}")
        self.far, self._near = f"{_NAME}-s3-{os.getpid()}", f"{_NAME}-fn-{os.getpid()}"
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _sweep()
            self._make(mbit)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Network:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def prefix(self) -> tuple[str, ...]:
        """What a command begins with that is to run at the endpoint's side."""
        return (_program("nsenter"), f"--net=/run/netns/{self.far}")

    def enter(self) -> None:
        """Move this thread, and so the processes that it starts, to the functions' side."""
        with Path(f"/run/netns/{self._near}").open("rb") as file:
            _setns(file.fileno())

    def close(self) -> None:
        """Go home and remove both namespaces, and the link with them."""
        if self._home >= 0:
            _setns(self._home)
            os.close(self._home)
            self._home = -1
        for name in (self.far, self._near):
            if Path(f"/run/netns/{name}").exists():
                _run("ip", "netns", "del", name)

    def _make(self, mbit: float) -> None:
        far, near = self.far, self._near
        for name in (far, near):
            _run("ip", "netns", "add", name)
        _run("ip", "link", "add", "s3", "netns", far, "type", "veth", "peer", "name", "fn", "netns", near)
        for name, link, address in ((far, "s3", _FAR), (near, "fn", _NEAR)):
            _run("ip", "-n", name, "addr", "add", f"{address}/30", "dev", link)
            _run("ip", "-n", name, "link", "set", link, "up")
            _run("ip", "-n", name, "link", "set", "lo", "up")
        shape = ("tbf", "rate", f"{mbit:g}mbit", "burst", "256k", "latency", "50ms")
        _run("tc", "-n", far, "qdisc", "add", "dev", "s3", "root", *shape)


def _sweep() -> None:
    """Remove what runs that were killed left behind."""
    for path in Path("/run/netns").glob(f"{_NAME}-*"):
        if not Path("/proc", path.name.rpartition("-")[2]).exists():
            _run("ip", "netns", "del", path.name)


def _program(name: str) -> str:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or ""


def _run(program: str, *arguments: str) -> None:
    done = subprocess.run(
        [_program(program), *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ToolError(f"{program} {' '.join(arguments)}: {done.stderr.strip()}")


def _setns(descriptor: int) -> None:
    # os.setns came with Python 3.12.
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise ToolError(f"entering a network namespace: {os.strerror(number)}")
