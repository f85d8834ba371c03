"""lambdapack.lock against an index over HTTP: what is fetched, and what never is."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lambdapack.errors import ToolError
from lambdapack.lock import read_requirements, resolve
from lambdapack.model import Lock
from lambdapack.model.target import Target
from lambdapack.python import interpreter, toolchain
from tests.support.wheelhouse import wheel

TARGET = Target("3.11")
BIG = {"big/data.bin": os.urandom(3_000_000), "big/__init__.py": b""}


class Index:
    """A package index of the oldest kind: HTML pages with hashes, no separate metadata."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ranges = True
        self.failing: set[str] = set()
        self.sent: dict[str, int] = {}
        index = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                index.answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                return None

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/simple"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        page = re.fullmatch(r"/simple/([^/]+)/", handler.path)
        if page and page[1] in self.failing:
            self.send(handler, 503, b"", {})
        elif page:
            self.page(handler, page[1])
        else:
            self.file(handler, self.folder / handler.path.rsplit("/", 1)[1])

    def page(self, handler: BaseHTTPRequestHandler, name: str) -> None:
        links = []
        for path in sorted(self.folder.iterdir()):
            if path.name.split("-")[0].replace("_", "-") == name:
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                links.append(f'<a href="/files/{path.name}#sha256={digest}">{path.name}</a>')
        body = f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode()
        self.send(handler, 200 if links else 404, body, {"Content-Type": "text/html"})

    def file(self, handler: BaseHTTPRequestHandler, path: Path) -> None:
        data = path.read_bytes()
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", handler.headers.get("Range", ""))
        if not (self.ranges and wanted):
            self.send(handler, 200, data, {})
            return
        start = int(wanted[1]) if wanted[1] else max(0, len(data) - int(wanted[2]))
        stop = int(wanted[2]) + 1 if wanted[1] and wanted[2] else len(data)
        where = f"bytes {start}-{stop - 1}/{len(data)}"
        self.send(handler, 206, data[start:stop], {"Content-Range": where}, path.name)

    def send(
        self,
        handler: BaseHTTPRequestHandler,
        status: int,
        body: bytes,
        headers: dict[str, str],
        name: str = "",
    ) -> None:
        self.sent[name] = self.sent.get(name, 0) + len(body)
        handler.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            handler.send_header(key, value)
        handler.end_headers()
        try:
            handler.wfile.write(body)
        except OSError:
            handler.close_connection = True


@pytest.fixture
def index(tmp_path: Path, lambdapack_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    toolchain.ensure(interpreter.find(TARGET.python), lambdapack_cache)
    (tmp_path / "tools").symlink_to(lambdapack_cache / "tools")
    (tmp_path / "files").mkdir()
    served = Index(tmp_path / "files")
    for name in [name for name in os.environ if name.startswith("PIP_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_INDEX_URL", served.url)
    thread = threading.Thread(target=served.server.serve_forever, daemon=True)
    thread.start()
    yield served
    served.server.shutdown()
    served.server.server_close()


def lock(cache: Path, *asked: str) -> Lock:
    python = interpreter.find(TARGET.python)
    return resolve(read_requirements(asked, []), TARGET, python, cache_dir=cache)


@pytest.mark.parametrize("first", ["metadata", "data"])
def test_metadata_is_read_by_range(index: Index, tmp_path: Path, first: str) -> None:
    """A large wheel is not downloaded to learn what it needs, wherever in it the metadata lies."""
    path = wheel(index.folder, "big", "1", needs=["small"], files=BIG, metadata_first=first == "metadata")
    wheel(index.folder, "small", "1")
    made = lock(tmp_path, "big")
    assert [pin.name for pin in made.pins] == ["big", "small"]
    assert made.pins[0].hashes == (f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}",)
    assert 0 < index.sent[path.name] < 400_000
    before = index.sent[path.name]
    assert lock(tmp_path, "big") == made
    assert index.sent[path.name] == before, "metadata is kept by the wheel's hash"


def test_an_index_without_ranges_works_too(index: Index, tmp_path: Path) -> None:
    """Where a server knows no ranges, pip downloads the wheel as it always did."""
    index.ranges = False
    wheel(index.folder, "big", "1", needs=["small"], files=BIG)
    wheel(index.folder, "small", "1")
    assert [pin.name for pin in lock(tmp_path, "big").pins] == ["big", "small"]


def test_a_page_that_fails_is_not_a_missing_package(index: Index, tmp_path: Path) -> None:
    """A 503 for one page fails the lock, even where a smaller solution without it exists."""
    wheel(index.folder, "app", "2", needs=["helper"])
    wheel(index.folder, "app", "1")
    wheel(index.folder, "helper", "1")
    assert [pin.version for pin in lock(tmp_path, "app").pins] == ["2", "1"]
    index.failing.add("helper")
    with pytest.raises(ToolError, match="could not be reached"):
        lock(tmp_path, "app")


def test_a_page_that_is_not_needed_may_fail(index: Index, tmp_path: Path) -> None:
    """What is fetched ahead on a guess and never needed decides nothing."""
    wheel(index.folder, "app", "1", needs=["helper"])
    wheel(index.folder, "helper", "1")
    lock(tmp_path, "app")
    wheel(index.folder, "app", "2")
    index.failing.add("helper")
    assert [pin.version for pin in lock(tmp_path, "app").pins] == ["2"]
