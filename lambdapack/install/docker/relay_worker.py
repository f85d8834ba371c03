"""The container's first process: keeps secrets in memory and hands the client's local folders to pip.

    python -I relay_worker.py SECRETS SECONDS

It speaks with lambdapack over its standard input and output, and so over the engine's own connection:
nothing has to be mounted, and no port of the client has to be reached. Messages are a line of JSON, with
``length`` bytes behind it. It writes ``hello`` (with a port), ``kept`` and ``get``; it reads ``keep`` (a
file to write below SECRETS, which is a tmpfs) and ``answer``. On that port, on the loopback address, it
serves ``/TOKEN/any/path`` with what lambdapack answers. It ends, and the container with it, when its input
ends, which it does when lambdapack does, or after SECONDS.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False

import json
import os
import platform
import queue
import secrets
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

if TYPE_CHECKING:
    from typing import IO, Any

_COPY_BYTES = 1 << 18
_IN_MEMORY = 1 << 20


class Relay:
    """The streams to lambdapack, and the requests that wait for an answer."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.input = sys.stdin.buffer
        self.output = sys.stdout.buffer
        self.token = secrets.token_hex(16)
        self.answers: queue.Queue[tuple[dict[str, Any], IO[bytes]]] = queue.Queue()
        self.asking = threading.Lock()
        self.writing = threading.Lock()

    def say(self, message: dict[str, Any]) -> None:
        """Write one message."""
        with self.writing:
            self.output.write(json.dumps(message).encode() + b"\n")
            self.output.flush()

    def listen(self) -> None:
        """Read messages until there are no more."""
        for line in iter(self.input.readline, b""):
            message = json.loads(line)
            if message["event"] == "keep":
                self.keep(message)
            else:
                # The request that waits for the answer closes the file.
                body = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
                self.copy(message["length"], body)
                body.seek(0)
                self.answers.put((message, body))

    def keep(self, message: dict[str, Any]) -> None:
        """Write a file that its owner alone may read."""
        path = os.path.join(self.folder, message["name"])
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            self.copy(message["length"], file)
        self.say({"event": "kept", "name": message["name"]})

    def copy(self, length: int, file: Any) -> None:
        """Move ``length`` bytes of the input."""
        while length:
            data = self.input.read(min(length, _COPY_BYTES))
            if not data:
                os._exit(1)
            file.write(data)
            length -= len(data)

    def get(self, path: str, wanted: str | None) -> tuple[dict[str, Any], IO[bytes]]:
        """lambdapack's answer to a request; one request at a time."""
        with self.asking:
            self.say({"event": "get", "path": path, "range": wanted})
            return self.answers.get()


def handler_for(relay: Relay) -> type[BaseHTTPRequestHandler]:
    """A handler of HTTP requests that serves what the relay gets."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            token, _, path = self.path[1:].partition("/")
            if not secrets.compare_digest(token, relay.token):
                self.send_error(404)
                return
            answer, body = relay.get("/" + path, self.headers.get("Range"))
            with body:
                self.send_response(answer["status"])
                for name, value in answer["headers"].items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(answer["length"]))
                self.end_headers()
                if self.command != "HEAD":
                    for data in iter(lambda: body.read(_COPY_BYTES), b""):
                        self.wfile.write(data)

        do_HEAD = do_GET  # noqa: N815 - the name that http.server calls

        def log_message(self, format: str, *args: Any) -> None:
            return None

    return Handler


def main() -> None:
    """Serve until the input ends."""
    folder, seconds = sys.argv[1:]
    end = threading.Timer(float(seconds), os._exit, (0,))
    end.daemon = True
    end.start()
    relay = Relay(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_for(relay))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    relay.say(
        {
            "event": "hello",
            "port": server.server_port,
            "token": relay.token,
            "python": sys.executable,
            "version": platform.python_version(),
            "machine": platform.machine(),
        }
    )
    relay.listen()
    os._exit(0)


if __name__ == "__main__":
    main()
