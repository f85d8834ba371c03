"""Which distribution each compressed byte of a pack belongs to.

A frame's compressed size is shared among its files in proportion to the bytes of the tar stream that
they have in it, headers and padding included; shares are whole bytes and add up exactly.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from packaging.utils import canonicalize_name

from lambdapack.plan.model import SizedDistribution
from runtime_shim._index import Index

_TAR_BLOCK = 512
_DIST_INFO = re.compile(r"([^/]+?)-[^/-]+\.dist-info\Z")


def share(total: int, weights: Sequence[int]) -> list[int]:
    """``total`` in whole parts in proportion to ``weights``, by largest remainders, that add up to ``total``.

    There is at least one weight; weights that are all zero count as equal.
    """
    sum_of_weights = sum(weights)
    if not sum_of_weights:
        weights = [1] * len(weights)
        sum_of_weights = len(weights)
    parts = [total * weight // sum_of_weights for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(total * weights[i] % sum_of_weights), i))
    for i in by_remainder[: total - sum(parts)]:
        parts[i] += 1
    return parts


def stored_by_file(index: Index) -> tuple[list[int], list[int]]:
    """Each file's share of the compressed frames, and of the hot ones among them, in the index's order."""
    stored = [0] * len(index.paths)
    hot = [0] * len(index.paths)
    if not index.paths:
        return stored, hot
    for frame, found in pieces(index):
        parts = share(index.frame_stored[frame], [size for _, size in found])
        for (file, _), part in zip(found, parts, strict=True):
            stored[file] += part
            if frame < index.hot:
                hot[file] += part
    return stored, hot


def pieces(index: Index) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Each frame's number, with its files and how many bytes of the stream each has in the frame."""
    order = sorted(range(len(index.paths)), key=lambda file: index.offsets[file])
    # A file's stretch begins where the file before it ends: so the stretch holds the file's header.
    contents = (index.offsets[file] + index.sizes[file] for file in order)
    ends = [-(-end // _TAR_BLOCK) * _TAR_BLOCK for end in contents]
    ends[-1] = index.frame_start[-1]
    at = 0
    for frame, (start, end) in enumerate(zip(index.frame_start, index.frame_start[1:], strict=False)):
        while at < len(order) - 1 and ends[at] <= start:
            at += 1
        found: list[tuple[int, int]] = []
        cursor, here = start, at
        while cursor < end or not found:
            stop = end if here == len(order) - 1 else min(end, max(ends[here], cursor))
            found.append((order[here], stop - cursor))
            cursor, here = stop, min(here + 1, len(order) - 1)
        yield frame, found


def owners_by_name(paths: Iterable[str], distributions: Sequence[SizedDistribution]) -> list[str]:
    """The distribution of each path, told from its dist-info folder or import name: an index has no RECORDs.

    A folder that several distributions share, such as ``google``, is a row of its own.
    """
    by_name: dict[str, set[str]] = defaultdict(set)
    for distribution in distributions:
        for top in distribution.top_level:
            by_name[top].add(distribution.name)
    names = {distribution.name for distribution in distributions}
    return [_owner(path, by_name, names) for path in paths]


def _owner(path: str, by_name: Mapping[str, set[str]], names: Collection[str]) -> str:
    first, slash, rest = path.partition("/")
    match = _DIST_INFO.match(first)
    if match:
        return canonicalize_name(match[1])
    top = first
    if not slash or first == "__pycache__":
        top = (rest or first).split("/")[-1].split(".")[0]
    candidates = by_name.get(top, set())
    if len(candidates) == 1:
        return next(iter(candidates))
    if candidates:
        return f"({top}: {', '.join(sorted(candidates))})"
    # auditwheel puts bundled libraries into NAME.libs, wheels their data into NAME-VERSION.data.
    libs = canonicalize_name(first.partition(".libs")[0])
    return libs if libs in names or not names else f"({top})"
