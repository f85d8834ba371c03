"""A collection against moto's server: what goes, what stays, and what a deployment meanwhile finds."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from lambdapack import store
from lambdapack.deploy import aws, gc
from lambdapack.deploy.gc import observer
from lambdapack.errors import CheckError, ToolError
from lambdapack.model import FunctionSpec
from lambdapack.store import leases
from tests.deploy.test_aws import make_spec
from tests.support.aws_world import BUCKET, REGION
from tests.support.told import Told

WHERE = f"s3://{BUCKET}/team"
SOON = gc.Rules(grace=gc.GRACE_MIN)


def age(days: float, *, only: Iterable[str] = ()) -> None:
    """Let everything in the bucket be so much older than it is; nothing over HTTP can do that."""
    bucket = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[BUCKET]
    for name, key in bucket.keys.items():
        if not only or any(word in name for word in only):
            key.last_modified = key.last_modified - timedelta(days=days)


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


def test_what_is_young_or_leased_stays(cloud: aws.Clients, tmp_path: Path) -> None:
    """Within the grace period nothing goes; an old pack that was pushed again is young; then all go."""
    specs = [make_spec(tmp_path, cloud, salt=salt) for salt in "ab"]
    assert run(cloud).gone == ()
    age(8)
    path = tmp_path / "pack"
    path.write_bytes(b"pack")
    leased = store.open_store(WHERE, region=REGION)
    assert specs[0].pack_id is not None
    assert leased.push(path, specs[0].pack_id) is False
    run(cloud, gc.Rules())
    assert keys(cloud) == {key_of(specs[0]), f"team/leases/{specs[0].pack_id}"}
    age(8)
    run(cloud, gc.Rules())
    assert keys(cloud) == set()


def test_old_versions_go_first_and_their_packs_with_them(cloud: aws.Clients, tmp_path: Path) -> None:
    """--keep leaves the newest, and the one that the alias names; the packs of the others go at once."""
    specs = [make_spec(tmp_path, cloud, salt=salt) for salt in "abcd"]
    for spec in specs:
        aws.deploy(spec, clients=cloud)
    aws.rollback("demo", "1", clients=cloud)
    age(1)
    # moto's versions are as old as this test.
    done = run(cloud, gc.Rules(grace=-5, keep=2, names=frozenset({"demo"})))
    assert [gc.identity(thing).rpartition("/")[2][-6:] for thing in done.gone][:1] == ["demo:2"]
    assert keys(cloud) == {key_of(spec) for spec in (specs[0], specs[2], specs[3])}
    assert [version.number for version in aws.observe("demo", cloud).versions] == ["1", "3", "4"]


def test_versions_that_others_rely_on_stay(cloud: aws.Clients, tmp_path: Path) -> None:
    """An alias of any name, a share of its calls, and a right to call hold their versions."""
    specs = [make_spec(tmp_path, cloud, salt=salt) for salt in "abcde"]
    for spec in specs:
        aws.deploy(spec, clients=cloud)
    client = cloud["lambda"]
    client.create_alias(
        FunctionName="demo", Name="beta", FunctionVersion="1",
        RoutingConfig={"AdditionalVersionWeights": {"2": 0.1}},
    )  # fmt: skip
    client.add_permission(
        FunctionName="demo", Qualifier="3", StatementId="them", Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
    )  # fmt: skip
    rules = gc.Rules(grace=-5, keep=1, names=frozenset({"demo"}))
    plan = gc.plan(gc.look(scope(cloud), rules), rules)
    assert [removal.what.name for removal in plan.versions] == [f"demo:4 in {REGION}"]
    why = {kept.what.number: kept.why for kept in plan.kept if isinstance(kept.what, gc.KnownVersion)}
    assert why == {
        "1": "the alias beta sends calls to it",
        "2": "the alias beta sends calls to it",
        "3": "others were given the right to call it",
    }


def test_a_function_of_others_keeps_the_pack_that_its_environment_names(
    cloud: aws.Clients, tmp_path: Path
) -> None:
    """Whatever tool deployed the function: a variable with the id is enough, also in $LATEST."""
    named, unnamed = make_spec(tmp_path, cloud, salt="a"), make_spec(tmp_path, cloud, salt="b")
    role = cloud["iam"].create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    cloud["lambda"].create_function(
        FunctionName="stack-of-sam", Role=role, Runtime="python3.11", Handler="app.handler",
        Code={"ZipFile": unnamed.zip_path.read_bytes()},
        Environment={"Variables": {"LAMBDAPACK_PACK": str(named.pack_id)}},
    )  # fmt: skip
    age(1)
    run(cloud)
    assert keys(cloud) == {key_of(named)}


def test_a_build_on_this_machine_keeps_its_packs(cloud: aws.Clients, tmp_path: Path) -> None:
    """A pack whose file lies in a build's folder, or whose id stands in its report, stays."""
    specs = [make_spec(tmp_path, cloud, salt=salt) for salt in "abc"]
    folder = tmp_path / "build"
    (folder / "assets").mkdir(parents=True)
    (folder / "build.json").write_text(f'{{"id": "{specs[0].pack_id}"}}')
    (folder / "assets" / f"{specs[1].pack_id}.tar.zst").write_bytes(b"")
    age(1)
    run(cloud, SOON, folder)
    assert keys(cloud) == {key_of(specs[0]), key_of(specs[1])}


