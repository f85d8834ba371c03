"""One request in, one answer out."""

from __future__ import annotations

import json
import os
import platform
import sys
import sysconfig
from typing import Any, Callable, Collection, Iterable

from .fetches import Metadata, Pages


def main() -> None:
    """Answer one request."""
    request = json.load(sys.stdin)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # What pip prints goes to standard error, not among the answers.
    os.dup2(2, 1)

    def answer(event: dict[str, Any]) -> None:
        answers.write(json.dumps(event) + "\n")
        answers.flush()

    impersonate(request["glibc"], request["machine"])
    sys.path.insert(0, request["tools"])
    resolve(request, answer)
    answers.close()
    # Do not wait for threads that still fetch pages which are not needed any more.
    os._exit(0)


def impersonate(glibc: str, machine: str) -> None:
    """Make this process look as if it ran Linux with C library ``glibc`` (``2.26``) on a ``machine``.

    pip's choice of wheels and the environment markers ask exactly these functions.
    """
    real_confstr = os.confstr

    def confstr(name: str | int) -> str | None:
        return "glibc " + glibc if name == "CS_GNU_LIBC_VERSION" else real_confstr(name)

    os.confstr = confstr
    if (sys.platform, platform.machine()) == ("linux", machine):
        return
    system = platform.uname()
    kernel = os.uname()
    renamed = os.uname_result(("Linux", *tuple(kernel)[1:4], machine))
    platform.machine = lambda: machine
    platform.system = lambda: "Linux"
    os.uname = lambda: renamed
    platform.uname = lambda: system._replace(system="Linux", machine=machine)
    sysconfig.get_platform = lambda: "linux-" + machine
    # Last: what is imported before may be this system's own, as the library of its proxies.
    import urllib.request  # noqa: F401

    sys.platform = "linux"


def resolve(request: dict[str, Any], answer: Callable[[dict[str, Any]], None]) -> None:
    """Resolve and answer ``solved`` or ``failed``."""
    from pip._internal.exceptions import DistributionNotFound, HashError, PipError, UnsupportedPythonVersion
    from pip._internal.index import collector
    from pip._internal.operations.prepare import RequirementPreparer
    from pip._vendor.requests.exceptions import RequestException
    from piptools.resolver import BacktrackingResolver

    repository = open_repository(request)
    pages = Pages(repository, collector, answer)
    metadata = Metadata(request, repository, pages)
    metadata.install(RequirementPreparer)
    roots: list[Any] = []
    try:
        roots = read(request, repository)
        for name in [root.name for root in roots if not root.constraint] + request["hints"]:
            pages.expect(name)
        # Packages such as setuptools, which pip-tools calls unsafe, stay in.
        resolver = BacktrackingResolver(
            constraints=roots, existing_constraints={}, repository=repository, allow_unsafe=True
        )
        answer(solved(repository, resolver.resolve(), pages, metadata, request["weighed"]))
    except (DistributionNotFound, UnsupportedPythonVersion) as error:
        answer(unsatisfiable(repository, roots, error, pages))
    except HashError as error:
        name = getattr(getattr(error, "req", None), "name", None) or "a package"
        answer(failed("hash", pages, name=name, message=str(error)))
    except (PipError, RequestException, OSError) as error:
        network = isinstance(error, RequestException) or "Connection" in type(error).__name__
        about = getattr(error, "context", None) or ""
        answer(failed("network" if network else "pip", pages, message=str(error), about=str(about)))


def open_repository(request: dict[str, Any]) -> Any:
    """pip-tools' view of the indexes, for a target that is not this machine."""
    from pip._internal.operations.prepare import RequirementPreparer
    from pip._vendor.packaging import _musllinux
    from piptools.repositories.pypi import PyPIRepository

    # A Python that runs on musl would otherwise take wheels for musl.
    _musllinux.platform_tags = lambda archs: iter(())
    # Metadata is enough for a lock: wheels are not downloaded.
    RequirementPreparer.prepare_linked_requirements_more = lambda *args, **kwargs: None
    repository = PyPIRepository(request["pip_args"], cache_dir=request["cache"])
    # pip-tools sets this to false, whatever pip's options say.
    repository.options.ignore_dependencies = request["alone"]
    return repository


def read(request: dict[str, Any], repository: Any) -> list[Any]:
    """Requirements and constraints as pip's own objects, with ``comes_from`` set to their place."""
    from pip._internal.req.constructors import install_req_from_parsed_requirement
    from pip._internal.req.req_file import parse_requirements

    def parse(path: str, constraint: bool, origins: Any) -> Any:
        lines = parse_requirements(
            path, session=repository.session, finder=repository.finder,
            options=repository.options, constraint=constraint,
        )  # fmt: skip
        for number, parsed in enumerate(lines):
            ireq = install_req_from_parsed_requirement(parsed, isolated=False)
            ireq.comes_from = origins[number] if origins is not None else path
            yield ireq

    roots = list(parse(request["requirements"], False, request["origins"]))
    roots += parse(request["constraints"], True, request["constraint_origins"])
    # pip-tools leaves the constraints of pip's own configuration to pip, which is not asked here.
    for path in repository.options.constraints or ():
        roots += parse(path, True, None)
    return roots


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
    causes = [describe(cause.requirement, cause.parent) for cause in getattr(error.__cause__, "causes", ())]
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
