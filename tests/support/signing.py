"""AWS Signature Version 4 from the client's side, with the standard library alone.

A function of the local cloud sees no file but its own, so a test puts this text into the function's code.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime, timezone
from urllib.parse import quote, unquote


def sign(
    method: str,
    path: str,
    headers: Mapping[str, str],
    keys: tuple[str, str, str],
    *,
    region: str,
    now: datetime,
) -> dict[str, str]:
    """``headers``, which have ``host``, and those that sign them all.

    ``keys`` are access key, secret key and session token (``""`` for none).
    """
    access, secret, token = keys
    stamp = now.astimezone(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    signed = {"x-amz-content-sha256": "UNSIGNED-PAYLOAD", **headers, "x-amz-date": stamp}
    if token:
        signed["x-amz-security-token"] = token
    names = ";".join(sorted(signed))
    lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
    canonical = "\n".join(
        [method, quote(unquote(path), safe="/-_.~"), "", lines, names, signed["x-amz-content-sha256"]]
    )
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, digest])
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    signed["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={access}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return signed
