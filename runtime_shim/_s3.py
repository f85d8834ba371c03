"""Ranged GETs from S3, signed by hand.

boto3 costs 350 ms of a cold start and ``http.client`` 10 ms; a GET needs neither. Plain sockets are read
with MSG_WAITALL, one system call a frame: a thread that wakes for each segment would queue for the
interpreter's lock hundreds of times.
"""

from __future__ import annotations

import socket
import struct
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

CONNECT_TIMEOUT = 3.0
# Without a single byte for this long a connection is given up: S3's own advice is to retry early, and
# the init phase has 10 s in all.
READ_TIMEOUT = 2.5
# A signature is good for 15 minutes; signing again well before that costs nothing.
SIGNATURE_LIFE = 240.0
MAX_HEADER = 64 * 1024


class S3Error(Exception):
    """An answer other than 206 or a broken connection.

    Attributes:
        status: HTTP status, 0 where there was no answer.
        code: S3's own code, e.g. ``AccessDenied``.
        retry: Whether the same request may succeed later.
    """

    def __init__(self, message: str, status: int = 0, code: str = "", retry: bool = True) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry = retry


class Source:
    """One object in S3: where to connect and what to send.

    Attributes:
        bucket, key, region: The object.
        host, port, tls: Where to connect to.
        path: The request's path, percent-encoded.
    """

    def __init__(self, bucket: str, key: str, region: str, environ: Mapping[str, str]) -> None:
        self.bucket = bucket
        self.key = key
        self.region = region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        self._environ = environ
        self._signed: tuple[float, str] = (0.0, "")
        self._context: ssl.SSLContext | None = None
        self._system = False
        endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or ""
        key_path = "/" + quote(key)
        if endpoint:
            self.tls, self.host, self.port, prefix = split_url(endpoint)
            self.path = prefix + "/" + quote(bucket) + key_path
        else:
            suffix = "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"
            self.tls, self.port = True, 443
            if "." in bucket:
                # The certificate's wildcard covers one label only.
                self.host = "s3.%s.%s" % (self.region, suffix)
                self.path = "/" + quote(bucket) + key_path
            else:
                self.host = "%s.s3.%s.%s" % (bucket, self.region, suffix)
                self.path = key_path

    @property
    def url(self) -> str:
        """``s3://bucket/key``, for messages."""
        return "s3://%s/%s" % (self.bucket, self.key)

    def prepare(self) -> None:
        """Import what a connection needs."""
        if self.tls:
            import ssl  # noqa: F401

            from . import _roots  # noqa: F401

    def head(self) -> str:
        """The request's lines up to the Range header, signed; reused while the signature is fresh.

        The range is not signed, so that one signature serves every request.
        """
        made, text = self._signed
        if text and time.time() - made < SIGNATURE_LIFE:
            return text
        now = time.time()
        default = 443 if self.tls else 80
        host = self.host if self.port == default else "%s:%d" % (self.host, self.port)
        headers = sign(host, self.path, self.region, credentials(self._environ), time.gmtime(now))
        text = "GET %s HTTP/1.1\r\n" % self.path + "".join("%s: %s\r\n" % pair for pair in headers)
        self._signed = (now, text)
        return text

    def forget_signature(self) -> None:
        """Sign the next request anew: credentials may have been rotated."""
        self._signed = (0.0, "")

    def connect(self) -> socket.socket:
        """A new connection, TLS where the endpoint asks for it."""
        if self.tls:
            return self._connect_tls()
        sock = self._dial()
        # A Python time-out would make the socket non-blocking and MSG_WAITALL void.
        sock.settimeout(None)
        seconds = struct.pack("ll", int(READ_TIMEOUT), int(READ_TIMEOUT % 1 * 1e6))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, seconds)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, seconds)
        return sock

    def _dial(self) -> socket.socket:
        sock = socket.create_connection((self.host, self.port), CONNECT_TIMEOUT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def _connect_tls(self) -> socket.socket:
        import ssl

        bundle = self._environ.get("AWS_CA_BUNDLE")
        if self._context is None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            if bundle:
                self._context.load_verify_locations(bundle)
            else:
                from ._roots import AMAZON

                self._context.load_verify_locations(cadata=AMAZON)
        try:
            sock = self._context.wrap_socket(self._dial(), server_hostname=self.host)
        except ssl.SSLCertVerificationError:
            if bundle or self._system:
                raise
            # A proxy with a certificate of its own, another cloud: whom the system trusts.
            self._system = True
            self._context.set_default_verify_paths()
            return self._connect_tls()
        sock.settimeout(READ_TIMEOUT)
        return sock


class Connection:
    """A keep-alive connection that reads one range at a time.

    Not thread-safe. After any error it is closed and connects again on the next request.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._sock: socket.socket | None = None
        self._left = 0
        self._rest = b""
        self._close_after = False

    def close(self) -> None:
        """Drop the connection."""
        if self._sock is not None:
            try:
                self._sock.close()
            except OSError:
                pass
        self._sock = None
        self._rest = b""
        self._left = 0

    def request(self, first: int, last: int) -> None:
        """Ask for bytes ``first`` to ``last``, both included; ``read_into`` then gives them in order.

        Raises:
            S3Error: Any answer but exactly that range.
        """
        try:
            if self._sock is None or self._left or self._close_after:
                self.close()
                self._sock = self.source.connect()
            self._sock.sendall(
                ("%sRange: bytes=%d-%d\r\n\r\n" % (self.source.head(), first, last)).encode("ascii")
            )
            status, headers = self._read_head()
            if status != 206:
                raise self._refusal(status, headers)
            length = int(headers.get("content-length", "-1"))
            if length != last - first + 1:
                total = headers.get("content-range", "").rpartition("/")[2]
                raise S3Error(
                    "%s answered with %d of %d bytes; the object has %s bytes: it is not the pack that "
                    "this function was built with" % (self.source.url, length, last - first + 1, total),
                    status,
                    "IncompleteObject",
                    retry=False,
                )
            self._left = length
            self._close_after = headers.get("connection", "").lower() == "close"
        except OSError as error:
            self.close()
            raise S3Error("connection to %s: %s" % (self.source.host, describe(error))) from error
        except S3Error:
            self.close()
            raise

    def read_into(self, view: memoryview) -> None:
        """Fill ``view`` with the next bytes of the range."""
        try:
            done = min(len(self._rest), len(view))
            if done:
                view[:done] = self._rest[:done]
                self._rest = self._rest[done:]
            assert self._sock is not None
            flags = 0 if self.source.tls else socket.MSG_WAITALL
            while done < len(view):
                got = self._sock.recv_into(view[done:], len(view) - done, flags)
                if not got:
                    raise ConnectionResetError("closed after %d of %d bytes" % (done, len(view)))
                done += got
            self._left -= len(view)
        except OSError as error:
            self.close()
            raise S3Error("connection to %s: %s" % (self.source.host, describe(error))) from error

    def _read_head(self) -> tuple[int, dict[str, str]]:
        assert self._sock is not None
        data = b""
        while b"\r\n\r\n" not in data:
            more = self._sock.recv(16384)
            if not more:
                raise ConnectionResetError("closed before an answer")
            data += more
            if len(data) > MAX_HEADER:
                raise S3Error("%s sent no HTTP header" % self.source.host, retry=False)
        head, _, self._rest = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        try:
            status = int(lines[0].split(" ", 2)[1])
        except (IndexError, ValueError):
            raise S3Error("%s does not speak HTTP" % self.source.host, retry=False) from None
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        return status, headers

    def _refusal(self, status: int, headers: dict[str, str]) -> S3Error:
        assert self._sock is not None
        body = self._rest
        try:
            # S3 sends errors chunked; the code and message are readable in there all the same.
            while b"</Error>" not in body and len(body) < MAX_HEADER and status != 304:
                more = self._sock.recv(16384)
                if not more:
                    break
                body += more
        except OSError:
            pass
        text = body.decode("utf-8", "replace")
        code = between(text, "<Code>", "</Code>")
        message = between(text, "<Message>", "</Message>")
        return refusal(self.source, status, code, message, headers.get("x-amz-bucket-region", ""))


def refusal(source: Source, status: int, code: str, message: str, region: str) -> S3Error:
    """What an answer other than 206 means, and what helps."""
    said = "S3 answered %d %s for %s" % (status, code, source.url)
    if message:
        said += " (%s)" % message
    if status == 429 or status >= 500:
        return S3Error(said, status, code, retry=True)
    if code in ("ExpiredToken", "RequestTimeTooSkewed", "RequestTimeout"):
        return S3Error(said + ": the credentials or the clock are out of date", status, code, retry=True)
    if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken"):
        hint = ": the function's credentials are not valid there"
    elif status == 403:
        hint = ": the function's role needs s3:GetObject on this key (lambdapack deploy grants it)"
    elif code == "NoSuchBucket":
        hint = ": the bucket does not exist"
    elif status == 404:
        hint = ": the pack is not there (lambdapack push uploads it)"
    elif status in (301, 307) or region:
        hint = ": the bucket is in %s, the function looks in %s" % (region or "another region", source.region)
    elif status == 416:
        hint = ": the object is shorter than the pack that this function was built with"
    else:
        hint = ""
    return S3Error(said + hint, status, code, retry=False)


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
    uri = environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", "")
    if uri:
        return container_credentials(uri, environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", ""))
    raise S3Error(
        "there are no AWS credentials in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)",
        code="NoCredentials",
        retry=False,
    )


def container_credentials(uri: str, token: str) -> tuple[str, str, str]:
    """Credentials from the endpoint that SnapStart and containers offer."""
    import json
    from urllib.request import Request, urlopen

    try:
        with urlopen(Request(uri, headers={"Authorization": token}), timeout=CONNECT_TIMEOUT) as answer:
            document = json.load(answer)
        return document["AccessKeyId"], document["SecretAccessKey"], document.get("Token", "")
    except (OSError, KeyError, ValueError) as error:
        raise S3Error("credentials endpoint %s: %s" % (uri, error), code="NoCredentials") from error


def split_url(url: str) -> tuple[bool, str, int, str]:
    """TLS, host, port and path prefix of an endpoint's URL."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in ("http", "https"):
        raise S3Error("AWS_ENDPOINT_URL_S3 is not an http(s) URL: %r" % url, retry=False)
    netloc, _, prefix = rest.partition("/")
    host, colon, port = netloc.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = netloc, ""
    number = int(port) if port.isdigit() else (443 if scheme == "https" else 80)
    return scheme == "https", host.strip("[]"), number, ("/" + prefix.strip("/")) if prefix.strip("/") else ""


SAFE = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/")


def quote(text: str) -> str:
    """Percent-encode a key as SigV4 wants it; urllib.parse costs 4 ms to import."""
    return "".join(chr(byte) if byte in SAFE else "%%%02X" % byte for byte in text.encode("utf-8"))


def between(text: str, start: str, end: str) -> str:
    """What stands between two marks, ``""`` if they are not there."""
    return text.partition(start)[2].partition(end)[0]


def describe(error: OSError) -> str:
    """An OSError in words: a read that timed out is a BlockingIOError here."""
    if isinstance(error, BlockingIOError):
        return "no data for %g s" % READ_TIMEOUT
    return "%s: %s" % (type(error).__name__, error.strerror or error)
