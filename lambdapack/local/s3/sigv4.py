"""AWS Signature Version 4, from the verifier's side: is a request signed with a known secret key?

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from urllib.parse import quote, unquote

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
SKEW = timedelta(minutes=15)
"""By how much a client's clock may be wrong, as in S3."""

_AUTHORIZATION = re.compile(
    r"Credential=(?P<key>[^/,\s]+)/(?P<date>\d{8})/(?P<region>[^/,\s]+)/(?P<service>[^/,\s]+)/aws4_request,\s*"
    r"SignedHeaders=(?P<signed>[^,\s]+),\s*Signature=(?P<signature>[0-9a-f]{64})\Z"
)


@dataclass(eq=False)
class RefusedError(Exception):
    """The error that S3 answers to a request.

    Attributes:
        status: HTTP status.
        code: S3's error code, e.g. ``SignatureDoesNotMatch``.
        message: S3's sentence for it.
        extra: Further elements of the XML body.
    """

    status: int
    code: str
    message: str
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Credentials:
    """The keys that a client signs with.

    Attributes:
        access_key, secret_key: The pair of keys.
        session_token: Unless it is ``""``, the client must send and sign the token.
        expires: Unix time after which the keys are refused, or ``None``.
        region: The only region that a signature may name, or ``""`` for any.
        ahead: Seconds by which the endpoint's clock is ahead of the client's.
    """

    access_key: str
    secret_key: str
    session_token: str = ""
    expires: float | None = None
    region: str = ""
    ahead: float = 0.0


@dataclass(frozen=True)
class Request:
    """A request as the client has sent it, with header names in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


def verify(request: Request, known: Mapping[str, Credentials]) -> Credentials:
    """Those of the ``known`` credentials, by access key, that signed ``request``.

    Of the request's body only the digest counts that the client has declared.

    Raises:
        RefusedError: The request is not signed, or not properly; status and code are S3's.
    """
    parsed = _parse(request.headers.get("authorization", ""))
    credentials = known.get(parsed["key"])
    if credentials is None:
        raise RefusedError(
            403,
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
            {"AWSAccessKeyId": parsed["key"]},
        )
    now = datetime.now(timezone.utc) + timedelta(seconds=credentials.ahead)
    _check_scope(request, parsed, credentials, now)
    signed = parsed["signed"].split(";")
    scope = f"{parsed['date']}/{parsed['region']}/{parsed['service']}/aws4_request"
    expected, canonical, to_sign = _signature(request, signed, scope, credentials.secret_key)
    if not hmac.compare_digest(expected, parsed["signature"]):
        raise RefusedError(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method.",
            {
                "AWSAccessKeyId": parsed["key"],
                "StringToSign": to_sign,
                "SignatureProvided": parsed["signature"],
                "CanonicalRequest": canonical,
            },
        )
    _check_session(request, signed, credentials, now)
    return credentials


def _parse(authorization: str) -> re.Match[str]:
    """The parts of an Authorization header."""
    if not authorization:
        raise RefusedError(403, "AccessDenied", "Access Denied")
    algorithm, _, rest = authorization.partition(" ")
    parsed = _AUTHORIZATION.match(rest.strip())
    if algorithm != ALGORITHM or not parsed:
        raise RefusedError(
            400, "AuthorizationHeaderMalformed", "The authorization header that you provided is not valid."
        )
    return parsed


def _check_scope(request: Request, parsed: re.Match[str], credentials: Credentials, now: datetime) -> None:
    try:
        sent = datetime.strptime(request.headers.get("x-amz-date", ""), "%Y%m%dT%H%M%SZ")
    except ValueError:
        raise RefusedError(
            403, "AccessDenied", "AWS authentication requires a valid Date or x-amz-date header"
        ) from None
    if abs(sent.replace(tzinfo=timezone.utc) - now) > SKEW:
        raise RefusedError(
            403,
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
            {
                "RequestTime": request.headers["x-amz-date"],
                "ServerTime": f"{now:%Y-%m-%dT%H:%M:%SZ}",
                "MaxAllowedSkewMilliseconds": f"{SKEW.total_seconds() * 1000:.0f}",
            },
        )
    if parsed["date"] != sent.strftime("%Y%m%d") or parsed["service"] != "s3":
        raise RefusedError(
            400,
            "AuthorizationHeaderMalformed",
            "The authorization header is malformed; the credential scope does not match the request.",
        )
    if credentials.region and parsed["region"] != credentials.region:
        raise RefusedError(
            400,
            "AuthorizationHeaderMalformed",
            f"The authorization header is malformed; the region '{parsed['region']}' is wrong; "
            f"expecting '{credentials.region}'",
            {"Region": credentials.region},
        )


def _check_session(request: Request, signed: Sequence[str], credentials: Credentials, now: datetime) -> None:
    token = request.headers.get("x-amz-security-token", "")
    if token != credentials.session_token:
        raise RefusedError(400, "InvalidToken", "The provided token is malformed or otherwise invalid.")
    # S3 demands that the host and every x-amz-* header that is sent are signed.
    needed = {name for name in request.headers if name.startswith("x-amz-")} | {"host"}
    missing = sorted(needed - set(signed))
    if missing or "x-amz-content-sha256" not in request.headers:
        raise RefusedError(
            403,
            "AccessDenied",
            "There were headers present in the request which were not signed",
            {"HeadersNotSigned": ", ".join(missing or ["x-amz-content-sha256"])},
        )
    if credentials.expires is not None and now.timestamp() >= credentials.expires:
        raise RefusedError(400, "ExpiredToken", "The provided token has expired.")


def _signature(request: Request, signed: Sequence[str], scope: str, secret: str) -> tuple[str, str, str]:
    """The signature, the canonical request and the string to sign."""
    headers = "".join(f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in signed)
    pairs = []
    for part in request.query.split("&") if request.query else []:
        name, _, value = part.partition("=")
        pairs.append((quote(unquote(name), safe="-_.~"), quote(unquote(value), safe="-_.~")))
    canonical = "\n".join(
        [
            request.method,
            quote(unquote(request.path), safe="/-_.~"),
            "&".join(f"{name}={value}" for name, value in sorted(pairs)),
            headers,
            ";".join(signed),
            request.headers.get("x-amz-content-sha256", UNSIGNED),
        ]
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = "\n".join([ALGORITHM, request.headers.get("x-amz-date", ""), scope, digest])
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest(), canonical, to_sign
