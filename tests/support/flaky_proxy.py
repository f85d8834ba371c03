"""An HTTP proxy in front of a stand-in for AWS, which fails as networks and services do.

Nothing in the client is replaced: botocore's own retries, connections and time-outs are what is tested.
"""

from __future__ import annotations

import http.client
import threading
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

Fault = Literal["429", "500", "503", "reset", "reset-after", "silence", "html"]
"""An answer of that status; the connection is cut before the request is passed on, or after; no answer; what
a network's login page answers."""
_OF_CONNECTION = frozenset({"host", "connection", "transfer-encoding", "content-length", "expect"})


def refusal(status: str, headers: Mapping[str, str]) -> tuple[list[tuple[str, str]], bytes]:
    """Headers and body as the services word them: an answer 5xx may have none, throttling has one."""
    if status != "429":
        return [], b""
    if "application/x-www-form-urlencoded" in headers.get("Content-Type", ""):
        return [], b"<ErrorResponse><Error><Code>Throttling</Code></Error></ErrorResponse>"
    if "/s3/" in headers.get("Authorization", ""):
        return [], b"<Error><Code>SlowDown</Code></Error>"
    return [("x-amzn-errortype", "TooManyRequestsException")], b'{"message": "Rate exceeded"}'


class Proxy:
    """Passes requests on, but for those that fail.

    Attributes:
        url: The proxy's address.
        requests: Method and path of every request since ``plan`` was called last, the failed ones included.
    """

    def __init__(self, behind: str) -> None:
        self._behind = urllib.parse.urlsplit(behind)
        self._lock = threading.Lock()
        self._fails: Callable[[int], Fault | None] = lambda _: None
        self.requests: list[str] = []
        self.released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """End silences and the server."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def plan(self, fails: Callable[[int], Fault | None] = lambda _: None) -> None:
        """From now on: the fault of the n-th request, from 0, or ``None`` for none."""
        with self._lock:
            self._fails, self.requests = fails, []

    def _next(self, request: str) -> Fault | None:
        with self._lock:
            self.requests.append(request)
            return self._fails(len(self.requests) - 1)

    def _pass_on(
        self, handler: BaseHTTPRequestHandler, body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(str(self._behind.hostname), self._behind.port, timeout=60)
        headers = {
            name: value for name, value in handler.headers.items() if name.lower() not in _OF_CONNECTION
        }
        headers["Host"] = str(handler.headers["Host"])
        try:
            connection.request(handler.command, handler.path, body=body, headers=headers)
            answer = connection.getresponse()
            data = answer.read()
            return answer.status, answer.getheaders(), data
        finally:
            connection.close()

    def _handler(proxy: Proxy) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - the handler's self is another
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                if self.headers.get("Expect", "").lower() == "100-continue":
                    # handle_expect_100 has answered already.
                    pass
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                fault = proxy._next(f"{self.command} {self.path}")
                if fault == "silence":
                    proxy.released.wait(60)
                if fault in ("reset", "silence"):
                    self.close_connection = True
                    return
                if fault == "html":
                    self._answer(429, [("Content-Type", "text/html")], b"<p>Please log in.</p")
                    return
                if fault is not None and fault.isdigit():
                    self._answer(int(fault), *refusal(fault, self.headers))
                    return
                status, headers, data = proxy._pass_on(self, body)
                if fault == "reset-after":
                    self.close_connection = True
                    return
                self._answer(status, headers, data)

            def _answer(self, status: int, headers: list[tuple[str, str]], data: bytes) -> None:
                # Date and Server are the stand-in's own, as they would be AWS's.
                self.send_response_only(status)
                length = str(len(data))
                for name, value in headers:
                    if name.lower() == "content-length" and self.command == "HEAD":
                        length = value
                    elif name.lower() not in _OF_CONNECTION:
                        self.send_header(name, value)
                self.send_header("Content-Length", length)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve  # noqa: N815

            def log_message(self, *_: object) -> None: ...

        return Handler


@contextmanager
def in_front_of(url: str) -> Iterator[Proxy]:
    """A proxy until the end of the block."""
    proxy = Proxy(url)
    try:
        yield proxy
    finally:
        proxy.close()
