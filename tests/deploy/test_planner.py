"""Plans are pure: from a function and what AWS has to calls, without a server."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lambdapack.deploy.aws import naming
from lambdapack.deploy.aws.models import (
    Account,
    ApiCall,
    AwsState,
    FunctionState,
    Result,
    RoleState,
    VersionState,
)
from lambdapack.deploy.aws.planner import plan, plan_destroy, plan_rollback
from lambdapack.errors import ConfigurationError
from lambdapack.model import FunctionAsset, FunctionSettings, FunctionSpec, Location, Target

REGION = "eu-central-1"
ACCOUNT = Account("123456789012", "aws", REGION)
ROLE = f"arn:aws:iam::123456789012:role/{naming.role_name('demo', REGION)}"


def place(number: int) -> Location:
    """Where the pack of that number is; its id is the number, in hex."""
    pack_id = f"{number:064x}"
    return Location("bucket", f"packs/of/team/packs/{pack_id[:2]}/{pack_id}.tar.zst", REGION)


def spec(folder: Path, number: int = 1, arch: str = "x86_64", **settings: Any) -> FunctionSpec:
    path = folder / f"{number}.zip"
    path.write_bytes(b"zip %d" % number)
    return FunctionSpec(
        "demo", "app.handler", Target("3.12", arch), path, f"{number:064x}", place(number),
        FunctionSettings(**settings),
    )  # fmt: skip


def sha256_of(function: FunctionSpec) -> str:
    return base64.b64encode(hashlib.sha256(function.zip_path.read_bytes()).digest()).decode()


def state(function: FunctionSpec) -> FunctionState:
    """The function as AWS would describe it once it is deployed."""
    return FunctionState.intended(function, sha256_of(function), ROLE)


def deployed(*functions: FunctionSpec, live: int | None = None) -> AwsState:
    """An account where these were deployed in this order; the last is live, or the version ``live``."""
    versions = tuple(
        VersionState(str(number), state(function), "", function.location, function.pack_id)
        for number, function in enumerate(functions, 1)
    )
    packs = [version.pack for version in reversed(versions) if version.pack]
    policies = {naming.POLICY: naming.policy(ACCOUNT, "demo", packs)}
    return AwsState(
        ACCOUNT, RoleState(ROLE, naming.TRUST, policies), state(functions[-1]), "arn", versions,
        str(live or len(functions)), log_group=True,
    )  # fmt: skip


def operations(calls: tuple[ApiCall, ...]) -> list[str]:
    return [call.operation for call in calls]


def readable(calls: tuple[ApiCall, ...]) -> list[str]:
    """What the planned policy lets the function read, as keys."""
    (policy,) = [call for call in calls if call.operation == "put_role_policy"]
    document = json.loads(policy.parameters["PolicyDocument"])
    arns = {item["Sid"]: item["Resource"] for item in document["Statement"]}["ReadItsPack"]
    return [arn.partition(":::bucket/")[2] for arn in arns]


def test_what_is_deployed_needs_no_call(tmp_path: Path) -> None:
    """The calls are those between what is there and what should be."""
    assert plan(spec(tmp_path), deployed(spec(tmp_path))) == ()


def test_an_earlier_state_that_comes_again_is_published_again(tmp_path: Path) -> None:
    """A version's number tells when it was deployed: a rollback from there goes to the one before it."""
    first, second = spec(tmp_path, 1), spec(tmp_path, 2)
    calls = plan(first, deployed(first, second))
    assert operations(calls) == ["update_function_code", "publish_version", "update_alias"]
    assert calls[-1].parameters["FunctionVersion"] == Result("publish_version", "Version")


def test_of_equal_versions_the_newest_is_live(tmp_path: Path) -> None:
    """After a rollback the next deployment goes forward, not further back."""
    same = spec(tmp_path)
    calls = plan(same, deployed(same, same, spec(tmp_path, 2), same, live=3))
    assert [(call.operation, call.parameters["FunctionVersion"]) for call in calls] == [("update_alias", "4")]


