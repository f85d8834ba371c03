"""Destroys what a ledger names; what cannot be destroyed stays in the ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.aws_check.ledger import Entry, Ledger
from lambdapack.deploy import aws
from lambdapack.errors import LambdapackError, ToolError

__all__ = ["clean"]

_ORDER = ("function", "layer", "bucket")
_ABSENT = frozenset({"NoSuchBucket", "404", "ResourceNotFoundException"})


def clean(ledger: Ledger, clients_of: Callable[[str], aws.Clients], say: Callable[[str], None]) -> None:
    """Destroy every entry, functions first; each is crossed out once it is gone.

    Raises:
        ToolError: Something is left, which the next ``--clean`` tries again.
    """
    left = []
    for entry in sorted(ledger.entries(), key=lambda entry: _ORDER.index(entry.kind)):
        try:
            _DESTROY[entry.kind](entry, clients_of(entry.region))
        except LambdapackError as error:
            left.append(f"{entry.kind} {entry.name}: {error.message}")
            continue
        ledger.gone(entry)
        say(f"destroyed {entry.kind} {entry.name}")
    if left:
        raise ToolError(
            f"destroying what the check made: {len(left)} are left in AWS", detail="\n".join(left),
            hint="python -m benchmarks.aws_check --clean tries again",
        )  # fmt: skip


def _function(entry: Entry, clients: aws.Clients) -> None:
    aws.destroy(entry.name, clients=clients)


def _layer(entry: Entry, clients: aws.Clients) -> None:
    client = clients["lambda"]
    with _told(f"deleting the layer {entry.name}"):
        pages = client.get_paginator("list_layer_versions").paginate(LayerName=entry.name)
        for version in [version["Version"] for page in pages for version in page["LayerVersions"]]:
            client.delete_layer_version(LayerName=entry.name, VersionNumber=version)


def _bucket(entry: Entry, clients: aws.Clients) -> None:
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow

    client = clients["s3"]
    with _told(f"deleting the bucket {entry.name}"):
        try:
            for upload in client.list_multipart_uploads(Bucket=entry.name).get("Uploads", ()):
                client.abort_multipart_upload(
                    Bucket=entry.name, Key=upload["Key"], UploadId=upload["UploadId"]
                )
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=entry.name):
                keys = [{"Key": each["Key"]} for each in page.get("Contents", ())]
                if keys:
                    client.delete_objects(Bucket=entry.name, Delete={"Objects": keys})
            client.delete_bucket(Bucket=entry.name)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in _ABSENT:
                raise


def _told(doing: str) -> Any:
    from lambdapack.deploy.aws.errors import errors_of_aws  # noqa: PLC0415 - slow

    return errors_of_aws(doing)


_DESTROY: dict[str, Callable[[Entry, aws.Clients], None]] = {
    "function": _function, "layer": _layer, "bucket": _bucket,
}  # fmt: skip
