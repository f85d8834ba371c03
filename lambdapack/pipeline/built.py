"""A build as the plan compares it: of its folder, or of its ``build.json`` alone."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from lambdapack import pack
from lambdapack.errors import ConfigurationError, LambdapackError
from lambdapack.model import Need, Target
from lambdapack.pipeline import build_json
from lambdapack.pipeline.build_json import BuildReport
from lambdapack.pipeline.sbom import metadata
from lambdapack.plan import Build, Graph, Share, explained


def read_built(path: Path) -> Build:
    """The build in the folder ``path``, or of the file ``path``, a ``build.json`` under whatever name.

    What an earlier lambdapack did not write down is taken from the pack, where that lies beside.

    Raises:
        ConfigurationError: There is no build, or its ``build.json`` says too little and its pack is gone.
        LambdapackError: The pack is damaged.
    """
    file = path if path.is_file() else path / build_json.FILE_NAME
    report = build_json.read_file(file)
    return Build(
        id=report.pack.id,
        tool=report.tool,
        target=report.target,
        python=report.builder.get("python", ""),
        shares=report.shares or _shares(report, file),
        graph=_graph(report, file),
    )


def previous(folder: Path) -> Build | None:
    """The build that the one in ``folder`` replaced; ``None`` where there is none to compare with."""
    try:
        before = read_built(folder / build_json.PREVIOUS)
        return before if before.id != build_json.read(folder).pack.id else None
    except LambdapackError:
        return None


def _beside(report: BuildReport, file: Path) -> Path:
    """The pack of a report; its name is all that is taken of what the report says."""
    path = file.parent / Path(report.pack.file).name
    if not path.is_file():
        raise ConfigurationError(
            f"{file} was written by an earlier lambdapack: it does not say what of the pack is whose, "
            "and its pack is not beside it",
            hint="name the folder of the build, with its pack, or build it again",
        )
    return path


def _shares(report: BuildReport, file: Path) -> tuple[Share, ...]:
    return build_json.shares(
        pack.read_index(_beside(report, file))[1], report.pack.bytes, report.distributions
    )


def _graph(report: BuildReport, file: Path) -> Graph:
    needs = {each.name: each.requires for each in report.distributions if each.requires is not None}
    if len(needs) < len(report.distributions):
        found = metadata.needs(metadata.read(_beside(report, file)), Target.parse(report.target))
        needs = {each.name: found.get(each.name, ()) for each in report.distributions}
    extras = defaultdict(frozenset, metadata.asked_extras(report.requirements))
    asked = (Need(name, extras=tuple(sorted(extras[name]))) for name in report.lock.get("requested", ()))
    return explained(Graph(tuple(asked), needs))
