"""A copy of each pack in other regions, made inside S3 and compared with the file here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.stub import Stubber

from lambdapack import store
from lambdapack.errors import CheckError, ConfigurationError, ToolError
from lambdapack.limits import MIB
from lambdapack.store import copying
from lambdapack.store.multipart import S3Object
from tests.support.aws_world import empty_aws

ID = "c0" * 32
HOME, FAR = "eu-central-1", "us-west-2"
OWN, COPY = "packs-at-home", "packs-far-away"
KEY = store.key("team", ID)
COPIES = {FAR: f"s3://{COPY}/copies"}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with empty_aws() as url:
        yield url


@pytest.fixture
def client(endpoint: str, monkeypatch: pytest.MonkeyPatch):
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", region_name=HOME)
    for bucket, region in ((OWN, HOME), (COPY, FAR)):
        boto3.client("s3", region_name=region).create_bucket(
            Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region}
        )
    yield client
    for bucket in (OWN, COPY):
        for item in client.list_objects_v2(Bucket=bucket).get("Contents", []):
            client.delete_object(Bucket=bucket, Key=item["Key"])
        assert client.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
        client.delete_bucket(Bucket=bucket)


def opened(region: str = HOME) -> store.Store:
    return store.open_replicated(f"s3://{OWN}/team", COPIES, home=HOME, region=region)


def file_of(folder: Path, size: int = 5000) -> Path:
    path = folder / f"{ID}.tar.zst"
    path.write_bytes(b"".join(number.to_bytes(4, "big") for number in range(size // 4)))
    return path


def bytes_of(client, bucket: str, key: str) -> bytes:
    return client.get_object(Bucket=bucket, Key=key)["Body"].read()


@pytest.mark.parametrize("parts", [False, True])
def test_a_push_puts_the_pack_into_each_region(
    client, tmp_path: Path, parts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one copy or in parts, each bucket has the file; a second push sends and copies nothing."""
    if parts:
        monkeypatch.setattr(copying, "PART_SIZE", 5 * MIB)
        monkeypatch.setattr(copying, "SINGLE_MAX", 10 * MIB)
    path = file_of(tmp_path, 12 * MIB if parts else 5000)
    assert opened().push(path, ID) is True
    for bucket, key in ((OWN, KEY), (COPY, store.key("copies", ID))):
        assert bytes_of(client, bucket, key) == path.read_bytes()
    assert opened().exists(ID)
    assert opened().push(path, ID) is False
    client.delete_object(Bucket=COPY, Key=store.key("copies", ID))
    assert not opened().exists(ID)
    assert opened().push(path, ID) is True


def test_a_function_reads_the_copy_of_its_region(client) -> None:
    """In a region without a copy it reads the pack at home."""
    assert opened(FAR).location(ID).bucket == COPY
    assert opened(FAR).location(ID).region == FAR
    assert opened(HOME).location(ID).bucket == opened("eu-west-1").location(ID).bucket == OWN


@pytest.mark.parametrize("parts", [False, True])
def test_a_copy_of_something_else_is_refused_and_removed(
    client, tmp_path: Path, parts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody put other bytes of the same size there: the copy would spread them."""
    if parts:
        monkeypatch.setattr(copying, "PART_SIZE", 5 * MIB)
        monkeypatch.setattr(copying, "SINGLE_MAX", 10 * MIB)
    path = file_of(tmp_path, 12 * MIB if parts else 5000)
    client.put_object(Bucket=OWN, Key=KEY, Body=b"?" * path.stat().st_size)
    with pytest.raises(CheckError, match="is not the pack on this machine"):
        opened().push(path, ID)
    assert not [
        item for item in client.list_objects_v2(Bucket=COPY)["Contents"] if item["Key"].endswith(".zst")
    ]


def test_the_checksums_of_parts_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 says the SHA-256 of each part that it copied (moto does not): one that differs ends the copy."""
    monkeypatch.setattr(copying, "SINGLE_MAX", 1000)
    client = boto3.client("s3", region_name=FAR, aws_access_key_id="A", aws_secret_access_key="s")
    stub = Stubber(client)
    stub.add_response("create_multipart_upload", {"UploadId": "u"})
    answer = {"CopyPartResult": {"ETag": '"e"', "ChecksumSHA256": "b3RoZXI="}}
    which = {"Bucket": COPY, "Key": KEY, "UploadId": "u"}
    source = {"CopySource": {"Bucket": OWN, "Key": KEY}, "CopySourceRange": "bytes=0-4999"}
    stub.add_response("upload_part_copy", answer, {**which, **source, "PartNumber": 1})
    stub.add_response("delete_object", {}, {"Bucket": COPY, "Key": KEY})
    stub.add_response("abort_multipart_upload", {}, which)
    path = file_of(tmp_path)
    with stub, pytest.raises(CheckError, match="is not the pack on this machine"):
        copying.copy(S3Object(client, OWN, KEY), S3Object(client, COPY, KEY), path, lambda *_, **__: None)
    stub.assert_no_pending_responses()


def test_a_bucket_that_lacks_is_named_with_the_command_that_makes_one(client, tmp_path: Path) -> None:
    """The pack at home stays; the next push only copies."""
    missing = store.open_replicated(f"s3://{OWN}/team", {FAR: "s3://no-such-bucket"}, home=HOME)
    with pytest.raises(ToolError, match="there is no bucket 'no-such-bucket'") as caught:
        missing.push(file_of(tmp_path), ID)
    assert "lambdapack bucket create s3://no-such-bucket" in str(caught.value.hint)
    assert opened().push(file_of(tmp_path), ID) is True


def test_one_place_for_two_regions_is_refused() -> None:
    """A copy onto the pack itself would be none."""
    with pytest.raises(ConfigurationError, match="is named twice"):
        store.open_replicated(f"s3://{OWN}/team", {FAR: f"s3://{OWN}/team/"})
