"""S3 and Lambda in memory, as far as packs and their collection go, with a clock that tests move.

Every call of a client passes through ``Model.step``, so that a test can stop one caller between any two of
its calls and let another go on.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

from lambdapack import store
from lambdapack.deploy import gc
from lambdapack.deploy.aws import naming
from lambdapack.store.s3 import S3Store

REGION = "eu-central-1"
BUCKET = "modelled"
ACCOUNT = f"arn:aws:lambda:{REGION}:123456789012:function"


def refusal(code: str, status: int) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Call")


@dataclass(frozen=True)
class Version:
    """A version of a function: the pack that it names, and when it was made."""

    number: str
    pack: str
    made: float


@dataclass
class Model:
    """One account in one region, with one bucket.

    Attributes:
        now: Seconds since 1970.
        objects: Key -> bytes, and when they were written.
        functions: Name -> published versions by number; ``aliases``: name -> the number that callers get.
    """

    now: float = 1_800_000_000.0
    objects: dict[str, tuple[bytes, float]] = field(default_factory=dict)
    functions: dict[str, dict[str, Version]] = field(default_factory=dict)
    latest: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    step: Callable[[str], None] = lambda _: None

    def store(self, prefix: str = "team") -> S3Store:
        """A real store, whose client is this model."""
        return S3Store(BUCKET, prefix, lambda _: S3(self), region=REGION, sleep=lambda _: self.step("sleep"))

    def clients(self) -> Any:
        """What ``aws.Clients`` is to a collection."""
        return _Clients(self)

    def scope(self, *builds: Any) -> gc.Scope:
        return gc.Scope([self.store()], {REGION: self.clients()}, builds)

    def publish(self, name: str, pack: str) -> str:
        """What a deployment does once the pack is there: ``$LATEST``, then a version, then the alias."""
        self.step("update_function_code")
        self.latest[name] = pack
        self.step("publish_version")
        versions = self.functions.setdefault(name, {})
        number = str(max((int(each) for each in versions), default=0) + 1)
        versions[number] = Version(number, pack, self.now)
        self.step("update_alias")
        self.aliases[name] = number
        return number

    def packs(self) -> set[str]:
        """The ids of the packs that are in the bucket."""
        return {key.rpartition("/")[2].partition(".")[0] for key in self.objects if "/packs/" in key}

    def needed(self) -> set[str]:
        """The packs that some version reads."""
        published = {one.pack for versions in self.functions.values() for one in versions.values()}
        return published | set(self.latest.values())


def pack_id(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


class _Service:
    def __init__(self, model: Model) -> None:
        self._model = model
        self.meta = SimpleNamespace(region_name=REGION)

    def get_paginator(self, operation: str) -> Any:
        def pages(**parameters: Any) -> Iterator[dict[str, Any]]:
            self._model.step(f"{operation} {parameters.get('Prefix', '')}".rstrip())
            yield getattr(self, f"_{operation}")(**parameters)

        return SimpleNamespace(paginate=pages)

    def _metadata(self) -> dict[str, Any]:
        date = format_datetime(datetime.fromtimestamp(self._model.now, timezone.utc), usegmt=True)
        return {"HTTPStatusCode": 200, "HTTPHeaders": {"date": date}}


class S3(_Service):
    """The calls that a store makes."""

    def head_bucket(self, **_: Any) -> dict[str, Any]:
        return {"BucketRegion": REGION, "ResponseMetadata": self._metadata()}

    def put_object(self, Key: str, Body: bytes, IfNoneMatch: str = "", **_: Any) -> None:  # noqa: N803
        self._model.step(f"put_object {Key.split('/')[1]}")
        if IfNoneMatch and Key in self._model.objects:
            raise refusal("PreconditionFailed", 412)
        self._model.objects[Key] = (Body, self._model.now)

    def head_object(self, Key: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        self._model.step("head_object")
        if Key not in self._model.objects:
            raise refusal("404", 404)
        return {"ContentLength": len(self._model.objects[Key][0])}

    def delete_object(self, Key: str, **_: Any) -> None:  # noqa: N803
        self._model.step("delete_object")
        self._model.objects.pop(Key, None)

    def delete_objects(self, Delete: dict[str, Any], **_: Any) -> dict[str, Any]:  # noqa: N803
        self._model.step("delete_objects")
        for item in Delete["Objects"]:
            self._model.objects.pop(item["Key"], None)
        return {}

    def _list_objects_v2(self, Prefix: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        found = [
            {
                "Key": key,
                "Size": len(body),
                "LastModified": datetime.fromtimestamp(written, timezone.utc),
            }
            for key, (body, written) in self._model.objects.items()
            if key.startswith(Prefix)
        ]
        return {"Contents": found, "ResponseMetadata": self._metadata()}

    def _list_multipart_uploads(self, **_: Any) -> dict[str, Any]:
        return {}


class _Lambda(_Service):
    def _list_functions(self, **_: Any) -> dict[str, Any]:
        items = []
        for name, versions in self._model.functions.items():
            latest = Version("$LATEST", self._model.latest[name], self._model.now)
            items += [self._item(name, version) for version in (latest, *versions.values())]
        return {"Functions": items}

    def _item(self, name: str, version: Version) -> dict[str, Any]:
        where = store.locate(f"s3://{BUCKET}/team", version.pack, REGION)
        published = version.number != "$LATEST"
        moment = datetime.fromtimestamp(version.made, timezone.utc)
        return {
            "FunctionName": name,
            "FunctionArn": f"{ACCOUNT}:{name}:{version.number}",
            "Version": version.number,
            "LastModified": moment.strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
            "CodeSha256": base64.b64encode(hashlib.sha256(version.pack.encode()).digest()).decode(),
            "Description": naming.describe(version.pack, where) if published else "",
            "Environment": {"Variables": naming.pack_variable(version.pack, where)},
        }

    def _list_aliases(self, FunctionName: str) -> dict[str, Any]:  # noqa: N803
        alias = {"Name": "live", "AliasArn": f"{ACCOUNT}:{FunctionName}:live"}
        return {"Aliases": [{**alias, "FunctionVersion": self._model.aliases[FunctionName]}]}

    def _list_provisioned_concurrency_configs(self, **_: Any) -> dict[str, Any]:
        return {"ProvisionedConcurrencyConfigs": []}

    def _list_event_source_mappings(self, **_: Any) -> dict[str, Any]:
        return {"EventSourceMappings": []}

    def _list_layers(self, **_: Any) -> dict[str, Any]:
        return {"Layers": []}

    def get_policy(self, **_: Any) -> None:
        raise refusal("ResourceNotFoundException", 404)

    def delete_function(self, FunctionName: str, Qualifier: str) -> None:  # noqa: N803
        self._model.step("delete_function")
        if self._model.aliases.get(FunctionName) == Qualifier:
            raise refusal("ResourceConflictException", 409)
        self._model.functions[FunctionName].pop(Qualifier, None)


class _Clients:
    region = REGION

    def __init__(self, model: Model) -> None:
        self._model = model

    def __getitem__(self, service: str) -> Any:
        return _Lambda(self._model)
