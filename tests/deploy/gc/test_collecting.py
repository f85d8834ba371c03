"""A collection against moto's server: what goes, what stays, and what a deployment meanwhile finds."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from lambdapack import store
from lambdapack.deploy import aws, gc
from lambdapack.deploy.aws import naming
from lambdapack.deploy.gc import observer
from lambdapack.errors import CheckError, ToolError
from lambdapack.model import FunctionSpec
from tests.deploy.test_aws import changed, make_spec
from tests.support.aws_world import BUCKET, REGION
from tests.support.told import Told

WHERE = f"s3://{BUCKET}/team"
WEEK = gc.GRACE
SOON = gc.Rules(grace=gc.GRACE_MIN)


def age(days: float, *, only: Iterable[str] = ()) -> None:
    """Let everything in the bucket be so much older than it is; nothing over HTTP can do that."""
    bucket = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[BUCKET]
    for name, key in bucket.keys.items():
        if not only or any(word in name for word in only):
            key.last_modified = key.last_modified - timedelta(days=days)


def age_versions(days: float) -> None:
    from moto.awslambda.models import lambda_backends

    backend = lambda_backends[DEFAULT_ACCOUNT_ID][REGION]
    for function in backend._lambdas.all():
        function.last_modified  # noqa: B018


def scope(cloud: aws.Clients, *builds: Path, ignored: Iterable[str] = ()) -> gc.Scope:
    return gc.Scope([store.open_prunable(WHERE, region=REGION)], {REGION: cloud}, builds, tuple(ignored))


def keys(cloud: aws.Clients) -> set[str]:
    listed = cloud["s3"].list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return {item["Key"] for item in listed}


def run(cloud: aws.Clients, rules: gc.Rules = SOON, *builds: Path) -> gc.Collected:
    where = scope(cloud, *builds)
    plan = gc.plan(gc.look(where, rules), rules)
    return gc.collect(plan, where, rules)


def key_of(spec: FunctionSpec) -> str:
    assert spec.pack_id is not None
    return f"team/{store.key('', spec.pack_id)}"


def test_what_a_version_needs_stays_and_the_rest_goes(cloud: aws.Clients, tmp_path: Path) -> None:
    """Two versions keep their packs, also the one that callers do not have; a third pack is removed."""
    first, second, third = (make_spec(tmp_path, cloud, salt=salt) for salt in "abc")
    for spec in (first, second):
        aws.deploy(spec, clients=cloud)
    aws.rollback("demo", clients=cloud)
    age(1)
    done = run(cloud)
    assert [gc.identity(thing) for thing in done.gone] == [f"s3://{BUCKET}/{key_of(third)}"]
    assert keys(cloud) == {key_of(first), key_of(second)}


def test_x(cloud: aws.Clients, tmp_path: Path) -> None:
    spec = make_spec(tmp_path, cloud)
    aws.deploy(spec, clients=cloud)
    for v in observer.versions(cloud, (), lambda: None):
        print(v)
    print(observer.held(["demo"], cloud))
    print(list(observer.layers(cloud, lambda: None)))
    assert 0
