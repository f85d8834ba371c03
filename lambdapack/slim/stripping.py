"""Strip the shared objects of a tree."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lambdapack import elf
from lambdapack.elf import strip, without_gpu_code
from lambdapack.progress import Progress


@dataclass(frozen=True)
class StripResult:
    """What stripping did.

    Attributes:
        saved: Path -> bytes that the object lost.
        reverted: Path -> why the object has its original bytes again.
        objects: Path -> SHA-256 of the original, of every shared object and program.
    """

    saved: Mapping[str, int] = field(default_factory=dict)
    reverted: Mapping[str, str] = field(default_factory=dict)
    objects: Mapping[str, str] = field(default_factory=dict)

    def without(self, failures: Mapping[str, str]) -> StripResult:
        """The result where the objects of ``failures`` got their original bytes back, and why."""
        saved = {path: size for path, size in self.saved.items() if path not in failures}
        return replace(self, saved=saved, reverted={**self.reverted, **failures})


def strip_tree(
    root: Path,
    destination: Path,
    paths: Iterable[str],
    progress: Progress,
    spared: Collection[str] = (),
) -> StripResult:
    """Write a stripped copy, below ``destination``, of each object that stripping makes smaller.

    Code for GPUs is filled with zeros on the way: such a file keeps its length, and a pack takes no space for
    it. Nothing is remembered of an earlier build: to strip a file takes as long as to prove two digests.
    """
    saved: dict[str, int] = {}
    digests: dict[str, str] = {}
    objects = [path for path in paths if elf.is_elf(root / path)]
    with progress.step("strip", total=len(objects), unit="files") as advance:
        for path in objects:
            original = root / path
            content = original.read_bytes()
            digests[path] = hashlib.sha256(content).hexdigest()
            blank = None if path in spared else without_gpu_code(content)
            data = None if path in spared else strip(blank or content) or blank
            if data is not None:
                place = destination / path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(data)
                place.chmod(original.stat().st_mode & 0o777)
                saved[path] = len(content) - len(data)
            advance()
    return StripResult(saved, {}, digests)
