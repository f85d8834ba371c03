"""Check that a tree is for its target: the tags of its wheels and the headers of its binaries."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from packaging.tags import parse_tag

from lambdapack import elf, wheel_tags
from lambdapack.build.records import wheel_tags_of
from lambdapack.errors import ToolError
from lambdapack.model import Lock, Tree
from lambdapack.progress import Progress

__all__ = ["check"]


def check(tree: Tree, lock: Lock, progress: Progress) -> None:
    """Check the tree against its lock.

    A binary for another machine inside a wheel for any machine is data (a debugger's helper, say) and
    only warned of; so is one that asks for a newer C library than its wheel's tag promised.

    Raises:
        ToolError: Something is missing, not locked, or for another platform; names it.
    """
    _check_pins(tree, lock)
    portable: set[str] = set()
    for info in sorted(tree.root.glob("*.dist-info")):
        names = wheel_tags_of(info)
        parsed = frozenset(tag for name in names for tag in parse_tag(name))
        if parsed.isdisjoint(wheel_tags.tags(lock.target, lock.glibc)):
            raise ToolError(
                f"{info.name.removesuffix('.dist-info')} was installed from a wheel for {', '.join(names)}, "
                f"which does not fit {lock.target} with glibc {_dotted(lock.glibc)}",
                hint="build again; if it repeats, its name and contents disagree: use another version",
            )
        if all(tag.platform == "any" for tag in parsed):
            portable.add(info.name)
    _check_binaries(tree, lock, portable, progress)


def _check_pins(tree: Tree, lock: Lock) -> None:
    locked = {pin.name for pin in lock.pins}
    there = {distribution.name for distribution in tree.distributions}
    if locked != there:
        wrong = ", ".join(sorted(locked ^ there))
        raise ToolError(f"pip installed something other than the lock: {wrong}", hint="build again")


def _check_binaries(tree: Tree, lock: Lock, portable: set[str], progress: Progress) -> None:
    data = _files_of(tree, portable)
    for path in _files(tree.root):
        if not elf.is_elf(path):
            continue
        name = path.relative_to(tree.root).as_posix()
        problem, fatal = _problem(path, lock)
        if problem and fatal and name not in data:
            raise ToolError(
                f"{name} {problem}, and the pack is for {lock.target}",
                hint="use another version of that package; its wheel's name and contents disagree",
            )
        if problem:
            progress.warn(f"{name} {problem}")


def _problem(path: Path, lock: Lock) -> tuple[str, bool]:
    """What is wrong with a binary, and whether that makes it useless."""
    try:
        found = elf.read(path)
    except elf.ElfError as error:
        return f"is not a sound ELF file ({error})", ".so" in path.suffixes
    if found.machine != lock.target.machine:
        return f"is for {found.machine}", True
    if found.glibc is not None and found.glibc > lock.glibc:
        return f"asks for glibc {_dotted(found.glibc)}, and the lock allows {_dotted(lock.glibc)}", False
    return "", False


def _files_of(tree: Tree, portable: set[str]) -> set[str]:
    """Paths that belong to distributions whose dist-info folder is in ``portable``."""
    found: set[str] = set()
    for distribution in tree.distributions:
        if any(path.split("/", 1)[0] in portable for path in distribution.files):
            found.update(distribution.files)
    return found


def _files(root: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            if not path.is_symlink():
                yield path


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
