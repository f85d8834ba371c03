"""Runs pip-tools' resolver inside a Python of the target's version, as if on the target's machine.

A script, not a module of lambdapack: it must run on Python 3.8 and sees only the standard library and
the tools' folder that it is told. It reads one JSON object on standard input and writes one JSON object
a line on standard output: ``{"event": "package", "name"}`` for each package that it looks up, and last
``{"event": "solved"}`` or ``{"event": "failed"}`` with the facts; what they mean is decided elsewhere.
"""

from __future__ import annotations

import io
import json
import os
import platform
import sys
import sysconfig
import tempfile
import zipfile
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Callable, Iterable

CONNECTIONS = 6
TAIL = 128 * 1024  # of a wheel: its metadata is usually there, with the zip's directory
FARTHEST = 16 * 1024 * 1024
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
    answers.close()
    # Threads may still wait for pages that nobody needs any more.
    os._exit(0)


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


class Pages:
    """Index pages, fetched by threads before pip asks for them: the round trips are most of the time."""

    def __init__(self, repository: Any, collector: Any, answer: Callable[[Json[str, Any]], None]) -> None:
        self.repository = repository
        self.answer = answer
        self.fetch = collector._get_index_content
        self.pool = ThreadPoolExecutor(CONNECTIONS)
        self.coming: dict[str, Future[Any]] = {}
        self.used: set[str] = set()
        self.failures: dict[str, str] = {}
        self.named: set[str] = set()
        collector._get_index_content = self.get
        collector._handle_get_simple_fail = self.failed

    def expect(self, name: str) -> None:
        """Begin to fetch the pages of package ``name``."""
        from pip._internal.models.link import Link

        if name in self.named:
            return
        self.named.add(name)
        finder = self.repository.finder
        for location in finder._link_collector.search_scope.get_index_urls_locations(name):
            link = Link(location)
            if link.scheme in ("http", "https"):
                future = self.pool.submit(self.fetch, link, session=self.repository.session)
                self.coming[link.url] = future

    def get(self, link: Any, **options: Any) -> Any:
        """What pip calls to have a page."""
        self.used.add(link.url)
        name = link.url.rstrip("/").rsplit("/", 1)[-1]
        self.answer({"event": "package", "name": name})
        coming = self.coming.pop(link.url, None)
        return self.fetch(link, **options) if coming is None else coming.result()

    def failed(self, link: Any, reason: Any, meth: Any = None) -> None:
        """Take pip's report that a page could not be had; a 404 and the like are answers."""
        status = getattr(getattr(reason, "response", None), "status_code", None)
        if status is None or status >= 500 or status == 429:
            self.failures[link.url] = "{}: {}".format(getattr(link, "redacted_url", link), reason)

    @property
    def unreachable(self) -> list[str]:
        """Pages that pip needed and could not have."""
        return [reason for url, reason in self.failures.items() if url in self.used]


class Metadata:
    """What wheels say of themselves, without downloading them.

    A wheel's metadata never changes, so it is kept by the wheel's hash. ``leaves`` are packages of which
    nothing is asked but their names: they will be refused or left out.
    """

    def __init__(self, request: Json[str, Any], repository: Any, pages: Pages) -> None:
        self.folder = request["cache"]
        self.leaves = tuple(request["leaf_prefixes"]), frozenset(request["leaf_names"])
        self.session = repository.session
        self.pages = pages
        os.makedirs(self.folder, exist_ok=True)

    def of(self, req: Any) -> bytes | None:
        """The METADATA of the wheel behind a pip requirement, ``None`` where pip has to look itself."""
        from pip._internal.models.wheel import Wheel

        link = req.link
        if not link.is_wheel:
            return None
        wheel = Wheel(link.filename)
        name = wheel.name.lower().replace("_", "-").replace(".", "-")
        prefixes, names = self.leaves
        if name in names or name.startswith(prefixes):
            return "Metadata-Version: 2.1\nName: {}\nVersion: {}\n".format(name, wheel.version).encode()
        path = self.path(link)
        if path is not None and os.path.exists(path):
            with open(path, "rb") as file:
                return file.read()
        if link.is_file or link.metadata_link() is not None:
            return None
        data = ranged_metadata(self.session, link.url_without_fragment)
        if data is not None and path is not None:
            keep(path, data)
        return data

    def path(self, link: Any) -> str | None:
        """Where the metadata of the wheel at ``link`` is kept; ``None`` without a hash to know it by."""
        return os.path.join(self.folder, link.hash) if link.hash_name == "sha256" else None

    def install(self, preparer: Any) -> None:
        """Answer for pip's ``RequirementPreparer``."""
        from pip._internal.metadata import get_metadata_distribution

        fetch = preparer._fetch_metadata_only

        def fetch_metadata_only(this: Any, req: Any) -> Any:
            data = self.of(req)
            if data is None:
                dist = fetch(this, req)
            else:
                dist = get_metadata_distribution(data, req.link.filename, req.req.name)
            for needed in dist.iter_dependencies() if dist is not None else ():
                if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                    self.pages.expect(needed.name)
            return dist

        preparer._fetch_metadata_only = fetch_metadata_only


