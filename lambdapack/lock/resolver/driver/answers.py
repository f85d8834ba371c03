"""The answers of pip-tools, as plain data."""

from __future__ import annotations

from typing import Any, Collection, Iterable

from .fetches import Metadata, Pages


def solved(
    repository: Any, ireqs: Iterable[Any], pages: Pages, metadata: Metadata, weighed: Collection[str]
) -> dict[str, Any]:
    """One entry a distribution, with the one file that fits and its hash; of those ``weighed``, the size."""
    pins = []
    for ireq in sorted(ireqs, key=lambda i: i.name):
        link = ireq.link
        version = str(next(iter(ireq.specifier)).version)
        digest = link.hash if link.hash_name == "sha256" else None
        # Metadata may name a distribution by an address, even by a folder, which has no hash.
        url = ireq.req.url or ""
        pins.append(
            {
                "name": ireq.name,
                "version": version,
                "filename": link.filename,
                "hash": "sha256:" + digest if digest else "" if url else repository._get_file_hash(link),
                "url": url,
                "parents": sorted(ireq._required_by),
                "cpu": cpu_builds(repository, ireq.name),
                "needs": metadata.needs(ireq.name, version, sorted(ireq.extras)),
                "bytes": metadata.size(link) if ireq.name in weighed else 0,
            }
        )
    return {"event": "solved", "pins": pins, "unreachable": pages.unreachable}


def cpu_builds(repository: Any, name: str) -> list[str]:
    """Versions such as ``2.13.0+cpu`` that fit, newest first."""
    versions = {c.version for c in repository.finder.find_all_candidates(name)}
    return [str(v) for v in sorted(versions, reverse=True) if (v.local or "").split(".")[0] == "cpu"]


def unsatisfiable(repository: Any, roots: list[Any], error: Exception, pages: Pages) -> dict[str, Any]:
    """The requirements that cannot be met together, and every file there is of those packages."""
    causes = []
    for cause in getattr(error.__cause__, "causes", ()):
        causes.append(describe(cause.requirement, cause.parent))
    names = {cause["name"] for cause in causes if cause["name"]}
    limits = [
        {"name": root.req.name, "requirement": str(root.req), "origin": str(root.comes_from)}
        for root in roots
        if root.constraint and root.req is not None
    ]
    files = {name: list(files_of(repository, name)) for name in sorted(names)}
    return failed("unsatisfiable", pages, causes=causes, constraints=limits, files=files, message=str(error))


def describe(requirement: Any, parent: Any) -> dict[str, Any]:
    """A requirement, and the distribution or the place that states the requirement."""
    ireq = getattr(requirement, "_ireq", None)
    python = getattr(requirement, "specifier", None) if ireq is None else None
    candidate = getattr(requirement, "candidate", None)
    return {
        "name": "" if ireq is None else str(ireq.req.name),
        "requirement": str(ireq.req) if ireq is not None else str(candidate or requirement),
        "python": str(python) if python is not None else "",
        "parent": "" if parent is None else "{} {}".format(parent.name, parent.version),
        "origin": str(getattr(ireq, "comes_from", "") or "") if parent is None else "",
    }


def files_of(repository: Any, name: str) -> Iterable[dict[str, Any]]:
    """Every file that the index has of a package, for whatever Python or platform."""
    from pip._internal.index.package_finder import PackageFinder
    from pip._internal.models.format_control import FormatControl
    from pip._internal.models.selection_prefs import SelectionPreferences
    from pip._internal.models.wheel import Wheel

    fitting = {c.link.filename for c in repository.finder.find_all_candidates(name)}
    everything = PackageFinder.create(
        link_collector=repository.finder._link_collector,
        selection_prefs=SelectionPreferences(
            allow_yanked=True, format_control=FormatControl(set(), set()), ignore_requires_python=True
        ),
    )
    supported = Wheel.supported
    Wheel.supported = lambda self, tags: True
    try:
        for candidate in everything.find_all_candidates(name):
            link = candidate.link
            yield {
                "filename": link.filename,
                "version": str(candidate.version),
                "requires_python": link.requires_python or "",
                "fits": link.filename in fitting,
            }
    finally:
        Wheel.supported = supported


def failed(kind: str, pages: Pages, **facts: Any) -> dict[str, Any]:
    """A failure of ``kind``: ``unsatisfiable``, ``network``, ``hash`` or ``pip``."""
    return {"event": "failed", "kind": kind, "unreachable": pages.unreachable, **facts}
