"""What is in the files and folders that requirements name themselves: where that changes, a lock does."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from lambdapack.lock.requirements.direct import Direct
from lambdapack.lock.requirements.locked import Asked
from lambdapack.lock.requirements.markers import holds
from lambdapack.lock.requirements.read import Requirements
from lambdapack.lock.sources import source_tree
from lambdapack.lock.sources.downloads import Downloads
from lambdapack.model import Target
from lambdapack.python.interpreter import Interpreter

__all__ = ["contents"]


def contents(
    requirements: Requirements, target: Target, interpreter: Interpreter, downloads: Downloads
) -> list[tuple[str, str]] | None:
    """Location and SHA-256 of each file and folder, in order; of an address, what it has now.

    Returns:
        ``None`` where that cannot be told: what is wrong, preparing them will say.

    Raises:
        LambdapackError: A lock is not for the target, or an address cannot be asked.
    """
    asked = Asked(target.markers(interpreter.version), requirements.extras, requirements.groups)
    found = []
    try:
        for one in _named(requirements, asked):
            found.append((one.location, _digest(one, downloads)))
    except (OSError, ValueError):
        return None
    return found


def _named(requirements: Requirements, asked: Asked) -> Iterator[Direct]:
    yield from (one for one in requirements.direct if holds(one.marker, asked.environment))
    for lock in requirements.locks:
        for package in lock.select(asked).packages:
            if package.direct is not None:
                yield package.direct


def _digest(direct: Direct, downloads: Downloads) -> str:
    path = direct.path
    if path is not None and path.is_dir():
        return source_tree.digest(path)
    if path is None and direct.hashes:
        # They are in the requirement: another file would not be taken.
        return " ".join(direct.hashes)
    return _sha256(downloads.file(direct) if path is None else path)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
