"""One request on a connection, and the answer to it: HTTP, over a link that is slow and breaks on purpose."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import BinaryIO
from xml.sax.saxutils import escape

from lambdapack.local.link import Fault, Link
from lambdapack.local.s3.sigv4 import RefusedError, Request

_REASONS = {
    200: "OK", 206: "Partial Content", 400: "Bad Request", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 411: "Length Required", 412: "Precondition Failed",
    416: "Requested Range Not Satisfiable", 500: "Internal Server Error", 501: "Not Implemented",
    503: "Slow Down",
}  # fmt: skip
_HEAD_LIMIT = 64 * 1024
_UNTHROTTLED = 4 * 1024 * 1024


class HangupError(Exception):
    """The connection ends here, without an answer or in the middle of one."""


@dataclass
class Exchange:
    """A request that is being answered, and the figures of its entry in the log.

    They are set when the request is authorised, refused, or sent.
    """

    connection: socket.socket
    request: Request
    fault: Fault | None = None
    access_key: str = ""
    status: int = 0
    sent: int = 0


def read_request(reader: BinaryIO) -> Request | None:
    """The next request on a connection, ``None`` at its end or if the head is too long."""
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


def read_body(reader: BinaryIO, connection: socket.socket, request: Request) -> bytes:
    """The body of a request.

    Raises:
        HangupError: The body is chunked, or the connection ended in it.
    """
    if "transfer-encoding" in request.headers:
        raise HangupError
    length = int(request.headers.get("content-length") or 0)
    if length and request.headers.get("expect", "").lower() == "100-continue":
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = reader.read(length) if length else b""
    if len(body) != length:
        raise HangupError
    return body


def send_head(exchange: Exchange, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
    """Send status and headers, and with them a short body."""
    exchange.status = status
    head = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}"]
    head.append(f"x-amz-request-id: {os.urandom(8).hex().upper()}")
    head.append(f"Date: {formatdate(usegmt=True)}")
    head.append("Server: AmazonS3")
    head.extend(f"{name}: {value}" for name, value in headers.items())
    exchange.connection.sendall("\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body)
    exchange.sent += len(body)


def refuse(exchange: Exchange, refusal: RefusedError) -> None:
    """Answer with S3's document about an error."""
    extra = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in refusal.extra.items())
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{refusal.code}</Code><Message>{escape(refusal.message)}</Message>{extra}"
        f"<Resource>{escape(exchange.request.path)}</Resource></Error>"
    ).encode()
    headers = {"Content-Type": "application/xml", "Content-Length": str(len(body))}
    send_head(exchange, refusal.status, headers, b"" if exchange.request.method == "HEAD" else body)


def send_body(exchange: Exchange, link: Link, descriptor: int, first: int, length: int) -> None:
    """Send ``length`` bytes of a file from ``first`` on over the link, with the exchange's fault."""
    fault = exchange.fault
    at, end = first, first + length
    if fault and fault.after < length:
        at += fault.after
        _send_file(exchange, link, descriptor, range(first, at))
        at += _strike(exchange, fault, descriptor, at)
    _send_file(exchange, link, descriptor, range(at, end))


def _send_file(exchange: Exchange, link: Link, descriptor: int, part: range) -> None:
    at = part.start
    while at < part.stop:
        # Read each time, because the link may change in the middle of a body.
        bucket = link.bucket
        amount = min(part.stop - at, bucket.quantum if bucket else _UNTHROTTLED)
        if bucket:
            bucket.take(amount)
        while amount:
            sent = os.sendfile(exchange.connection.fileno(), descriptor, at, amount)
            if not sent:
                raise HangupError  # the file became shorter than was announced
            at += sent
            amount -= sent
            exchange.sent += sent


def _strike(exchange: Exchange, fault: Fault, descriptor: int, at: int) -> int:
    """Let the fault happen in the middle of a body; how many bytes of the body the fault has sent."""
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
        raise HangupError
    elif fault.kind == "truncate":
        raise HangupError
    return 0
