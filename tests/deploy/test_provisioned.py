"""Provisioned concurrency: made for the version before ``live`` moves, and taken from the old one after."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from botocore.stub import Stubber

from lambdapack.deploy import aws
from lambdapack.deploy.aws import provisioned
from lambdapack.errors import ConfigurationError, ToolError
from tests.support.lambda_world import ARN, World, deploy, operations, spec_of
from tests.support.told import Told

_PUT, _DELETE = "put_provisioned_concurrency_config", "delete_provisioned_concurrency_config"


def ready(world: World) -> dict[str, int]:
    """Version or alias -> environments that are asked for."""
    seen = world.lambda_.provisioned.items()
    return {name: each["RequestedProvisionedConcurrentExecutions"] for name, each in seen}


def rollback(world: World, to: str | None = None, told: Told | None = None) -> aws.Deployment:
    return aws.rollback("demo", to, clients=cast(aws.Clients, world), progress=told or Told())


def order(world: World) -> list[str]:
    """What was called, without the looks."""
    return [name for name, _ in world.lambda_.calls if not name.startswith(("get_", "list_"))]


def test_it_is_ready_before_the_alias_moves_and_moves_with_the_alias(tmp_path: Path) -> None:
    """The new version's environments are waited for; then calls move; then the old version's are given up."""
    world = World()
    deploy(world, spec_of(tmp_path, provisioned=3))
    assert ready(world) == {"1": 3}
    world.lambda_.calls.clear()
    world.lambda_.polls = 2
    seen: list[str] = []
    update = world.lambda_.on_update_alias

    def moved(**said: Any) -> Any:
        seen.append(world.lambda_.provisioned[said["FunctionVersion"]]["Status"])
        return update(**said)

    world.lambda_.on_update_alias = moved  # type: ignore[method-assign]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(provisioned, "_EVERY", 0.001)
        deploy(world, spec_of(tmp_path, b"other", provisioned=3))
    assert seen == ["READY"]
    assert order(world) == ["update_function_code", "publish_version", _PUT, "update_alias", _DELETE]
    assert ready(world) == {"2": 3}
    assert deploy(world, spec_of(tmp_path, b"other", provisioned=3)).calls == ()


def test_another_number_is_one_call_for_the_live_version(tmp_path: Path) -> None:
    """And 0 takes all away; left out, it stays and is said."""
    world, told = World(), Told()
    deploy(world, spec_of(tmp_path, provisioned=3))
    assert operations(deploy(world, spec_of(tmp_path, provisioned=5))) == [_PUT]
    assert ready(world) == {"1": 5}
    assert deploy(world, spec_of(tmp_path), told).calls == ()
    assert "provisioned 5 on 1, which does not move with live" in "".join(told.notes)
    assert operations(deploy(world, spec_of(tmp_path, provisioned=0))) == [_DELETE]
    assert ready(world) == {}


def test_a_new_version_without_the_setting_leaves_the_old_ones_alone(tmp_path: Path) -> None:
    """What the configuration no longer says stays where it is; with 0 it goes from there as well."""
    world = World()
    deploy(world, spec_of(tmp_path, provisioned=3))
    deploy(world, spec_of(tmp_path, b"other"))
    assert ready(world) == {"1": 3}
    deploy(world, spec_of(tmp_path, b"other", provisioned=0))
    assert ready(world) == {}


def test_environments_that_fail_keep_the_alias_where_it_is(tmp_path: Path) -> None:
    """The reason is AWS's; once that is mended, the next deployment asks anew and goes on."""
    world = World()
    deploy(world, spec_of(tmp_path, provisioned=3))
    world.lambda_.failure = "FUNCTION_ERROR_INIT_FAILURE"
    with pytest.raises(ToolError, match=r"demo:2: AWS could not make .*FUNCTION_ERROR_INIT_FAILURE"):
        deploy(world, spec_of(tmp_path, b"other", provisioned=3))
    assert world.lambda_.aliases["live"]["FunctionVersion"] == "1"
    assert ready(world) == {"1": 3, "2": 3}
    world.lambda_.failure = ""
    assert operations(deploy(world, spec_of(tmp_path, b"other", provisioned=3))) == [
        _PUT, "update_alias", _DELETE,
    ]  # fmt: skip


