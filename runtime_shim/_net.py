"""Connections whose every step has a bound: one address an attempt, a proxy where one is set, TLS.

Init ends after 10 s, so a step that hangs must be recognised within two.
"""

from __future__ import annotations

import socket
import struct
import time
from _thread import allocate_lock, start_new_thread

from ._endpoint import is_loopback

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from typing import Any, List, Optional, Tuple

    Addresses = List[Tuple[Any, ...]]
    Proxy = Tuple[str, int, str]

# Linux repeats a SYN that was lost after 1 s.
CONNECT_TIMEOUT = 1.5
# libc asks each name server for 5 s, twice. That cannot be changed from here, so the shim waits less long.
RESOLVE_TIMEOUT = 2.0
# Seconds without a single byte after which a connection is given up: S3's own advice is to retry early.
READ_TIMEOUT = 2.0
MAX_HEADER = 64 * 1024

NO_ROUTE = (
    "a function in a VPC reaches S3 only through a gateway endpoint for S3 (com.amazonaws.REGION.s3) in its "
    "subnet's route table or through a NAT gateway, and its security group must let HTTPS out"
)
NO_NAME = "is the region right, and does the function's VPC resolve names (enableDnsSupport)?"


class NetError(Exception):
    """A connection that could not be made or broke.

    Attributes:
        retry: Whether another attempt may succeed.
        hint: What usually helps.
    """

    def __init__(self, message: str, retry: bool = True, hint: str = "") -> None:
        super().__init__(message)
        self.retry = retry
        self.hint = hint


class Dialler:
    """Makes connections to one host.

    Args:
        environ: Names the proxy and the authorities to trust.
        trust: Not ``""`` where the host is S3: Amazon's own authorities are trusted, and the system's only if
            those do not vouch for the host.

    Attributes:
        at: Host and address of the last attempt, for messages.
    """

    def __init__(self, host: str, port: int, tls: bool, environ: Mapping[str, str], trust: str = "") -> None:
        self.host = host
        self.port = port
        self.tls = tls
        self.at = host
        self._environ = environ
        self._trust = trust
        self._attempt = 0
        self._context: Optional[ssl.SSLContext] = None
        self._system = False

    def connect(self, direct: bool = False) -> socket.socket:
        """A new connection, TLS where asked for; ``direct`` goes past any proxy.

        Raises:
            NetError: What failed, after how long.
            OSError: The connection broke.
        """
        proxy = None if direct else find_proxy(self.host, self.port, self.tls, self._environ)
        host, port = proxy[:2] if proxy else (self.host, self.port)
        sock = self._dial(host, port)
        try:
            if proxy:
                self.at = "%s through the proxy %s:%d" % (self.host, proxy[0], proxy[1])
                # The proxy sees nothing of what goes through the tunnel.
                from ._proxy import connect as tunnel

                tunnel(sock, self.host, self.port, proxy)
            if self.tls:
                return self._encrypt(sock)
        except UntrustedError:
            sock.close()
            return self.connect(direct)
        except BaseException:
            sock.close()
            raise
        # The kernel ends waits: a Python time-out makes the socket non-blocking, and MSG_WAITALL useless.
        sock.settimeout(None)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, kernel_time(READ_TIMEOUT))
        wait_at_most(sock, False, READ_TIMEOUT)
        return sock

    def prepare(self) -> None:
        """Import all that ``connect`` may."""
        if self.tls:
            self._make_context()
        if find_proxy(self.host, self.port, self.tls, self._environ):
            import binascii  # noqa: F401  # the proxy's password

    def _dial(self, host: str, port: int) -> socket.socket:
        """Try one address; the next attempt tries the next."""
        self.at = host
        addresses = resolve(host, port)
        family, kind, protocol, _, address = addresses[self._attempt % len(addresses)]
        self._attempt += 1
        self.at = host if host == address[0] else "%s (%s)" % (host, address[0])
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(CONNECT_TIMEOUT)
            sock.connect(address)
            sock.settimeout(READ_TIMEOUT)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except socket.timeout:
            sock.close()
            raise NetError(
                "no connection to %s, port %d, within %g s" % (self.at, port, CONNECT_TIMEOUT), hint=NO_ROUTE
            ) from None
        except OSError as error:
            sock.close()
            said = "no connection to %s, port %d: %s" % (self.at, port, describe(error))
            raise NetError(said, hint=NO_ROUTE) from error
        return sock

    def _make_context(self) -> ssl.SSLContext:
        import ssl

        if self._context is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            bundle = self._environ.get("AWS_CA_BUNDLE")
            if bundle:
                load_bundle(context, bundle)
            elif self._trust:
                from ._roots import AMAZON

                context.load_verify_locations(cadata=AMAZON)
            else:
                context.set_default_verify_paths()
                self._system = True
            self._context = context
        return self._context

    def _encrypt(self, sock: socket.socket) -> socket.socket:
        context = self._make_context()
        import ssl

        try:
            # The name as bytes: a str would import the codec for international names, 3 ms.
            return context.wrap_socket(sock, server_hostname=self.host.encode("ascii"))
        except ssl.SSLCertVerificationError as error:
            bundle = self._environ.get("AWS_CA_BUNDLE")
            if not bundle and not self._system:
                # Perhaps a proxy with a certificate of its own, or another cloud: try the system's
                # authorities.
                self._system = True
                context.set_default_verify_paths()
                raise UntrustedError from None
            said = "certificate verify failed for %s: %s" % (self.at, error.verify_message)
            if bundle:
                said += " (AWS_CA_BUNDLE=%s is all that is trusted)" % bundle
            hint = (
                "where a proxy or an endpoint of your own answers, AWS_CA_BUNDLE names its authority's file"
            )
            raise NetError(said, retry=False, hint=hint) from error
        except socket.timeout:
            raise NetError("%s sent no TLS handshake within %g s" % (self.at, READ_TIMEOUT)) from None


