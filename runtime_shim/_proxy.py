"""HTTPS_PROXY: a connection to one host through a CONNECT. Imported only where a proxy is set."""

from __future__ import annotations

from ._endpoint import EndpointError, split_url
from ._net import NetError, read_head

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from ._net import Proxy


def parse(url: str, setting: str, host: str, tls: bool) -> Proxy:
    """Host, port and ``user:password`` of a proxy's URL.

    Raises:
        NetError: The proxy cannot be used; no message shows the password.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "http", url
    keys, _, netloc = rest.partition("/")[0].rpartition("@")
    shown = "%s=%s://%s" % (setting, scheme, netloc)
    around = "NO_PROXY=%s goes around it" % host
    if scheme.lower() != "http":
        raise NetError(
            "%s: of proxies, only http:// ones can be used to fetch the pack" % shown,
            retry=False,
            hint=around,
        )
    if not tls:
        raise NetError(
            "%s would see the function's signed requests in clear, because the endpoint %s is http://"
            % (shown, host),
            retry=False,
            hint="an https:// endpoint is reached through a proxy by CONNECT; " + around,
        )
    try:
        _, name, port, _ = split_url("http://" + netloc, setting)
    except EndpointError:
        raise NetError("%s does not name a host and a port" % shown, retry=False, hint=around) from None
    return name, port, unquote(keys)


def connect(sock: socket.socket, host: str, port: int, proxy: Proxy) -> None:
    """Send the CONNECT and read the proxy's answer.

    Raises:
        NetError: The proxy refuses.
    """
    at = "the proxy %s:%d" % proxy[:2]
    target = "%s:%d" % ("[%s]" % host if ":" in host else host, port)
    request = "CONNECT %s HTTP/1.1\r\nHost: %s\r\n" % (target, target)
    if proxy[2]:
        from binascii import b2a_base64

        basic = b2a_base64(proxy[2].encode("utf-8"), newline=False).decode("ascii")
        request += "Proxy-Authorization: Basic %s\r\n" % basic
    sock.sendall((request + "\r\n").encode("ascii"))
    status, _, rest = read_head(sock, at)
    if status == 407:
        raise NetError(
            "%s answered 407: it wants a user and a password" % at,
            retry=False,
            hint="HTTPS_PROXY=http://user:password@host:port",
        )
    if status != 200:
        raise NetError(
            "%s answered %d to CONNECT %s" % (at, status, target),
            retry=status >= 500,
            hint="the proxy must let the function reach it, or NO_PROXY=%s goes around it" % host,
        )
    if rest:
        raise NetError("%s sent data before the connection was used" % at, retry=False)


def unquote(text: str) -> str:
    """Percent-decode; urllib.parse costs 4 ms to import."""
    parts = text.encode("utf-8").split(b"%")
    out = parts[0]
    for part in parts[1:]:
        try:
            out += bytes([int(part[:2], 16)]) + part[2:] if len(part) > 1 else b"%" + part
        except ValueError:
            out += b"%" + part
    return out.decode("utf-8", "replace")
