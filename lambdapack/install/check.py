"""Check that a tree is what its lock says and that its wheels are for its target, by their tags.

Its binaries are looked at once it is slimmed (``build.binaries``): what no pack holds need not fit.
"""

from __future__ import annotations

from packaging.tags import parse_tag

from lambdapack.errors import ToolError
from lambdapack.install.records import wheel_tags_of
from lambdapack.model import Lock, Tree
from lambdapack.python import wheel_tags

__all__ = ["check"]


def check(tree: Tree, lock: Lock) -> None:
    """Check the tree against its lock.

    Raises:
        ToolError: Something is missing, not locked, or for another platform; names it.
    """
    _check_pins(tree, lock)
    for info in sorted(tree.root.glob("*.dist-info")):
        names = wheel_tags_of(info)
        parsed = frozenset(tag for name in names for tag in parse_tag(name))
        if parsed.isdisjoint(wheel_tags.ranks(lock.target, lock.glibc)):
            raise ToolError(
                f"{info.name.removesuffix('.dist-info')} was installed from a wheel for {', '.join(names)}, "
                f"which does not fit {lock.target} with glibc {_dotted(lock.glibc)}",
                hint="build again; if it repeats, its name and contents disagree: use another version",
            )


def _check_pins(tree: Tree, lock: Lock) -> None:
    locked = {pin.name for pin in lock.pins}
    there = {distribution.name for distribution in tree.distributions}
    if locked != there:
        wrong = ", ".join(sorted(locked ^ there))
        raise ToolError(f"pip installed something other than the lock: {wrong}", hint="build again")


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
