"""Where an object of S3 is: hosts of every AWS partition, and endpoints that the environment names."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Tuple

    Address = Tuple[bool, str, int, str]

# https://docs.aws.amazon.com/general/latest/gr/s3.html; a test compares them with botocore's rules.
SUFFIXES = (
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("us-isof-", "csp.hci.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
)
LABEL = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
SAFE = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/")


class EndpointError(ValueError):
    """A setting names an endpoint that cannot be used; the message says which."""


def locate(bucket: str, key: str, region: str, environ: Mapping[str, str]) -> Address:
    """TLS, host, port and percent-encoded path of an object."""
    path = "/" + quote(key)
    endpoint = custom_endpoint(environ)
    if endpoint:
        tls, host, port, prefix = split_url(endpoint)
        return tls, host, port, prefix + "/" + quote(bucket) + path
    host = regional_host(
        region, switched(environ, "AWS_USE_FIPS_ENDPOINT"), switched(environ, "AWS_USE_DUALSTACK_ENDPOINT")
    )
    # The certificate's wildcard covers only one label, so no dots; and a label has no capital letters.
    if 3 <= len(bucket) <= 63 and LABEL.issuperset(bucket) and bucket[0] != "-" != bucket[-1]:
        return True, bucket + "." + host, 443, path
    return True, host, 443, "/" + quote(bucket) + path


def custom_endpoint(environ: Mapping[str, str]) -> str:
    """The endpoint that the environment names, ``""`` for AWS's own."""
    if switched(environ, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"):
        return ""
    return environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or ""


def switched(environ: Mapping[str, str], name: str) -> bool:
    """Whether a setting of the AWS SDKs is on."""
    return environ.get(name, "").lower() == "true"


def regional_host(region: str, fips: bool, dualstack: bool) -> str:
    """S3's host in a region."""
    suffix = "amazonaws.com"
    for prefix, other in SUFFIXES:
        if region.startswith(prefix):
            suffix = other
    if fips and region.startswith("cn-"):
        raise EndpointError(
            "AWS_USE_FIPS_ENDPOINT is set, and there are no FIPS endpoints in %s: unset it" % region
        )
    name = "s3-fips" if fips else "s3"
    return "%s.%s%s.%s" % (name, "dualstack." if dualstack else "", region, suffix)


def split_url(url: str, setting: str = "AWS_ENDPOINT_URL_S3") -> Address:
    """TLS, host, port and path prefix of an endpoint's URL; ``setting`` is the variable that has it.

    Raises:
        EndpointError: It is not an http(s) URL of a host and a port.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        raise EndpointError("%s is not an http(s) URL: %r" % (setting, url))
    netloc, _, prefix = rest.partition("/")
    host, colon, port = netloc.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = netloc, ""
    host = host[1:-1] if host[:1] == "[" and host[-1:] == "]" else host
    if not host or "@" in host or not host.isascii() or (port and not (port.isdigit() and int(port) < 65536)):
        raise EndpointError("%s does not name a host and a port: %r" % (setting, url))
    tls = scheme.lower() == "https"
    prefix = prefix.strip("/")
    return tls, host, int(port) if port else (443 if tls else 80), "/" + prefix if prefix else ""


def host_header(host: str, port: int, tls: bool) -> str:
    """The value of a request's Host header."""
    name = "[%s]" % host if ":" in host else host
    return name if port == (443 if tls else 80) else "%s:%d" % (name, port)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, judged by its name alone."""
    numbers = host.split(".")
    literal = len(numbers) == 4 and all(number.isdigit() for number in numbers)
    return host.lower() in ("localhost", "::1") or (literal and numbers[0] == "127")


def quote(text: str) -> str:
    """Percent-encode a key as SigV4 wants it; urllib.parse costs 4 ms to import."""
    return "".join(chr(byte) if byte in SAFE else "%%%02X" % byte for byte in text.encode("utf-8"))
