"""What the stages of one build made, and the ``build.json`` that says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import lambdapack
from lambdapack.model import Lock, Trace, Tree
from lambdapack.pack import Pack
from lambdapack.pipeline.build_json import BuildReport, BuiltDistribution, PackFacts
from lambdapack.pipeline.options import BuildOptions, describe
from lambdapack.progress import Message
from lambdapack.slim import SlimResult
from runtime_shim._index import ARENA


@dataclass(frozen=True)
class StageResults:
    """What each stage of one build gave.

    Attributes:
        lock: The lock that was installed.
        tree: The installed tree, with the libraries that were added to it.
        trace: The files that the traced code touched.
        slimmed: The slimmed tree and its proof.
        pack: The pack, in the build's work folder.
        seconds: Stage -> seconds.
        reuse: What the build cache gave: kind -> ``reused`` of ``all``.
    """

    lock: Lock
    tree: Tree
    trace: Trace
    slimmed: SlimResult
    pack: Pack
    seconds: Mapping[str, float]
    reuse: Mapping[str, Mapping[str, int]]


def report(
    results: StageResults,
    options: BuildOptions,
    inputs: str,
    *,
    builder: Mapping[str, str],
    requirements: tuple[str, ...],
    messages: tuple[Message, ...],
) -> BuildReport:
    """The content of ``build.json``.

    Args:
        results: What the stages gave.
        options: What was asked for.
        inputs: SHA-256 over everything that decides the bytes.
        builder: The builder's name, why it was chosen, its image and its Python.
        requirements: As the user wrote them.
        messages: What the user was told.
    """
    lock, tree, trace, slimmed = results.lock, results.tree, results.trace, results.slimmed
    return BuildReport(
        tool=f"lambdapack {lambdapack.__version__}",
        inputs=inputs,
        target=str(options.target),
        glibc="{}.{}".format(*lock.glibc),
        builder=builder,
        requirements=requirements,
        lock={**lock.document},
        options=describe(options),
        distributions=_distributions(results),
        slim=slimmed.report,
        restored=slimmed.restored,
        imports=slimmed.imports,
        libraries=tree.libraries,
        lacking=tree.missing,
        trace={
            "how": trace.how,
            "code": trace.code,
            "files": list(trace.files),
            "native": sorted(trace.native),
        },
        pack=_pack_facts(results.pack),
        seconds=results.seconds,
        reuse=results.reuse,
        messages=messages,
    )


def _distributions(results: StageResults) -> tuple[BuiltDistribution, ...]:
    sizes, requested = results.slimmed.report.sizes, results.lock.requested
    return tuple(
        BuiltDistribution(
            distribution.name,
            distribution.version,
            distribution.name in requested,
            distribution.top_level,
            *sizes.get(distribution.name, (0, 0)),
        )
        for distribution in sorted(results.tree.distributions, key=lambda distribution: distribution.name)
    )


def _pack_facts(made: Pack) -> PackFacts:
    index = made.index
    arena = sum(size for size, kind in zip(index.sizes, index.classes, strict=True) if kind in ARENA)
    return PackFacts(
        id=made.id,
        file=made.path.name,
        index=made.index_path.name,
        bytes=made.path.stat().st_size,
        unpacked_bytes=sum(index.frame_size),
        files=len(index.paths),
        frames=len(index.frame_stored),
        hot_frames=index.hot,
        hot_bytes=sum(index.frame_stored[: index.hot]),
        eager_frames=index.eager,
        eager_bytes=sum(index.frame_stored[: index.eager]),
        disk_bytes=sum(index.sizes) - arena,
        arena_bytes=arena,
        glibc=index.glibc,
    )