def test_other_peoples_objects_stay(cloud: aws.Clients, tmp_path: Path) -> None:
    """What is not named as packs, zips and leases are is not looked at, nor what lies beside the prefix."""
    others = ["team/packs/notes.txt", "team/other.zip", "team/functions/mine.zip", "elsewhere/packs/a"]
    for key in others:
        cloud["s3"].put_object(Bucket=BUCKET, Key=key, Body=b"theirs")
    elsewhere = make_spec(tmp_path, salt="a")
    cloud["s3"].put_object(Bucket=BUCKET, Key=key_of(elsewhere).replace("team", "other"), Body=b"pack")
    age(1)
    assert run(cloud).gone == ()
    assert len(keys(cloud)) == 5


def test_staged_zips_and_layers_that_nothing_has_go(cloud: aws.Clients, tmp_path: Path) -> None:
    """A zip stays while a version has its code, a layer while a version has the layer."""
    spec = make_spec(tmp_path, cloud)
    aws.deploy(spec, clients=cloud)
    code = next(one.code for one in observer.versions(cloud, (), lambda: None) if one.number == "1")
    for digest in (code, "0" * 64):
        cloud["s3"].put_object(Bucket=BUCKET, Key=f"team/functions/{digest}.zip", Body=b"zip")
    layers = [
        cloud["lambda"].publish_layer_version(LayerName=name, Content={"ZipFile": empty_zip(name)})
        for name in ("lambdapack-" + "a" * 40, "lambdapack-" + "b" * 40, "their-layer")
    ]
    cloud["lambda"].update_function_configuration(
        FunctionName="demo", Layers=[layers[0]["LayerVersionArn"], layers[2]["LayerVersionArn"]]
    )
    age(1)
    done = run(cloud, gc.Rules(grace=-5))
    assert sorted(gc.identity(one) for one in done.gone) == sorted(
        [f"s3://{BUCKET}/team/functions/{'0' * 64}.zip", layers[1]["LayerVersionArn"]]
    )


def empty_zip(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, "")
    return buffer.getvalue()


def test_an_environment_that_may_not_be_read_stops_the_collection(
    cloud: aws.Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a KMS key hides what a function needs, nothing is removed, but with the user's word."""
    aws.deploy(make_spec(tmp_path, cloud), clients=cloud)
    real = observer._version

    def hidden(item, region):
        return real({**item, "Environment": {"Error": {"ErrorCode": "AccessDenied"}}}, region)

    monkeypatch.setattr(observer, "_version", hidden)
    with pytest.raises(CheckError, match="may not read the environment variables of demo in eu-central-1"):
        run(cloud)
    assert gc.plan(gc.look(scope(cloud, ignored=["demo"]), SOON), SOON) is not None


def test_what_came_into_use_after_it_was_shown_stays(cloud: aws.Clients, tmp_path: Path) -> None:
    """Between the table and the yes a deployment took the pack: the second look sees that."""
    spec = make_spec(tmp_path, cloud)
    age(1)
    where = scope(cloud)
    plan = gc.plan(gc.look(where, SOON), SOON)
    assert len(plan.removals) == 1
    aws.deploy(spec, clients=cloud)
    done = gc.collect(plan, where, SOON)
    assert done.gone == ()
    assert [why for _, why in done.stayed] == ["came into use, or was written, meanwhile"]
    assert keys(cloud) == {key_of(spec)}


def test_a_push_waits_for_a_collection_and_not_for_a_dead_one(cloud: aws.Clients, tmp_path: Path) -> None:
    """A mark holds a push up until the mark goes; one that was not renewed for five minutes does not."""
    path, told = tmp_path / "pack", Told()
    path.write_bytes(b"pack")
    prunable = store.open_prunable(WHERE, region=REGION)
    waits: list[float] = []
    with prunable.collecting():
        pushing = store.open_store(WHERE, region=REGION)
        pushing.sleep = waits.append  # type: ignore[attr-defined]
        with pytest.raises(ToolError, match=r"a lambdapack gc is at work in s3://.* waited for 900 s"):
            pushing.push(path, "c0" * 32, progress=told)
        age(1, only=["/gc/"])
        assert pushing.push(path, "c0" * 32) is True
    assert sum(waits) == 900
    assert any("waiting for the end of a lambdapack gc" in note for note in told.notes)
    assert not [key for key in keys(cloud) if "/gc/" in key]


def test_a_collection_that_was_slow_removes_nothing_more(cloud: aws.Clients) -> None:
    """A mark that could not be renewed in time counts as dead for others, so its collection stops."""
    now = [0.0]
    shelf = leases.Shelf(cloud["s3"], BUCKET, "team")
    with leases.collecting(shelf) as mark:
        mark.clock = lambda: now[0]
        mark._renewed = 0.0
        now[0] = 100.0
        mark.renew()
        assert mark._renewed == 100.0
        now[0] = 301.0
        with pytest.raises(ToolError, match="a step took 201 s of at most 200 s"):
            mark.renew()


def test_a_version_that_lambda_keeps_keeps_its_pack(
    cloud: aws.Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where Lambda refuses to delete a version, its pack stays too, and the reason is told."""
    specs = [make_spec(tmp_path, cloud, salt=salt) for salt in "ab"]
    for spec in specs:
        aws.deploy(spec, clients=cloud)
    age(1)

    def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": "ResourceConflictException", "Message": "an alias"}}, "Delete")

    monkeypatch.setattr(cloud["lambda"], "delete_function", refuse)
    done = run(cloud, gc.Rules(grace=-5, keep=1, names=frozenset({"demo"})))
    assert done.gone == ()
    assert "Lambda says that it is in use: an alias" in [why for _, why in done.stayed]
    assert keys(cloud) == {key_of(spec) for spec in specs}
