"""Where the shim goes for its object and for its credentials, and past whom."""

from __future__ import annotations

import base64
import json
import socket
import threading
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import trustme
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import EndpointProviderError

from runtime_shim import PackError, _endpoint, _net, _s3
from tests.support.network_world import (
    HOST,
    KEYS,
    Frames,
    Server,
    TlsServer,
    everything,
    fetcher,
    proxying,
    read_request,
    serving,
)

SESSION = botocore.session.get_session()
REGIONS = [
    region
    for partition in SESSION.get_available_partitions()
    for region in SESSION.get_available_regions("s3", partition)
]


@pytest.fixture(scope="module")
def rules() -> EndpointProvider:
    """AWS's own rules for S3's endpoints, as botocore ships them."""
    loader = SESSION.get_component("data_loader")
    return EndpointProvider(
        loader.load_service_model("s3", "endpoint-rule-set-1"), loader.load_data("partitions")
    )


@pytest.mark.parametrize("fips", ["", "true"])
@pytest.mark.parametrize("dualstack", ["", "True"])
@pytest.mark.parametrize("bucket", ["plain-1", "with.dots", "With-Capitals", "under_score"])
def test_hosts_are_those_of_awss_own_rules(
    rules: EndpointProvider, bucket: str, dualstack: str, fips: str
) -> None:
    """Every region that botocore knows, with dual-stack and FIPS, wherever botocore has an answer."""
    environment = {"AWS_USE_DUALSTACK_ENDPOINT": dualstack, "AWS_USE_FIPS_ENDPOINT": fips}
    answered = 0
    for region in REGIONS:
        asked = {"Region": region, "Bucket": bucket, "UseDualStack": bool(dualstack), "UseFIPS": bool(fips)}
        try:
            theirs = rules.resolve_endpoint(**asked).url
        except EndpointProviderError:
            continue
        ours = _s3.Source(bucket, "k", region, environment)
        assert f"https://{ours.host}{ours.path}" == f"{theirs}/k"
        answered += 1
    assert answered >= 35


def test_a_partition_without_fips_is_refused_by_name() -> None:
    """As AWS's rules do: there is no such host, and a name that does not resolve would say less."""
    with pytest.raises(_s3.S3Error, match=r"AWS_USE_FIPS_ENDPOINT is set.*cn-north-1"):
        _s3.Source("bucket", "k", "cn-north-1", {"AWS_USE_FIPS_ENDPOINT": "true"})


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://[::1]:9000", "[::1]:9000"),
        ("http://[::1]", "[::1]"),
        ("http://127.0.0.1:80", "127.0.0.1"),
        ("https://minio.example:9000/base", "minio.example:9000"),
    ],
)
def test_the_host_header_is_the_endpoints_own(url: str, host: str) -> None:
    """An IPv6 address keeps its brackets, a default port goes without saying; it is signed like that."""
    source = _s3.Source("b", "k", "us-east-1", {**KEYS, "AWS_ENDPOINT_URL_S3": url})
    assert f"\r\nhost: {host}\r\n" in source.head()


@pytest.mark.parametrize(
    "url",
    ["http://", "http://host:port", "http://host:70000", "http://user:pw@host", "ftp://host", "http://hóst"],
)
def test_an_endpoint_that_is_none_is_refused_by_the_name_of_the_setting(url: str) -> None:
    """Not taken for another one, and not tried."""
    with pytest.raises(_s3.S3Error, match="AWS_ENDPOINT_URL_S3") as caught:
        _s3.Source("b", "k", "us-east-1", {"AWS_ENDPOINT_URL_S3": url})
    assert not caught.value.retry


def test_a_configured_endpoint_may_be_ignored() -> None:
    """AWS_IGNORE_CONFIGURED_ENDPOINT_URLS, as the AWS SDKs know it."""
    environment = {"AWS_ENDPOINT_URL": "http://x", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}
    assert _s3.Source("bucket", "k", "us-east-1", environment).host == "bucket.s3.us-east-1.amazonaws.com"


def test_ipv6_is_connected_to() -> None:
    """An endpoint with a literal IPv6 address works."""
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    frames = Frames([5000])
    seen: list[str] = []

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            seen.append(read_request(connection))
            head = f"HTTP/1.1 206 X\r\nContent-Length: {len(frames.body)}\r\n\r\n"
            connection.sendall(head.encode() + frames.body)

    threading.Thread(target=serve, daemon=True).start()
    port = listener.getsockname()[1]
    fetcher(frames, f"http://[::1]:{port}").run(everything(frames))
    listener.close()
    assert frames.complete
    assert f"host: [::1]:{port}\r\n" in seen[0]