def test_a_changed_architecture_is_sent_with_the_code(tmp_path: Path) -> None:
    """The very same zip may be for another processor."""
    calls = plan(spec(tmp_path, arch="arm64"), deployed(spec(tmp_path)))
    assert calls[0].operation == "update_function_code"
    assert calls[0].parameters["Architectures"] == ["arm64"]


def test_a_published_version_is_tied_to_its_code(tmp_path: Path) -> None:
    """AWS then refuses to publish code that another deployment has put there meanwhile."""
    function = spec(tmp_path, 2)
    (publish,) = [
        call for call in plan(function, deployed(spec(tmp_path, 1))) if call.operation == "publish_version"
    ]
    assert publish.parameters["CodeSha256"] == sha256_of(function)


def test_values_of_variables_are_not_printed(tmp_path: Path) -> None:
    """They may be secrets; other settings are told with both values."""
    before = deployed(spec(tmp_path, environment={"TOKEN": "old-secret"}))
    calls = plan(spec(tmp_path, environment={"TOKEN": "new-secret"}, memory_mb=512, tmp_mb=600), before)
    assert calls[0].why == "MemorySize 1769 -> 512, EphemeralStorage.Size 512 -> 600, environment"


def test_a_policy_holds_the_newest_packs(tmp_path: Path) -> None:
    """The new pack and the live version's come first; of the others the oldest go, beyond 30."""
    observed = deployed(*(spec(tmp_path, number) for number in range(1, 41)), live=5)
    allowed = readable(plan(spec(tmp_path, 99), observed))
    assert len(allowed) == 30
    assert allowed == sorted(place(number).key for number in (99, 5, *range(13, 41)))


def test_a_policy_for_a_rollback_keeps_the_target_readable(tmp_path: Path) -> None:
    """However old the version is, its pack is among those that the function may read."""
    observed = deployed(*(spec(tmp_path, number) for number in range(1, 41)))
    bare = RoleState(ROLE, naming.TRUST, {})
    calls = plan_rollback("demo", replace(observed, role=bare), "1")
    assert operations(calls) == ["put_role_policy", "update_alias"]
    assert place(1).key in readable(calls)
    assert place(40).key in readable(calls)


def test_a_rollback_goes_to_the_version_just_before(tmp_path: Path) -> None:
    """Not to the first, and from an alias at $LATEST to the newest."""
    observed = deployed(*(spec(tmp_path, number) for number in range(1, 5)))
    for live, target in (("4", "3"), ("3", "2"), ("$LATEST", "4")):
        (call,) = plan_rollback("demo", replace(observed, alias=live))
        assert call.parameters["FunctionVersion"] == target
    with pytest.raises(ConfigurationError, match="no version was published before version 1"):
        plan_rollback("demo", replace(observed, alias="1"))


def test_a_large_zip_goes_beside_the_pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the pack's own prefix, which may itself hold a folder called packs; without a pack: refused."""
    monkeypatch.setattr("lambdapack.limits.ZIP_DIRECT_UPLOAD", 1)
    function = spec(tmp_path)
    calls = plan(function, AwsState(ACCOUNT))
    digest = hashlib.sha256(function.zip_path.read_bytes()).hexdigest()
    (upload,) = [call for call in calls if call.service == "s3"]
    assert (upload.parameters["Bucket"], upload.parameters["Key"]) == (
        "bucket", f"packs/of/team/functions/{digest}.zip",
    )  # fmt: skip
    (create,) = [call for call in calls if call.operation == "create_function"]
    assert create.parameters["Code"] == {"S3Bucket": "bucket", "S3Key": upload.parameters["Key"]}
    with pytest.raises(ConfigurationError, match="there is no bucket to send it through"):
        plan(replace(function, pack_id=None, location=None), AwsState(ACCOUNT))


def test_each_change_is_waited_for(tmp_path: Path) -> None:
    """The next call needs the one before to have taken effect: the waiters are boto3's own."""
    calls = plan(spec(tmp_path), AwsState(ACCOUNT))
    assert {call.operation: call.waiter for call in calls if call.waiter} == {
        "create_role": "role_exists", "create_function": "function_active_v2",
        "publish_version": "published_version_active",
    }  # fmt: skip
    calls = plan(spec(tmp_path, 2, memory_mb=512), deployed(spec(tmp_path)))
    assert {call.operation: call.waiter for call in calls if call.waiter} == {
        "update_function_configuration": "function_updated_v2",
        "update_function_code": "function_updated_v2",
        "publish_version": "published_version_active",
    }