@pytest.mark.parametrize("stop", [_PUT, "update_alias", _DELETE])
def test_a_run_that_is_cut_off_is_completed_by_the_next(tmp_path: Path, stop: str) -> None:
    """Killed just after any of its calls: the next deployment ends where an undisturbed one does."""
    world = World()
    deploy(world, spec_of(tmp_path, provisioned=3))
    answer = getattr(world.lambda_, f"on_{stop}")

    def then_die(**said: Any) -> Any:
        answer(**said)
        raise KeyboardInterrupt

    setattr(world.lambda_, f"on_{stop}", then_die)
    with pytest.raises(KeyboardInterrupt):
        deploy(world, spec_of(tmp_path, b"other", provisioned=3))
    setattr(world.lambda_, f"on_{stop}", answer)
    deploy(world, spec_of(tmp_path, b"other", provisioned=3))
    assert ready(world) == {"2": 3}
    assert world.lambda_.aliases["live"]["FunctionVersion"] == "2"
    assert len(world.lambda_.versions) == 2


def test_a_rollback_takes_it_back(tmp_path: Path) -> None:
    """As many environments of the earlier version are ready before it is live; the later one's go then."""
    world = World()
    deploy(world, spec_of(tmp_path, provisioned=3))
    deploy(world, spec_of(tmp_path, b"other", provisioned=4))
    assert operations(rollback(world)) == [_PUT, "update_alias", _DELETE]
    assert ready(world) == {"1": 4}


def test_a_rollback_to_a_snapshot_takes_none_there(tmp_path: Path) -> None:
    """AWS takes no provisioned concurrency for a version with a snapshot; the rollback is not held up."""
    world = World()
    deploy(world, spec_of(tmp_path, snap_start=True))
    deploy(world, spec_of(tmp_path, provisioned=4))
    assert operations(rollback(world)) == ["update_alias", _DELETE]
    assert ready(world) == {}


def test_a_rollback_goes_on_where_it_may_not_look(tmp_path: Path) -> None:
    """Credentials from before this setting still roll back, and are told what they could not see."""
    world, told = World(), Told()
    deploy(world, spec_of(tmp_path))
    deploy(world, spec_of(tmp_path, b"other"))
    world.lambda_.denied = {"list_provisioned_concurrency_configs"}
    assert operations(rollback(world, told=told)) == ["update_alias"]
    assert "lambda:ListProvisionedConcurrencyConfigs" in told.warnings[0]


def test_an_alias_that_has_it_itself_hands_it_to_its_version(tmp_path: Path) -> None:
    """AWS takes one or the other, and weights beside none on an alias: so the version gets it first."""
    world = World()
    deploy(world, spec_of(tmp_path))
    world["lambda"].put_provisioned_concurrency_config(
        FunctionName="demo", Qualifier="live", ProvisionedConcurrentExecutions=2
    )
    done = deploy(world, spec_of(tmp_path, b"other", provisioned=2))
    assert operations(done)[-3:] == [_PUT, _DELETE, "update_alias"]
    assert done.calls[-2].parameters["Qualifier"] == "live"
    assert ready(world) == {"2": 2}
    world.lambda_.provisioned = {"live": {**world.lambda_.provisioned["2"]}}
    assert operations(deploy(world, spec_of(tmp_path, b"other", provisioned=2))) == [_DELETE, _PUT]


def test_an_alias_with_some_goes_to_a_snapshot_once_it_is_given_up(tmp_path: Path) -> None:
    """AWS refuses the move; said before any call, and with provisioned = 0 it goes before the move."""
    world = World()
    deploy(world, spec_of(tmp_path))
    world["lambda"].put_provisioned_concurrency_config(
        FunctionName="demo", Qualifier="live", ProvisionedConcurrentExecutions=2
    )
    with pytest.raises(ConfigurationError, match="has provisioned concurrency for 2 environments") as caught:
        deploy(world, spec_of(tmp_path, snap_start=True))
    assert "provisioned = 0" in (caught.value.hint or "")
    done = deploy(world, spec_of(tmp_path, snap_start=True, provisioned=0))
    assert operations(done)[-2:] == [_DELETE, "update_alias"]
    assert ready(world) == {} and world.lambda_.aliases["live"]["FunctionVersion"] == "2"


