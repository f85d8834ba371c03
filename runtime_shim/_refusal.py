"""What an answer of S3 other than the bytes means, and what helps. Imported only when one has come."""

from __future__ import annotations

import time

from ._net import READ_TIMEOUT
from ._s3 import S3Error, is_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from ._s3 import Source

# A role that may not list the bucket is not told that a key is missing.
FORBIDDEN = (
    ": either the function's role lacks s3:GetObject on this key (lambdapack deploy grants it), or the pack "
    "is gone, removed by a lifecycle rule or by hand (lambdapack push uploads it again)"
)
FORBIDDEN_KEY = (
    ": the pack is encrypted with a KMS key that the function's role may not use: the role needs "
    "kms:Decrypt on that key (lambdapack deploy grants it), and the key's policy must allow it"
)
# Bytes of an error's document that are read.
MAX_ERROR = 64 * 1024


def read(
    source: Source, sock: socket.socket, status: int, headers: Mapping[str, str], body: bytes
) -> S3Error:
    """The error in an answer whose head has been read; ``body`` is what came of its document so far."""
    until = time.monotonic() + READ_TIMEOUT
    length = headers.get("content-length", "")
    size = min(int(length), MAX_ERROR) if is_number(length) else MAX_ERROR
    if status < 300 or status == 304:
        size = 0  # there is no document, or it is not about an error
    try:
        # S3 sends errors chunked; code and message are readable between the chunks' heads all the same.
        while b"</Error>" not in body and len(body) < size and time.monotonic() < until:
            more = sock.recv(16384)
            if not more:
                break
            body += more
    except OSError:
        pass
    text = body.decode("utf-8", "replace")
    code = between(text, "<Code>", "</Code>")
    message = between(text, "<Message>", "</Message>")
    if code == "RequestTimeTooSkewed":
        source.correct_clock(between(text, "<ServerTime>", "</ServerTime>"))
    return refusal(source, status, code, message, headers.get("x-amz-bucket-region", ""))


def refusal(source: Source, status: int, code: str, message: str, region: str) -> S3Error:
    """An answer other than 206 as an error that says what helps."""
    said = "S3 answered %d %s for %s" % (status, code, source.url)
    if message:
        said += " (%s)" % message
    if status == 429 or status >= 500:
        return S3Error(said, status, code, retry=True)
    if code == "RequestTimeTooSkewed":
        hint = ": the clock here says %s UTC" % time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        return S3Error(said + hint + " and is more than 15 minutes off", status, code, retry=True)
    if code in ("ExpiredToken", "RequestTimeout"):
        return S3Error(said + ": the credentials or the clock are out of date", status, code, retry=True)
    if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken"):
        hint = ": the function's credentials are not valid there"
    elif status == 403:
        hint = FORBIDDEN_KEY if "kms:" in message else FORBIDDEN
    elif code == "NoSuchBucket":
        hint = ": the bucket does not exist"
    elif status == 404:
        hint = (
            ": the pack is gone, or was never there: is there a lifecycle rule? (lambdapack push uploads it)"
        )
    elif status in (301, 307) or region:
        hint = ": the bucket is in %s, the function looks in %s" % (region or "another region", source.region)
    elif status == 416:
        hint = ": the object is shorter than the pack that this function was built with"
    elif status == 200:
        hint = ": whoever answers for S3 there does not know ranges, which the shim needs"
    else:
        hint = ""
    return S3Error(said + hint, status, code, retry=False)


def between(text: str, start: str, end: str) -> str:
    """What stands between two marks, ``""`` if they are not there."""
    return text.partition(start)[2].partition(end)[0]