class UntrustedError(Exception):
    """Amazon's authorities do not vouch for the host; the system's are tried next."""


def load_bundle(context: ssl.SSLContext, bundle: str) -> None:
    """Trust the authorities in a file (or folder) that AWS_CA_BUNDLE names, and no others."""
    try:
        # OpenSSL reads the file itself, and its error says so when the file is missing.
        context.load_verify_locations(bundle)
    except OSError as error:
        raise NetError(
            "AWS_CA_BUNDLE names %s, which cannot be read as certificates: %s" % (bundle, describe(error)),
            retry=False,
            hint="put the file into the function's zip or a layer, or unset the variable",
        ) from error


def wait_at_most(sock: socket.socket, tls: bool, seconds: float) -> None:
    """Set how long a read of a connection may wait."""
    if tls:
        sock.settimeout(seconds)
    else:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, kernel_time(seconds))


def kernel_time(seconds: float) -> bytes:
    """Seconds as a ``struct timeval``."""
    return struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))


def resolve(host: str, port: int) -> Addresses:
    """A host's addresses, asked for in a thread, because libc's look-up has no time-out that could be set."""
    if ":" in host or host.replace(".", "").isdigit():
        return _look_up(host, port)
    answers: list[Any] = []
    done = allocate_lock()
    done.acquire()

    def ask() -> None:
        try:
            answers.append(_look_up(host, port))
        except BaseException as error:
            answers.append(error)
        finally:
            done.release()

    try:
        start_new_thread(ask, ())
    except RuntimeError:
        ask()  # the system gives no thread: then without a bound
    if not done.acquire(timeout=RESOLVE_TIMEOUT):
        raise NetError(
            "no answer to what %s's address is within %g s" % (host, RESOLVE_TIMEOUT), hint=NO_NAME
        )
    if isinstance(answers[0], BaseException):
        raise answers[0]
    addresses: Addresses = answers[0]
    return addresses


def _look_up(host: str, port: int) -> Addresses:
    try:
        # The name as bytes: a str would import the codec for international names.
        return socket.getaddrinfo(host.encode("ascii"), port, 0, socket.SOCK_STREAM)
    except OSError as error:
        said = "%s has no address: %s" % (host, error.strerror or error)
        raise NetError(said, hint=NO_NAME) from error


def find_proxy(host: str, port: int, tls: bool, environ: Mapping[str, str]) -> Optional[Proxy]:
    """Host, port and ``user:password`` of the proxy for this connection, None where it needs none.

    Raises:
        NetError: The proxy that is set cannot be used.
    """
    name = "https_proxy" if tls else "http_proxy"
    # The variable in lower case goes first, as in urllib and so in botocore.
    url = environ.get(name) or environ.get(name.upper()) or ""
    if not url or is_loopback(host) or excepted(host, port, environ):
        return None
    from ._proxy import parse

    return parse(url, name if environ.get(name) else name.upper(), host, tls)


def excepted(host: str, port: int, environ: Mapping[str, str]) -> bool:
    """Whether NO_PROXY says that this host is reached without a proxy."""
    names = ("." + host.lower(), ".%s:%d" % (host.lower(), port))
    for entry in (environ.get("no_proxy") or environ.get("NO_PROXY") or "").lower().split(","):
        ending = entry.strip().lstrip(".")
        if ending == "*" or (ending and any(name.endswith("." + ending) for name in names)):
            return True
    return False


def read_head(sock: socket.socket, at: str) -> Tuple[int, dict[str, str], bytes]:
    """Status, headers and the first bytes of the body of an HTTP answer; 1xx answers are skipped.

    Raises:
        NetError: What came is not HTTP, or did not come in time.
        OSError: The connection broke.
    """
    data = b""
    until = time.monotonic() + READ_TIMEOUT
    while True:
        head, end, rest = data.partition(b"\r\n\r\n")
        if end:
            status, headers = parse_head(head, at)
            if status >= 200:
                return status, headers, rest
            if status == 101:
                raise NetError("%s answered 101 to a GET" % at, retry=False)
            data = rest
            continue
        if data and time.monotonic() > until:
            raise NetError("%s sent %d bytes of a header in %g s" % (at, len(data), READ_TIMEOUT))
        more = sock.recv(16384)
        if not more:
            raise ConnectionResetError("closed before an answer")
        data += more
        if len(data) > MAX_HEADER and b"\r\n\r\n" not in data:
            raise NetError("%s sent a header of more than %d KB" % (at, MAX_HEADER // 1024), retry=False)


def parse_head(head: bytes, at: str) -> Tuple[int, dict[str, str]]:
    """The status and the headers, with names in lower case."""
    lines = head.decode("latin-1").split("\r\n")
    version, _, rest = lines[0].partition(" ")
    status = rest[:3]
    # isdigit() alone would accept the superscript digits of latin-1.
    if version[:5] != "HTTP/" or not (status.isascii() and status.isdigit() and len(status) == 3):
        raise NetError("%s does not speak HTTP: it began with %.40r" % (at, lines[0][:40]), retry=False)
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return int(status), headers


def describe(error: OSError) -> str:
    """An OSError in words. Where the kernel ends a read's wait, that read fails with a BlockingIOError."""
    if isinstance(error, (BlockingIOError, socket.timeout)):
        return "no data for %g s" % READ_TIMEOUT
    return "%s: %s" % (type(error).__name__, error.strerror or error)
