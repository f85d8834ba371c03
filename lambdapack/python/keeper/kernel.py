"""System calls that Python's standard library does not have, and their constants."""

from __future__ import annotations

import ctypes
import os
from typing import Any

LIBC = ctypes.CDLL(None, use_errno=True)

# include/uapi/linux/sched.h, mount.h, prctl.h
CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID = 0x00020000, 0x10000000, 0x20000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND = 1, 2, 4, 32, 4096
MS_REC, MS_PRIVATE = 16384, 1 << 18
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 24, 36, 38
_ST_KEEP = 2 | 4 | 8 | 1024 | 2048  # flags that have the same number in statvfs and in mount


def call(function: str, *arguments: Any, what: str | None = None) -> None:
    """Call a function of the C library.

    Raises:
        OSError: It failed; its ``filename`` has the function, and ``what`` it was about.
    """
    if getattr(LIBC, function)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), f"{function} {what}" if what else function)


def mount(source: str, destination: str, kind: str | None, flags: int, options: str = "") -> None:
    """``mount(2)``."""
    call(
        "mount",
        source.encode(),
        destination.encode(),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        options.encode() or None,
        what=destination,
    )


def bind(source: str, destination: str, *, read_only: bool) -> None:
    """Show a folder, with all that is mounted below it, at a second place."""
    mount(source, destination, None, MS_BIND | MS_REC)
    if read_only:
        # In a user namespace the flags that the mount has already must be repeated.
        flags = os.statvfs(destination).f_flag & _ST_KEEP
        mount("none", destination, None, MS_BIND | MS_REMOUNT | MS_RDONLY | flags)


def detach(path: str) -> None:
    """Unmount what is mounted at ``path``, also while it is in use."""
    call("umount2", path.encode(), ctypes.c_int(MNT_DETACH))


def write(path: str, text: str) -> None:
    """Write one of the kernel's control files."""
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def map_user(user: int, group: int) -> None:
    """In a new user namespace: stay the user and the group that this process was outside."""
    write("/proc/self/setgroups", "deny")
    write("/proc/self/uid_map", f"{user} {user} 1")
    write("/proc/self/gid_map", f"{group} {group} 1")
