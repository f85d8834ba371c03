"""What a pack would be, from the directories of its wheels: an index with files that are not there.

Installed files are as the wheels say; what slimming takes is told by name; how much of a shared object stays
by its program headers. What compression makes of the rest, and which of it a start touches, are ratios.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from lambdapack.model import Target, Wheel, WheelFile, bytecode_of
from lambdapack.plan.graph import Graph
from lambdapack.plan.model import Estimate, Facts
from runtime_shim import _index
from runtime_shim._index import Index


class Ratios(NamedTuple):
    """What becomes of files of one kind.

    Attributes:
        slimmed: Bytes in the pack, to those that the wheel has.
        packed: Bytes compressed in the pack, to those compressed in the wheel.
        hot: The part of the packed ones that a traced start touches.
    """

    slimmed: float
    packed: float
    hot: float


NATIVE: Final = Ratios(0.97, 0.68, 0.93)
STRIPPED: Final = 0.21
"""A byte of a shared object that had to be stripped takes so much: the wheel says less of such."""
SOURCE: Final = Ratios(1.0, 0.69, 0.0)
BYTECODE: Final = Ratios(1.20, 1.30, 0.45)
"""To the sources' bytes."""
TEXT: Final = Ratios(1.0, 0.60, 0.0)
DENSE: Final = Ratios(1.0, 0.975, 0.4)
"""Data that compress badly: models, images, archives."""
WITHIN: Final = 0.10
"""How far a real pack usually is from the estimate. All of these were measured on 2026-11-26 by builds for
python3.11 and x86_64: docs/plan.md lists them."""
_DENSE: Final = 0.6
_UNSTRIPPED: Final = 0.95
_INDEX_BYTES: Final = 65
"""What the index takes for a file, compressed."""
_BLOCK = 512
_BANDS = range(3)
_HOT, _EAGER, _LAZY = _BANDS
_IMPORTABLE = re.compile(r"\.(py|pyc|[^/]*so)\Z")


@dataclass(frozen=True)
class EstimatedDistribution:
    """A distribution whose wheel is known. ``installed_bytes`` counts the bytecode that pip compiles."""

    name: str
    version: str
    top_level: tuple[str, ...]
    installed_bytes: int
    slimmed_bytes: int


class _File(NamedTuple):
    """A file of the pack to be."""

    path: str
    kind: str
    size: int
    stored: float
    hot: float


def estimated(
    wheels: Sequence[Wheel],
    target: Target,
    dropped: Collection[str],
    *,
    graph: Graph | None = None,
    unknown: Sequence[str] = (),
    sources: bool = True,
) -> Facts:
    """The facts of the pack that ``wheels`` would become.

    Args:
        wheels: Of the lock.
        target: What the pack is for.
        dropped: Paths that slimming takes.
        graph: Who needs whom.
        unknown: Distributions of the lock without a wheel.
        sources: Whether the pack keeps the ``.py`` files.
    """
    files = {
        wheel.name: [
            file
            for found in wheel.files
            if found.path not in dropped and not found.path.endswith(".pyc")
            for file in _files(found, target, sources=sources)
        ]
        for wheel in wheels
    }
    index = _index_of(files, target)
    return Facts(
        index=index,
        pack_bytes=sum(index.frame_stored) + _INDEX_BYTES * len(index.paths),
        distributions=tuple(_distribution(wheel, files[wheel.name]) for wheel in wheels),
        graph=graph,
        estimate=Estimate(len(wheels), WITHIN, tuple(unknown)),
    )


def _files(found: WheelFile, target: Target, *, sources: bool) -> Iterator[_File]:
    """What becomes of a file of a wheel: source has bytecode beside."""
    path, size, compressed, loaded = found
    name = path.rpartition("/")[2]
    if name.endswith(".py"):
        yield _File(
            bytecode_of(path, target), _index.CODE, round(size * BYTECODE.slimmed),
            compressed * BYTECODE.packed, BYTECODE.hot,
        )  # fmt: skip
        if sources:
            yield _File(path, _index.SOURCE, size, compressed * SOURCE.packed, SOURCE.hot)
    elif ".so" in name:
        stripped = loaded < size * _UNSTRIPPED
        packed = loaded * STRIPPED if stripped else compressed * NATIVE.packed
        kind = _index.EXTENSION if target.soabi in name or ".abi3." in name else _index.LIBRARY
        yield _File(path, kind, round(loaded * NATIVE.slimmed), packed, NATIVE.hot)
    else:
        ratios = DENSE if compressed > size * _DENSE else TEXT
        kind = _index.METADATA if path.partition("/")[0].endswith(".dist-info") else _index.DATA
        yield _File(path, kind, size, compressed * ratios.packed, ratios.hot)


def _index_of(files: Mapping[str, Sequence[_File]], target: Target) -> Index:
    """An index with a frame for each kind of file of each distribution, in bands."""
    groups: dict[tuple[int, str, str], list[_File]] = defaultdict(list)
    for name, found in sorted(files.items()):
        for band, file in _banded(sorted(found)):
            groups[band, name, file.kind].append(file)
    ordered = [groups[key] for key in sorted(groups)]
    frames = [key[0] for key in sorted(groups)]
    flat = [file for group in ordered for file in group]
    offsets, at = [], 0
    for file in flat:
        offsets.append(at + _BLOCK)
        at += _stream(file)
    return Index(
        target=str(target), lock="", tool="estimate", glibc="",
        hot=frames.count(_HOT), eager=len(frames) - frames.count(_LAZY),
        frame_stored=[round(sum(file.stored for file in group)) for group in ordered],
        frame_size=[sum(map(_stream, group)) for group in ordered], frame_sha256=[""] * len(ordered),
        paths=[file.path for file in flat], classes="".join(file.kind for file in flat),
        sizes=[file.size for file in flat], offsets=offsets, executable=[], needs={}, native={},
    )  # fmt: skip


def _banded(files: Iterable[_File]) -> Iterator[tuple[int, _File]]:
    """Each file with its band; of each kind as many files are hot as make up the part that is."""
    hot: dict[str, float] = defaultdict(float)
    due: dict[str, float] = defaultdict(float)
    for file in files:
        due[file.kind] += file.stored * file.hot
        if hot[file.kind] + file.stored / 2 <= due[file.kind]:
            hot[file.kind] += file.stored
            yield _HOT, file
        else:
            yield (_LAZY if file.kind in (_index.SOURCE, _index.CODE) else _EAGER), file


def _stream(file: _File) -> int:
    """What a file takes of the tar stream."""
    return _BLOCK + -(-file.size // _BLOCK) * _BLOCK


def _distribution(wheel: Wheel, files: Sequence[_File]) -> EstimatedDistribution:
    sources = sum(file.size for file in wheel.files if file.path.endswith(".py"))
    installed = sum(file.size for file in wheel.files) + round(sources * BYTECODE.slimmed)
    return EstimatedDistribution(
        wheel.name, wheel.version, _top_level(wheel), installed, sum(file.size for file in files)
    )


def _top_level(wheel: Wheel) -> tuple[str, ...]:
    """Names that can be imported."""
    names = set()
    for file in wheel.files:
        first, slash, rest = file.path.partition("/")
        name = first if slash else first.split(".")[0]
        if name.isidentifier() and _IMPORTABLE.search(rest or first):
            names.add(name)
    return tuple(sorted(names))
