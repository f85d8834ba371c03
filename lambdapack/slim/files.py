"""The files of a tree, and links to them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

__all__ = ["link", "walk"]


def walk(root: Path) -> Iterator[str]:
    """The paths of all files below ``root``, relative to it, in no order."""
    for folder, _, names in os.walk(root):
        relative = os.path.relpath(folder, root)
        for name in names:
            yield name if relative == "." else f"{relative}/{name}"


def link(source: str | Path, place: str | Path) -> None:
    """Give a file a second name, or copy it where that cannot be."""
    try:
        os.link(source, place, follow_symlinks=False)
    except OSError:
        # Another disk, or one that has no hard links.
        shutil.copy2(source, place, follow_symlinks=False)
