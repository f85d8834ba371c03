"""Libraries that are near-copies of one another stand side by side in a pack, and share a frame.

Each wheel brings its own copy of what it links with, and the wheels of one stack often bring the same:
NumPy's and SciPy's libgfortran are the same 2.8 MB; blis has 17 MB of code twice. In one frame the second
copy costs next to nothing (blis 3.8 MB instead of 6.9); in frames of their own each costs all of its bytes.

The copy moves to the first one, so what stood between the two arrives later by what the copy still costs,
and all that follows arrives earlier. Hence two libraries are twins only where most of the second one is
saved: NumPy's and SciPy's OpenBLAS would save 15 % of the two, and NumPy's import would wait for both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import zstandard

from lambdapack.errors import ToolError
from lambdapack.limits import MIB
from lambdapack.memo import Memo, key_of
from lambdapack.pack.assembly import compress
from lambdapack.pack.classes import load_order
from runtime_shim import _index

LEAST = MIB
"""A smaller library saves too little."""
MOST = 40 * MIB
"""Twins together, with what moves along. Neither is usable before their whole frame has arrived and is
decompressed, and the process that fetches holds it in memory: the 35 MB of blis's two make that process 58 MB
large instead of 35. Python's own decoder needs the same again for its window; zstd unpacks up to 128 MiB."""
SAVED = 3 / 4
"""The part of the second library that must be saved."""
TRIES = 4
"""Libraries that one is compared with, the nearest in size: a pack of 300 libraries takes seconds."""
_LEVEL = 1

Alike = Callable[[str, str], bool]


@dataclass(frozen=True)
class Files:
    """What is known of the files: path -> bytes, path -> class, and the objects that each asks for itself."""

    sizes: Mapping[str, int]
    kinds: Mapping[str, str]
    direct: Mapping[str, tuple[str, ...]]


def gather(bands: Iterable[Sequence[str]], files: Files, alike: Alike) -> tuple[list[str], dict[str, int]]:
    """Move each library that is a near-copy of an earlier one of its band to that one.

    Args:
        bands: The files of each band, in order.
        files: What is known of them.
        alike: Whether most of the second library is saved beside the first.

    Returns:
        The files in their new order; path -> number of its twins, from 1, for those that share a frame.
    """
    ordered: list[str] = []
    numbers: dict[str, int] = {}
    for band in bands:
        gathering = _Gathering(band, files)
        ordered += gathering.gather(alike)
        for group in gathering.groups.values():
            numbers.update(dict.fromkeys(group, max(numbers.values(), default=0) + 1))
    return ordered, numbers


class _Gathering:
    """The twins of one band; ``groups`` has the first of some twins -> all files of its frame, in order."""

    def __init__(self, order: Sequence[str], files: Files) -> None:
        self._order = order
        self._files = files
        self._places = {path: place for place, path in enumerate(order)}
        self._moved: set[str] = set()
        self.groups: dict[str, list[str]] = {}

    def gather(self, alike: Alike) -> list[str]:
        """Find the twins; return the band's new order."""
        sizes, kinds = self._files.sizes, self._files.kinds
        firsts: dict[str, int] = {}
        for path in self._order:
            if kinds[path] not in (_index.EXTENSION, _index.LIBRARY) or sizes[path] < LEAST:
                continue
            for first in _nearest(sizes[path], firsts):
                group = self._joined(self.groups.get(first, [first]), path)
                if group and alike(first, path):
                    self._move(group)
                    firsts = {path: size for path, size in firsts.items() if path not in self._moved}
                    break
            else:
                firsts[path] = sizes[path]
        left = (path for path in self._order if path not in self._moved)
        return [member for path in left for member in self.groups.get(path, [path])]

    def _joined(self, group: list[str], path: str) -> list[str]:
        """The group with ``path``, and before it what it needs; empty where ``path`` cannot move there."""
        start, stop = self._places[group[0]], self._places[path]
        needed = load_order(path, self._files.direct)
        along = [other for other in needed if start < self._places.get(other, -1) < stop]
        joined = [*group, *along, path]
        fits = sum(self._files.sizes[member] for member in joined) <= MOST
        bound = any(other in self._moved or other in self.groups for other in along)
        # Native data comes before all code of its distribution.
        passed = (self._files.kinds[other] == _index.NATIVE_DATA for other in self._order[start + 1 : stop])
        return joined if fits and not bound and not any(passed) else []

    def _move(self, group: list[str]) -> None:
        self.groups[group[0]] = group
        self._moved.update(group[1:])
        self._places.update(dict.fromkeys(group, self._places[group[0]]))


def _nearest(size: int, firsts: Mapping[str, int]) -> list[str]:
    """Those of ``firsts`` that are about ``size`` bytes large, the nearest first."""
    near = {path: its for path, its in firsts.items() if min(size, its) >= SAVED * max(size, its)}
    return sorted(near, key=lambda path: abs(near[path] - size))[:TRIES]


def measured(root: Path, memo: Memo) -> Alike:
    """An ``Alike`` that compresses the libraries below ``root``, apart and together.

    It depends on their bytes alone, and ``memo`` remembers what it found.
    """

    def alike(first: str, second: str) -> bool:
        before, copy = _read(root / first), _read(root / second)
        digests = [hashlib.sha256(data).hexdigest() for data in (before, copy)]
        key = key_of(digests, _LEVEL, SAVED, [zstandard.backend, *zstandard.ZSTD_VERSION])
        known = memo.get("twins", key)
        if known is None:
            known = b"%d" % _is_copy(before, copy)
            memo.put("twins", key, known)
        return known == b"1"

    return alike


def _is_copy(before: bytearray, copy: bytearray) -> bool:
    apart, alone, together = (len(compress(data, _LEVEL, far=True)) for data in (before, copy, before + copy))
    return together - apart <= (1 - SAVED) * alone


def _read(path: Path) -> bytearray:
    try:
        return bytearray(path.read_bytes())
    except OSError as error:
        raise ToolError(f"cannot read {path}: {error.strerror}") from None
