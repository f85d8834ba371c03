"""The Runtime API, from which the runtime in an execution environment gets its events.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import contextlib
import json
import queue
import re
import secrets
import threading
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from lambdapack.local.s3.sigv4 import Credentials

MAX_REQUEST = 6 * 1024 * 1024
MAX_RESPONSE = 6 * 1024 * 1024 + 100
"""6291556 bytes, as in Lambda's own error message."""

_CREDENTIALS = "/2021-11-20/credentials"
_INVOCATION = re.compile(r"/2018-06-01/runtime/invocation/([^/]+)/(response|error)\Z")


@dataclass(frozen=True)
class Event:
    """An invocation on its way to the runtime; its deadline is Unix time, its trace X-Ray's."""

    request_id: str
    payload: bytes
    deadline_ms: int
    arn: str
    trace_id: str


@dataclass(frozen=True)
class Happening:
    """Something that the runtime has done, or that has happened to the runtime.

    Attributes:
        kind: ``next`` (the runtime asks for an event), ``restore`` (it waits for its restore from a
            snapshot), ``response``, ``error``, ``init_error``, ``too_large`` (a response over the limit),
            ``exit`` (the runtime has died).
        generation: The number of the runtime's start: after a crash there is a new one.
        request_id: For ``response``, ``error`` and ``too_large``.
        body: What the runtime has posted.
        error_type: From the header of an error, or from its body.
        status: For ``exit``: the exit status, negative for a signal.
        over_memory: For ``exit``: whether the keeper killed the runtime for its memory.
    """

    kind: Literal["next", "restore", "response", "error", "init_error", "too_large", "exit"]
    generation: int
    request_id: str = ""
    body: bytes = b""
    error_type: str = ""
    status: int = 0
    over_memory: bool = False


class RuntimeApi:
    """One environment's Runtime API, on 127.0.0.1; ``happenings`` gets everything that the runtime does.

    Attributes:
        credentials: What ``credentials_url`` answers to requests with the ``token``: a snapshot holds none.
    """

    def __init__(self, happenings: queue.Queue[Happening], credentials: Credentials) -> None:
        self.happenings = happenings
        self.generation = 0
        self._condition = threading.Condition()
        self._events: deque[Event] = deque()
        self._restored = self._closed = False
        self.credentials = credentials
        self.token = secrets.token_urlsafe(30)
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.api = self
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self.credentials_url = f"http://{self.address}{_CREDENTIALS}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def restart(self) -> int:
        """Drop the event of the old runtime before a new one starts; the new one's generation."""
        with self._condition:
            self.generation += 1
            self._events.clear()
            self._restored = False
            self._condition.notify_all()
        return self.generation

    def offer(self, event: Event) -> None:
        """Give the runtime an event."""
        with self._condition:
            self._events.append(event)
            self._condition.notify_all()

    def restore(self) -> None:
        """Tell the runtime that it runs in a restored environment."""
        with self._condition:
            self._restored = True
            self._condition.notify_all()

    def take(self, generation: int) -> Event | None:
        """Wait for an event; ``None`` if a newer runtime has started meanwhile."""
        with self._condition:
            self._condition.wait_for(
                lambda: bool(self._events) or self._closed or generation != self.generation
            )
            if self._closed or generation != self.generation:
                return None
            return self._events.popleft()

    def await_restore(self, generation: int) -> bool:
        """Wait for ``restore``; False if a newer runtime has started meanwhile."""
        with self._condition:
            self._condition.wait_for(lambda: self._restored or self._closed or generation != self.generation)
            return self._restored and generation == self.generation

    def close(self) -> None:
        """Stop serving."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    api: RuntimeApi

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: a runtime that was killed leaves broken connections."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        api = self.server.api
        if self.path == "/2018-06-01/runtime/restore/next":
            self._restore(api, api.generation)
            return
        if self.path == _CREDENTIALS:
            self._give_credentials(api)
            return
        if self.path != "/2018-06-01/runtime/invocation/next":
            self._answer(404, b"{}")
            return
        generation = api.generation
        api.happenings.put(Happening("next", generation))
        event = api.take(generation)
        if event is None:
            self.close_connection = True
            return
        self._answer(
            200,
            event.payload,
            {
                "Lambda-Runtime-Aws-Request-Id": event.request_id,
                "Lambda-Runtime-Deadline-Ms": str(event.deadline_ms),
                "Lambda-Runtime-Invoked-Function-Arn": event.arn,
                "Lambda-Runtime-Trace-Id": event.trace_id,
            },
        )

    def _restore(self, api: RuntimeApi, generation: int) -> None:
        api.happenings.put(Happening("restore", generation))
        if api.await_restore(generation):
            self._answer(200, b"")
        self.close_connection = True

    def _give_credentials(self, api: RuntimeApi) -> None:
        given = api.credentials
        if not secrets.compare_digest(self.headers.get("Authorization", ""), api.token):
            self._answer(403, b"{}")
            return
        document = {
            "AccessKeyId": given.access_key,
            "SecretAccessKey": given.secret_key,
            "Token": given.session_token,
            "Expiration": f"{datetime.now(timezone.utc) + timedelta(hours=6):%Y-%m-%dT%H:%M:%SZ}",
        }
        self._answer(200, json.dumps(document).encode())

    def do_POST(self) -> None:
        api, body = self.server.api, self._body()
        status, answer = 202, b'{"status":"OK"}'
        request_id, kind = match.groups() if (match := _INVOCATION.match(self.path)) else ("", "")
        if kind == "response" and len(body) > MAX_RESPONSE:
            api.happenings.put(Happening("too_large", api.generation, request_id))
            status, answer = 413, b'{"errorType":"RequestEntityTooLarge","errorMessage":"Response too large"}'
        elif kind == "response":
            api.happenings.put(Happening("response", api.generation, request_id, body))
        elif kind == "error":
            error_type = self._error_type(body)
            api.happenings.put(Happening("error", api.generation, request_id, body, error_type))
        elif self.path in ("/2018-06-01/runtime/init/error", "/2018-06-01/runtime/restore/error"):
            error_type = self._error_type(body)
            api.happenings.put(Happening("init_error", api.generation, "", body, error_type))
        else:
            status, answer = 404, b"{}"
        self._answer(status, answer)

    def _error_type(self, body: bytes) -> str:
        sent = self.headers.get("Lambda-Runtime-Function-Error-Type", "")
        with contextlib.suppress(ValueError, AttributeError):
            return str(json.loads(body).get("errorType") or sent)
        return str(sent)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        with contextlib.suppress(OSError):
            self.wfile.flush()
