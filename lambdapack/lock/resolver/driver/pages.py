"""Index pages, fetched ahead."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Callable

CONNECTIONS = 6


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
