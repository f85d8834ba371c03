"""The environment's mount and PID namespaces, and the file systems that Lambda has in them."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from typing import Any

# So that a type checker of another system does not look for the Linux-only calls below.
assert sys.platform == "linux"

from . import kernel
from .dev_shm import PATH, DevShm


def enter(level: str, cgroups: list[str]) -> DevShm:
    """Return as PID 1 of a new PID namespace, in a new mount namespace.

    The process outside stays alive. It serves /dev/shm, and removes the control groups once the processes in
    them are gone.
    """
    ids = os.getuid(), os.getgid()
    flags = kernel.CLONE_NEWNS | kernel.CLONE_NEWPID | (kernel.CLONE_NEWUSER if level == "user" else 0)
    kernel.call("unshare", ctypes.c_int(flags))
    if level == "user":
        kernel.map_user(*ids)
    shm = DevShm()
    child = os.fork()
    if child:
        shm.serve()
        os.waitpid(child, 0)
        for path in cgroups:
            _remove_group(os.path.dirname(path))
        os._exit(0)
    kernel.LIBC.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    return shm


def _remove_group(folder: str) -> None:
    for _ in range(100):
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            return
        except OSError:
            # The kernel lets go of a group a little after its last process.
            time.sleep(0.02)


def mount_all(mounts: list[list[str]], tmp: dict[str, Any], shm: DevShm) -> None:
    """Mount /proc, the function and its runtime below /var, its layers at /opt, /mnt, /tmp and /dev/shm.

    ``mounts`` and ``tmp`` are as in the configuration.
    """
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV)
    below_var = {place: source for source, place in mounts if place.startswith("/var/")}
    # Opened first: what is mounted may cover the sources of others.
    others = [(os.open(source, os.O_PATH | os.O_DIRECTORY), place) for source, place in mounts
              if place not in below_var]  # fmt: skip
    rebuild("/var", below_var)
    _mount_others(others)
    _mount_tmp(tmp)
    # Last, since the sources of mounts and the image of /tmp may lie below it.
    if os.path.isdir(PATH) and not shm.mount():
        # sem_open() must fail at least, if with another error than in Lambda.
        kernel.mount("tmpfs", PATH, "tmpfs", kernel.MS_RDONLY, "size=4k")


def _mount_tmp(tmp: dict[str, Any]) -> None:
    if tmp["kind"] == "ext4":
        # mount(8) sets the loop device up so that it goes away with its mount.
        done = subprocess.run(
            ["mount", "-n", "-t", "ext4", "-o", "loop,nosuid,nodev,noinit_itable", tmp["image"], "/tmp"],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            raise OSError(0, done.stderr.strip(), "mount")
        os.rmdir("/tmp/lost+found")
    else:
        kernel.mount(
            "tmpfs", "/tmp", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, f"size={tmp['bytes']},mode=1777"
        )
    os.chmod("/tmp", 0o1777)


def _mount_others(folders: list[tuple[int, str]]) -> None:
    """Show layers read-only at /opt, and a file system below a /mnt of the environment's own."""
    for descriptor, place in folders:
        layers = place == "/opt"
        if not layers:
            kernel.mount("tmpfs", "/mnt", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=1m,mode=755")
            os.mkdir(place)
        kernel.bind(f"/proc/self/fd/{descriptor}", place, read_only=layers)
        os.close(descriptor)


def rebuild(folder: str, sources: dict[str, str] | None = None, without: str | None = None) -> None:
    """Show ``sources`` (path below ``folder`` -> source folder) read-only, without touching the real folder.

    What else the folder has stays as it is, but for the entry ``without``.
    """
    stage = "/tmp"
    real = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    descriptors = {
        path: os.open(source, os.O_PATH | os.O_DIRECTORY) for path, source in (sources or {}).items()
    }
    kernel.mount("tmpfs", stage, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=1m,mode=755")
    for name in os.listdir(f"/proc/self/fd/{real}"):
        source, copy = f"/proc/self/fd/{real}/{name}", f"{stage}/{name}"
        if name == without or f"{folder}/{name}" in descriptors:
            continue
        if os.path.islink(source):
            os.symlink(os.readlink(source), copy)
            continue
        if os.path.isdir(source):
            os.mkdir(copy)
        else:
            os.close(os.open(copy, os.O_CREAT))
        kernel.bind(source, copy, read_only=False)
    for path, descriptor in descriptors.items():
        point = stage + path[len(folder) :]
        os.makedirs(point, exist_ok=True)
        kernel.bind(f"/proc/self/fd/{descriptor}", point, read_only=True)
        os.close(descriptor)
    kernel.mount(stage, folder, None, kernel.MS_BIND | kernel.MS_REC)
    os.close(real)
    kernel.detach(stage)
