"""Patterns as in ``.gitignore``, in short: what to leave out of a folder."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

__all__ = ["is_ignored"]


def is_ignored(name: str, is_folder: bool, patterns: Sequence[str]) -> bool:
    """Whether the last of ``patterns`` that matches ``name`` leaves it out.

    Args:
        name: Path relative to the folder, POSIX style.
        is_folder: Whether it is one: ``folder/`` matches nothing else.
        patterns: A name, ``folder/``, ``a/path`` from the root, ``!`` to take one back.
    """
    ignored = False
    for pattern in patterns:
        wanted = pattern.removeprefix("!")
        if wanted.endswith("/") and not is_folder:
            continue
        bare = wanted.strip("/")
        anchored = "/" in wanted.rstrip("/")
        if fnmatchcase(name if anchored else name.rpartition("/")[2], bare):
            ignored = not pattern.startswith("!")
    return ignored
