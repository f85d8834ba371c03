"""What pip asks servers for, in fewer round trips: index pages, and metadata of wheels without the wheels."""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Callable

CONNECTIONS = 6
TAIL = 128 * 1024  # A wheel's last bytes: usually its metadata is there, with the zip's directory.
PIECE = 64 * 1024
# What requests raises is an OSError.
UNREADABLE = (ValueError, KeyError, zipfile.BadZipFile, OSError)


class Pages:
    """Index pages, fetched by threads before pip asks for them: the round trips are most of the time."""

    def __init__(self, repository: Any, collector: Any, answer: Callable[[dict[str, Any]], None]) -> None:
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
        """Fetch a page for pip, which calls this."""
        self.used.add(link.url)
        name = link.url.rstrip("/").rsplit("/", 1)[-1]
        self.answer({"event": "package", "name": name})
        coming = self.coming.pop(link.url, None)
        return self.fetch(link, **options) if coming is None else coming.result()

    def failed(self, link: Any, reason: Any, meth: Any = None) -> None:
        """Take pip's report that a page could not be fetched; a 404 and the like are answers."""
        status = getattr(getattr(reason, "response", None), "status_code", None)
        if status is None or status >= 500 or status == 429:
            self.failures[link.url] = "{}: {}".format(getattr(link, "redacted_url", link), reason)

    @property
    def unreachable(self) -> list[str]:
        """Pages that pip needed and that could not be fetched, with the reason."""
        return [reason for url, reason in self.failures.items() if url in self.used]


class Metadata:
    """Metadata of wheels.

    A wheel's metadata never changes, so it is kept by the wheel's hash. ``leaves`` are packages of which only
    the name is needed, because they will be refused or left out.
    """

    def __init__(self, request: dict[str, Any], repository: Any, pages: Pages) -> None:
        self.folder = request["cache"]
        self.leaves = tuple(request["leaf_prefixes"]), frozenset(request["leaf_names"])
        self.session = repository.session
        self.pages = pages
        self.dists: dict[tuple[str, str], Any] = {}
        os.makedirs(self.folder, exist_ok=True)

    def of(self, req: Any) -> bytes | None:
        """The METADATA of the file behind a pip requirement, ``None`` where pip has to look itself."""
        from pip._internal.models.wheel import Wheel
        from pip._vendor.packaging.utils import InvalidSdistFilename, parse_sdist_filename

        link = req.link
        prefixes, names = self.leaves
        if link.is_wheel:
            wheel = Wheel(link.filename)
            name, version = wheel.name.lower().replace("_", "-").replace(".", "-"), str(wheel.version)
        else:
            try:
                name, version = map(str, parse_sdist_filename(link.filename))
            except InvalidSdistFilename:
                return None
        if name in names or name.startswith(prefixes):
            return "Metadata-Version: 2.1\nName: {}\nVersion: {}\n".format(name, version).encode()
        if not link.is_wheel:
            return None
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
        """Answer in place of pip's ``RequirementPreparer``."""
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
        prepare = preparer.prepare_linked_requirement

        def prepare_linked_requirement(this: Any, req: Any, *args: Any, **kwargs: Any) -> Any:
            dist = prepare(this, req, *args, **kwargs)
            self.dists[str(dist.canonical_name), str(dist.version)] = dist
            return dist

        preparer.prepare_linked_requirement = prepare_linked_requirement

    def needs(self, name: str, version: str, extras: Any) -> list[str]:
        """What a distribution needs on the target, without markers; empty where its metadata was not read."""
        dist = self.dists.get((name, version))
        if dist is None:
            return []
        needs = [*dist.iter_dependencies(), *(dist.iter_dependencies(extras) if extras else ())]
        return sorted({str(need).partition(";")[0].strip() for need in needs})

    def size(self, link: Any) -> int:
        """Bytes that the wheel at ``link`` takes when it is unpacked; 0 where that cannot be learnt."""
        try:
            remote = None if link.is_file else RemoteFile(self.session, link.url_without_fragment)
            with zipfile.ZipFile(io.BufferedReader(remote) if remote else link.file_path) as wheel:
                return sum(entry.file_size for entry in wheel.infolist())
        except UNREADABLE:
            return 0


def keep(path: str, data: bytes) -> None:
    """Write a file, whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(path), delete=False) as part:
        part.write(data)
    os.replace(part.name, path)


class RemoteFile(io.RawIOBase):
    """A remote file, of which only pieces are fetched: first the end, which has a zip's directory."""

    def __init__(self, session: Any, url: str) -> None:
        self.session, self.url = session, url
        self.position = 0
        answer = self.request("bytes=-{}".format(TAIL))
        if answer.status_code == 200 and len(answer.content) <= TAIL:
            self.size = len(answer.content)
        else:
            # "bytes 100-199/200"
            self.size = int(answer.headers["Content-Range"].rpartition("/")[2])
        self.tail = (self.size - len(answer.content), answer.content)
        self.piece = self.tail

    def request(self, wanted: str) -> Any:
        """GET a range. A whole file in its place is read only where it is as small as a range."""
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
        """Read from the piece at hand; where the position lies outside, fetch another piece."""
        if self.position >= self.size or not buffer:
            return 0
        start, data = next(
            ((s, d) for s, d in (self.tail, self.piece) if s <= self.position < s + len(d)), (0, b"")
        )
        if not data:
            stop = min(self.position + max(len(buffer), PIECE), self.tail[0])
            data = self.request("bytes={}-{}".format(self.position, stop - 1)).content
            start = self.position
            self.piece = (start, data)
        piece = data[self.position - start :][: len(buffer)]
        buffer[: len(piece)] = piece
        self.position += len(piece)
        return len(piece)


def ranged_metadata(session: Any, url: str) -> bytes | None:
    """METADATA of a remote wheel from its last bytes; ``None`` where server or file do not allow that."""
    try:
        with zipfile.ZipFile(io.BufferedReader(RemoteFile(session, url))) as wheel:
            names = [n for n in wheel.namelist() if n.count("/") == 1 and n.endswith(".dist-info/METADATA")]
            return wheel.read(names[0]) if len(names) == 1 else None
    except UNREADABLE:
        return None
