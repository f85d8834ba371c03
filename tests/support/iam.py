"""IAM, as far as tests need it: which calls lambdapack makes, what AWS wants for each, what a policy allows.

What AWS wants is written here a second time, apart from lambdapack's own table, so that each is held against
the other.
"""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import botocore.client
import pytest
from botocore import xform_name

from lambdapack.deploy.aws import permissions

_LIBRARIES = ("botocore", "boto3", "s3transfer", "tests.support.iam")
Listener = Callable[[Any, str, Mapping[str, Any]], "Mapping[str, Any] | None"]


def _is_of_lambdapack() -> bool:
    """Whether the innermost frame that is not the SDK's is lambdapack's."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        name = frame.f_globals.get("__name__", "")
        if name.partition(".")[0] not in _LIBRARIES and name not in _LIBRARIES:
            return bool(name.partition(".")[0] == "lambdapack")
        frame = frame.f_back
    return False


def listen(monkeypatch: pytest.MonkeyPatch, listener: Listener) -> None:
    """Let ``listener`` see each call that lambdapack makes: client, operation, parameters.

    What the listener returns is the answer to the call; ``None`` lets the call through.
    """
    make: Any = botocore.client.BaseClient._make_api_call  # type: ignore[attr-defined]

    def call(client: Any, operation: str, parameters: Mapping[str, Any]) -> Any:
        if _is_of_lambdapack():
            client.meta.events.register_first("before-call", _answering(listener, parameters), "tests")
            try:
                return make(client, operation, parameters)
            finally:
                client.meta.events.unregister("before-call", unique_id="tests")
        return make(client, operation, parameters)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", call)


def _answering(listener: Listener, parameters: Mapping[str, Any]) -> Callable[..., Any]:
    def answer(model: Any, **_: Any) -> Any:
        said = listener(model.service_model.service_name, xform_name(model.name), parameters)
        return None if said is None else (SimpleNamespace(status_code=403), said)

    return answer


def unknown_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that grows by each call of lambdapack's for which its table of permissions has no row."""
    unknown: list[str] = []

    def listener(service: Any, operation: str, _: Mapping[str, Any]) -> None:
        if not permissions.rows_for_call(service, operation):
            unknown.append(f"{service} {operation}")

    listen(monkeypatch, listener)
    return unknown


@pytest.fixture
def known_calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails a test in which lambdapack makes a call that its table of permissions has no row for."""
    unknown = unknown_calls(monkeypatch)
    yield
    assert not unknown, f"no row in lambdapack/deploy/aws/permissions/table.py: {sorted(set(unknown))}"


@dataclass
class Account:
    """What one account's names become as ARNs."""

    id: str
    region: str

    def wanted(self, service: str, operation: str, given: Mapping[str, Any]) -> list[tuple[str, str]]:
        """The actions, each with its resource, that AWS wants allowed for a call."""
        action = "".join(part.capitalize() for part in operation.split("_"))
        if service == "sts":
            return []
        if service == "s3":
            return _wanted_by_s3(operation, given)
        wanted = [(f"{service}:{action}", self._resource(service, operation, given))]
        if "Role" in given:
            wanted.append(("iam:PassRole", str(given["Role"])))
        wanted += [("lambda:GetLayerVersion", arn) for arn in given.get("Layers", ())]
        if "S3Key" in (code := {**given, **given.get("Code", {})}):
            wanted.append(("s3:GetObject", f"arn:aws:s3:::{code['S3Bucket']}/{code['S3Key']}"))
        return wanted

    def _resource(self, service: str, operation: str, given: Mapping[str, Any]) -> str:
        here = f"arn:aws:{service}:{self.region}:{self.id}"
        if service == "iam":
            return f"arn:aws:iam::{self.id}:role/{given['RoleName']}"
        if operation in ("list_layer_versions", "list_event_source_mappings", "describe_log_groups"):
            return "*"
        if "LayerName" in given:
            return f"{here}:layer:{given['LayerName']}"
        if service == "logs":
            return f"{here}:log-group:{given['logGroupName']}"
        name = str(given.get("FunctionName") or given.get("Resource")).split(":")[-1]
        qualifier = given.get("Qualifier", "")
        return f"{here}:function:{name}" + (f":{qualifier}" if qualifier else "")


_OF_BUCKETS = {"head_bucket": "ListBucket", "list_objects_v2": "ListBucket",
               "list_multipart_uploads": "ListBucketMultipartUploads",
               "get_bucket_encryption": "GetEncryptionConfiguration",
               "get_public_access_block": "GetBucketPublicAccessBlock",
               "get_bucket_policy": "GetBucketPolicy",
               "get_bucket_lifecycle_configuration": "GetLifecycleConfiguration"}  # fmt: skip
