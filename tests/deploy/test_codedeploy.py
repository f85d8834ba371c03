"""Shifts that CodeDeploy makes: against moto's server, and what moto lacks against botocore's Stubber."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import ANY, Stubber

from lambdapack.deploy import aws
from lambdapack.deploy.aws import codedeploy
from lambdapack.deploy.aws.codedeploy import Handover
from lambdapack.deploy.aws.traffic import AwsTraffic
from lambdapack.deploy.shifting import ShiftOptions
from lambdapack.errors import ToolError
from lambdapack.model import Routing, Shift
from tests.deploy.test_aws import make_spec, operations
from tests.support.aws_world import REGION
from tests.support.killed_deployment import FastClock
from tests.support.told import Told

CONFIG = "CodeDeployDefault.LambdaCanary10Percent5Minutes"
HANDED_OVER = ShiftOptions(codedeploy="canary10percent5minutes", alarms=("checkout-errors",))
WHICH = {"applicationName": "lambdapack-demo", "deploymentGroupName": "live"}
GOING_ON = {**WHICH, "includeOnlyStatuses": ANY}


def info(status: str, target: str = "2", **more: Any) -> dict[str, Any]:
    """What ``get_deployment`` answers."""
    content = codedeploy.start("demo", "1", target, CONFIG).parameters["revision"]
    return {"deploymentInfo": {"status": status, "deploymentConfigName": CONFIG, "revision": content, **more}}


@pytest.fixture
def alarm(cloud: aws.Clients) -> None:
    cloud["cloudwatch"].put_metric_alarm(
        AlarmName="checkout-errors", MetricName="Errors", Namespace="N", Period=60, EvaluationPeriods=1,
        Threshold=1, ComparisonOperator="GreaterThanThreshold", Statistic="Sum",
    )  # fmt: skip


@pytest.mark.parametrize(("written", "name"), [
    ("canary10percent5minutes", CONFIG),
    ("LambdaCanary10Percent5Minutes", CONFIG),
    (CONFIG, CONFIG),
    ("allatonce", "CodeDeployDefault.LambdaAllAtOnce"),
    ("OurOwn50Percent", "OurOwn50Percent"),
])  # fmt: skip
def test_predefined_configurations_have_short_names(written: str, name: str) -> None:
    """AWS's own are recognised however they are written; any other name is somebody's own configuration."""
    assert codedeploy.configuration(written) == name


@pytest.mark.usefixtures("alarm")
def test_codedeploy_is_set_up_once_and_told_both_versions(cloud: aws.Clients, tmp_path: Path) -> None:
    """Role, application, group and deployment are made; the next deployment sees that it goes on."""
    aws.deploy(make_spec(tmp_path, cloud), shift=HANDED_OVER, clients=cloud)
    assert cloud["codedeploy"].list_applications()["applications"] == [], "there was nothing to shift"
    spec = make_spec(tmp_path, cloud, salt="2")
    dry = aws.deploy(spec, shift=HANDED_OVER, dry_run=True, clients=cloud)
    assert dry.calls[-1].why == f"CodeDeploy shifts calls from version 1 to the new version: {CONFIG}"
    done = aws.deploy(spec, shift=HANDED_OVER, clients=cloud)
    assert operations(done.calls) == operations(dry.calls) == [
        "put_role_policy", "update_function_code", "publish_version", "create_role", "put_role_policy",
        "create_application", "create_deployment_group", "create_deployment",
    ]  # fmt: skip
    (deployment,) = cloud["codedeploy"].list_deployments(**WHICH)["deployments"]
    seen = cloud["codedeploy"].get_deployment(deploymentId=deployment)["deploymentInfo"]
    content = json.loads(seen["revision"]["appSpecContent"]["content"])
    assert content["Resources"] == [{"demo": {"Type": "AWS::Lambda::Function", "Properties": {
        "Name": "demo", "Alias": "live", "CurrentVersion": "1", "TargetVersion": "2",
    }}}]  # fmt: skip
    assert (
        done.handover == f"CodeDeploy's deployment {deployment} shifts calls to version 2 ({CONFIG}, Created)"
    )
    for shift in (HANDED_OVER, ShiftOptions(codedeploy="linear10percentevery1minute")):
        again = aws.deploy(spec, shift=shift, clients=cloud)
        assert (again.calls, again.handover) == ((), done.handover)


@pytest.mark.usefixtures("alarm")
def test_codedeploys_role_moves_one_alias_and_goes_with_the_function(
    cloud: aws.Clients, tmp_path: Path
) -> None:
    """The policy names the function's alias and nothing else; destroying removes all of it."""
    for salt in ("", "2"):
        aws.deploy(make_spec(tmp_path, cloud, salt=salt), shift=HANDED_OVER, clients=cloud)
    group = cloud["codedeploy"].get_deployment_group(**WHICH)["deploymentGroupInfo"]
    role = f"lambdapack-demo.shift-{REGION}"
    assert group["serviceRoleArn"].endswith(f":role/{role}")
    document = cloud["iam"].get_role_policy(RoleName=role, PolicyName="lambdapack")["PolicyDocument"]
    function = f"arn:aws:lambda:{REGION}:123456789012:function:demo"
    assert [(item["Action"], item["Resource"]) for item in document["Statement"]] == [
        (
            ["lambda:GetAlias", "lambda:UpdateAlias", "lambda:GetProvisionedConcurrencyConfig"],
            [function, f"{function}:*"],
        ),
        ("cloudwatch:DescribeAlarms", "*"),
    ]
    with Stubber(cloud["codedeploy"]) as stub:
        stub.add_response("delete_application", {}, {"applicationName": "lambdapack-demo"})
        aws.destroy("demo", clients=cloud)
        stub.assert_no_pending_responses()
    assert cloud["iam"].list_roles()["Roles"] == []


