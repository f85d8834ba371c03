"""Which wheels a target can use: the tags of PEP 425, PEP 600 and what Lambda's C library allows."""

from __future__ import annotations

import re
from functools import cache

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from lambdapack.model import Target

__all__ = ["ANY_GLIBC", "fits", "glibc_minor", "platforms", "ranks"]

ANY_GLIBC = (2, 60)
"""Newer than what any wheel is built for."""
# The oldest C library that a wheel may be built for (PEP 513 on x86-64; arm64 began with 2.17).
_OLDEST_MINOR = {"x86_64": 5, "aarch64": 17}
# Names from before PEP 600, by the glibc minor version that they stand for.
_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_LEGACY_MINOR = {name: minor for minor, name in _LEGACY.items()}
_MANYLINUX = re.compile(r"manylinux_2_(\d+)_(\w+)")


def platforms(target: Target, glibc: tuple[int, int]) -> tuple[str, ...]:
    """Platform tags that run with C library ``glibc``, best first, e.g. ``manylinux_2_17_x86_64``."""
    machine = target.machine
    names: list[str] = []
    for minor in range(glibc[1], _OLDEST_MINOR[machine] - 1, -1):
        names.append(f"manylinux_2_{minor}_{machine}")
        if minor in _LEGACY:
            names.append(f"{_LEGACY[minor]}_{machine}")
    return (*names, f"linux_{machine}")


def glibc_minor(platform: str, machine: str) -> int | None:
    """The y of the C library 2.y that a platform tag asks for on ``machine``; ``None`` for other tags."""
    parts = _MANYLINUX.fullmatch(platform)
    if parts and parts[2] == machine:
        return int(parts[1])
    return _LEGACY_MINOR.get(platform.removesuffix(f"_{machine}"))


@cache
def ranks(target: Target, glibc: tuple[int, int]) -> dict[Tag, int]:
    """Every tag that fits ``target`` with C library ``glibc``, and its place: 0 is the one pip likes best."""
    names = platforms(target, glibc)
    abi = "cp{}{}".format(*target.version)
    places: dict[Tag, int] = {}
    for tag in (*cpython_tags(target.version, [abi], names), *compatible_tags(target.version, abi, names)):
        places.setdefault(tag, len(places))
    return places


def fits(filename: str, target: Target, glibc: tuple[int, int]) -> bool:
    """Whether the wheel named ``filename`` runs on ``target``; ``False`` where that is not a wheel's name."""
    try:
        return not parse_wheel_filename(filename)[3].isdisjoint(ranks(target, glibc))
    except InvalidWheelFilename:
        return False
