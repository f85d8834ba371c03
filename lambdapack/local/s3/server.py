"""An S3 endpoint over a folder: GET with Range, HEAD and PUT, signed requests only.

It runs in its own process (``python -m lambdapack.local.s3``), so that what it costs is not taken from
whoever is being measured. The bodies go out by ``sendfile``.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import socket
import struct
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import formatdate
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote
from xml.sax.saxutils import escape

from lambdapack.local.link import Fault, Link
from lambdapack.local.s3.objects import Entry, Grant, Grants, Objects, RequestLog, parse_range
from lambdapack.local.s3.sigv4 import UNSIGNED, RefusedError, Request

_REASONS = {
    200: "OK", 206: "Partial Content", 400: "Bad Request", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 411: "Length Required", 412: "Precondition Failed",
    416: "Requested Range Not Satisfiable", 500: "Internal Server Error", 501: "Not Implemented",
    503: "Slow Down",
}  # fmt: skip
_FAULTS = {
    500: ("InternalError", "We encountered an internal error. Please try again."),
    503: ("SlowDown", "Please reduce your request rate."),
}
_HEAD_LIMIT = 64 * 1024
_UNTHROTTLED = 4 * 1024 * 1024


class _HangupError(Exception):
    """The connection ends here, without an answer."""


@dataclass
class _Exchange:
    """One request being answered: what of it the log will say."""

    connection: socket.socket
    request: Request
    fault: Fault | None = None
    access_key: str = ""
    status: int = 0
    sent: int = 0


class S3Server:
    """The endpoint. One thread a connection; connections are kept alive.

    Args:
        root: Folder of ``<bucket>/<key>``.
        grants: Who may do what.
        port: 0 takes a free one.
        host: The address to listen on.
    """

    def __init__(self, root: Path, grants: Grants, *, port: int = 0, host: str = "127.0.0.1") -> None:
        self.objects = Objects(root)
        self.grants = grants
        self.log = RequestLog()
        self._connections = itertools.count(1)
        self._listener = socket.create_server((host, port), backlog=128)
        self.url = f"http://{host}:{self._listener.getsockname()[1]}"

    def serve(self) -> None:
        """Accept connections until ``close``."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def close(self) -> None:
        """Stop accepting; what is being answered is cut off when the process ends."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _converse(self, connection: socket.socket) -> None:
        number = next(self._connections)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with (
            connection,
            connection.makefile("rb") as reader,
            contextlib.suppress(OSError, ValueError, _HangupError),
        ):
            while True:
                request = _read_request(reader)
                if request is None:
                    return
                exchange = _Exchange(connection, request)
                try:
                    self._answer(reader, exchange)
                finally:
                    self._record(number, exchange)
                if request.headers.get("connection", "").lower() == "close":
                    return

    def _record(self, number: int, exchange: _Exchange) -> None:
        request, fault = exchange.request, exchange.fault
        self.log.add(
            Entry(
                number,
                exchange.access_key,
                request.method,
                request.path,
                request.headers.get("range", ""),
                exchange.status,
                exchange.sent,
                fault.kind if fault else "",
            )
        )

    def _answer(self, reader: BinaryIO, exchange: _Exchange) -> None:
        request = exchange.request
        body = _read_body(reader, exchange.connection, request)
        try:
            grant = self.grants.authorise(request, datetime.now(timezone.utc))
            exchange.access_key = grant.credentials.access_key
            if grant.link.latency:
                time.sleep(grant.link.latency)
            bucket, _, key = unquote(request.path).lstrip("/").partition("/")
            if request.method == "PUT":
                self._put(exchange, grant, (bucket, key), body)
            elif request.method in ("GET", "HEAD"):
                self._get(exchange, grant, (bucket, key))
            else:
                raise RefusedError(
                    405, "MethodNotAllowed", "The specified method is not allowed against this resource."
                )
        except RefusedError as refusal:
            _refuse(exchange, refusal)

    def _put(self, exchange: _Exchange, grant: Grant, name: tuple[str, str], body: bytes) -> None:
        headers = exchange.request.headers
        if not grant.write:
            raise RefusedError(403, "AccessDenied", "Access Denied")
        declared = headers.get("x-amz-content-sha256", UNSIGNED)
        if declared.startswith("STREAMING-") or exchange.request.query:
            raise RefusedError(
                501,
                "NotImplemented",
                "A header or query you provided implies functionality that is not implemented",
            )
        if declared != UNSIGNED and declared != hashlib.sha256(body).hexdigest():
            raise RefusedError(
                400,
                "XAmzContentSHA256Mismatch",
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
            )
        etag = self.objects.put(*name, body, only_new=headers.get("if-none-match") == "*")
        _send_head(exchange, 200, {"ETag": etag, "Content-Length": "0"})

    def _get(self, exchange: _Exchange, grant: Grant, name: tuple[str, str]) -> None:
        if grant.read is not None and "/".join(name) not in grant.read:
            raise RefusedError(403, "AccessDenied", "Access Denied")
        exchange.fault = fault = grant.link.next_fault()
        if fault and fault.kind == "close":
            raise _HangupError
        if fault and fault.kind == "status":
            raise RefusedError(fault.status, *_FAULTS.get(fault.status, ("Fault", "Injected fault")))
        descriptor = self.objects.open(*name, may_list=grant.list)
        try:
            stat = os.fstat(descriptor)
            chosen = parse_range(exchange.request.headers.get("range", ""), stat.st_size)
            first, length = chosen or (0, stat.st_size)
            headers = {
                "Accept-Ranges": "bytes",
                "Content-Length": str(length),
                "Content-Type": "binary/octet-stream",
                "ETag": f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"',
                "Last-Modified": formatdate(stat.st_mtime, usegmt=True),
            }
            if chosen:
                headers["Content-Range"] = f"bytes {first}-{first + length - 1}/{stat.st_size}"
            _send_head(exchange, 206 if chosen else 200, headers)
            if exchange.request.method == "GET":
                _send_body(exchange, grant.link, descriptor, first, length)
        finally:
            os.close(descriptor)


def _send_body(exchange: _Exchange, link: Link, descriptor: int, first: int, length: int) -> None:
    fault = exchange.fault
    at, end = first, first + length
    if fault and fault.after < length:
        at += fault.after
        _send_file(exchange, link, descriptor, range(first, at))
        at += _strike(exchange, fault, descriptor, at)
    _send_file(exchange, link, descriptor, range(at, end))


def _send_file(exchange: _Exchange, link: Link, descriptor: int, part: range) -> None:
    at = part.start
    while at < part.stop:
        # Looked up each time: the link may be changed while a body is on its way.
        bucket = link.bucket
        amount = min(part.stop - at, bucket.quantum if bucket else _UNTHROTTLED)
        if bucket:
            bucket.take(amount)
        while amount:
            sent = os.sendfile(exchange.connection.fileno(), descriptor, at, amount)
            if not sent:
                raise _HangupError  # the file became shorter than was announced
            at += sent
            amount -= sent
            exchange.sent += sent


def _strike(exchange: _Exchange, fault: Fault, descriptor: int, at: int) -> int:
    """Let the fault happen in the middle of a body; the number of bytes that it sent itself."""
    connection = exchange.connection
    if fault.kind == "stall":
        time.sleep(fault.seconds)
    elif fault.kind == "corrupt":
        connection.sendall(bytes([os.pread(descriptor, 1, at)[0] ^ 0xFF]))
        exchange.sent += 1
        return 1
    elif fault.kind == "reset":
        # SO_LINGER with time 0 makes close() send RST instead of FIN.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise _HangupError
    elif fault.kind == "truncate":
        raise _HangupError
    return 0


def _read_request(reader: BinaryIO) -> Request | None:
    lines: list[str] = []
    size = 0
    while True:
        line = reader.readline(_HEAD_LIMIT)
        size += len(line)
        if not line or size > _HEAD_LIMIT:
            return None
        text = line.rstrip(b"\r\n").decode("latin-1")
        if text:
            lines.append(text)
        elif lines:
            break
    method, _, rest = lines[0].partition(" ")
    path, _, query = rest.rpartition(" ")[0].partition("?")
    headers = {}
    for line_text in lines[1:]:
        name, _, value = line_text.partition(":")
        headers[name.strip().lower()] = value.strip()
    return Request(method, path, query, headers)


def _read_body(reader: BinaryIO, connection: socket.socket, request: Request) -> bytes:
    if "transfer-encoding" in request.headers:
        raise _HangupError
    length = int(request.headers.get("content-length") or 0)
    if length and request.headers.get("expect", "").lower() == "100-continue":
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = reader.read(length) if length else b""
    if len(body) != length:
        raise _HangupError
    return body


def _send_head(exchange: _Exchange, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
    exchange.status = status
    head = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}"]
    head.append(f"x-amz-request-id: {os.urandom(8).hex().upper()}")
    head.append(f"Date: {formatdate(usegmt=True)}")
    head.append("Server: AmazonS3")
    head.extend(f"{name}: {value}" for name, value in headers.items())
    exchange.connection.sendall("\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body)
    exchange.sent += len(body)


def _refuse(exchange: _Exchange, refusal: RefusedError) -> None:
    extra = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in refusal.extra.items())
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{refusal.code}</Code><Message>{escape(refusal.message)}</Message>{extra}"
        f"<Resource>{escape(exchange.request.path)}</Resource></Error>"
    ).encode()
    headers = {"Content-Type": "application/xml", "Content-Length": str(len(body))}
    _send_head(exchange, refusal.status, headers, b"" if exchange.request.method == "HEAD" else body)
