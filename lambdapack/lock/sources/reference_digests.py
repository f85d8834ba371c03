"""What is at the addresses and paths that requirements name: where that changes, the lock has to change."""

from __future__ import annotations

from collections.abc import Iterator

from lambdapack.files import sha256_of
from lambdapack.lock.requirements.direct import DirectReference
from lambdapack.lock.requirements.locked import Scope
from lambdapack.lock.requirements.read import Requirements
from lambdapack.lock.sources import source_tree
from lambdapack.lock.sources.downloads import Downloads
from lambdapack.model import Target
from lambdapack.python.interpreter import Interpreter


def reference_digests(
    requirements: Requirements, target: Target, interpreter: Interpreter, downloads: Downloads
) -> list[tuple[str, str]] | None:
    """Location and digest of each file and folder that is named by address or path, in order.

    Returns:
        Digests of what is there now; of an address with hashes, the hashes. ``None`` where a file cannot be
        read or a marker is malformed: preparing it will say what is wrong.

    Raises:
        LambdapackError: A lock is not for the target, or an address cannot be fetched.
    """
    scope = requirements.scope(target, interpreter.version)
    try:
        return [
            (reference.location, _digest(reference, downloads)) for reference in _named(requirements, scope)
        ]
    except (OSError, ValueError):
        return None


def _named(requirements: Requirements, scope: Scope) -> Iterator[DirectReference]:
    yield from (reference for reference in requirements.direct if scope.holds(reference.marker))
    for lock in requirements.locks:
        for package in lock.select(scope).packages:
            if package.direct is not None:
                yield package.direct


def _digest(direct: DirectReference, downloads: Downloads) -> str:
    path = direct.path
    if path is not None and path.is_dir():
        return source_tree.digest(path)
    if path is None and direct.hashes:
        # No file with another hash would be taken.
        return " ".join(direct.hashes)
    with (downloads.file(direct) if path is None else path).open("rb") as file:
        return sha256_of(file)
