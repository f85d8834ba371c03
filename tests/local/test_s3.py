"""The S3 endpoint, asked by boto3 and by bare sockets."""

from __future__ import annotations

import http.client
import os
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from lambdapack.local.endpoint import Endpoint, new_credentials
from lambdapack.local.link import Fault, Link, LinkSettings
from lambdapack.local.s3.objects import Grant
from lambdapack.local.s3.server import S3Server
from lambdapack.local.s3.sigv4 import Credentials
from tests.support.local_cloud import eventually
from tests.support.signing import sign

DATA = os.urandom(300_000)
OWNER = Credentials("AKIAOWNER", "owner/secret+key")
READER = new_credentials()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[S3Server]:
    (tmp_path / "bucket" / "packs").mkdir(parents=True)
    (tmp_path / "bucket" / "packs" / "a.tar.zst").write_bytes(DATA)
    (tmp_path / "bucket" / "other").write_bytes(b"secret")
    grants = [
        Grant(OWNER, None, write=True, list=True),
        Grant(READER, frozenset(["bucket/packs/a.tar.zst"])),
    ]
    server = S3Server(tmp_path, grants)
    threading.Thread(target=server.serve, daemon=True).start()
    yield server
    server.close()


def client(server: S3Server, credentials: Credentials, region: str = "eu-west-1") -> Any:
    return boto3.client(
        "s3",
        endpoint_url=server.url,
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        aws_session_token=credentials.session_token or None,
        region_name=region,
        config=Config(retries={"max_attempts": 1}),
    )


def refusal(call: Any, **arguments: str) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def get(
    server: S3Server,
    connection: http.client.HTTPConnection | None = None,
    headers: dict[str, str] | None = None,
    *,
    method: str = "GET",
    when: datetime | None = None,
    path: str = "/bucket/packs/a.tar.zst",
) -> http.client.HTTPResponse:
    host = server.url.removeprefix("http://")
    connection = connection or http.client.HTTPConnection(host, timeout=20)
    keys = READER.access_key, READER.secret_key, READER.session_token
    now = when or datetime.now(timezone.utc)
    signed = sign(method, path, {"host": host, **(headers or {})}, keys, region="eu-west-1", now=now)
    connection.request(method, path, headers=signed)
    return connection.getresponse()


@pytest.mark.parametrize("credentials", [OWNER, READER], ids=["key pair", "session"])
def test_boto3_reads_ranges(server: S3Server, credentials: Credentials) -> None:
    """What botocore signs is accepted, with and without a session token; a range is 206 and exact."""
    s3 = client(server, credentials)
    whole = s3.get_object(Bucket="bucket", Key="packs/a.tar.zst")
    assert whole["Body"].read() == DATA
    part = s3.get_object(Bucket="bucket", Key="packs/a.tar.zst", Range="bytes=1000-1999")
    assert part["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert part["ContentRange"] == f"bytes 1000-1999/{len(DATA)}"
    assert part["ContentLength"] == 1000
    assert part["Body"].read() == DATA[1000:2000]
    assert s3.head_object(Bucket="bucket", Key="packs/a.tar.zst")["ETag"] == whole["ETag"]


def test_boto3_writes_what_it_then_reads(server: S3Server) -> None:
    """PUT stores the body under any name, and ``If-None-Match: *`` refuses to replace it."""
    s3 = client(server, OWNER)
    for key in ("new/one", "with space & ü+%", "a//b"):
        if "//" in key:
            assert refusal(s3.put_object, Bucket="bucket", Key=key) == ("InvalidURI", 400)
        else:
            s3.put_object(Bucket="bucket", Key=key, Body=b"x" * 1000)
            assert s3.get_object(Bucket="bucket", Key=key)["Body"].read() == b"x" * 1000
    again = {"Bucket": "bucket", "Key": "new/one", "IfNoneMatch": "*"}
    assert refusal(s3.put_object, **again) == ("PreconditionFailed", 412)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"secret_key": "other"}, ("SignatureDoesNotMatch", 403)),
        ({"access_key": "ASIAUNKNOWN"}, ("InvalidAccessKeyId", 403)),
        ({"session_token": "other"}, ("InvalidToken", 400)),
        ({"session_token": ""}, ("InvalidToken", 400)),
    ],
    ids=["secret", "key", "token", "no token"],
)
def test_wrong_credentials_are_refused_as_s3_refuses_them(
    server: S3Server, wrong: dict[str, str], expected: tuple[str, int]
) -> None:
    """Each kind of wrong credentials has S3's own code and status."""
    s3 = client(server, replace(READER, **wrong))
    assert refusal(s3.get_object, Bucket="bucket", Key="packs/a.tar.zst") == expected