# A proxy ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, str]:
    """An authority and its file."""
    authority = trustme.CA()
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return authority, str(path)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
@pytest.mark.parametrize("user", ["", "me:p%40ss@"])
def test_https_goes_through_a_proxy_by_connect(bundle: tuple[trustme.CA, str], name: str, user: str) -> None:
    """The proxy is asked for the host, gets its own credentials and no other, and sees only TLS."""
    frames = Frames([5000, 400_000])
    server = TlsServer(frames.body, bundle[0])
    with proxying(server.port) as proxy:
        environment = {name: f"http://{user}127.0.0.1:{proxy.port}", "AWS_CA_BUNDLE": bundle[1]}
        fetcher(frames, f"https://{HOST}", **environment).run(everything(frames))
    server.close()
    assert frames.complete
    (head,) = proxy.heads
    assert head.startswith(f"CONNECT {HOST}:443 HTTP/1.1\r\n")
    basic = base64.b64encode(b"me:p@ss").decode()
    assert (f"Proxy-Authorization: Basic {basic}\r\n" in head) == bool(user)
    assert "AKIDEXAMPLE" not in head + proxy.seen.decode("latin-1")
    assert "AKIDEXAMPLE" in server.requests[0]
    assert "proxy-authorization" not in server.requests[0].lower()


@pytest.mark.parametrize(
    ("no_proxy", "direct"),
    [
        ("*", True),
        (HOST, True),
        (".test.example", True),
        ("other, test.example", True),
        (f"{HOST}:443", True),
        (f"{HOST}:8443", False),
        ("est.example", False),
        ("", False),
        (",", False),
        ("S3.TEST.EXAMPLE", True),
    ],
)
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_no_proxy_goes_around_it(no_proxy: str, direct: bool, name: str) -> None:
    """Names, endings, ports and the asterisk; part of a label is no ending."""
    environment = {"HTTPS_PROXY": "http://proxy:3128", name: no_proxy}
    found = _net.find_proxy(HOST, 443, True, environment)
    assert found == (None if direct else ("proxy", 3128, ""))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1"])
def test_this_machine_is_never_behind_a_proxy(host: str) -> None:
    """The local cloud, SnapStart's endpoint, an extension: their address means nothing elsewhere."""
    environment = {"HTTP_PROXY": "http://proxy:3128", "HTTPS_PROXY": "socks5://proxy"}
    assert _net.find_proxy(host, 9000, False, environment) is None
    assert _net.find_proxy(host, 9000, True, environment) is None


def test_names_that_only_begin_like_this_machine_are_others() -> None:
    """127.0.0.1.example.com is anybody's."""
    assert not _endpoint.is_loopback("127.0.0.1.example.com")
    assert not _endpoint.is_loopback("127.example")


