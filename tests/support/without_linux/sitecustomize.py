"""A Python that takes this machine for a Mac: other names, and none of the functions that only Linux has.

On PYTHONPATH it is imported before anything else. What a Mac has and Linux lacks is beside this file.
"""

import os
import platform
import select
import signal
import socket
import sys

# As typeshed has them: what it declares for Linux alone.
_OS = (
    "CLONE_NEWNS", "EFD_CLOEXEC", "GRND_NONBLOCK", "MFD_CLOEXEC", "O_DIRECT", "O_LARGEFILE", "O_NOATIME",
    "O_PATH", "O_RSYNC", "O_TMPFILE", "P_PIDFD", "SCHED_BATCH", "SPLICE_F_MOVE", "copy_file_range", "eventfd",
    "fdatasync", "getrandom", "getxattr", "listxattr", "memfd_create", "pidfd_open", "pipe2",
    "posix_fadvise", "posix_fallocate", "removexattr", "sched_getaffinity", "sched_getparam",
    "sched_setaffinity", "sched_setscheduler", "setns", "setresuid", "setxattr", "splice", "timerfd_create",
    "unshare",
)  # fmt: skip
_OTHERS = {
    select: ("epoll",),
    signal: ("pidfd_send_signal", "sigtimedwait", "sigwaitinfo"),
    socket: ("AF_NETLINK", "AF_PACKET", "AF_VSOCK", "SO_PEERCRED"),
}
# Before sys.platform changes: Debian's and pyenv's Pythons name this file after the real system.
os.environ["_PYTHON_SYSCONFIGDATA_NAME"] = "_sysconfigdata_{}_{}_{}".format(
    getattr(sys, "abiflags", ""), sys.platform, getattr(sys.implementation, "_multiarch", "")
)
for name in _OS:
    if hasattr(os, name):
        delattr(os, name)
for module, names in _OTHERS.items():
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
sys.platform = "darwin"
platform.system = lambda: "Darwin"
_uname = os.uname()
os.uname = lambda: os.uname_result(("Darwin", _uname[1], "24.0.0", "Darwin Kernel Version 24.0.0", _uname[4]))
