"""Find the file that says what a project needs, where the user names none."""

from __future__ import annotations

import re
from pathlib import Path

PRECEDENCE = (
    *("pylock.toml", "uv.lock", "poetry.lock", "Pipfile.lock"),
    *("requirements.txt", "pyproject.toml"),
)
"""Locks first: they say exactly what was tested. Among them, the standard one first."""
_DEPENDENCIES = re.compile(r"^\s*(\[project\]|project\.dependencies|\[dependency-groups\])", re.MULTILINE)


def discover(folder: Path) -> tuple[Path | None, tuple[str, ...]]:
    """The file to use in ``folder``, and the names of those that it is preferred to.

    A ``pyproject.toml`` beside a lock belongs to it, and one without ``[project]`` does not count.
    """
    names = [name for name in PRECEDENCE if (folder / name).is_file()]
    if "pyproject.toml" in names and (len(names) > 1 or not _has_dependencies(folder / "pyproject.toml")):
        names.remove("pyproject.toml")
    if not names:
        return None, ()
    return folder / names[0], tuple(names[1:])


def _has_dependencies(path: Path) -> bool:
    try:
        return bool(_DEPENDENCIES.search(path.read_text("utf-8-sig")))
    except (OSError, UnicodeDecodeError):
        # The file is used all the same: reading it later says what is wrong.
        return True
