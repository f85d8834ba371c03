"""Ranged GETs from S3, signed by hand.

boto3 costs 350 ms of a cold start and ``http.client`` 10 ms; a GET needs neither. Sockets without TLS are
read with MSG_WAITALL, one system call a frame: a thread that wakes up for each segment would queue for the
interpreter's lock hundreds of times.
"""

from __future__ import annotations

import errno
import socket
import time

from ._endpoint import EndpointError, host_header, locate
from ._journal import identity
from ._net import READ_TIMEOUT, Dialler, NetError, describe, read_head, wait_at_most
from ._source import FetchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Callable

# Seconds for which a signature is used. S3 takes it for 15 minutes, and signing again costs next to nothing.
SIGNATURE_LIFE = 240.0
# Seconds of waiting for bytes after which their rate is judged: a little less than the kernel waits.
WINDOW = 1.9
# How many reads in a row without a byte make a silence of READ_TIMEOUT.
TICKS = 4


class S3Error(FetchError):
    """An answer other than 206, or a broken connection."""


class Source:
    """One object in S3: where to connect and what to send.

    Attributes:
        path: The request's path, percent-encoded.
    """

    def __init__(self, bucket: str, key: str, region: str, environ: Mapping[str, str]) -> None:
        self.bucket = bucket
        self.key = key
        self.region = region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        self._environ = environ
        self._signed: tuple[float, str] = (0.0, "")
        # Seconds by which S3's clock is ahead of the one here, as far as that is known.
        self._ahead = 0.0
        try:
            self.tls, self.host, self.port, self.path = locate(bucket, key, self.region, environ)
        except EndpointError as error:
            raise S3Error(str(error), retry=False) from None
        self._dialler = Dialler(self.host, self.port, self.tls, environ, trust="amazon")

    @property
    def url(self) -> str:
        """``s3://bucket/key``, for messages."""
        return "s3://%s/%s" % (self.bucket, self.key)

    @property
    def at(self) -> str:
        """Host and address of the last attempt, for messages."""
        return self._dialler.at

    def prepare(self) -> None:
        """Import all that a request needs; an S3Error if a setting cannot be used."""
        import hashlib  # noqa: F401
        import hmac  # noqa: F401

        from . import _refusal  # noqa: F401

        if ask_endpoint(self._environ):
            from . import _keys  # noqa: F401
        try:
            self._dialler.prepare()
        except NetError as error:
            raise from_net(error, region=self.region) from error

    def head(self) -> str:
        """The request's lines up to the Range header, signed; reused while the signature is fresh.

        The range is not signed, so that one signature serves every request.
        """
        made, text = self._signed
        # By the wall clock, as S3 judges it. A clock that was set back would make the signature's age
        # negative.
        if text and 0 <= time.time() - made < SIGNATURE_LIFE:
            return text
        now = time.time()
        host = host_header(self.host, self.port, self.tls)
        headers = sign(
            host, self.path, self.region, credentials(self._environ), time.gmtime(now + self._ahead)
        )
        text = "GET %s HTTP/1.1\r\n" % self.path + "".join("%s: %s\r\n" % pair for pair in headers)
        self._signed = (now, text)
        return text

    def forget_signature(self) -> None:
        """Sign the next request anew: credentials may have been rotated."""
        self._signed = (0.0, "")

    def correct_clock(self, server: str) -> None:
        """Sign by S3's clock, which shows ``server`` (ISO 8601), from now on.

        The clock of a restored environment may still show when the snapshot was taken.
        """
        from calendar import timegm

        try:
            self._ahead = timegm(time.strptime(server[:19], "%Y-%m-%dT%H:%M:%S")) - time.time()
        except ValueError:
            pass  # it says nothing

    def connect(self) -> socket.socket:
        """A new connection, TLS where the endpoint asks for it.

        Raises:
            NetError, OSError: None can be made.
        """
        return self._dialler.connect()

    def open(self, slowest: float, measured: Callable[[], None]) -> Connection:
        """What reads ranges, for one thread; arguments as for ``Connection``."""
        return Connection(self, slowest, measured)

    def corrupt(self, frame: int) -> S3Error:
        """The error where a frame has another digest than the function's index gives."""
        return S3Error(
            "frame %d of %s does not have the digest that the function's index gives" % (frame, self.url),
            code="CorruptFrame",
        )


