"""Runs pip-tools' resolver inside a Python of the target's version, as if on the target's machine.

A script, not a module of lambdapack: it must run on Python 3.8 and sees only the standard library and
the tools' folder that it is told. It reads one JSON object on standard input and writes one JSON object
a line on standard output: ``{"event": "package", "name"}`` for each package that it looks up, and last
``{"event": "solved"}`` or ``{"event": "failed"}`` with the facts; what they mean is decided elsewhere.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import sysconfig
from typing import Any, Callable, Iterable

Json = dict  # what json.loads makes; subscripted only in annotations, which Python 3.8 never evaluates


def main() -> None:
    """Answer one request."""
    request = json.load(sys.stdin)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # Whatever pip prints goes beside the answers, not among them.
    os.dup2(2, 1)

    def answer(event: Json[str, Any]) -> None:
        answers.write(json.dumps(event) + "\n")
        answers.flush()

    impersonate(request["glibc"], request["machine"])
    sys.path.insert(0, request["tools"])
    resolve(request, answer)


def impersonate(glibc: str, machine: str) -> None:
    """Make this process look as if it ran with C library ``glibc`` (``2.26``) on a ``machine``.

    pip's choice of wheels and the environment markers ask exactly these functions.
    """
    real_confstr = os.confstr

    def confstr(name: str | int) -> str | None:
        return "glibc " + glibc if name == "CS_GNU_LIBC_VERSION" else real_confstr(name)

    os.confstr = confstr
    if platform.machine() == machine:
        return
    system = platform.uname()
    kernel = os.uname()
    renamed = os.uname_result((*tuple(kernel)[:4], machine))
    platform.machine = lambda: machine
    os.uname = lambda: renamed
    platform.uname = lambda: system._replace(machine=machine)
    sysconfig.get_platform = lambda: "linux-" + machine


class Watch:
    """What pip reached on the network, and what it did not."""

    def __init__(self, answer: Callable[[Json[str, Any]], None]) -> None:
        self.answer = answer
        self.unreachable: list[str] = []
        self.seen: set[str] = set()

    def failed(self, link: Any, reason: Any, meth: Any = None) -> None:
        """Take pip's report that an index page could not be had; a 404 and the like are answers."""
        status = getattr(getattr(reason, "response", None), "status_code", None)
        if status is None or status >= 500 or status == 429:
            self.unreachable.append("{}: {}".format(getattr(link, "redacted_url", link), reason))

    def follow(self, finder: Any) -> None:
        """Report each package that ``finder`` looks up, once."""
        find_all = finder.find_all_candidates

        def find_all_candidates(name: str) -> Any:
            if name not in self.seen:
                self.seen.add(name)
                self.answer({"event": "package", "name": name})
            return find_all(name)

        finder.find_all_candidates = find_all_candidates


def resolve(request: Json[str, Any], answer: Callable[[Json[str, Any]], None]) -> None:
    """Resolve and answer ``solved`` or ``failed``."""
    from pip._internal.exceptions import DistributionNotFound, PipError
    from pip._internal.index import collector
    from pip._internal.operations.prepare import RequirementPreparer
    from pip._vendor.packaging import _musllinux
    from pip._vendor.requests.exceptions import RequestException
    from piptools.repositories.pypi import PyPIRepository

    watch = Watch(answer)
    collector._handle_get_simple_fail = watch.failed
    # A resolver that runs on musl would otherwise offer its own wheels.
    _musllinux.platform_tags = lambda archs: iter(())
    # Metadata is enough for a lock: nothing is downloaded that the index describes.
    RequirementPreparer.prepare_linked_requirements_more = lambda *args, **kwargs: None
    repository = PyPIRepository(request["pip_args"], cache_dir=request["cache"])
    watch.follow(repository.finder)
    roots: list[Any] = []
    try:
        roots = read(request, repository)
        answer(solved(repository, solve(repository, roots), watch))
    except DistributionNotFound as error:
        answer(unsatisfiable(repository, roots, error, watch))
    except (PipError, RequestException, OSError) as error:
        network = isinstance(error, RequestException) or "Connection" in type(error).__name__
        answer(failed("network" if network else "pip", watch, message=str(error)))


def solve(repository: Any, roots: list[Any]) -> Iterable[Any]:
    """pip-tools' own resolution, without build tools left out."""
    from piptools.resolver import BacktrackingResolver

    resolver = BacktrackingResolver(
        constraints=roots, existing_constraints={}, repository=repository, allow_unsafe=True
    )
    found: Iterable[Any] = resolver.resolve()
    return found


def read(request: Json[str, Any], repository: Any) -> list[Any]:
    """Requirements and constraints as pip's own objects, each knowing where it came from."""
    from pip._internal.req.constructors import install_req_from_parsed_requirement
    from pip._internal.req.req_file import parse_requirements

    def parse(path: str, constraint: bool, origins: Any) -> Any:
        found = parse_requirements(
            path, session=repository.session, finder=repository.finder,
            options=repository.options, constraint=constraint,
        )  # fmt: skip
        for number, parsed in enumerate(found):
            ireq = install_req_from_parsed_requirement(parsed, isolated=False)
            ireq.comes_from = origins[number] if origins is not None else path
            yield ireq

    roots = list(parse(request["requirements"], False, request["origins"]))
    roots += parse(request["constraints"], True, request["constraint_origins"])
    # pip-tools leaves the constraints of pip's own configuration to pip, which is not asked here.
    for path in repository.options.constraints or ():
        roots += parse(path, True, None)
    return roots


def solved(repository: Any, ireqs: Iterable[Any], watch: Watch) -> Json[str, Any]:
    """One entry a distribution, with the one file that fits and its hash."""
    pins = []
    for ireq in sorted(ireqs, key=lambda i: i.name):
        link = ireq.link
        digest = link.hash if link.hash_name == "sha256" else None
        pins.append(
            {
                "name": ireq.name,
                "version": str(next(iter(ireq.specifier)).version),
                "filename": link.filename,
                "hash": "sha256:" + digest if digest else repository._get_file_hash(link),
                "parents": sorted(ireq._required_by),
                "cpu": cpu_builds(repository, ireq.name),
            }
        )
    return {"event": "solved", "pins": pins, "unreachable": watch.unreachable}


def cpu_builds(repository: Any, name: str) -> list[str]:
    """Versions such as ``2.13.0+cpu`` that fit, newest first."""
    versions = {c.version for c in repository.finder.find_all_candidates(name)}
    return [str(v) for v in sorted(versions, reverse=True) if (v.local or "").split(".")[0] == "cpu"]


def unsatisfiable(repository: Any, roots: list[Any], error: Exception, watch: Watch) -> Json[str, Any]:
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
    return failed("unsatisfiable", watch, causes=causes, constraints=limits, files=files, message=str(error))


def describe(requirement: Any, parent: Any) -> Json[str, Any]:
    """Who wants what."""
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


def files_of(repository: Any, name: str) -> Iterable[Json[str, Any]]:
    """Every file that the index has of a package, whatever it is for."""
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


def failed(kind: str, watch: Watch, **facts: Any) -> Json[str, Any]:
    """A failure of ``kind``: ``unsatisfiable``, ``network`` or ``pip``."""
    return {"event": "failed", "kind": kind, "unreachable": watch.unreachable, **facts}


if __name__ == "__main__":
    main()
