"""What AWS refuses, in words, and what is only a matter of time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoRegionError, ProfileNotFound, WaiterError
from botocore.parsers import ResponseParserError

from lambdapack.deploy import aws
from lambdapack.deploy.aws.errors import errors_of_aws, explain
from lambdapack.deploy.aws.executor import execute
from lambdapack.errors import CheckError, ConfigurationError, LambdapackError, ToolError


def refusal(code: str, message: str = "no") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "Operation")


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("ExpiredToken", ToolError, "credentials have expired"),
        ("InvalidClientTokenId", ToolError, "does not know these credentials"),
        ("ThrottlingException", ToolError, "throttles"),
        ("ResourceConflictException", ToolError, "another change to it is in progress"),
        ("CodeStorageExceededException", CheckError, "larger than Lambda takes"),
        ("InvalidParameterValueException", ConfigurationError, "AWS refused it"),
        ("SomethingNew", ToolError, "AWS refused it (SomethingNew: no)"),
    ],
)
def test_refusals_become_one_message_each(code: str, kind: type[LambdapackError], words: str) -> None:
    """Each code has the kind, and so the exit status, that says who can mend it."""
    found = explain(refusal(code), "creating function demo")
    assert type(found) is kind
    assert found.message.startswith("creating function demo: ")
    assert words in found.message


def test_denied_names_who_what_and_where() -> None:
    """AWS says which action on which resource it denied: so does the message, and the hint."""
    said = (
        "User: arn:aws:iam::1:user/me is not authorized to perform: lambda:CreateFunction on resource: "
        "arn:aws:lambda:eu-west-1:1:function:demo because no identity-based policy allows it"
    )
    found = explain(refusal("AccessDeniedException", said), "creating function demo")
    assert found.message == (
        "creating function demo: arn:aws:iam::1:user/me may not lambda:CreateFunction on "
        "arn:aws:lambda:eu-west-1:1:function:demo"
    )
    assert found.hint is not None
    assert "allow lambda:CreateFunction" in found.hint


@pytest.mark.parametrize(
    ("why", "words", "hint"),
    [
        ("because no identity-based policy allows the x action", "function:demo", "DeployFunction"),
        (
            "with an explicit deny in a service control policy: arn:aws:organizations::1:policy/o-1/p-1",
            "a service control policy (arn:aws:organizations::1:policy/o-1/p-1) denies it",
            "the organization",
        ),
        ("with an explicit deny in an identity-based policy", "identity-based policy denies it", "wrote"),
        (
            "with an explicit deny in a resource control policy",
            "resource control policy denies",
            "organization",
        ),
        ("because no permissions boundary allows the x action", "no permissions boundary allows", "boundary"),
        ("because no session policy allows the x action", "no session policy allows it", "narrower"),
        ("because no VPC endpoint policy allows the x action", "no vpc endpoint policy allows", "endpoint"),
    ],
)
def test_what_stands_in_the_way_is_told_apart(why: str, words: str, hint: str) -> None:
    """Only where nothing denies does a statement help; otherwise the message says whom to ask."""
    said = (
        "User: arn:aws:iam::1:user/me is not authorized to perform: lambda:CreateFunction on resource: "
        f"arn:aws:lambda:eu-west-1:1:function:demo {why}"
    )
    found = explain(refusal("AccessDeniedException", said), "creating function demo")
    assert "may not lambda:CreateFunction on arn:aws:lambda:eu-west-1:1:function:demo" in found.message
    assert words in found.message
    assert hint in (found.hint or "")
    assert ("lambdapack policy --for deploy" in (found.hint or "")) == ("identity-based policy allows" in why)


def test_a_denial_by_s3_and_one_in_code_are_read_too() -> None:
    """S3 puts the resource between quotation marks; EC2 says why in a text that only AWS reads."""
    s3 = (
        "User: arn:aws:iam::1:user/me is not authorized to perform: s3:PutObject on resource: "
        '"arn:aws:s3:::b/team/packs/aa/x.tar.zst" because no identity-based policy allows the action'
    )
    found = explain(refusal("AccessDenied", s3), "x")
    assert found.message.endswith("s3:PutObject on arn:aws:s3:::b/team/packs/aa/x.tar.zst")
    assert "DeployPacks" in (found.hint or "")
    ec2 = (
        "You are not authorized to perform this operation. Encoded authorization failure message: 4GIOHl_-x="
    )
    told = explain(refusal("UnauthorizedOperation", ec2), "x", action="ec2:DescribeSubnets")
    assert "may not ec2:DescribeSubnets" in told.message
    assert "decode-authorization-message --encoded-message 4GIOHl_-x=" in (told.hint or "")
    assert "DeployAnyResource" in (told.hint or "")


def test_an_answer_that_is_not_awss_is_no_crash() -> None:
    """A proxy's or a hotel's page where AWS should answer."""
    page = ResponseParserError("Unable to parse response: <!doctype html>")
    found = explain(page, "creating function demo")
    assert type(found) is ToolError
    assert "the answer is not one of AWS's" in found.message
    with pytest.raises(ToolError, match="looking: the answer is not one of AWS's"), errors_of_aws("looking"):
        raise page


def test_denied_without_details_names_what_was_tried() -> None:
    """S3 says only 'Access Denied': the message names the action and resource of the call."""
    found = explain(refusal("AccessDenied", "Access Denied"), "x", action="s3:PutObject", resource="b/k")
    assert "may not s3:PutObject on b/k" in found.message


def test_missing_region_and_profile_are_configuration() -> None:
    """What a setting mends has exit status 2."""
    assert explain(NoRegionError(), "x").exit_status == 2
    assert explain(ProfileNotFound(profile="nobody"), "x").exit_status == 2


def test_failed_wait_gives_lambdas_own_reason() -> None:
    """A function that ends as Failed says why."""
    state = {"State": "Failed", "StateReason": "the subnet has no addresses"}
    found = explain(WaiterError("function_active_v2", "terminal failure", state), "creating function demo")
    assert "the subnet has no addresses" in found.message


class _Lambda:
    """A Lambda that refuses the first calls."""

    def __init__(self, *refusals: ClientError) -> None:
        self.refusals = list(refusals)
        self.calls: list[Mapping[str, Any]] = []

    def create_function(self, **parameters: Any) -> Mapping[str, Any]:
        self.calls.append(parameters)
        if self.refusals:
            raise self.refusals.pop(0)
        return {"FunctionArn": "arn"}


class _One(aws.Clients):
    def __init__(self, client: object) -> None:
        self._client = client

    def __getitem__(self, service: str) -> Any:
        return self._client


CALL = aws.ApiCall("lambda", "create_function", {"FunctionName": "demo"}, "why")
NOT_YET = refusal(
    "InvalidParameterValueException", "The role defined for the function cannot be assumed by Lambda."
)


@pytest.mark.parametrize(
    "error",
    [
        NOT_YET,
        refusal("ResourceConflictException", "The operation cannot be performed: an update is in progress"),
    ],
)
def test_what_passes_is_tried_again(error: ClientError) -> None:
    """A new role takes seconds to be known, and somebody else's update to end."""
    client = _Lambda(error, error, error)
    pauses: list[float] = []
    answers = execute((CALL,), _One(client), sleep=pauses.append)
    assert answers["create_function"] == {"FunctionArn": "arn"}
    assert len(client.calls) == 4
    assert pauses == sorted(pauses)


