"""An S3 endpoint that misbehaves on command.

One listener for everything; whose request it is, and so what is to happen, is told by the access key in
its signature. Signatures are not checked: lambdapack.local has an endpoint that does.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import random
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import trustme

__all__ = ["Answer", "Endpoint", "Script"]

CHUNK = 32 * 1024
LONGEST = 60.0
"""Seconds after which a stalled answer is given up, so that no thread outlives a run for long."""


@dataclass(frozen=True)
class Answer:
    """What happens to one request: the name of a method of ``_Reply``, and after how many bytes of it."""

    kind: str = "right"
    after: int = 0


RIGHT = Answer()


@dataclass
class Script:
    """What one access key meets.

    Attributes:
        answers: To the first requests, in order.
        rest: To all later ones.
        gate: Bytes of content after which sending stops until ``release``; None for never.
        pace: Seconds to pause after each 32 KiB.
        log: The ranges that were asked for, first and last byte, with their object.
    """

    answers: Sequence[Answer] = ()
    rest: Answer = RIGHT
    gate: int | None = None
    pace: float = 0.0
    log: list[tuple[str, int, int]] = field(default_factory=list)
    reached: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)
    sent: int = 0
    sockets: set[socket.socket] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, path: str, first: int, last: int) -> Answer:
        """Note a request and say what it is to get."""
        with self.lock:
            number = len(self.log)
            self.log.append((path, first, last))
        return self.answers[number] if number < len(self.answers) else self.rest

    def open(self) -> None:
        """Let everything through from now on."""
        self.gate = None
        self.release.set()

    def drop(self) -> None:
        """Reset every connection, as the far end does that has not heard for long."""
        for sock in list(self.sockets):
            _reset(sock)


class Endpoint:
    """Serves ``objects`` (``bucket/key`` -> bytes) to who is in ``scripts``.

    Attributes:
        url: Where it speaks HTTP.
        tls: Kind of TLS failure -> URL; ``good`` has none.
        ca: The file for AWS_CA_BUNDLE.
    """

    def __init__(self, objects: Mapping[str, bytes], folder: Path) -> None:
        self.objects = dict(objects)
        self.scripts: dict[str, Script] = {}
        self._numbers = itertools.count(1)
        self._sockets: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._listen(self._serve)}"
        self.ca = folder / "ca.pem"
        self.tls = self._listen_tls()

    def grant(self, script: Script) -> dict[str, str]:
        """Make ``script`` known; the credentials that lead to it."""
        token = f"AKIAFAULT{next(self._numbers):011d}"
        self.scripts[token] = script
        return {
            "AWS_ACCESS_KEY_ID": token,
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_SESSION_TOKEN": "token",
        }

    def forget(self, credentials: Mapping[str, str]) -> None:
        """End a script: what is still held is let go."""
        script = self.scripts.pop(credentials["AWS_ACCESS_KEY_ID"], None)
        if script is not None:
            script.open()
            script.drop()

    def close(self) -> None:
        """Stop listening."""
        for sock in self._sockets:
            sock.close()

    def _listen(self, serve: Callable[[socket.socket], None]) -> int:
        listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._sockets.append(listener)

        def accept() -> None:
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.settimeout(LONGEST)
                threading.Thread(target=_quietly, args=(serve, sock), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return int(listener.getsockname()[1])

    def _listen_tls(self) -> dict[str, str]:
        ours, foreign = trustme.CA(), trustme.CA()
        ours.cert_pem.write_to_path(str(self.ca))
        past = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
        certificates = {
            "good": ours.issue_cert("127.0.0.1", "localhost"),
            "untrusted": foreign.issue_cert("127.0.0.1"),
            "wrong-host": ours.issue_cert("elsewhere.example"),
            "expired": ours.issue_cert("127.0.0.1", not_before=past, not_after=past),
        }
        urls = {}
        for name, certificate in certificates.items():
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            urls[name] = self._listen(self._over_tls(context))
        urls["garbage"] = self._listen(lambda sock: sock.sendall(b"SSH-2.0-not-TLS\r\n" * 20))
        urls["closed"] = self._listen(lambda sock: sock.close())
        urls["silent"] = self._listen(lambda sock: sock.recv(1) and time.sleep(LONGEST))
        urls["refused"] = _unused_port()
        urls["black-hole"] = self._black_hole()
        return {name: f"https://127.0.0.1:{port}" for name, port in urls.items()}

    def _over_tls(self, context: ssl.SSLContext) -> Callable[[socket.socket], None]:
        def serve(sock: socket.socket) -> None:
            self._serve(context.wrap_socket(sock, server_side=True))

        return serve

    def _black_hole(self) -> int:
        """A port whose queue is full: a connection is never answered, as without a route."""
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        self._sockets.append(listener)
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            self._sockets.append(filler)
        return int(listener.getsockname()[1])

    def _serve(self, sock: socket.socket) -> None:
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                more = sock.recv(65536)
                if not more:
                    return
                data += more
            head, _, data = data.partition(b"\r\n\r\n")
            if not self._answer(sock, head.decode("latin-1")):
                return

    def _answer(self, sock: socket.socket, head: str) -> bool:
        path = head.split(" ", 2)[1].lstrip("/")
        token = re.search(r"Credential=([^/]+)/", head)
        script = self.scripts.get(token[1] if token else "")
        span = re.search(r"(?im)^range: *bytes=(\d+)-(\d+)", head)
        content = self.objects.get(path)
        if script is None or content is None:
            return _Reply(sock, Script(), b"", (0, 0)).refuse(403 if script is None else 404)
        # Who asks for the whole, as others do, gets the whole.
        first, last = (int(span[1]), int(span[2])) if span else (0, len(content))
        last = min(last, len(content) - 1)
        answer = script.next(path, first, last)
        script.sockets.add(sock)
        try:
            reply = _Reply(sock, script, content, (first, last), answer.after)
            return bool(getattr(reply, answer.kind)())
        finally:
            script.sockets.discard(sock)


class _Reply:
    """One answer. Each public method is a way to answer; it returns whether the connection goes on."""

    def __init__(
        self, sock: socket.socket, script: Script, content: bytes, span: tuple[int, int], after: int = 0
    ) -> None:
        self.sock, self.script, self.content = sock, script, content
        self.first, self.last = span
        self.body = memoryview(content)[self.first : self.last + 1]
        self.after = min(after, max(0, len(self.body) - 1))

    def right(self) -> bool:
        whole = len(self.body) == len(self.content)
        return self.whole_200() if whole else self._head() and self._send(self.body)

    def truncate(self) -> bool:
        self._head()
        self._send(self.body[: self.after])
        return False

    def reset(self) -> bool:
        self.truncate()
        _reset(self.sock)
        return False

    def flip(self) -> bool:
        wrong = bytearray(self.body)
        wrong[self.after] ^= 1 << self.after % 8
        return self._head() and self._send(wrong)

    def stall(self) -> bool:
        self.truncate()
        return self._until_closed()

    def stall_before(self) -> bool:
        return self._until_closed()

    def stall_head(self) -> bool:
        self.sock.sendall(b"HTTP/1.1 206 Partial Content\r\nContent-Le")
        return self._until_closed()

    def drip(self) -> bool:
        self.truncate()
        return self._drip(self.body[self.after :])

    def drip_head(self) -> bool:
        return self._drip(memoryview(b"HTTP/1.1 206 Partial Content\r\n" + b"X-Drip: x\r\n" * 10000))

    def endless_head(self) -> bool:
        self.sock.sendall(b"HTTP/1.1 206 Partial Content\r\n")
        for _ in range(100):
            self.sock.sendall(b"X-Endless: %s\r\n" % (b"x" * 4000))
        return False

    def whole_200(self) -> bool:
        self._raw(200, "OK", len(self.content))
        return self._send(memoryview(self.content))

    def range_200(self) -> bool:
        self._raw(200, "OK", len(self.body))
        return self._send(self.body)

    def portal(self) -> bool:
        page = b"<html>Please sign in to this network</html>"
        self._raw(200, "OK", len(page))
        return self._send(page)

    def refused_403(self) -> bool:
        return self.refuse(403, "AccessDenied")

    def refused_404(self) -> bool:
        return self.refuse(404, "NoSuchKey")

    def refused_416(self) -> bool:
        return self.refuse(416, "InvalidRange")

    def refused_500(self) -> bool:
        return self.refuse(500, "InternalError")

    def refused_503(self) -> bool:
        return self.refuse(503, "SlowDown")

    def expired(self) -> bool:
        return self.refuse(400, "ExpiredToken")

    def skewed(self) -> bool:
        return self.refuse(403, "RequestTimeTooSkewed")

    def redirect(self) -> bool:
        self.sock.sendall(
            b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"
        )
        return True

    def wrong_range(self) -> bool:
        """Says another range than was asked for, and sends that."""
        shift = 1 + self.after
        start = (self.first + shift) % max(1, len(self.content) - len(self.body))
        self._raw(206, "Partial Content", len(self.body), f"bytes {start}-{start + len(self.body) - 1}")
        return self._send(memoryview(self.content)[start : start + len(self.body)])

    def lying_range(self) -> bool:
        """Says the range that was asked for, and sends another."""
        start = (self.first + 1 + self.after) % max(1, len(self.content) - len(self.body) + 1)
        start = start if start != self.first else 0 if self.first else 1
        self._head()
        return self._send((self.content + self.content)[start : start + len(self.body)])

    def other_object(self) -> bool:
        return self._head() and self._send(random.Random(self.after).randbytes(len(self.body)))

    def short_length(self) -> bool:
        self._raw(206, "Partial Content", self.after, self._range())
        return self._send(self.body[: self.after])

    def text_length(self) -> bool:
        self._raw(206, "Partial Content", "many", self._range())
        self._send(self.body)
        return False

    def no_length(self) -> bool:
        self.sock.sendall(
            f"HTTP/1.1 206 Partial Content\r\nContent-Range: {self._range()}\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        self._send(self.body)
        return False

    def chunked(self) -> bool:
        self.sock.sendall(
            f"HTTP/1.1 206 Partial Content\r\nContent-Range: {self._range()}\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        for start in range(0, len(self.body), CHUNK):
            piece = self.body[start : start + CHUNK]
            self.sock.sendall(b"%x\r\n" % len(piece) + piece + b"\r\n")
        self.sock.sendall(b"0\r\n\r\n")
        return True

    def not_http(self) -> bool:
        self.sock.sendall(b"220 mail.example ESMTP\r\n\r\n")
        return False

    def nothing(self) -> bool:
        return False

    def half_head(self) -> bool:
        self.sock.sendall(b"HTTP/1.1 206 Partial Con")
        return False

    def closing(self) -> bool:
        """Right, and then closed without a word: a keep-alive that ended."""
        self.right()
        return False

    def split_head(self) -> bool:
        """Right, in pieces of one byte at first."""
        head = self._text(206, "Partial Content", len(self.body), self._range())
        for byte in head:
            self.sock.sendall(bytes([byte]))
        return self._send(self.body)

    def refuse(self, status: int, code: str = "AccessDenied") -> bool:
        text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>by command</Message></Error>"
        self._raw(status, "Refused", len(text))
        self.sock.sendall(text.encode())
        return True

    def _range(self) -> str:
        return f"bytes {self.first}-{self.last}/{len(self.content)}"

    def _head(self) -> bool:
        return self._raw(206, "Partial Content", len(self.body), self._range())

    def _raw(self, status: int, reason: str, length: int | str, span: str = "") -> bool:
        self.sock.sendall(self._text(status, reason, length, span))
        return True

    def _text(self, status: int, reason: str, length: int | str, span: str) -> bytes:
        lines = [f"HTTP/1.1 {status} {reason}", f"Content-Length: {length}"]
        lines += [f"Content-Range: {span}"] if span else []
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def _send(self, data: bytes | bytearray | memoryview) -> bool:
        script = self.script
        view, done = memoryview(data), 0
        while done < len(view):
            size = CHUNK
            if script.gate is not None:
                size = max(0, min(CHUNK, script.gate - script.sent))
            if not size:
                script.reached.set()
                script.release.wait(LONGEST)
                script.gate = None
                continue
            self.sock.sendall(view[done : done + size])
            script.sent += min(size, len(view) - done)
            done += size
            if script.pace:
                time.sleep(script.pace)
        return True

    def _drip(self, data: memoryview) -> bool:
        for number in range(int(LONGEST / 0.2)):
            self.sock.sendall(data[number : number + 1] or b"x")
            time.sleep(0.2)
        return False

    def _until_closed(self) -> bool:
        with contextlib.suppress(TimeoutError):
            while self.sock.recv(65536):
                pass
        return False


def _reset(sock: socket.socket) -> None:
    with contextlib.suppress(OSError, ValueError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.shutdown(socket.SHUT_RD)
        sock.close()


def _quietly(serve: Callable[[socket.socket], None], sock: socket.socket) -> None:
    with contextlib.suppress(OSError, ValueError):
        serve(sock)
    with contextlib.suppress(OSError):
        sock.close()


def _unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])