@pytest.mark.parametrize(
    ("environment", "url", "said"),
    [
        (
            {"HTTPS_PROXY": "socks5://u:hidden@proxy:1080"},
            f"https://{HOST}",
            "HTTPS_PROXY=socks5://proxy:1080",
        ),
        ({"https_proxy": "https://u:hidden@proxy:1080"}, f"https://{HOST}", "https_proxy=https://proxy:1080"),
        ({"HTTPS_PROXY": "http://u:hidden@proxy:port"}, f"https://{HOST}", "does not name a host and a port"),
        ({"HTTP_PROXY": "http://u:hidden@proxy:80"}, f"http://{HOST}", "signed requests in clear"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_refused_by_name(
    environment: dict[str, str], url: str, said: str
) -> None:
    """One attempt, the setting and what goes around it; never the password."""
    frames = Frames([5000])
    work = fetcher(frames, url, **environment)
    with pytest.raises(PackError, match=said) as caught:
        work.run(everything(frames))
    assert f"NO_PROXY={HOST}" in str(caught.value)
    assert "hidden" not in str(caught.value)
    assert work.stats.retries == 0


@pytest.mark.parametrize(
    ("answer", "said"),
    [("407 Proxy Authentication Required", "a user and a password"), ("403 No", "answered 403")],
)
def test_what_a_proxy_refuses_is_told(answer: str, said: str) -> None:
    """Who refused, and what would help."""
    frames = Frames([5000])
    with proxying(0, answer) as proxy:
        work = fetcher(frames, f"https://{HOST}", HTTPS_PROXY=f"127.0.0.1:{proxy.port}")
        with pytest.raises(PackError, match=f"the proxy 127.0.0.1:{proxy.port}.*{said}"):
            work.run(everything(frames))
    assert len(proxy.heads) == 1


# Credentials -----------------------------------------------------------------------------------------

DOCUMENT = json.dumps({"AccessKeyId": "AKIA", "SecretAccessKey": "s", "Token": "t"}).encode()


def endpoint(answer: bytes) -> Any:
    """An endpoint that gives this answer, and hangs up."""

    def behave(server: Server, connection: socket.socket, first: int, last: int) -> str:
        connection.sendall(answer)
        return "close"

    return behave


GIVES = endpoint(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(DOCUMENT) + DOCUMENT)


def ask(server: Server, **environment: str) -> tuple[str, str, str]:
    """The credentials from this endpoint, in an environment with a proxy."""
    return _s3.credentials(
        {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{server.url}/2021/credentials?x=1",
            "HTTP_PROXY": "http://127.0.0.1:9",
            "http_proxy": "http://127.0.0.1:9",
            **environment,
        }
    )


def test_credentials_are_asked_for_past_any_proxy() -> None:
    """SnapStart's endpoint is on this machine, and the token is for it alone."""
    with serving(b"", GIVES) as server:
        assert ask(server, AWS_CONTAINER_AUTHORIZATION_TOKEN="token") == ("AKIA", "s", "t")
    assert server.requests[0].startswith("GET /2021/credentials?x=1 HTTP/1.0\r\n")
    assert "\r\nAuthorization: token\r\n" in server.requests[0]
    assert f"\r\nHost: 127.0.0.1:{server.port}\r\n" in server.requests[0]


def test_credentials_from_afar_are_asked_for_past_a_proxy_too(
    bundle: tuple[trustme.CA, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTPS_PROXY is for S3: an endpoint on another machine is connected to as it is."""
    server = TlsServer(b"", bundle[0])
    server.behave = GIVES
    here = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: here)
    with proxying(server.port) as proxy:
        keys = ask(
            server,
            AWS_CONTAINER_CREDENTIALS_FULL_URI=f"https://{HOST}/",
            AWS_CA_BUNDLE=bundle[1],
            HTTPS_PROXY=f"http://127.0.0.1:{proxy.port}",
        )
    server.close()
    assert keys == ("AKIA", "s", "t")
    assert not proxy.heads


def test_a_token_in_a_file_goes_before_one_in_the_environment(tmp_path: Path) -> None:
    """AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: it is read each time, because it is replaced."""
    token = tmp_path / "token"
    with serving(b"", GIVES) as server:
        for text in ("first", "second"):
            token.write_text(text + "\n")
            environment = {
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token),
                "AWS_CONTAINER_AUTHORIZATION_TOKEN": "other",
            }
            ask(server, **environment)
            assert f"\r\nAuthorization: {text}\r\n" in server.requests[-1]
        token.write_text("two\nlines")
        with pytest.raises(_s3.S3Error, match="line break"):
            ask(server, **environment)
        token.unlink()
        with pytest.raises(_s3.S3Error, match=f"_TOKEN_FILE names {token}, which cannot be read"):
            ask(server, **environment)


@pytest.mark.parametrize(
    "uri",
    ["http://example.com/", "http://10.0.0.1/", "http://169.254.example.com/", "http://127.0.0.1.example/"],
)
def test_credentials_never_cross_a_network_in_clear(uri: str) -> None:
    """http is for this machine and its link; nobody is asked who merely has a name like it."""
    with pytest.raises(_s3.S3Error, match="neither https nor an address of this machine") as caught:
        _s3.credentials({"AWS_CONTAINER_CREDENTIALS_FULL_URI": uri})
    assert not caught.value.retry


@pytest.mark.parametrize(
    ("answer", "said", "retry"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nnot json", "gave no credentials", False),
        (b"HTTP/1.1 200 OK\r\n\r\n[]", "gave no credentials", False),
        (b'HTTP/1.1 200 OK\r\n\r\n{"AccessKeyId": 1, "SecretAccessKey": 2}', "gave no credentials", False),
        (b"HTTP/1.1 403 No\r\n\r\n", "answered 403", False),
        (b"HTTP/1.1 500 No\r\n\r\n", "answered 500", True),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 100_000, "no answer of a sensible size", True),
        (b"nonsense\r\n\r\n", "does not speak HTTP", False),
        (b"", "closed before an answer", True),
    ],
)
def test_an_endpoint_without_credentials_is_named(answer: bytes, said: str, retry: bool) -> None:
    """What it answered; whether to ask again."""
    with serving(b"", endpoint(answer)) as server, pytest.raises(_s3.S3Error, match=said) as caught:
        ask(server)
    assert f"the credentials endpoint {server.url}/2021/credentials" in str(caught.value)
    assert caught.value.retry == retry


def test_credentials_come_over_tls_too(bundle: tuple[trustme.CA, str]) -> None:
    """An https endpoint may be anywhere, and its certificate is verified."""
    server = TlsServer(b"", bundle[0])
    server.behave = GIVES
    uri = f"https://localhost:{server.port}/"
    keys = ask(server, AWS_CONTAINER_CREDENTIALS_FULL_URI=uri, AWS_CA_BUNDLE=bundle[1])
    assert keys == ("AKIA", "s", "t")
    with pytest.raises(_s3.S3Error, match="certificate verify failed"):
        ask(server, AWS_CONTAINER_CREDENTIALS_FULL_URI=uri)
    server.close()
    assert len(server.requests) == 1