class Connection:
    """A keep-alive connection that reads one range at a time.

    Not thread-safe. After any error it is closed and connects again on the next request.

    Attributes:
        slowest: Bytes a second below which the connection is given up, as if no bytes came at all.
        received: Bytes of ranges that arrived, over all requests.
        moved: When (monotonic) the rate was last high enough.
        measured: Called each time that the rate was high enough, at most once in ``WINDOW`` seconds.
    """

    def __init__(
        self, source: Source, slowest: float = 0.0, measured: Callable[[], None] | None = None
    ) -> None:
        self.source = source
        self.slowest = slowest
        self.received = 0
        self.moved = 0.0
        self.measured = measured
        self._sock: socket.socket | None = None
        self._left = 0
        self._rest = b""
        self._close_after = False
        self._window = (0, 0.0)
        self._identity = (0, 0)

    def close(self) -> None:
        """Drop the connection."""
        if self._sock is not None:
            if self._is_ours():
                try:
                    self._sock.close()
                except OSError:
                    pass
            else:
                self._sock.detach()
        self._sock = None
        self._rest = b""
        self._left = 0

    def _is_ours(self) -> bool:
        """Whether the descriptor still stands for this socket.

        The function's code may have closed it and opened a file of its own under the same number.
        """
        return self._sock is not None and identity(self._sock.fileno()) == self._identity

    def _ours(self) -> socket.socket:
        """The socket, proved to be the one that the descriptor stands for."""
        if self._sock is None or not self._is_ours():
            raise ConnectionResetError(errno.ECONNRESET, "the function's code has closed the socket")
        return self._sock

    def request(self, first: int, last: int) -> None:
        """Ask for bytes ``first`` to ``last``, both included; ``read_into`` then returns them in order.

        Raises:
            S3Error: Any answer but exactly that range.
        """
        reused = self._is_idle()
        try:
            head = self.source.head()
            if not reused:
                self.close()
                self._sock = self.source.connect()
                self._identity = identity(self._sock.fileno())
            sock = self._ours()
            wait_at_most(sock, self.source.tls, READ_TIMEOUT)
            sock.sendall(("%sRange: bytes=%d-%d\r\n\r\n" % (head, first, last)).encode("ascii"))
            status, headers, self._rest = read_head(sock, self.source.at)
            if status != 206:
                # Most starts meet no refusal, so the module that explains one is imported only here.
                from ._refusal import read

                raise read(self.source, sock, status, headers, self._rest)
            check_range(self.source, headers, first, last)
            # Short waits from here on: with MSG_WAITALL a read returns the bytes that came before a silence
            # only when its wait is over.
            wait_at_most(sock, self.source.tls, READ_TIMEOUT / TICKS)
            self._left = last - first + 1
            self._window = (0, 0.0)
            self._close_after = headers.get("connection", "").lower() == "close"
        except NetError as error:
            self.close()
            raise from_net(error, reused, self.source.region) from error
        except OSError as error:
            self.close()
            raise self._broken(error) from error
        except S3Error as error:
            self.close()
            # A reused connection may have given surplus bytes of the answer before; a new one will not.
            error.retry = error.retry or (reused and error.status == 206)
            raise

    def _is_idle(self) -> bool:
        """Whether the connection of the last request can carry another: open, with nothing left to read."""
        if self._sock is None or self._left or self._rest or self._close_after or not self._is_ours():
            return False
        if self.source.tls:
            # SSLSocket.pending counts decrypted bytes only. If others are waiting, the next request fails and
            # is repeated on a new connection.
            return not getattr(self._sock, "pending", int)()
        try:
            self._sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def read_into(self, view: memoryview) -> None:
        """Fill ``view`` with the next bytes of the range.

        Raises:
            S3Error: The connection broke, or is too slow.
        """
        try:
            done = min(len(self._rest), len(view))
            if done:
                view[:done] = self._rest[:done]
                self._rest = self._rest[done:]
                self.received += done
            self._receive(self._ours(), view, done)
            self._left -= len(view)
        except OSError as error:
            self.close()
            raise self._broken(error) from error
        except S3Error:
            self.close()
            raise

    def _receive(self, sock: socket.socket, view: memoryview, done: int) -> None:
        """Fill ``view`` from ``done`` on, and judge the rate at which the bytes come."""
        flags = 0 if self.source.tls else socket.MSG_WAITALL
        began = time.monotonic()
        quiet = 0
        while done < len(view):
            got = 0
            # With MSG_WAITALL it returns after a tick at the latest, with the bytes that came until then.
            try:
                got = sock.recv_into(view[done:], len(view) - done, flags)
                if not got:
                    raise ConnectionResetError("closed after %d of %d bytes" % (done, len(view)))
                quiet = 0
            except (BlockingIOError, socket.timeout):
                quiet += 1
                if quiet >= TICKS:
                    raise
            done += got
            self.received += got
            now = time.monotonic()
            size, waited = self._window
            self._window = (size + got, waited + now - began)
            began = now
            if self._window[1] >= WINDOW:
                self._measure()

    def _measure(self) -> None:
        """Give the connection up if the bytes of this window came too slowly."""
        size, waited = self._window
        self._window = (0, 0.0)
        if size < self.slowest * waited:
            raise S3Error(
                "%s sent %d bytes in %.1f s, and a connection with less than %d kB/s is given up"
                % (self.source.at, size, waited, self.slowest // 1000)
            )
        self.moved = time.monotonic()
        if self.measured is not None:
            self.measured()

    def _broken(self, error: OSError) -> S3Error:
        return S3Error("connection to %s: %s" % (self.source.at, describe(error)))


def check_range(source: Source, headers: Mapping[str, str], first: int, last: int) -> None:
    """Check that a 206 gives exactly the bytes that were asked for.

    Raises:
        S3Error: It does not, or does not say so.
    """
    length = headers.get("content-length", "")
    given = headers.get("content-range", "")
    wrong = ""
    if headers.get("transfer-encoding", "identity").lower() != "identity":
        wrong = "with Transfer-Encoding: %s" % headers["transfer-encoding"][:40]
    elif not is_number(length):
        wrong = "with Content-Length: %s" % length[:40] if length else "without a Content-Length"
    if wrong:
        raise S3Error(
            "%s answered %s %s, as S3 does not: what answers between the function and S3?"
            % (source.at, source.url, wrong),
            206,
            "BadAnswer",
            retry=False,
        )
    size, wanted = int(length), last - first + 1
    if size != wanted:
        raise S3Error(
            "%s answered with %d of %d bytes; the object has %s bytes: it is not the pack that "
            "this function was built with" % (source.url, size, wanted, given.rpartition("/")[2][:40]),
            206,
            "IncompleteObject",
            retry=False,
        )
    if given and given.partition("/")[0].lower().split() != ["bytes", "%d-%d" % (first, last)]:
        raise S3Error(
            "%s answered %s with the range %s instead of %d-%d"
            % (source.at, source.url, given[:60], first, last),
            206,
            "WrongRange",
        )


def is_number(text: str) -> bool:
    """Whether a header's value is a count: ``int`` would also take signs, underscores and other digits."""
    return 0 < len(text) < 19 and text.isascii() and text.isdigit()


def from_net(error: NetError, reused: bool = False, region: str = "REGION") -> S3Error:
    """A connection's failure as an S3Error with a hint; where it was ``reused``, a new one may do better."""
    said = str(error)
    # The hint names the VPC endpoint that may be missing, which is another one in each region.
    hint = error.hint.replace("REGION", region)
    return S3Error(said + ": " + hint if hint else said, retry=error.retry or reused)


UNSIGNED = "UNSIGNED-PAYLOAD"


def sign(
    host: str, path: str, region: str, keys: tuple[str, str, str], now: time.struct_time
) -> list[tuple[str, str]]:
    """The headers of a GET without a query, signed with SigV4.

    https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
    """
    import hmac
    from hashlib import sha256

    def mac(key: bytes, text: str) -> bytes:
        return hmac.new(key, text.encode("utf-8"), sha256).digest()

    access, secret, token = keys
    stamp = time.strftime("%Y%m%dT%H%M%SZ", now)
    scope = "%s/%s/s3/aws4_request" % (stamp[:8], region)
    headers = [("host", host), ("x-amz-content-sha256", UNSIGNED), ("x-amz-date", stamp)]
    if token:
        headers.append(("x-amz-security-token", token))
    names = ";".join(name for name, _ in headers)
    canonical = "\n".join(["GET", path, "", "".join("%s:%s\n" % pair for pair in headers), names, UNSIGNED])
    to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, sha256(canonical.encode("utf-8")).hexdigest()])
    key = mac(mac(mac(mac(b"AWS4" + secret.encode("utf-8"), stamp[:8]), region), "s3"), "aws4_request")
    signature = mac(key, to_sign).hex()
    value = "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s" % (
        access,
        scope,
        names,
        signature,
    )
    return [*headers, ("authorization", value)]


def credentials(environ: Mapping[str, str]) -> tuple[str, str, str]:
    """Access key, secret key and session token of the function's role.

    Lambda puts them into the environment; under SnapStart it serves them from a local address
    instead (https://docs.aws.amazon.com/lambda/latest/dg/snapstart-activate.html).
    """
    access = environ.get("AWS_ACCESS_KEY_ID", "")
    secret = environ.get("AWS_SECRET_ACCESS_KEY", "")
    if access and secret:
        return access, secret, environ.get("AWS_SESSION_TOKEN", "")
    if ask_endpoint(environ):
        from ._keys import container_credentials

        try:
            return container_credentials(environ)
        except NetError as error:
            raise S3Error(str(error), code="NoCredentials", retry=error.retry) from error
    raise S3Error(
        "there are no AWS credentials in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)",
        code="NoCredentials",
        retry=False,
    )


def ask_endpoint(environ: Mapping[str, str]) -> bool:
    """Whether the environment has no credentials itself, and names an endpoint that gives some."""
    if environ.get("AWS_ACCESS_KEY_ID") and environ.get("AWS_SECRET_ACCESS_KEY"):
        return False
    return bool(
        environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
        or environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
    )
