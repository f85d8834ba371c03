"""A server before moto's that plays invocations, which moto needs Docker for; all else goes to moto."""

from __future__ import annotations

import base64
import http.client
import json
import re
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3

from tests.support.aws_world import REGION, empty_aws
from tests.support.logged import init_start, put_events, report, shim_line

_INVOKE = re.compile(r"/2015-03-31/functions/([^/?]+)/invocations")
_KEYS = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": REGION}


@dataclass
class Played:
    """What invocations do, and did.

    Attributes:
        url: What ``AWS_ENDPOINT_URL`` is to be.
        answer: What each function returns.
        fails: Name of the variable with which a function fails.
        clients: Of moto, by service.
        calls: Version and failure of each invocation.
    """

    url: str
    answer: Any
    fails: str
    clients: dict[str, Any]
    calls: list[tuple[str, bool]] = field(default_factory=list)
    _known: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def invoke(self, name: str, qualifier: str) -> tuple[dict[str, str], bytes]:
        """One invocation: headers and body of the answer, lines in the log, a value in the metrics."""
        with self._lock:
            version = self._version(name, qualifier)
            found = self.clients["lambda"].get_function_configuration(FunctionName=name, Qualifier=version)
            variables = found.get("Environment", {}).get("Variables", {})
            failed = self.fails in variables
            self.calls.append((version, failed))
            lines = self._lines(f"{name}:{version}:{sorted(variables.items())}", failed)
            stream = f"2026/11/26/[{version}]{len(self._known)}"
            put_events(self.clients, name, lines, stream=stream)
            self._count(name, version, failed)
        body = {"errorType": "RuntimeError", "errorMessage": "as asked"} if failed else self.answer
        headers = {
            "X-Amz-Executed-Version": version,
            "X-Amz-Log-Result": base64.b64encode("\n".join(lines).encode()).decode(),
            **({"X-Amz-Function-Error": "Unhandled"} if failed else {}),
        }
        return headers, json.dumps(body).encode()

    def _version(self, name: str, qualifier: str) -> str:
        if qualifier != "live":
            return qualifier
        alias = self.clients["lambda"].get_alias(FunctionName=name, Name="live")
        others = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
        # Each second call goes to the other version, whatever its weight.
        shares = [alias["FunctionVersion"], *others]
        return str(shares[len(self.calls) % len(shares)])

    def _lines(self, environment: str, failed: bool) -> list[str]:
        status = "error" if failed else ""
        if environment in self._known:
            return [report(2.5, status=status)]
        self._known.add(environment)
        return [init_start(), shim_line(), report(12.5, init=800.0, status=status)]

    def _count(self, name: str, version: str, failed: bool) -> None:
        dimensions = [
            {"Name": key, "Value": value}
            for key, value in (
                ("FunctionName", name), ("Resource", f"{name}:live"), ("ExecutedVersion", version),
            )
        ]  # fmt: skip
        now = datetime.now(timezone.utc)
        values = {"Invocations": 1.0, "Errors": float(failed), "Duration": 2.5}
        data = [
            {"MetricName": key, "Dimensions": dimensions, "Timestamp": now, "Value": value}
            for key, value in values.items()
        ]
        self.clients["cloudwatch"].put_metric_data(Namespace="AWS/Lambda", MetricData=data)


@contextmanager
def played_lambda(answer: Any, fails: str) -> Iterator[Played]:
    """An empty account whose functions return ``answer``, or fail where they have the variable ``fails``."""
    with empty_aws() as behind:
        names = ("cloudwatch", "iam", "lambda", "logs", "s3")
        clients = {name: boto3.client(name, endpoint_url=behind, **_KEYS) for name in names}  # type: ignore[call-overload]
        server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        server.daemon_threads = True
        played = Played(f"http://127.0.0.1:{server.server_port}", answer, fails, clients)
        server.played, server.behind = played, urllib.parse.urlsplit(behind).netloc  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield played
        finally:
            server.shutdown()
            server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        split = urllib.parse.urlsplit(self.path)
        match = _INVOKE.fullmatch(split.path)
        played: Played = self.server.played  # type: ignore[attr-defined]
        if match is None:
            self._forward(body)
            return
        qualifier = urllib.parse.parse_qs(split.query).get("Qualifier", ["$LATEST"])[0]
        headers, answer = played.invoke(match[1], qualifier)
        self._send(200, headers, answer)

    def _forward(self, body: bytes) -> None:
        connection = http.client.HTTPConnection(self.server.behind, timeout=60)  # type: ignore[attr-defined]
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("connection", "expect"):
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            data = answer.read()
            kept = {
                name: value
                for name, value in answer.getheaders()
                if name.lower() not in ("connection", "transfer-encoding", "content-length", "server", "date")
            }
            length = answer.getheader("Content-Length") if self.command == "HEAD" else None
            self._send(answer.status, kept, data, length)
        finally:
            connection.close()

    def _send(self, status: int, headers: dict[str, str], body: bytes, length: str | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", length or str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = _answer  # noqa: N815 - http.server's names


def wait_for(condition: Any, seconds: float = 60.0) -> None:
    """Return once ``condition()`` holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.02)
