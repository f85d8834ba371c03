"""What is checked of a role and a network that the user brings."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import ANY, Stubber
from moto.core.exceptions import AccessDeniedError
from moto.iam.responses import IamResponse

from lambdapack.deploy import aws
from lambdapack.deploy.aws import naming, network, own_role, probe
from lambdapack.deploy.aws.executor import execute
from lambdapack.errors import ConfigurationError
from lambdapack.model import Location
from tests.deploy.test_aws import make_spec
from tests.support.aws_world import REGION
from tests.support.told import Told

ARN = "arn:aws:iam::123456789012:role/theirs"
PACK = Location("packs", "team/packs/aa/aa.tar.zst", REGION)
NEEDED = naming.policy(aws.Account("123456789012", "aws", REGION), "demo", [PACK])
PACK_ARN = "arn:aws:s3:::packs/team/packs/aa/aa.tar.zst"
DOING = "deploying demo"


def role(trust: Mapping[str, Any] = naming.TRUST) -> dict[str, Any]:
    return {
        "Role": {
            "Path": "/", "RoleName": "theirs", "RoleId": "AROAEXAMPLEEXAMPLE", "Arn": ARN,
            "CreateDate": "2026-01-01T00:00:00Z", "AssumeRolePolicyDocument": json.dumps(trust),
        }
    }  # fmt: skip


def verdict(action: str, resource: str, decision: str, **more: Any) -> dict[str, Any]:
    specific = {"EvalResourceName": resource, "EvalResourceDecision": decision, **more}
    return {"EvaluationResults": [
        {"EvalActionName": action, "EvalDecision": decision, "ResourceSpecificResults": [specific]}
    ]}  # fmt: skip


def asked(action: str, resources: list[str]) -> dict[str, Any]:
    return {"PolicySourceArn": ARN, "ActionNames": [action], "ResourceArns": resources, "ContextEntries": []}


LOG = f"arn:aws:logs:{REGION}:123456789012:log-group:/aws/lambda/demo:x"


@pytest.fixture
def iam(cloud: aws.Clients) -> Any:
    with Stubber(cloud["iam"]) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def simulate(iam: Stubber, get: str = "allowed", log: str = "allowed", **more: Any) -> None:
    """The simulator's answers: on the pack, and on the log."""
    iam.add_response("get_role", role(), {"RoleName": "theirs"})
    for action, resource, decision in (
        ("s3:GetObject", PACK_ARN, get),
        ("logs:CreateLogStream", LOG, log),
        ("logs:PutLogEvents", LOG, log),
    ):
        iam.add_response(
            "simulate_principal_policy",
            verdict(action, resource, decision, **(more if decision != "allowed" else {})),
            asked(action, [resource]),
        )


def test_a_role_that_may_all_is_taken(cloud: aws.Clients, iam: Stubber) -> None:
    """Each action is asked about with the resource that the function needs it on."""
    simulate(iam)
    told = Told()
    assert own_role.check(ARN, NEEDED, cloud, doing=DOING, progress=told)
    assert told.said == []


def test_a_role_that_may_not_read_the_pack_is_refused(cloud: aws.Clients, iam: Stubber) -> None:
    """The error names the action and the key, and the command that gives the permission."""
    simulate(iam, get="implicitDeny")
    with pytest.raises(ConfigurationError) as caught:
        own_role.check(ARN, NEEDED, cloud, doing=DOING)
    assert caught.value.message == (
        f"deploying demo: the role {ARN} may not s3:GetObject on {PACK_ARN} (no policy of its allows it)"
    )
    assert "aws iam put-role-policy --role-name theirs" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("decision", "more", "words"),
    [
        ("explicitDeny", {}, "explicitly denied"),
        (
            "implicitDeny",
            {"PermissionsBoundaryDecisionDetail": {"AllowedByPermissionsBoundary": False}},
            "permissions boundary",
        ),
    ],
)
def test_what_denies_is_told_apart_from_what_does_not_allow(
    cloud: aws.Clients, iam: Stubber, decision: str, more: dict[str, Any], words: str
) -> None:
    """A further policy helps against neither, and none is suggested."""
    simulate(iam, get=decision, **more)
    with pytest.raises(ConfigurationError, match=words) as caught:
        own_role.check(ARN, NEEDED, cloud, doing=DOING)
    assert "put-role-policy" not in (caught.value.hint or "")