def test_expired_credentials_and_a_wrong_region_are_refused(server: S3Server) -> None:
    """S3 answers both with 400, and names the region that it expects, which boto3 then uses."""
    server.grants[READER.access_key] = Grant(replace(READER, expires=time.time() - 1), None)
    arguments = {"Bucket": "bucket", "Key": "packs/a.tar.zst"}
    assert refusal(client(server, READER).get_object, **arguments) == ("ExpiredToken", 400)
    server.grants[READER.access_key] = Grant(replace(READER, region="eu-west-1"), None)
    other = client(server, READER, "us-east-2")
    assert other.get_object(**arguments)["Body"].read() == DATA
    # boto3 was refused, read the right region in the answer, and signed again.
    assert [entry.status for entry in server.log][1:] == [400, 200]


def test_only_what_the_policy_names_can_be_read(server: S3Server) -> None:
    """Another key, a missing one and any PUT are 403 to a reader; only who may list learns of 404."""
    reader, owner = client(server, READER), client(server, OWNER)
    for key in ("other", "missing"):
        assert refusal(reader.get_object, Bucket="bucket", Key=key) == ("AccessDenied", 403)
    assert refusal(reader.put_object, Bucket="bucket", Key="packs/a.tar.zst") == ("AccessDenied", 403)
    assert refusal(owner.get_object, Bucket="bucket", Key="missing") == ("NoSuchKey", 404)
    assert refusal(owner.get_object, Bucket="nobucket", Key="x") == ("NoSuchBucket", 404)
    end = f"bytes={len(DATA)}-"
    assert refusal(owner.get_object, Bucket="bucket", Key="other", Range=end) == ("InvalidRange", 416)


def test_every_signed_part_counts(server: S3Server) -> None:
    """A request altered after it was signed, unsigned, or signed long ago is refused."""
    host = server.url.removeprefix("http://")
    path = "/bucket/packs/a.tar.zst"
    now = datetime.now(timezone.utc)
    keys = READER.access_key, READER.secret_key, READER.session_token
    signed = sign("GET", path, {"host": host, "range": "bytes=0-9"}, keys, region="x", now=now)

    def status(headers: dict[str, str], where: str = path) -> int:
        connection = http.client.HTTPConnection(host, timeout=20)
        connection.request("GET", where, headers=headers)
        return connection.getresponse().status

    assert status(signed) == 206
    assert status({**signed, "range": "bytes=0-99"}) == 403
    assert status(signed, "/bucket/other") == 403
    assert status(signed, path + "?versionId=1") == 403
    assert status({**signed, "x-amz-meta-new": "1"}) == 403
    assert status({"host": host}) == 403
    assert get(server, when=now - timedelta(minutes=16)).status == 403
    assert get(server, when=now - timedelta(minutes=14)).status == 200


def test_nothing_outside_the_folder_is_served(server: S3Server, tmp_path: Path) -> None:
    """A key cannot climb out of its bucket, however it is written."""
    outside = tmp_path.parent / "outside"
    outside.write_bytes(b"no")
    for path in ("/bucket/../../outside", "/bucket/%2e%2e/%2e%2e/outside", "/../outside", "/bucket/packs"):
        server.grants[READER.access_key] = Grant(READER, None, list=True)
        assert get(server, path=path).status in (400, 404)


def test_connections_are_kept_alive(server: S3Server) -> None:
    """Answers and refusals leave the connection usable; the log tells who asked for what over which."""
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=20)
    assert get(server, connection, {"range": "bytes=0-9"}).read() == DATA[:10]
    assert b"AccessDenied" in get(server, connection, path="/bucket/other").read()
    assert get(server, connection, method="HEAD").read() == b""
    assert get(server, connection).read() == DATA
    log = server.log
    assert [entry.connection for entry in log[:3]] == [log[0].connection] * 3
    assert [(entry.status, entry.range) for entry in log[:2]] == [(206, "bytes=0-9"), (403, "")]
    assert log[0].sent == 10