_OF_OBJECTS = {"head_object": "GetObject", "get_object": "GetObject", "put_object": "PutObject",
               "create_multipart_upload": "PutObject", "upload_part": "PutObject",
               "complete_multipart_upload": "PutObject", "list_parts": "ListMultipartUploadParts",
               "abort_multipart_upload": "AbortMultipartUpload"}  # fmt: skip


def _wanted_by_s3(operation: str, given: Mapping[str, Any]) -> list[tuple[str, str]]:
    bucket = f"arn:aws:s3:::{given['Bucket']}"
    if operation in _OF_BUCKETS:
        return [(f"s3:{_OF_BUCKETS[operation]}", bucket)]
    return [(f"s3:{_OF_OBJECTS[operation]}", f"{bucket}/{given['Key']}")]


def allows(document: Mapping[str, Any], action: str, resource: str, context: Mapping[str, str]) -> bool:
    """Whether a policy allows an action: its wildcards and ``StringEquals``, and nothing else, are known."""
    for statement in document["Statement"]:
        assert statement["Effect"] == "Allow"
        actions, resources = _list(statement["Action"]), _list(statement["Resource"])
        conditions = statement.get("Condition", {})
        assert set(conditions) <= {"StringEquals"}
        if (
            any(_matches(pattern.lower(), action.lower()) for pattern in actions)
            and any(_matches(pattern, resource) for pattern in resources)
            and all(
                context.get(key) in _list(value) for key, value in conditions.get("StringEquals", {}).items()
            )
        ):
            return True
    return False


def _list(value: str | Sequence[str]) -> Sequence[str]:
    return [value] if isinstance(value, str) else value


def _matches(pattern: str, text: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), text) is not None


@dataclass
class Guard:
    """Answers as AWS does to whoever has ``policies`` and nothing else; keeps what was asked for."""

    account: Account
    policies: Sequence[Mapping[str, Any]]
    asked: set[tuple[str, str]] = field(default_factory=set)

    def __call__(self, service: Any, operation: str, given: Mapping[str, Any]) -> Mapping[str, Any] | None:
        for action, resource in self.account.wanted(service, operation, given):
            self.asked.add((action, resource))
            context = {"iam:PassedToService": "lambda.amazonaws.com"} if action == "iam:PassRole" else {}
            if not any(allows(policy, action, resource, context) for policy in self.policies):
                return _denied(service, action, resource)
        return None


def _denied(service: str, action: str, resource: str) -> Mapping[str, Any]:
    said = (
        f"User: arn:aws:iam::123456789012:user/ci is not authorized to perform: {action} on resource: "
        f"{resource} because no identity-based policy allows the {action} action"
    )
    code = "AccessDenied" if service in ("s3", "iam") else "AccessDeniedException"
    return {"Error": {"Code": code, "Message": said}, "ResponseMetadata": {"HTTPStatusCode": 403}}


def add_simulator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let moto's IAM, which has none, simulate the inline policies of a role as ``allows`` reads them."""
    from moto.core.responses import ActionResult  # noqa: PLC0415 - slow
    from moto.iam.responses import IamResponse  # noqa: PLC0415

    def simulate(response: Any) -> Any:
        wanted = response.querystring
        name = wanted["PolicySourceArn"][0].rpartition("/")[2]
        documents = [
            json.loads(response.backend.get_role_policy(name, policy)[1])
            for policy in response.backend.list_role_policies(name)
        ]
        context = {
            wanted[f"ContextEntries.member.{number}.ContextKeyName"][0]: wanted[
                f"ContextEntries.member.{number}.ContextKeyValues.member.1"
            ][0]
            for number in range(1, 9)
            if f"ContextEntries.member.{number}.ContextKeyName" in wanted
        }
        results = [
            _judged(documents, action, resource, context)
            for action in _members(wanted, "ActionNames")
            for resource in _members(wanted, "ResourceArns")
        ]
        return ActionResult({"EvaluationResults": results, "IsTruncated": False})

    monkeypatch.setattr(IamResponse, "simulate_principal_policy", simulate, raising=False)


def _members(wanted: Mapping[str, Sequence[str]], name: str) -> Iterator[str]:
    for number in itertools.count(1):
        if f"{name}.member.{number}" not in wanted:
            return
        yield wanted[f"{name}.member.{number}"][0]


def _judged(
    documents: Sequence[Mapping[str, Any]], action: str, resource: str, context: Mapping[str, str]
) -> Mapping[str, Any]:
    allowed = any(allows(document, action, resource, context) for document in documents)
    decision = "allowed" if allowed else "implicitDeny"
    specific = {"EvalResourceName": resource, "EvalResourceDecision": decision}
    return {"EvalActionName": action, "EvalDecision": decision, "ResourceSpecificResults": [specific]}