def test_a_role_without_logs_is_warned_of(cloud: aws.Clients, iam: Stubber) -> None:
    """A function runs without a log; its owner may want that."""
    simulate(iam, log="implicitDeny")
    told = Told()
    own_role.check(ARN, NEEDED, cloud, doing=DOING, progress=told)
    assert len(told.warnings) == 2
    assert "logs:PutLogEvents" in told.warnings[1]


def test_what_may_not_be_looked_at_is_a_note(cloud: aws.Clients, iam: Stubber) -> None:
    """Neither GetRole nor the simulator allowed: the deployment goes on, and says what was not checked."""
    iam.add_client_error("get_role", "AccessDenied")
    iam.add_client_error("simulate_principal_policy", "AccessDenied")
    told = Told()
    assert not own_role.check(ARN, NEEDED, cloud, doing=DOING, progress=told)
    assert [word in note for word, note in zip(("GetRole", "Simulate"), told.notes, strict=True)] == [
        True
    ] * 2


def test_a_role_that_lambda_may_not_assume_is_refused(cloud: aws.Clients, tmp_path: Path) -> None:
    """Before anything is changed, with the command that mends it; so is a role that is not there."""
    trust = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": ["ec2.amazonaws.com"]}, "Action": "sts:AssumeRole"}
    ]}  # fmt: skip
    cloud["iam"].create_role(RoleName="theirs", AssumeRolePolicyDocument=json.dumps(trust))
    spec = make_spec(tmp_path, cloud, role=ARN)
    with pytest.raises(ConfigurationError, match=r"does not name lambda\.amazonaws\.com") as caught:
        aws.deploy(spec, clients=cloud)
    command = caught.value.hint or ""
    document = json.loads(command[command.index("'") + 1 : command.rindex("'")])
    assert document == naming.TRUST
    other = replace(spec, settings=replace(spec.settings, role=ARN + "-2"))
    with pytest.raises(ConfigurationError, match=f"there is no role {re.escape(ARN)}-2"):
        aws.deploy(other, clients=cloud)
    with pytest.raises(ClientError):
        cloud["lambda"].get_function(FunctionName="demo")


def vpc(clients: aws.Clients) -> tuple[str, str, str]:
    """A VPC with one subnet; the ids of both, and of the route table."""
    ec2 = clients["ec2"]
    made = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=made, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    filters = [{"Name": "vpc-id", "Values": [made]}]
    table = ec2.describe_route_tables(Filters=filters)["RouteTables"][0]["RouteTableId"]
    return made, subnet, table


def test_a_network_without_a_way_to_s3_is_warned_of(cloud: aws.Clients, tmp_path: Path) -> None:
    """The warning names the endpoint that lacks, and the command that makes one; then there is no warning."""
    made, subnet, table = vpc(cloud)
    group = cloud["ec2"].create_security_group(GroupName="g", Description="g", VpcId=made)["GroupId"]
    spec = make_spec(tmp_path, cloud, subnets=(subnet,), security_groups=(group,))
    told = Told()
    aws.deploy(spec, clients=cloud, progress=told, dry_run=True)
    command = (
        f"aws ec2 create-vpc-endpoint --vpc-id {made} --service-name com.amazonaws.{REGION}.s3 "
        f"--route-table-ids {table}"
    )
    assert [command in warning for warning in told.warnings] == [True]
    cloud["ec2"].create_vpc_endpoint(
        VpcId=made, ServiceName=f"com.amazonaws.{REGION}.s3", RouteTableIds=[table], VpcEndpointType="Gateway"
    )
    told = Told()
    aws.deploy(spec, clients=cloud, progress=told, dry_run=True)
    assert told.warnings == []


