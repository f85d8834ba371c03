"""What this machine is: most of lambdapack's users work on a Mac, and Lambda runs Linux."""

from __future__ import annotations

import os
import sys

__all__ = ["is_linux", "processors"]


def is_linux() -> bool:
    """Whether this machine runs what Lambda runs: Linux, be it in WSL."""
    return sys.platform.startswith("linux")


def processors() -> int:
    """How many processors this process may use; where the system does not say, how many there are."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
