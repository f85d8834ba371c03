"""The S3 store against real HTTP: moto's server, and a small one that answers what moto never does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from lambdapack import store
from lambdapack.errors import CheckError, ConfigurationError, ToolError
from lambdapack.store import multipart
from lambdapack.store.s3 import S3Store, connect
from tests.support.aws_world import empty_aws

ID = "c0" * 32
KEY = f"team/packs/c0/{ID}.tar.zst"
BUCKET = "packs-of-tests"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with empty_aws() as url:
        yield url


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))


@pytest.fixture
def client(endpoint: str):
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    client.create_bucket(Bucket=BUCKET)
    yield client
    for one in client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []):
        client.abort_multipart_upload(Bucket=BUCKET, Key=one["Key"], UploadId=one["UploadId"])
    for one in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        client.delete_object(Bucket=BUCKET, Key=one["Key"])
    client.delete_bucket(Bucket=BUCKET)


@pytest.fixture
def kept(client, endpoint: str) -> store.Store:
    return opened(endpoint)


def opened(endpoint: str, bucket: str = BUCKET, **options: str) -> store.Store:
    return store.open_store(f"s3://{bucket}/team/", environment={"AWS_ENDPOINT_URL_S3": endpoint}, **options)


def file_of(folder: Path, size: int) -> Path:
    path = folder / f"{ID}.tar.zst"
    path.write_bytes(b"".join(number.to_bytes(4, "big") for number in range(size // 4)) + b"x" * (size % 4))
    return path


class Recorder:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.done: dict[str, int] = {}
        self.totals: dict[str, int | None] = {}
        self.notes: list[str] = []

    def step(self, name: str, *, total: int | None = None, unit: str = ""):
        recorder = self

        class Step:
            def __enter__(self):
                recorder.totals[name] = total

                def advance(amount: int = 1, *, note: str | None = None) -> None:
                    recorder.done[name] = recorder.done.get(name, 0) + amount

                return advance

            def __exit__(self, *error: object) -> None:
                return None

        return Step()

    def note(self, message: str) -> None:
        self.notes.append(message)

    warn = note


@pytest.mark.parametrize("size", [1000, 20 * 1024 * 1024 + 3])
def test_a_push_sends_every_byte(kept, client, tmp_path: Path, size: int) -> None:
    """In one request or in parts, the object is the file; progress ends at its size."""
    path, progress = file_of(tmp_path, size), Recorder()
    assert kept.push(path, ID, progress=progress) is True
    assert client.get_object(Bucket=BUCKET, Key=KEY)["Body"].read() == path.read_bytes()
    assert progress.done == progress.totals == {"upload": size}


def test_a_second_push_sends_nothing(kept, client, tmp_path: Path) -> None:
    """The object is looked for first: pushing twice is free and says so."""
    path = file_of(tmp_path, 5000)
    assert kept.push(path, ID)
    stamp = client.head_object(Bucket=BUCKET, Key=KEY)["LastModified"]
    progress = Recorder()
    assert kept.push(path, ID, progress=progress) is False
    assert progress.done == {}
    assert client.head_object(Bucket=BUCKET, Key=KEY)["LastModified"] == stamp


def test_exists_and_location(kept, tmp_path: Path) -> None:
    """A pack exists after its push; its location names bucket, key and region."""
    assert not kept.exists(ID)
    kept.push(file_of(tmp_path, 100), ID)
    assert kept.exists(ID)
    location = kept.location(ID)
    assert (location.bucket, location.key, location.region) == (BUCKET, KEY, "us-east-1")


def test_an_object_of_another_size_is_not_taken_for_the_pack(kept, client, tmp_path: Path) -> None:
    """A key that somebody else wrote to is reported, not believed."""
    client.put_object(Bucket=BUCKET, Key=KEY, Body=b"short")
    with pytest.raises(CheckError, match="5 bytes"):
        kept.push(file_of(tmp_path, 100), ID)


class Breaking:
    """A client that fails after some parts, or in whichever way a test wants."""

    def __init__(self, client, **broken) -> None:
        self._client = client
        self._broken = broken

    def __getattr__(self, name: str):
        return self._broken.get(name) or getattr(self._client, name)


def breaking_store(endpoint: str, **broken) -> tuple[S3Store, object]:
    real = connect("us-east-1", {"AWS_ENDPOINT_URL_S3": endpoint})
    return S3Store(BUCKET, "team", lambda region: Breaking(real, **broken), region="us-east-1"), real


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), EndpointConnectionError(endpoint_url="http://x")])
def test_an_interrupted_upload_goes_on_where_it_stopped(
    client, endpoint: str, tmp_path: Path, failure: BaseException
) -> None:
    """Ctrl-C or a dead network in the middle: the next push keeps the parts that are there, sends only
    the others, and the object is whole."""
    path = file_of(tmp_path, 5 * multipart.PART_SIZE + 11)
    sent: list[int] = []
    lock = threading.Lock()

    def upload_part(**request):
        with lock:
            if len(sent) >= 3:
                raise failure
            sent.append(request["PartNumber"])
        return client.upload_part(**request)

    broken, _ = breaking_store(endpoint, upload_part=upload_part)
    with pytest.raises((KeyboardInterrupt, ToolError)):
        broken.push(path, ID)
    assert len(sent) == 3

    again: list[int] = []

    def count(**request):
        again.append(request["PartNumber"])
        return client.upload_part(**request)

    progress = Recorder()
    resumed, _ = breaking_store(endpoint, upload_part=count)
    assert resumed.push(path, ID, progress=progress) is True
    assert sorted(sent + again) == [1, 2, 3, 4, 5, 6]
    assert progress.done == {"upload": path.stat().st_size}
    assert progress.notes == [f"24 MiB of {path.name} were sent before and are kept"]
    assert client.get_object(Bucket=BUCKET, Key=KEY)["Body"].read() == path.read_bytes()


def test_a_part_with_other_bytes_is_sent_again(client, kept, tmp_path: Path) -> None:
    """A part counts as sent only when its digest is that of our bytes."""
    path = file_of(tmp_path, 3 * multipart.PART_SIZE)
    made = client.create_multipart_upload(Bucket=BUCKET, Key=KEY, ChecksumAlgorithm="SHA256")
    client.upload_part(
        Bucket=BUCKET, Key=KEY, UploadId=made["UploadId"], PartNumber=2, Body=b"?" * multipart.PART_SIZE
    )
    assert kept.push(path, ID)
    assert client.get_object(Bucket=BUCKET, Key=KEY)["Body"].read() == path.read_bytes()


@pytest.mark.parametrize("size", [1000, 3 * multipart.PART_SIZE])
@pytest.mark.parametrize("status", [409, 412])
def test_losing_a_race_is_no_error(client, endpoint: str, tmp_path: Path, size: int, status: int) -> None:
    """Somebody else completes the same key while we send: 412 and 409 mean that it is there, and our own
    unfinished upload is removed."""
    path = file_of(tmp_path, size)

    def lose(**request):
        if "/leases/" in request["Key"]:
            return
        assert request["IfNoneMatch"] == "*"
        client.put_object(Bucket=BUCKET, Key=KEY, Body=path.read_bytes())
        raise ClientError(
            {"Error": {"Code": "PreconditionFailed"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Put"
        )

    lost, _ = breaking_store(endpoint, put_object=lose, complete_multipart_upload=lose)
    assert lost.push(path, ID) is False
    assert client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []) == []


def test_an_upload_that_somebody_ended_begins_anew(client, endpoint: str, tmp_path: Path) -> None:
    """An aborted upload (a lifecycle rule, another push) is begun again, not reported."""
    path = file_of(tmp_path, 3 * multipart.PART_SIZE)
    aborted: list[str] = []

    def complete(**request):
        if not aborted:
            aborted.append(request["UploadId"])
            client.abort_multipart_upload(Bucket=BUCKET, Key=KEY, UploadId=request["UploadId"])
            # moto's server has a bug here: it answers 500 where S3 answers this.
            gone = {"Error": {"Code": "NoSuchUpload"}, "ResponseMetadata": {"HTTPStatusCode": 404}}
            raise ClientError(gone, "CompleteMultipartUpload")
        return client.complete_multipart_upload(**request)

    store_, _ = breaking_store(endpoint, complete_multipart_upload=complete)
    assert store_.push(path, ID) is True
    assert client.get_object(Bucket=BUCKET, Key=KEY)["Body"].read() == path.read_bytes()


def test_racing_pushes_agree(client, endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Several pushes of one pack at a time: all succeed, and the object is whole."""
    # Short, but there: the stand-in for S3 answers some of what races with 500, and again at once.
    sleep = time.sleep
    monkeypatch.setattr("time.sleep", lambda seconds: sleep(min(seconds, 0.2)))
    path = file_of(tmp_path, 3 * multipart.PART_SIZE)
    outcomes: list[object] = []

    def push() -> None:
        try:
            outcomes.append(opened(endpoint).push(path, ID))
        except Exception as error:
            outcomes.append(error)

    threads = [threading.Thread(target=push) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(outcomes) <= {True, False}
    assert any(outcomes), "every push found the object there already: nobody uploaded it"
    assert client.get_object(Bucket=BUCKET, Key=KEY)["Body"].read() == path.read_bytes()


def test_a_missing_bucket_is_named(endpoint: str, tmp_path: Path) -> None:
    """The message names the bucket and the hint the command that makes it."""
    with pytest.raises(ToolError, match="there is no bucket 'nowhere-at-all'") as caught:
        opened(endpoint, "nowhere-at-all").push(file_of(tmp_path, 10), ID)
    assert "lambdapack bucket create s3://nowhere-at-all" in caught.value.hint


def test_an_unreachable_endpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody listens: the message names the endpoint, the hint the setting."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(ToolError, match=r"cannot be reached.*127\.0\.0\.1:1") as caught:
        opened("http://127.0.0.1:1").push(file_of(tmp_path, 10), ID)
    assert "AWS_ENDPOINT_URL_S3" in caught.value.hint


def test_missing_credentials(endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials anywhere: the hint says how to give some."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(ToolError, match="there are no AWS credentials") as caught:
        opened(endpoint).push(file_of(tmp_path, 10), ID)
    assert "AWS_PROFILE" in caught.value.hint


def test_an_unknown_profile(endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A profile that does not exist is the user's configuration: exit status 2."""
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(ConfigurationError, match="nobody"):
        opened(endpoint).push(file_of(tmp_path, 10), ID)


class Refusing(BaseHTTPRequestHandler):
    """An S3 that refuses everything with ``code``; HEAD has no body, as HTTP wants it."""

    status, code, region = 403, "AccessDenied", "us-east-1"

    def answer(self) -> None:
        body = f"<Error><Code>{self.code}</Code><Message>said {self.code}</Message></Error>".encode()
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        self.send_response(self.status)
        self.send_header("x-amz-bucket-region", self.region)
        self.send_header("Content-Length", "0" if self.command == "HEAD" else str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = answer  # noqa: N815 - http.server's names

    def log_message(self, *args: object) -> None:
        return None


@pytest.fixture
def refusing(request: pytest.FixtureRequest) -> Iterator[str]:
    status, code = request.param
    handler = type("Handler", (Refusing,), {"status": status, "code": code})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("refusing", "message", "hint"),
    [
        ((403, "AccessDenied"), "access to bucket 'packs-of-tests' is forbidden", "s3:PutObject"),
        ((400, "ExpiredToken"), "the AWS credentials have expired", "aws sso login"),
        ((403, "InvalidAccessKeyId"), "does not accept the AWS credentials", "get-caller-identity"),
        ((403, "SignatureDoesNotMatch"), "does not accept the AWS credentials", "get-caller-identity"),
        ((403, "RequestTimeTooSkewed"), "clock", "set the clock"),
        ((503, "SlowDown"), "S3 keeps failing", "run it again"),
    ],
    indirect=["refusing"],
)
def test_each_refusal_has_its_own_message(
    refusing: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, message: str, hint: str
) -> None:
    """Forbidden, expired, invalid, skewed and busy are told apart, although a HEAD says only a number."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(ToolError, match=message) as caught:
        opened(refusing).push(file_of(tmp_path, 10), ID)
    assert hint in caught.value.hint


class Elsewhere(Refusing):
    """A bucket in eu-north-1: requests signed for another region are redirected."""

    seen: list[str]

    def answer(self) -> None:
        signed = self.headers["Authorization"].split("/")[2]
        self.seen.append(f"{self.command} {signed}")
        if signed != "eu-north-1":
            self.status, self.code, self.region = 301, "PermanentRedirect", "eu-north-1"
            super().answer()
            return
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        missing = self.command == "HEAD" and "/packs/" in self.path
        self.send_response(404 if missing else 200)
        self.send_header("x-amz-bucket-region", "eu-north-1")
        self.send_header("ETag", '"e"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = answer  # noqa: N815 - http.server's names


def test_a_bucket_in_another_region_is_found_there(tmp_path: Path) -> None:
    """The region that S3 names is used, once found; location() gives it and the user is told."""
    handler = type("Handler", (Elsewhere,), {"seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        kept, progress = opened(f"http://127.0.0.1:{server.server_port}", region="us-west-2"), Recorder()
        assert kept.push(file_of(tmp_path, 10), ID, progress=progress) is True
        assert kept.location(ID).region == "eu-north-1"
    finally:
        server.shutdown()
        server.server_close()
    assert "eu-north-1" in progress.notes[0]
    assert handler.seen[-1] == "PUT eu-north-1"


def test_ctrl_c_in_a_push_keeps_what_was_sent(client, kept, endpoint: str, tmp_path: Path) -> None:
    """SIGINT in the middle of a real process: no object appears, and the next push goes on."""
    path = file_of(tmp_path, 6 * multipart.PART_SIZE)
    script = textwrap.dedent(f"""
        import time
        from pathlib import Path
        from lambdapack import store

        class Slow:
            def step(self, name, **more): return self
            def __enter__(self): return self.advance
            def __exit__(self, *error): return None
            def note(self, message): return None
            def advance(self, amount=1, *, note=None):
                if amount:
                    print("sent", flush=True)
                    time.sleep(60)

        kept = store.open_store("s3://{BUCKET}/team", environment={{"AWS_ENDPOINT_URL_S3": {endpoint!r}}})
        kept.push(Path({str(path)!r}), {ID!r}, progress=Slow())
    """)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "sent\n"
        child.send_signal(signal.SIGINT)
        assert child.wait(60) != 0
    assert not kept.exists(ID)
    progress = Recorder()
    assert kept.push(path, ID, progress=progress) is True
    assert len(progress.notes) == 1 and "were sent before and are kept" in progress.notes[0]
    assert client.get_object(Bucket=BUCKET, Key=KEY)["Body"].read() == path.read_bytes()


@pytest.mark.parametrize("url", ["s3://", "s3://B", "s3:///prefix", "http://bucket/prefix", "s3://a_b/c"])
def test_what_is_not_a_store_is_refused(url: str) -> None:
    """Only s3://BUCKET/PREFIX and folders are stores."""
    with pytest.raises(ConfigurationError, match="is not a store"):
        store.open_store(url)


@pytest.mark.parametrize("prefix", ["team", "/team/", "team/"])
def test_keys_are_spread_by_the_first_two_digits(prefix: str) -> None:
    """PREFIX/packs/<first 2>/<id>.tar.zst, whatever slashes the prefix has; none without a prefix."""
    assert store.key(prefix, ID) == KEY
    assert store.key("", ID) == f"packs/c0/{ID}.tar.zst"