def test_an_internet_gateway_is_no_way_out_and_a_nat_is(cloud: aws.Clients) -> None:
    """Lambda's interfaces have no public address; the subnet's own table goes before the main one."""
    made, subnet, _ = vpc(cloud)
    ec2 = cloud["ec2"]
    own = ec2.create_route_table(VpcId=made)["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=own, SubnetId=subnet)
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(VpcId=made, InternetGatewayId=gateway)
    ec2.create_route(RouteTableId=own, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    ends = network.dead_ends([subnet], cloud)
    assert ends is not None
    assert [(end.subnets, end.tables) for end in ends] == [((subnet,), (own,))]
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    nat = ec2.create_nat_gateway(SubnetId=subnet, AllocationId=address)["NatGateway"]["NatGatewayId"]
    ec2.delete_route(RouteTableId=own, DestinationCidrBlock="0.0.0.0/0")
    ec2.create_route(RouteTableId=own, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat)
    assert network.dead_ends([subnet], cloud) == []


def test_a_network_that_may_not_be_looked_at_is_a_note(cloud: aws.Clients) -> None:
    """Not an error: whoever deploys need not be allowed to see the network."""
    with Stubber(cloud["ec2"]) as stubber:
        stubber.add_client_error(
            "describe_subnets", "UnauthorizedOperation", expected_params={"SubnetIds": ANY}
        )
        assert network.dead_ends(["subnet-1"], cloud) is None


class _Runner:
    """Lambda, as far as the function that tries a role needs it: runs that function's code against moto."""

    def __init__(self, clients: aws.Clients, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ran: list[str] = []
        # A plain function: the class binds its first parameter.
        monkeypatch.setattr(IamResponse, "simulate_principal_policy", lambda _: self._denied())
        monkeypatch.setattr(clients["lambda"], "invoke", self._invoke)
        self._clients = clients

    def _denied(self, *_: object) -> Any:
        raise AccessDeniedError(user_arn=ARN, action="iam:SimulatePrincipalPolicy")

    def _invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803
        configuration = self._clients["lambda"].get_function_configuration(FunctionName=FunctionName)
        assert configuration["Role"] == ARN
        self.ran.append(FunctionName)
        module: dict[str, Any] = {}
        exec(probe._CODE, module)
        answer = module["handler"](json.loads(Payload), None)
        return {"Payload": io.BytesIO(json.dumps(answer).encode())}


def functions(clients: aws.Clients) -> list[str]:
    return [each["FunctionName"] for each in clients["lambda"].list_functions()["Functions"]]


def test_where_iam_does_not_tell_the_role_is_tried_by_a_real_read(
    cloud: aws.Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function with that role reads a byte of each pack, once a role, and is gone afterwards."""
    runner = _Runner(cloud, monkeypatch)
    cloud["iam"].create_role(RoleName="theirs", AssumeRolePolicyDocument=json.dumps(naming.TRUST))
    spec = make_spec(tmp_path, cloud, role=ARN)
    aws.deploy(spec, dry_run=True, clients=cloud)
    assert runner.ran == []
    told = Told()
    assert aws.deploy(spec, clients=cloud, progress=told).version == "1"
    assert runner.ran == ["demo-lambdapack-probe"]
    assert functions(cloud) == ["demo"]
    assert any("demo-lambdapack-probe" in note for note in told.notes)
    aws.deploy(replace(spec, settings=replace(spec.settings, memory_mb=1024)), clients=cloud)
    assert len(runner.ran) == 1, "the function has this role already"


def test_a_role_that_cannot_read_is_refused_before_the_function_is_made(
    cloud: aws.Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With S3's own words; the function that tried is gone, and one that a killed run left is replaced."""
    _Runner(cloud, monkeypatch)
    cloud["iam"].create_role(RoleName="theirs", AssumeRolePolicyDocument=json.dumps(naming.TRUST))
    spec = make_spec(tmp_path, cloud, role=ARN)
    with monkeypatch.context() as patch:
        patch.setattr(probe, "_CODE", probe._CODE.replace("Key=key", "Key=key + 'x'"))
        with pytest.raises(ConfigurationError, match=r"a function cannot read s3://.*NoSuchKey") as caught:
            aws.deploy(spec, clients=cloud)
    assert "lambdapack policy --function" in (caught.value.hint or "")
    assert functions(cloud) == []
    execute((probe._creation(naming.probe_name("demo"), spec),), cloud)
    assert aws.deploy(spec, clients=cloud).version == "1"
    assert functions(cloud) == ["demo"]


def test_the_probe_has_a_name_that_lambda_takes() -> None:
    """64 characters at most, another one for each function."""
    names = [naming.probe_name("f" * 60 + end) for end in "ab"]
    assert len(set(names)) == 2
    assert {len(name) for name in names} == {64}
