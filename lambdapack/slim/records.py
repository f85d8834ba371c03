"""RECORD after slimming: importlib.metadata's list of a distribution's files.

``packages_distributions()`` finds the distributions that have no top_level.txt by it, and so do programs
that look for a package's version by its module. So it stays, with the files that stayed; hashes and sizes,
which are optional, are left out, since stripping changed many of them and nothing at run time reads them.
"""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

from lambdapack.model import Distribution, Tree

_RECORD = ".dist-info/RECORD"


def write_records(tree: Tree, part: Path) -> tuple[Distribution, ...]:
    """Write each distribution's RECORD below ``part``; the distributions with the files that are there."""
    slimmed = []
    for distribution in tree.distributions:
        files = tuple(place for path in distribution.files if (place := _place(path, part)))
        for path in files:
            if path.endswith(_RECORD) and path.count("/") == 1:
                (part / path).unlink()
                (part / path).write_text(_record(files), encoding="utf-8")
        slimmed.append(replace(distribution, files=files))
    return tuple(slimmed)


def _place(path: str, part: Path) -> str:
    """The path that holds a recorded file now: a source may have become its bytecode; empty if none does."""
    if (part / path).is_file():
        return path
    if path.endswith(".py") and (part / (path + "c")).is_file():
        return path + "c"
    return ""


def _record(files: tuple[str, ...]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows((path, "", "") for path in sorted(files))
    return text.getvalue()