def test_what_other_aliases_need_stays(tmp_path: Path) -> None:
    """A version that another alias sends calls to, an alias of others, a version that others published."""
    world = World()
    for number in range(3):
        deploy(world, spec_of(tmp_path, b"v%d" % number))
    world["lambda"].create_alias(FunctionName="demo", Name="beta", FunctionVersion="1")
    world.lambda_.versions[1]["Description"] = "made by hand"
    for qualifier in ("1", "2"):
        world["lambda"].put_provisioned_concurrency_config(
            FunctionName="demo", Qualifier=qualifier, ProvisionedConcurrentExecutions=2
        )
    deploy(world, spec_of(tmp_path, b"v3", provisioned=1))
    assert ready(world) == {"1": 2, "2": 2, "4": 1}


def test_reserved_concurrency_has_to_hold_both_versions(tmp_path: Path) -> None:
    """While the alias moves, two are ready: refused before any call; raised first and lowered last."""
    world = World()
    deploy(world, spec_of(tmp_path, provisioned=10, reserved_concurrency=15))
    world.lambda_.calls.clear()
    with pytest.raises(ConfigurationError, match=r"for 10 \+ 10 environments.* concurrency is 15") as caught:
        deploy(world, spec_of(tmp_path, b"other", provisioned=10, reserved_concurrency=15))
    assert "20 or more" in (caught.value.hint or "") and order(world) == []
    assert deploy(world, spec_of(tmp_path, provisioned=10, reserved_concurrency=15)).calls == ()
    done = deploy(world, spec_of(tmp_path, b"other", provisioned=10, reserved_concurrency=20))
    assert operations(done).index("put_function_concurrency") < operations(done).index(_PUT)
    done = deploy(world, spec_of(tmp_path, b"last", provisioned=2, reserved_concurrency=2))
    assert operations(done)[-1] == "put_function_concurrency"
    assert (world.lambda_.reserved, ready(world)) == (2, {"3": 2})


def test_waiting_has_an_end_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3's own client, with AWS's answers as its service model has them; no clock is waited for."""
    import boto3  # noqa: PLC0415 - slow

    client = boto3.client(
        "lambda", region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    which = {"FunctionName": "demo", "Qualifier": "7"}
    slow = {
        "RequestedProvisionedConcurrentExecutions": 3, "AvailableProvisionedConcurrentExecutions": 1,
        "AllocatedProvisionedConcurrentExecutions": 1, "Status": "IN_PROGRESS",
    }  # fmt: skip
    slept: list[float] = []
    told: list[str] = []
    with Stubber(client) as stub:
        for _ in range(4):
            stub.add_response("get_provisioned_concurrency_config", slow, which)
        with pytest.raises(ToolError, match="demo:7: 1 of 3 environments are ready after 6 s"):
            provisioned.wait(client, which, 6, sleep=slept.append, tell=lambda *, note: told.append(note))
        assert told == ["1 of 3 environments are ready"] * 3
        assert slept == [2.0, 2.0, 2.0]
        stub.add_response("get_provisioned_concurrency_config", slow, which)
        stub.add_response("get_provisioned_concurrency_config", {**slow, "Status": "READY"}, which)
        provisioned.wait(client, which, 6, sleep=slept.append)
        stub.assert_no_pending_responses()


def test_the_looks_follow_every_page() -> None:
    """A function may have provisioned concurrency for more versions than one answer holds."""
    import boto3  # noqa: PLC0415 - slow

    client = boto3.client(
        "lambda", region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    operation = "list_provisioned_concurrency_configs"

    def page(number: int, **more: str) -> dict[str, Any]:
        item = {
            "FunctionArn": f"{ARN}:{number}", "RequestedProvisionedConcurrentExecutions": number,
            "Status": "READY",
        }  # fmt: skip
        return {"ProvisionedConcurrencyConfigs": [item], **more}

    with Stubber(client) as stub:
        stub.add_response(operation, page(1, NextMarker="m"), {"FunctionName": "demo"})
        stub.add_response(operation, page(2), {"FunctionName": "demo", "Marker": "m"})
        stub.add_response("list_aliases", {"Aliases": []}, {"FunctionName": "demo"})
        from lambdapack.deploy.aws.models import Account, AwsState  # noqa: PLC0415 - here alone

        clients = cast(aws.Clients, {"lambda": client})
        seen = provisioned.observe_ready("demo", AwsState(Account("1", "aws", "eu-central-1")), clients)
        assert {name: each.requested for name, each in seen.provisioned.items()} == {"1": 1, "2": 2}
