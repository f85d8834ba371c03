"""Credentials from the endpoint that Lambda offers under SnapStart. Imported only where one is set.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
"""

from __future__ import annotations

import time

from ._endpoint import EndpointError, host_header, is_loopback, split_url
from ._index import loads
from ._net import READ_TIMEOUT, Dialler, NetError, describe, read_head

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

FULL = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
RELATIVE = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
TOKEN = "AWS_CONTAINER_AUTHORIZATION_TOKEN"
TOKEN_FILE = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
ECS = "http://169.254.170.2"
# Bytes of an answer that are read; a real one has some 1,500.
MAX_ANSWER = 64 * 1024


def container_credentials(environ: Mapping[str, str]) -> tuple[str, str, str]:
    """Access key, secret key and session token, asked for without any proxy.

    Raises:
        NetError: Why there are none.
    """
    uri = environ.get(FULL) or ECS + environ.get(RELATIVE, "")
    try:
        tls, host, port, path = split_url(uri, FULL)
    except EndpointError as error:
        raise NetError(str(error), retry=False) from None
    if not tls and not is_loopback(host) and not is_link_local(host):
        raise NetError(
            "%s=%s is neither https nor an address of this machine: the answer would cross the network in "
            "clear" % (FULL, uri),
            retry=False,
        )
    request = "GET %s HTTP/1.0\r\nHost: %s\r\nAccept: application/json\r\n" % (
        path or "/",
        host_header(host, port, tls),
    )
    token = authorization(environ)
    if token:
        request += "Authorization: %s\r\n" % token
    at = "the credentials endpoint %s" % uri.partition("?")[0]
    try:
        body = exchange(Dialler(host, port, tls, environ), (request + "\r\n").encode("latin-1"), at)
    except OSError as error:
        raise NetError("%s: %s" % (at, describe(error))) from error
    return decode(body, at)


def is_link_local(host: str) -> bool:
    """Whether a literal address never leaves the link."""
    return (host.replace(".", "").isdigit() and host.startswith("169.254.")) or host.lower() == "fd00:ec2::23"


def authorization(environ: Mapping[str, str]) -> str:
    """The token for the endpoint; a token in a file goes first, because it may change."""
    path = environ.get(TOKEN_FILE)
    token = environ.get(TOKEN, "")
    if path:
        try:
            with open(path, encoding="latin-1") as file:
                token = file.read(MAX_ANSWER).strip()
        except OSError as error:
            said = "%s names %s, which cannot be read: %s" % (TOKEN_FILE, path, error.strerror)
            raise NetError(said, retry=False) from error
    if "\r" in token or "\n" in token:
        raise NetError("the token for the credentials endpoint has a line break in it", retry=False)
    return token


def exchange(dialler: Dialler, request: bytes, at: str) -> bytes:
    """Send a request and return the answer's body. HTTP/1.0: no answer to it is chunked."""
    sock = dialler.connect(direct=True)
    until = time.monotonic() + READ_TIMEOUT
    try:
        sock.sendall(request)
        status, headers, body = read_head(sock, at)
        if status != 200:
            again = status == 429 or status >= 500
            raise NetError("%s answered %d" % (at, status), retry=again)
        length = headers.get("content-length", "")
        size = int(length) if length.isascii() and length.isdigit() else MAX_ANSWER
        while len(body) < size:
            more = sock.recv(16384)
            if not more:
                break
            body += more
            if len(body) > MAX_ANSWER or time.monotonic() > until:
                raise NetError("%s sent no answer of a sensible size within %g s" % (at, READ_TIMEOUT))
        return body[:size]
    finally:
        sock.close()


def decode(body: bytes, at: str) -> tuple[str, str, str]:
    """The three values of the endpoint's JSON."""
    try:
        document = loads(body)
        keys = document["AccessKeyId"], document["SecretAccessKey"], document.get("Token") or ""
    except (ValueError, KeyError, TypeError, AttributeError):
        keys = None
    if keys is None or not all(isinstance(value, str) for value in keys):
        raise NetError("%s gave no credentials" % at, retry=False)
    return keys
