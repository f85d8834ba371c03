"""A file system over /dev/shm, where sem_open() and shm_open() fail as in Lambda, which has no /dev/shm."""

from __future__ import annotations

import ctypes
import errno
import os
import select
import stat
import struct
import time
from contextlib import suppress

from .kernel import LIBC, MS_NODEV, MS_NOSUID, mount

PATH = "/dev/shm"

# include/uapi/linux/fuse.h, protocol 7.19. fuse_in_header without its end: len, opcode, unique, nodeid,
# uid, gid, pid. fuse_out_header: len, error, unique. fuse_init_out: major, minor, max_readahead, flags,
# max_background, congestion_threshold, max_write. fuse_attr_out: validity, then fuse_attr, of which the
# last seven are mode, nlink, uid, gid, rdev, blksize, padding.
_IN, _OUT = struct.Struct("=IIQQIII"), struct.Struct("=IiQ")
_INIT_OUT, _ATTR_OUT = struct.Struct("=IIIIHHI"), struct.Struct("=QII6Q3I7I")
_FORGET, _GETATTR, _MKNOD, _INIT, _CREATE, _INTERRUPT, _BATCH_FORGET = 2, 3, 8, 26, 35, 36, 42
_BUFFER = 8192  # FUSE_MIN_READ_BUFFER: the kernel refuses a smaller read


class DevShm:
    """An empty file system on which the creation of a file fails with ENOSYS, "not implemented".

    In Lambda sem_open() fails with ENOSYS. A C library that passes on the error of open() needs a file system
    that gives this error, which only one served by ourselves does.

    The process outside the PID namespace serves it. That process has nothing else to do and opens no file of
    this file system, so every process in the namespace, the keeper included, gets an answer at once. It is
    not stopped when the environment freezes, and so leaves no request half answered when a process is killed.
    """

    def __init__(self) -> None:
        # Opened in the user namespace that will mount it: the kernel requires that.
        self.fuse: int | None = None
        with suppress(OSError):
            self.fuse = os.open("/dev/fuse", os.O_RDWR)
        # From the process inside to the one outside: a byte when it is mounted, the end when the process
        # dies.
        self._inside, self._to_outside = os.pipe()

    def mount(self) -> bool:
        """In the process inside: mount it; whether that worked and semaphores fail as in Lambda."""
        if self.fuse is None:
            return False
        options = f"fd={self.fuse},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
        works = False
        with suppress(OSError):
            mount("none", PATH, "fuse", MS_NOSUID | MS_NODEV, options)
            os.write(self._to_outside, b"m")
            # The kernel asks for the owner: without a mapped owner it lets no process write there.
            os.stat(PATH)
            works = _no_semaphores()
        os.close(self.fuse)
        return works

    def serve(self) -> None:
        """In the process outside: answer requests for as long as the process inside lives."""
        os.close(self._to_outside)
        mounted = os.read(self._inside, 1)
        if self.fuse is None:
            return
        with suppress(OSError):
            while mounted and self._inside not in select.select([self.fuse, self._inside], [], [])[0]:
                # ENOENT: the process that asked has been killed meanwhile.
                with suppress(FileNotFoundError):
                    self._answer(self.fuse)
        # From now on the kernel answers, with ECONNABORTED.
        os.close(self.fuse)

    def _answer(self, fuse: int) -> None:
        """Read a request and reply, unless it is of a kind that gets no reply."""
        _, opcode, unique, _, uid, gid, pid = _IN.unpack_from(os.read(fuse, _BUFFER))
        error, body = -errno.ENOENT, b""
        if opcode in (_FORGET, _BATCH_FORGET, _INTERRUPT):
            return
        if opcode == _INIT:
            error, body = 0, _INIT_OUT.pack(7, 19, 0, 0, 0, 0, 4096)
        elif opcode == _GETATTR and pid == 1:  # from mount()
            error, body = 0, _ATTR_OUT.pack(*[0] * 12, stat.S_IFDIR, 2, uid, gid, 0, 0, 0)
        elif opcode in (_CREATE, _MKNOD):
            error = -errno.ENOSYS
        os.write(fuse, _OUT.pack(_OUT.size + len(body), error, unique) + body)


def _no_semaphores() -> bool:
    """Whether sem_open() fails as in Lambda.

    Before glibc 2.34 it takes another tmpfs, for example /run, where /dev/shm is none.
    """
    LIBC.sem_open.restype = ctypes.c_void_p
    name = f"/lambdapack-{time.monotonic_ns()}".encode()
    if LIBC.sem_open(name, os.O_CREAT | os.O_EXCL, 0o600, 0):
        LIBC.sem_unlink(name)
        return False
    return ctypes.get_errno() == errno.ENOSYS
