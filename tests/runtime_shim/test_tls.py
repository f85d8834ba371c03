"""The shim's connections over TLS: whom it trusts, and that bytes arrive through it."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import certifi
import pytest
import trustme

from runtime_shim import _roots, _s3

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}
BODY = bytes(range(256)) * 512  # several TLS records


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, str]:
    """An authority of its own, and its certificate as a file."""
    made = trustme.CA()
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    made.cert_pem.write_to_path(path)
    return made, str(path)


@pytest.fixture(scope="module")
def endpoint(authority: tuple[trustme.CA, str]) -> Iterator[str]:
    """An HTTPS server on this machine that answers each request with ``BODY``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority[0].issue_cert("localhost").configure_cert(context)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(plain, server_side=True) as connection:
                    connection.recv(4096)
                    head = f"HTTP/1.1 206 Partial Content\r\nContent-Length: {len(BODY)}\r\n\r\n"
                    connection.sendall(head.encode() + BODY)
            except OSError:
                continue  # the client does not trust this server

    threading.Thread(target=serve, daemon=True).start()
    yield f"https://localhost:{listener.getsockname()[1]}"
    listener.close()


def fetch(endpoint: str, **environment: str) -> bytes:
    """``BODY``, as the shim reads it."""
    source = _s3.Source(
        "bucket", "key", "us-east-1", {**KEYS, "AWS_ENDPOINT_URL_S3": endpoint, **environment}
    )
    connection = _s3.Connection(source)
    connection.request(0, len(BODY) - 1)
    data = bytearray(len(BODY))
    connection.read_into(memoryview(data))
    connection.close()
    return bytes(data)


def test_a_named_bundle_is_trusted(endpoint: str, authority: tuple[trustme.CA, str]) -> None:
    """AWS_CA_BUNDLE, as the AWS SDKs know it."""
    assert fetch(endpoint, AWS_CA_BUNDLE=authority[1]) == BODY


def test_whom_the_system_trusts_is_trusted_too(
    endpoint: str, authority: tuple[trustme.CA, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that Amazon's authorities do not vouch for is checked against the system's bundle."""
    monkeypatch.setenv("SSL_CERT_FILE", authority[1])
    assert fetch(endpoint) == BODY


def test_an_unknown_authority_is_refused_by_name_of_the_problem(endpoint: str) -> None:
    """Nobody vouches for the server: no byte is read, and the message says why."""
    with pytest.raises(_s3.S3Error, match="certificate verify failed"):
        fetch(endpoint)


def test_a_named_bundle_alone_counts(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With AWS_CA_BUNDLE nothing else is trusted."""
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    with pytest.raises(_s3.S3Error, match="certificate verify failed"):
        fetch(endpoint, AWS_CA_BUNDLE=str(other))


def test_the_roots_are_those_that_the_world_trusts() -> None:
    """Each of the five certificates is in Mozilla's list, and they are Amazon's."""
    context, world = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=_roots.AMAZON)
    world.load_verify_locations(certifi.where())
    ours = context.get_ca_certs(binary_form=True)
    assert len(ours) == 5
    assert set(ours) <= set(world.get_ca_certs(binary_form=True))
    subjects = [str(certificate["subject"]) for certificate in context.get_ca_certs()]
    assert all("Amazon" in subject or "Starfield Services" in subject for subject in subjects)
