"""Folders without code that are importable as namespace packages, and that something names as a module.

``importlib.resources.files("numpy._core.lib.pkgconfig")`` and an entry point of that name need the folder to
exist, and a tree has folders only where it has files. So a rule must not take the last file of such a folder.
Most folders that rules empty, of headers say, are of no use as modules: they go as before.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

_ENTRY = re.compile(r"^[^=\n#]+=\s*([\w.]+)", re.MULTILINE)
_CODE = (".py", ".pyc", ".so")


def last_files(
    root: Path, paths: Sequence[str], taken: Mapping[str, str], rules: Collection[str]
) -> list[str]:
    """The files that must stay of ``taken`` so that every namespace package that is named still imports.

    Such a package is a folder without code that would be emptied, and whose dotted name is an entry point or,
    in kept code, imported or a string. The files in the folder itself stay, since code that names the folder
    reads them; where the folder has but folders in it, the smallest file below it stays. A folder that
    another rule than ``rules`` empties (tests, the user's ``drop``) goes.
    """
    emptied = _emptied(paths, taken, rules)
    if not emptied:
        return []
    named = set(_named(root, paths, taken, emptied))
    staying: set[str] = set()
    # Inner folders first: what stays in them keeps the outer ones importable.
    for name in sorted(named, key=lambda name: (-name.count("."), name)):
        folder, files = name.replace(".", "/"), emptied[name]
        own = [path for path in files if posixpath.dirname(path) == folder]
        if own:
            staying.update(own)
        elif staying.isdisjoint(files):
            staying.add(min(files, key=lambda path: ((root / path).stat().st_size, path)))
    return sorted(staying)


def _emptied(paths: Sequence[str], taken: Mapping[str, str], rules: Collection[str]) -> dict[str, list[str]]:
    """Dotted name -> all files of a folder without code of which none stays."""
    folders: dict[str, list[str]] = defaultdict(list)
    stays: set[str] = set()
    for path in paths:
        lost = taken.get(path) in rules and not path.endswith(_CODE)
        for folder in _above(path):
            if lost:
                folders[folder].append(path)
            else:
                stays.add(folder)
    return {
        folder.replace("/", "."): files
        for folder, files in folders.items()
        if folder not in stays and all(part.isidentifier() for part in folder.split("/"))
    }


def _above(path: str) -> Iterator[str]:
    """The folders that a file is in, without the outermost, which is a package of its own."""
    while "/" in (path := posixpath.dirname(path)):
        yield path


def _named(
    root: Path, paths: Sequence[str], taken: Mapping[str, str], emptied: Collection[str]
) -> Iterator[str]:
    """Which of the dotted names ``emptied`` are entry points or, in kept code, imported or a string."""
    tops = {name.partition(".")[0] for name in emptied}
    # By the outermost name: a search for plain text is many times faster than one for any of many texts.
    dotted = {top.encode(): re.compile(rf"\b{re.escape(top)}(?:\.\w+)+".encode()) for top in sorted(tops)}
    for path in paths:
        if path in taken:
            continue
        if path.endswith(".dist-info/entry_points.txt"):
            text = (root / path).read_text("utf-8", errors="replace")
            yield from (match[1] for match in _ENTRY.finditer(text) if match[1] in emptied)
        elif path.endswith(".py"):
            data = (root / path).read_bytes()
            for top, names in dotted.items():
                if top + b"." in data:
                    for match in names.finditer(data):
                        if (name := match[0].decode("utf-8", "replace")) in emptied and _is_reference(match):
                            yield name


def _is_reference(match: re.Match[bytes]) -> bool:
    """Whether a dotted name is a whole string or what an import statement imports."""
    before = match.string[: match.start()].rpartition(b"\n")[2]
    after = match.string[match.end() : match.end() + 1]
    if before[-1:] in (b"'", b'"'):
        return after == before[-1:]
    return before.split()[:1] in ([b"from"], [b"import"])
