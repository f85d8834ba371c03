"""A build report around a pack that a test has written."""

from __future__ import annotations

from collections.abc import Sequence

from lambdapack.model import ImportCheck, Lock, Pin, SlimReport
from lambdapack.model.target import Target
from lambdapack.pack import Pack
from lambdapack.pipeline.build_json import BuildReport, BuiltDistribution, PackFacts


def make_report(
    pack: Pack, pins: Sequence[Pin], *, requirements: tuple[str, ...], requested: tuple[str, ...]
) -> BuildReport:
    """The report of a build of ``pins`` that ended in ``pack``."""
    lock = Lock(Target.parse(pack.index.target), (2, 26), tuple(pins), requested)
    size = pack.path.stat().st_size
    return BuildReport(
        tool="lambdapack 0.1.0",
        inputs="0" * 64,
        target=pack.index.target,
        glibc="2.26",
        builder={"name": "local", "reason": "a test"},
        requirements=requirements,
        lock={"digest": pack.index.lock, "text": lock.text},
        options={},
        distributions=tuple(
            BuiltDistribution(pin.name, pin.version, pin.name in requested, (pin.name,), 1, 1) for pin in pins
        ),
        slim=SlimReport(1, 1, 1, 1, (), {}, (), {}),
        restored=(),
        imports=ImportCheck("imported", 0, {}),
        trace={},
        pack=PackFacts(pack.id, pack.path.name, pack.index_path.name, size, 1, 1, 1, 1, 1, 1, 1, 1, 1, ""),
        seconds={},
    )
