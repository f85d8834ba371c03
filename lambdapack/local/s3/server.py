"""An S3 endpoint over a folder: GET with Range, HEAD and PUT, signed requests only.

It runs in a process of its own (``python -m lambdapack.local.s3``), so that its CPU time is not taken from
the function that is being measured. Bodies are sent by ``sendfile``.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import socket
import threading
import time
from collections.abc import Iterable
from email.utils import formatdate
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

from lambdapack.local.s3.exchange import (
    Exchange,
    HangupError,
    read_body,
    read_request,
    refuse,
    send_body,
    send_head,
)
from lambdapack.local.s3.objects import Entry, Grant, Objects, parse_range
from lambdapack.local.s3.sigv4 import UNSIGNED, RefusedError, verify

_FAULTS = {
    500: ("InternalError", "We encountered an internal error. Please try again."),
    503: ("SlowDown", "Please reduce your request rate."),
}


class S3Server:
    """The endpoint. One thread a connection; connections are kept alive.

    Args:
        root: Folder of ``<bucket>/<key>``.
        grants: What each client may do.
        port: 0 takes a free one.
        host: The address to listen on.
    """

    def __init__(
        self, root: Path, grants: Iterable[Grant], *, port: int = 0, host: str = "127.0.0.1"
    ) -> None:
        self.objects = Objects(root)
        # By access key; they may change while requests are served.
        self.grants = {grant.credentials.access_key: grant for grant in grants}
        # The answered requests, in the order in which they ended.
        self.log: list[Entry] = []
        self._connections = itertools.count(1)
        # The exchange of each open connection, by the connection's number.
        self._talking: dict[int, Exchange] = {}
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
        """Stop accepting; answers that are being sent are cut off when the process ends."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def revoke(self, access_key: str) -> None:
        """Forget a grant, and break the connections on which it was used last."""
        self.grants.pop(access_key, None)
        for exchange in list(self._talking.values()):
            if exchange.access_key == access_key:
                with contextlib.suppress(OSError):
                    exchange.connection.shutdown(socket.SHUT_RDWR)

    def _converse(self, connection: socket.socket) -> None:
        number = next(self._connections)
        try:
            self._talk(connection, number)
        finally:
            self._talking.pop(number, None)

    def _talk(self, connection: socket.socket, number: int) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with (
            connection,
            connection.makefile("rb") as reader,
            contextlib.suppress(OSError, ValueError, HangupError),
        ):
            while True:
                request = read_request(reader)
                if request is None:
                    return
                exchange = self._talking[number] = Exchange(connection, request)
                try:
                    self._answer(reader, exchange)
                finally:
                    self.log.append(
                        Entry(
                            number,
                            exchange.access_key,
                            request.method,
                            request.path,
                            request.headers.get("range", ""),
                            exchange.status,
                            exchange.sent,
                            exchange.fault.kind if exchange.fault else "",
                        )
                    )
                if request.headers.get("connection", "").lower() == "close":
                    return

    def _answer(self, reader: BinaryIO, exchange: Exchange) -> None:
        request = exchange.request
        body = read_body(reader, exchange.connection, request)
        try:
            # A copy, because a grant may be forgotten while the signature is checked.
            grants = self.grants.copy()
            known = {key: grant.credentials for key, grant in grants.items()}
            exchange.access_key = verify(request, known).access_key
            grant = grants[exchange.access_key]
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
            refuse(exchange, refusal)

    def _put(self, exchange: Exchange, grant: Grant, name: tuple[str, str], body: bytes) -> None:
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
        send_head(exchange, 200, {"ETag": etag, "Content-Length": "0"})

    def _get(self, exchange: Exchange, grant: Grant, name: tuple[str, str]) -> None:
        if grant.read is not None and "/".join(name) not in grant.read:
            raise RefusedError(403, "AccessDenied", "Access Denied")
        exchange.fault = fault = grant.link.next_fault()
        if fault and fault.kind == "close":
            raise HangupError
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
            send_head(exchange, 206 if chosen else 200, headers)
            if exchange.request.method == "GET":
                send_body(exchange, grant.link, descriptor, first, length)
        finally:
            os.close(descriptor)