def test_faults_happen_as_scripted(server: S3Server) -> None:
    """Each kind of fault is what the client sees, at the byte and the request that were named."""
    script = [
        Fault(1, "status", status=503),
        Fault(2, "reset", after=1000),
        Fault(3, "truncate", after=2000),
        Fault(4, "corrupt", after=3000),
        Fault(5, "close"),
        Fault(6, "stall", after=10, seconds=0.01),
    ]
    server.grants[READER.access_key] = Grant(READER, None, link=Link(LinkSettings(faults=tuple(script))))
    slow = get(server)
    assert (slow.status, b"SlowDown" in slow.read()) == (503, True)
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
        get(server).read()
    with pytest.raises(http.client.IncompleteRead) as caught:
        get(server).read()
    assert caught.value.partial == DATA[:2000]
    corrupted = get(server).read()
    assert [i for i in range(len(DATA)) if corrupted[i] != DATA[i]] == [3000]
    with pytest.raises(http.client.RemoteDisconnected):
        get(server)
    assert get(server).read() == DATA
    assert get(server).read() == DATA


def test_a_throttled_link_counts_every_byte_of_all_connections(server: S3Server) -> None:
    """Connections of one environment share one bucket: what it let through is what they received."""
    link = Link(LinkSettings(bandwidth_mbps=2000))
    taken = []
    assert link.bucket is not None
    take = link.bucket.take
    link.bucket.take = lambda amount: (taken.append(amount), take(amount))[1]  # type: ignore[method-assign]
    server.grants[READER.access_key] = Grant(READER, None, link=link)
    threads = [threading.Thread(target=lambda: get(server).read()) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) == 4 * len(DATA)
    assert max(taken) <= link.bucket.quantum


def test_the_process_obeys_and_ends_with_its_owner(tmp_path: Path) -> None:
    """Grants, links and the log work over the pipe; when the pipe ends, so does the process."""
    (tmp_path / "bucket").mkdir()
    (tmp_path / "bucket" / "key").write_bytes(DATA)
    endpoint = Endpoint(tmp_path)
    try:
        endpoint.grant(READER, ["bucket/key"], faults=[Fault(1, "status")])
        assert get(endpoint, path="/bucket/key").status == 500  # type: ignore[arg-type]
        endpoint.set_link(READER.access_key, LinkSettings(latency_ms=1.0))
        assert get(endpoint, path="/bucket/key").read() == DATA  # type: ignore[arg-type]
        endpoint.revoke(READER.access_key)
        assert get(endpoint, path="/bucket/key").status == 403  # type: ignore[arg-type]
        # A request is logged once the answer was sent, beside the next request.
        assert eventually(lambda: (500, "status") in [(e.status, e.fault) for e in endpoint.log()])
    finally:
        endpoint.close()
    with pytest.raises(ConnectionRefusedError):
        get(endpoint)  # type: ignore[arg-type]


def test_revoked_credentials_have_no_connections_left(server: S3Server) -> None:
    """The connection that was used last with them ends at once; another client's goes on."""
    host = server.url.removeprefix("http://")
    ours = http.client.HTTPConnection(host, timeout=10)
    assert get(server, ours).read() == DATA
    other = client(server, OWNER)
    server.revoke(READER.access_key)
    assert ours.sock is not None and ours.sock.recv(1) == b""
    assert other.get_object(Bucket="bucket", Key="other")["Body"].read() == b"secret"


def test_the_endpoints_clock_may_be_ahead_of_a_clients(server: S3Server) -> None:
    """Its refusal tells its own time, as S3's does."""
    server.grants[READER.access_key] = Grant(replace(READER, ahead=3600.0), None)
    answer = get(server)
    told = re.search(rb"<ServerTime>(.*)</ServerTime>", answer.read())
    assert answer.status == 403 and told is not None
    time_there = datetime.strptime(told[1].decode(), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    ahead = time_there - datetime.now(timezone.utc)
    assert abs(ahead - timedelta(hours=1)) < timedelta(minutes=1)
    assert get(server, when=datetime.now(timezone.utc) + timedelta(hours=1)).status == 200