def shifted_by_codedeploy(cloud: aws.Clients, folder: Path) -> None:
    """Version 2 has a tenth of the calls, by another hand than ours."""
    for salt in ("", "2"):
        aws.deploy(make_spec(folder, cloud, salt=salt), clients=cloud)
    weights = {"AdditionalVersionWeights": {"2": 0.1}}
    cloud["lambda"].update_alias(
        FunctionName="demo", Name="live", FunctionVersion="1", RoutingConfig=weights, Description="ours"
    )


def routing(cloud: aws.Clients) -> Routing:
    state = AwsTraffic("demo", cloud).alias()
    assert state is not None
    return state.routing


def stopping(stub: Stubber) -> None:
    """CodeDeploy is in the middle of a deployment, which is stopped and rolled back."""
    stub.add_response("list_deployments", {"deployments": ["d-1"]}, GOING_ON)
    stub.add_response("get_deployment", info("InProgress"), {"deploymentId": "d-1"})
    stub.add_response(
        "stop_deployment", {"status": "Pending"}, {"deploymentId": "d-1", "autoRollbackEnabled": True}
    )
    stub.add_response("list_deployments", {"deployments": ["d-2"]}, GOING_ON)
    stub.add_response("get_deployment", info("InProgress"), {"deploymentId": "d-2"})
    stub.add_response("list_deployments", {"deployments": []}, GOING_ON)