def keep(path: str, data: bytes) -> None:
    """Write a file, whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(path), delete=False) as part:
        part.write(data)
    os.replace(part.name, path)


class Ranged(io.RawIOBase):
    """A remote file, of which only what is read is fetched. Its end comes first: a zip's directory."""

    def __init__(self, session: Any, url: str) -> None:
        self.session, self.url = session, url
        self.position = 0
        answer = self.request("bytes=-{}".format(TAIL))
        if answer.status_code == 200 and len(answer.content) <= TAIL:
            self.size = len(answer.content)
        else:
            # "bytes 100-199/200"
            self.size = int(answer.headers["Content-Range"].rpartition("/")[2])
        self.start, self.data = self.size - len(answer.content), answer.content

    def request(self, wanted: str) -> Any:
        """GET a range; an answer that is none, and larger than a range, is not read."""
        headers = {"Range": wanted, "Accept-Encoding": "identity", "Cache-Control": "no-cache"}
        answer = self.session.get(self.url, headers=headers, stream=True)
        answer.raise_for_status()
        if answer.status_code != 206 and int(answer.headers.get("Content-Length", TAIL + 1)) > TAIL:
            answer.close()
            raise ValueError("no ranges")
        answer.content  # noqa: B018 - reads the body
        return answer

    def seekable(self) -> bool:
        """Always."""
        return True

    def readable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The position."""
        return self.position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move, as files do."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self.position, os.SEEK_END: self.size}[whence]
        self.position = base + offset
        return self.position

    def readinto(self, buffer: Any) -> int:
        """Read, fetching all from the position on when it lies before what is there."""
        stop = min(self.position + len(buffer), self.size)
        if self.position < self.start:
            if self.start - self.position > FARTHEST:
                raise ValueError("too far from the end")
            head = self.request("bytes={}-{}".format(self.position, self.start - 1)).content
            self.data, self.start = head + self.data, self.position
        piece = self.data[self.position - self.start : stop - self.start]
        buffer[: len(piece)] = piece
        self.position += len(piece)
        return len(piece)


def ranged_metadata(session: Any, url: str) -> bytes | None:
    """METADATA of a remote wheel from its last bytes; ``None`` where the server or the file forbids it."""
    from pip._vendor.requests.exceptions import RequestException

    try:
        with zipfile.ZipFile(io.BufferedReader(Ranged(session, url))) as wheel:
            names = [n for n in wheel.namelist() if n.count("/") == 1 and n.endswith(".dist-info/METADATA")]
            return wheel.read(names[0]) if len(names) == 1 else None
    except (RequestException, ValueError, KeyError, zipfile.BadZipFile, OSError):
        return None


def resolve(request: Json[str, Any], answer: Callable[[Json[str, Any]], None]) -> None:
    """Resolve and answer ``solved`` or ``failed``."""
    from pip._internal.exceptions import DistributionNotFound, PipError
    from pip._internal.index import collector
    from pip._internal.operations.prepare import RequirementPreparer
    from pip._vendor.packaging import _musllinux
    from pip._vendor.requests.exceptions import RequestException
    from piptools.repositories.pypi import PyPIRepository

    # A resolver that runs on musl would otherwise offer its own wheels.
    _musllinux.platform_tags = lambda archs: iter(())
    # Metadata is enough for a lock: nothing is downloaded that the index describes.
    RequirementPreparer.prepare_linked_requirements_more = lambda *args, **kwargs: None
    repository = PyPIRepository(request["pip_args"], cache_dir=request["cache"])
    pages = Pages(repository, collector, answer)
    Metadata(request, repository, pages).install(RequirementPreparer)
    roots: list[Any] = []
    try:
        roots = read(request, repository)
        for name in [root.name for root in roots if not root.constraint] + request["hints"]:
            pages.expect(name)
        answer(solved(repository, solve(repository, roots), pages))
    except DistributionNotFound as error:
        answer(unsatisfiable(repository, roots, error, pages))
    except (PipError, RequestException, OSError) as error:
        network = isinstance(error, RequestException) or "Connection" in type(error).__name__
        answer(failed("network" if network else "pip", pages, message=str(error)))


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


def solved(repository: Any, ireqs: Iterable[Any], pages: Pages) -> Json[str, Any]:
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
    return {"event": "solved", "pins": pins, "unreachable": pages.unreachable}


def cpu_builds(repository: Any, name: str) -> list[str]:
    """Versions such as ``2.13.0+cpu`` that fit, newest first."""
    versions = {c.version for c in repository.finder.find_all_candidates(name)}
    return [str(v) for v in sorted(versions, reverse=True) if (v.local or "").split(".")[0] == "cpu"]


def unsatisfiable(repository: Any, roots: list[Any], error: Exception, pages: Pages) -> Json[str, Any]:
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


def failed(kind: str, pages: Pages, **facts: Any) -> Json[str, Any]:
    """A failure of ``kind``: ``unsatisfiable``, ``network`` or ``pip``."""
    return {"event": "failed", "kind": kind, "unreachable": pages.unreachable, **facts}


if __name__ == "__main__":
    main()