def test_assets_are_readable_and_a_role_of_the_users_own_is_left_alone(tmp_path: Path) -> None:
    """Each asset's pack by its full key; with a role of one's own, no call to IAM."""
    asset = FunctionAsset("model", f"{7:064x}", tmp_path, tmp_path, place(7))
    function = replace(spec(tmp_path), assets=(asset,))
    assert readable(plan(function, AwsState(ACCOUNT))) == [place(1).key, place(7).key]
    own = replace(function, settings=FunctionSettings(role="arn:aws:iam::1:role/own"))
    calls = plan(own, AwsState(ACCOUNT))
    assert not [call for call in calls if call.service == "iam"]
    (create,) = [call for call in calls if call.operation == "create_function"]
    assert create.parameters["Role"] == "arn:aws:iam::1:role/own"


def test_nothing_is_destroyed_that_is_not_there(tmp_path: Path) -> None:
    """An interrupted removal is completed by the next one."""
    assert plan_destroy("demo", AwsState(ACCOUNT)) == ()
    calls = plan_destroy("demo", replace(deployed(spec(tmp_path)), function=None))
    assert operations(calls) == ["delete_role_policy", "delete_role", "delete_log_group"]


def test_snap_start_is_one_update_and_a_version_that_is_waited_for(tmp_path: Path) -> None:
    """``live`` moves once AWS has the snapshot, which may take longer than another version does."""
    plain, snapped = spec(tmp_path), spec(tmp_path, snap_start=True)
    calls = plan(snapped, deployed(plain))
    assert operations(calls) == ["update_function_configuration", "publish_version", "update_alias"]
    assert calls[0].parameters["SnapStart"] == {"ApplyOn": "PublishedVersions"}
    assert calls[0].why == "SnapStart.ApplyOn None -> PublishedVersions"
    assert calls[1].waiter == "published_version_active"
    assert calls[1].patience >= 900 > plan(spec(tmp_path, 2), deployed(plain))[1].patience
    assert plan(snapped, deployed(plain, snapped)) == ()
    back = plan(plain, deployed(snapped))
    assert back[0].parameters["SnapStart"] == {"ApplyOn": "None"}


def test_a_version_whose_snapshot_may_not_be_there_is_waited_for(tmp_path: Path) -> None:
    """A deployment that was interrupted between version and alias goes on without another version."""
    snapped = spec(tmp_path, snap_start=True)
    calls = plan(snapped, deployed(spec(tmp_path, 2), snapped, live=1))
    assert operations(calls) == ["get_function_configuration", "update_alias"]
    assert calls[0].parameters == {"FunctionName": "demo", "Qualifier": "2"}
    assert calls[0].waiter == "published_version_active"


def test_a_version_with_a_snapshot_keeps_its_pack(tmp_path: Path) -> None:
    """AWS runs its init again whenever it patches the runtime, however old the version is."""
    old = spec(tmp_path, 1, snap_start=True)
    later = [spec(tmp_path, number) for number in range(2, 40)]
    keys = readable(plan(spec(tmp_path, 40), deployed(old, *later)))
    assert place(1).key in keys and place(2).key not in keys and place(40).key in keys
    assert len(keys) == 30
    snapped = [spec(tmp_path, number, snap_start=True) for number in range(1, 31)]
    with pytest.raises(ConfigurationError, match="the versions 1 start from a snapshot") as caught:
        plan(spec(tmp_path, 40, snap_start=True), deployed(*snapped))
    assert "--function-name demo --qualifier 1" in (caught.value.hint or "")


def test_a_role_of_the_users_own_takes_nothing_from_versions_with_a_snapshot(tmp_path: Path) -> None:
    """The role that lambdapack made stays as it is for the versions that have it."""
    snapped = spec(tmp_path, 1, snap_start=True)
    calls = plan(spec(tmp_path, 2, role="arn:aws:iam::123456789012:role/mine"), deployed(snapped))
    assert not [call for call in calls if call.service == "iam"]
