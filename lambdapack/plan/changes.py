"""What would be known of a function if a setting were another one, or less were in its pack."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from lambdapack.model import Target, bytecode_of
from lambdapack.plan import places
from lambdapack.plan.model import Calibration, Facts, Step
from lambdapack.plan.shares import owners_by_name, pieces, share
from runtime_shim._index import SOURCE, Index


def apply(step: Step, facts: Facts) -> Facts:
    """The facts once ``step`` is taken."""
    if step.leaves_out:
        return without_distributions(facts, step.leaves_out)
    table, _, key = step.setting.partition(".")
    if table == "assets":
        return _with_asset(facts, key, step.value)
    if step.setting == "slim.sources":
        return without_sources(facts)
    return {
        "function.tmp": lambda value: replace(facts, tmp_mb=value),
        "function.memory": lambda value: replace(facts, memory_mb=value),
        "function.environment.LAMBDAPACK_MODE": lambda value: replace(facts, mode=value),
        "function.snap-start": lambda value: replace(facts, snapshot="needed" if value else None),
        "function.snapshot": lambda value: replace(facts, snapshot=value),
        "function.place": lambda value: with_place(facts, value),
    }[step.setting](step.value)


def with_place(facts: Facts, place: Any) -> Facts:
    """The facts with the pack, and the assets that follow, at ``place``."""
    moved = tuple(replace(a, place=place) if a.follows else a for a in facts.assets)
    return _sized(replace(facts, place=place, assets=moved), facts)


def _with_asset(facts: Facts, key: str, value: Any) -> Facts:
    """The facts without the asset ``key``, or with the asset at another place: ``model.place``."""
    name, _, what = key.rpartition(".")
    if value is None:
        return _sized(replace(facts, assets=tuple(a for a in facts.assets if a.name != key)), facts)
    changed = tuple(
        replace(a, **{what: value}, follows=a.follows and what != "place") if a.name == name else a
        for a in facts.assets
    )
    return _sized(replace(facts, assets=changed), facts)


def _sized(changed: Facts, before: Facts) -> Facts:
    """The changed facts, with the sizes of zip and layers that follow from where packs are now."""
    zipped = places.in_files(changed, "zip") - places.in_files(before, "zip")
    both = zipped + places.in_files(changed, "layer") - places.in_files(before, "layer")
    return replace(
        changed,
        zip_bytes=None if before.zip_bytes is None else before.zip_bytes + zipped,
        unzipped_bytes=None if before.unzipped_bytes is None else before.unzipped_bytes + both,
    )


def without_distributions(facts: Facts, names: Collection[str]) -> Facts:
    """The facts without the files of the distributions ``names``, as far as files can be told apart."""
    owners = owners_by_name(facts.index.paths, facts.distributions)
    gone = {file for file, owner in enumerate(owners) if owner in names}
    kept = tuple(each for each in facts.distributions if each.name not in names)
    return replace(_without_files(facts, gone, names), distributions=kept)


def without_sources(facts: Facts) -> Facts:
    """The facts without the ``.py`` files of which the pack has the bytecode.

    A distribution of which the trace read a source, as TorchScript does, keeps them: a build gives them back.
    """
    index, target = facts.index, Target.parse(facts.index.target)
    there, owners = frozenset(index.paths), owners_by_name(index.paths, facts.distributions)
    sources = [
        file
        for file, (path, kind) in enumerate(zip(index.paths, index.classes, strict=True))
        if kind == SOURCE and bytecode_of(path, target) in there
    ]
    readers = {owners[file] for file in sources if index.frames_of(file).start < index.hot}
    return _without_files(facts, {file for file in sources if owners[file] not in readers})


def _without_files(facts: Facts, gone: Collection[int], names: Collection[str] = ()) -> Facts:
    """The facts without the files ``gone``, and without the imports of the distributions ``names``."""
    before = facts.index
    index, frames = _cut(before, gone)
    pack_bytes = facts.pack_bytes
    if pack_bytes is not None:
        rest = pack_bytes - sum(before.frame_stored)
        kept = len(index.paths) / max(1, len(before.paths))
        pack_bytes = sum(index.frame_stored) + round(rest * kept)
    known = facts.calibrated and _less_work(facts.calibrated, frames, names)
    return _sized(replace(facts, index=index, pack_bytes=pack_bytes, calibrated=known), facts)


def _less_work(known: Calibration, frames: Sequence[int], names: Collection[str]) -> Calibration:
    """What real starts told, where the ``frames`` alone are left and ``names`` are not imported."""
    gone = sum(length for name, length in known.imports.items() if name in names) / 1000
    imports = {name: length for name, length in known.imports.items() if name not in names}
    return replace(known, work=known.work.less(frames, gone), imports=imports)


def without_files(index: Index, gone: Collection[int]) -> Index:
    """The index without the files ``gone``: each frame loses their shares, and one that has no other goes."""
    return _cut(index, gone)[0]


def _cut(index: Index, gone: Collection[int]) -> tuple[Index, Sequence[int]]:
    """``without_files``, and the numbers that the frames of the result had."""
    if not index.paths or not gone:
        return index, range(len(index.frame_stored))
    frames: list[tuple[int, int, int]] = []
    offsets: dict[int, int] = {}
    before = after = 0
    for frame, found in pieces(index):
        parts = share(index.frame_stored[frame], [size for _, size in found])
        stored, start = 0, after
        for (file, size), part in zip(found, parts, strict=True):
            if file not in gone:
                # Its header comes first, as before.
                offsets.setdefault(file, after + index.offsets[file] - before)
                after, stored = after + size, stored + part
            before += size
        if after > start:
            frames.append((frame, stored, after - start))
    numbers, files = [frame for frame, _, _ in frames], sorted(offsets)
    cut = Index(
        target=index.target, lock=index.lock, tool=index.tool, glibc=index.glibc,
        hot=bisect_left(numbers, index.hot), eager=bisect_left(numbers, index.eager),
        frame_stored=[stored for _, stored, _ in frames], frame_size=[size for _, _, size in frames],
        frame_sha256=[index.frame_sha256[frame] for frame in numbers],
        paths=[index.paths[file] for file in files], classes="".join(index.classes[file] for file in files),
        sizes=[index.sizes[file] for file in files], offsets=[offsets[file] for file in files],
        executable=[], needs={}, native={},
    )  # fmt: skip
    return cut, numbers