def test_what_does_not_pass_ends_within_its_patience() -> None:
    """A role that Lambda never may assume is an error after a bounded wait."""
    client = _Lambda(*[NOT_YET] * 1000)
    pauses: list[float] = []
    with pytest.raises(ConfigurationError, match="cannot be assumed by Lambda"):
        execute((CALL,), _One(client), sleep=pauses.append)
    assert 60 < sum(pauses) < 120


@pytest.mark.parametrize(
    "error",
    [
        refusal("InvalidParameterValueException", "Unzipped size must be smaller than 262144000 bytes"),
        refusal("ResourceConflictException", "Function already exist: demo"),
    ],
)
def test_what_is_wrong_is_not_tried_again(error: ClientError) -> None:
    """Only what waiting mends is waited for."""
    client = _Lambda(error)
    with pytest.raises(LambdapackError):
        execute((CALL,), _One(client), sleep=lambda _: None)
    assert len(client.calls) == 1


def test_calls_pass_answers_on() -> None:
    """A parameter may be what an earlier call of the plan answered."""
    client = _Lambda()
    second = aws.ApiCall(
        "lambda", "create_function", {"Role": {"x": aws.Result("create_function", "FunctionArn")}}, ""
    )
    execute((CALL, second), _One(client))
    assert client.calls[1] == {"Role": {"x": "arn"}}


class _Logs:
    """A CloudWatch Logs that has the group already, and an IAM and Lambda whose waiters remember."""

    def __init__(self) -> None:
        self.waited: list[tuple[str, Mapping[str, Any]]] = []

    def create_log_group(self, **_: Any) -> Mapping[str, Any]:
        raise refusal("ResourceAlreadyExistsException")

    def publish_version(self, **_: Any) -> Mapping[str, Any]:
        return {"Version": "7"}

    def create_role(self, **_: Any) -> Mapping[str, Any]:
        return {}

    def get_waiter(self, name: str) -> Any:
        logs = self

        class Waiter:
            def wait(self, *, WaiterConfig: Mapping[str, int], **subject: Any) -> None:  # noqa: N803
                logs.waited.append((name, subject))

        return Waiter()


def test_what_an_interrupted_run_has_made_is_no_error() -> None:
    """The group is there; other errors of the same call are told."""
    call = aws.ApiCall("logs", "create_log_group", {"logGroupName": "/aws/lambda/demo"}, "")
    assert execute((call,), _One(_Logs())) == {"create_log_group": {}}
    other = aws.ApiCall("lambda", "create_function", {"FunctionName": "demo"}, "")
    with pytest.raises(LambdapackError):
        execute((other,), _One(_Lambda(refusal("ResourceAlreadyExistsException"))))


def test_the_very_version_is_waited_for() -> None:
    """A function's waiter needs the version that was published, a role's the role."""
    client = _Logs()
    publish = aws.ApiCall(
        "lambda", "publish_version", {"FunctionName": "demo"}, "", "published_version_active"
    )
    role = aws.ApiCall("iam", "create_role", {"RoleName": "its-role"}, "", "role_exists")
    execute((publish, role), _One(client))
    assert client.waited == [
        ("published_version_active", {"FunctionName": "demo", "Qualifier": "7"}),
        ("role_exists", {"RoleName": "its-role"}),
    ]