def test_a_rollback_stops_codedeploy_and_gives_the_calls_back(
    cloud: aws.Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its deployment ends first, with its own rollback, so that it does not move the alias afterwards."""
    shifted_by_codedeploy(cloud, tmp_path)
    monkeypatch.setattr(codedeploy, "SystemClock", FastClock)
    with Stubber(cloud["codedeploy"]) as stub:
        stopping(stub)
        back = aws.rollback("demo", clients=cloud)
        stub.assert_no_pending_responses()
    assert operations(back.calls) == ["stop_deployment", "update_alias"]
    assert (back.version, routing(cloud)) == ("1", Routing("1"))


def test_another_deployment_stops_codedeploy_and_goes_on_from_there(
    cloud: aws.Clients, tmp_path: Path
) -> None:
    """A third version supersedes the second; so does another way to shift, where it is asked for."""
    shifted_by_codedeploy(cloud, tmp_path)
    asked = ShiftOptions(Shift.parse("canary:20%,1m"))
    for salt, wanted in (("2", "2"), ("3", "3")):
        with Stubber(cloud["codedeploy"]) as stub:
            if salt == "2":
                stopping(stub)
            done = aws.deploy(
                make_spec(tmp_path, cloud, salt=salt), shift=asked, clients=cloud, clock=FastClock()
            )
            stub.assert_no_pending_responses()
        assert routing(cloud) == Routing(wanted)
        assert ("stop_deployment" in operations(done.calls)) == (salt == "2")


def test_weights_of_another_tool_are_replaced_where_codedeploy_may_not_be_asked(
    cloud: aws.Clients, tmp_path: Path
) -> None:
    """Who moves weights by hand needs no right to CodeDeploy: a warning says what cannot be seen."""
    shifted_by_codedeploy(cloud, tmp_path)
    told = Told()
    with Stubber(cloud["codedeploy"]) as stub:
        stub.add_client_error("list_deployments", "AccessDeniedException", "no", 400)
        aws.deploy(make_spec(tmp_path, cloud, salt="2"), clients=cloud, progress=told)
    assert routing(cloud) == Routing("2")
    assert any("whether that is CodeDeploy cannot be seen" in warning for warning in told.warnings)


def test_a_deployment_that_is_waited_for_says_how_it_ended(cloud: aws.Clients) -> None:
    """The end, AWS's reason for a failure, and a bound on stopping."""
    failed = info("Failed", errorInformation={"code": "ALARM_ACTIVE", "message": "checkout-errors is on"})
    with Stubber(cloud["codedeploy"]) as stub:
        for answer in (info("InProgress"), failed):
            stub.add_response("get_deployment", answer, {"deploymentId": "d-1"})
        begun = Handover("d-1", "Created", "2", CONFIG)
        ended = codedeploy.wait_for_end(begun, cloud, clock=FastClock())
        assert (ended.status, ended.why, ended.under_way) == ("Failed", "checkout-errors is on", False)
        for _ in range(4):
            stub.add_response("list_deployments", {"deployments": ["d-2"]}, GOING_ON)
            stub.add_response("get_deployment", info("InProgress"), {"deploymentId": "d-2"})
        with pytest.raises(ToolError, match="d-2 is InProgress after 300 s"):
            codedeploy.wait_until_idle("demo", cloud, clock=FastClock())


def test_a_failed_deployment_of_codedeploys_is_an_undone_shift(cloud: aws.Clients, tmp_path: Path) -> None:
    """With ``--wait`` the command ends as for a shift of ours: with the reason."""
    shifted_by_codedeploy(cloud, tmp_path)
    cloud["lambda"].update_alias(
        FunctionName="demo", Name="live", RoutingConfig={"AdditionalVersionWeights": {}}
    )
    waiting = ShiftOptions(codedeploy="allatonce", wait=True)
    with Stubber(cloud["codedeploy"]) as stub:
        stub.add_response("list_deployments", {"deployments": ["d-1"]}, GOING_ON)
        stub.add_response("get_deployment", info("InProgress"), {"deploymentId": "d-1"})
        message = {"errorInformation": {"code": "ALARM_ACTIVE", "message": "checkout-errors is on"}}
        stub.add_response("get_deployment", info("Stopped", **message), {"deploymentId": "d-1"})
        stub.add_response("list_deployments", {"deployments": []}, GOING_ON)
        done = aws.deploy(
            make_spec(tmp_path, cloud, salt="2"), shift=waiting, clients=cloud, clock=FastClock()
        )
    assert done.shift is not None
    assert done.shift.undone == "CodeDeploy's deployment d-1 stopped: checkout-errors is on"
    assert (done.version, done.shift.version) == ("1", "1")


def test_a_group_that_differs_is_changed_where_it_differs(cloud: aws.Clients) -> None:
    """Another configuration and other alarms change the group; the same ones make no call."""
    account = aws.observe("demo", cloud).account
    for call in codedeploy.set_up("demo", account, (), CONFIG, cloud):
        getattr(cloud[call.service], call.operation)(**call.parameters)
    assert codedeploy.set_up("demo", account, (), CONFIG, cloud) == ()
    changed = codedeploy.set_up("demo", account, ("a",), "CodeDeployDefault.LambdaAllAtOnce", cloud)
    assert [(call.operation, call.why) for call in changed] == [
        ("put_role_policy", "CodeDeploy may move demo:live"),
        ("update_deployment_group", "deploymentConfigName, alarmConfiguration"),
    ]
    with Stubber(cloud["codedeploy"]) as stub:
        call = changed[-1]
        stub.add_response("update_deployment_group", {}, dict(call.parameters))
        cloud["codedeploy"].update_deployment_group(**call.parameters)
