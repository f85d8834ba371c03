"""How large ``zip -9`` makes a folder, without making the zip."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

__all__ = ["weight"]

_LOCAL, _CENTRAL, _END = 30, 46, 22
_PIECE = 1 << 20


def weight(root: Path, known: MutableMapping[str, int]) -> dict[str, int]:
    """Bytes of the files in ``root``, of a zip of them, and of one without bytecode.

    The zip is what ``zip -9 -r -D -X`` writes: two headers a file, each with its name, and its data, stored
    where deflating does not shrink it.

    Args:
        root: The folder.
        known: SHA-256 of a content -> its deflated size; the rows of a table share most of their files.
    """
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        sizes = list(pool.map(lambda path: (path, *_member(root, path, known)), _files(root)))
    return {
        "installed": sum(whole for _, whole, _ in sizes),
        "zipped": _END + sum(size for _, _, size in sizes),
        "zipped_without_bytecode": _END + sum(size for path, _, size in sizes if not path.endswith(".pyc")),
    }


def _files(root: Path) -> Iterator[str]:
    for folder, _, names in os.walk(root):
        for name in names:
            yield os.path.relpath(os.path.join(folder, name), root)  # noqa: PTH118 - twice as fast


def _member(root: Path, path: str, known: MutableMapping[str, int]) -> tuple[int, int]:
    """A file's size, and what it adds to the zip."""
    with (root / path).open("rb") as file:
        digest, whole = hashlib.sha256(), 0
        while piece := file.read(_PIECE):
            digest.update(piece)
            whole += len(piece)
        key = digest.hexdigest()
        if key not in known:
            file.seek(0)
            known[key] = min(whole, _deflated(file))
    return whole, _LOCAL + _CENTRAL + 2 * len(os.fsencode(path)) + known[key]


def _deflated(file: BinaryIO) -> int:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    size = 0
    while piece := file.read(_PIECE):
        size += len(deflate.compress(piece))
    return size + len(deflate.flush())
