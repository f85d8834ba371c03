"""Which shared libraries a build's pack asks for that neither the pack nor Lambda has."""

from __future__ import annotations

from collections.abc import Collection

from lambdapack.errors import ConfigurationError
from lambdapack.install import syslibs
from lambdapack.model import Target
from lambdapack.pack import Pack
from lambdapack.pipeline import build_json


def missing_libraries(pack: Pack, allowed: Collection[str] = ()) -> tuple[syslibs.LibraryRisk, ...]:
    """The shared libraries that a pack asks for and neither it nor Lambda has, by its build.json.

    Args:
        pack: The pack, in its build's folder.
        allowed: Names of libraries that the function can do without, or has from a layer.

    Returns:
        The libraries; empty for a pack that came without its build.json.
    """
    try:
        report = build_json.read(pack.path.parent)
    except ConfigurationError:
        return ()
    if report.pack.id != pack.id:
        return ()
    paths, traced = pack.index.paths, report.trace.get("how") == "traced"
    needs = {paths[file]: [paths[other] for other in others] for file, others in pack.index.needs.items()}
    return syslibs.weigh(
        report.lacking,
        syslibs.runtime_libraries(Target.parse(report.target)),
        paths,
        syslibs.PackUse(report.trace["files"] if traced else None, needs, report.imports.skipped),
        allowed=allowed,
        image=report.builder["name"] == "docker",
    )
