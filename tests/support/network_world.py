"""A small pack of frames behind an HTTP server that behaves as a test says."""

from __future__ import annotations

import random
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from types import SimpleNamespace
from typing import Any

import trustme
import zstandard

from runtime_shim import PackError
from runtime_shim._fetch import Fetcher
from runtime_shim._s3 import Source

HOST = "s3.test.example"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}
Behaviour = Callable[["Server", socket.socket, int, int], object]


class Frames:
    """A pack, and the place where its frames go."""

    def __init__(self, sizes: list[int]) -> None:
        noise = random.Random(0)
        self.plain = [noise.randbytes(size) for size in sizes]
        stored = [zstandard.ZstdCompressor().compress(data) for data in self.plain]
        starts = [0]
        for frame in stored:
            starts.append(starts[-1] + len(frame))
        self.body = b"".join(stored)
        self.index = SimpleNamespace(
            frame_size=sizes,
            frame_stored=[len(frame) for frame in stored],
            frame_stored_start=starts,
            frame_sha256=[sha256(frame).hexdigest() for frame in stored],
        )
        self.placed: dict[int, bytes] = {}

    def put(self, frame: int, data: memoryview) -> None:
        self.placed[frame] = bytes(data)

    def failure(self, error: OSError) -> PackError:
        return PackError(str(error))

    @property
    def complete(self) -> bool:
        return [self.placed.get(frame) for frame in range(len(self.plain))] == self.plain


class Server:
    """An endpoint on this machine.

    Attributes:
        requests: The first line and headers of each request.
        connections: How many were accepted.
        open: How many of them are not closed yet.
    """

    def __init__(self, body: bytes, behave: Behaviour) -> None:
        self.body = body
        self.behave = behave
        self.requests: list[str] = []
        self.connections = 0
        self.open = 0
        self.closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.closing.set()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self.open += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                while True:
                    head = read_request(connection)
                    if not head:
                        return
                    self.requests.append(head)
                    asked = re.search(r"bytes=(\d+)-(\d+)", head)
                    first, last = (int(asked[1]), int(asked[2])) if asked else (0, 0)
                    if self.behave(self, connection, first, last) == "close":
                        return
        except OSError:
            pass  # the client has had enough
        finally:
            self.open -= 1

    def answer(self, first: int, last: int, extra: str = "") -> bytes:
        """What S3 would say."""
        return (
            f"HTTP/1.1 206 Partial Content\r\nContent-Length: {last - first + 1}\r\n"
            f"Content-Range: bytes {first}-{last}/{len(self.body)}\r\n{extra}\r\n"
        ).encode() + self.body[first : last + 1]


def read_request(connection: socket.socket) -> str:
    """A request's lines, ``""`` at the end of the connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return ""
        data += more
    return data.decode()


def sound(server: Server, connection: socket.socket, first: int, last: int) -> None:
    """As S3 answers."""
    connection.sendall(server.answer(first, last))


@contextmanager
def serving(body: bytes, behave: Behaviour) -> Iterator[Server]:
    """A server until the end of the block."""
    server = Server(body, behave)
    try:
        yield server
    finally:
        server.close()


def fetcher(frames: Frames, url: str, connections: int = 1, **environment: str) -> Fetcher:
    """A fetcher of these frames from there."""
    source = Source("bucket", "key", "us-east-1", {**KEYS, "AWS_ENDPOINT_URL_S3": url, **environment})
    place: Any = frames
    return Fetcher(place, source, lambda: zstandard, lambda: None, connections)


def everything(frames: Frames) -> list[int]:
    """All frame numbers."""
    return list(range(len(frames.plain)))


class Proxy:
    """A CONNECT proxy on this machine that leads to one server, whatever it is asked for.

    Attributes:
        heads: The requests that it got.
        seen: All bytes that clients sent through it.
    """

    def __init__(self, to: int, answer: str = "200 Connection established") -> None:
        self.to = to
        self.answer = answer
        self.heads: list[str] = []
        self.seen = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            self.heads.append(read_request(client))
            client.sendall(f"HTTP/1.1 {self.answer}\r\n\r\n".encode())
            if not self.answer.startswith("200"):
                return
            with socket.create_connection(("127.0.0.1", self.to)) as server:
                back = threading.Thread(target=self._copy, args=(server, client), daemon=True)
                back.start()
                while data := receive(client):
                    self.seen += data
                    server.sendall(data)
                server.shutdown(socket.SHUT_WR)
                back.join(10)

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := receive(source):
                target.sendall(data)
        except OSError:
            pass  # the client has what it wants


def receive(connection: socket.socket) -> bytes:
    """The next bytes, none at the end or where the other side has hung up."""
    try:
        return connection.recv(65536)
    except OSError:
        return b""


@contextmanager
def proxying(to: int, answer: str = "200 Connection established") -> Iterator[Proxy]:
    """A proxy until the end of the block."""
    proxy = Proxy(to, answer)
    try:
        yield proxy
    finally:
        proxy.close()


class TlsServer(Server):
    """The endpoint, with TLS and a certificate for ``HOST``."""

    def __init__(self, body: bytes, authority: trustme.CA) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(HOST, "localhost").configure_cert(self._context)
        super().__init__(body, sound)

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError):  # not trusted
            super()._serve(self._context.wrap_socket(connection, server_side=True))
