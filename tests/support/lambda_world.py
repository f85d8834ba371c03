"""Lambda as the tests of settings need it: what moto has no word of, and AWS's own refusals.

Every call is checked against botocore's model of the service, and every answer too. The clients stand where
boto3's would: observer, planner and executor are the real ones.
"""

# ruff: noqa: N803 - parameters have AWS's names

from __future__ import annotations

import base64
import copy
import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import botocore.session
from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

from lambdapack.deploy import aws
from lambdapack.model import FunctionSettings, FunctionSpec, Target
from tests.support.told import Told

REGION = "eu-central-1"
ACCOUNT = "123456789012"
ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:demo"
_LOADER = botocore.session.get_session()


def refuse(code: str, message: str, operation: str = "Call") -> ClientError:
    """AWS's error."""
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


class Service:
    """A client of one service; a subclass has a method for each operation that it answers."""

    name = ""
    absent = "ResourceNotFoundException"

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.denied: set[str] = set()
        model = _LOADER.get_service_model(self.name)
        self._shapes = {
            xform_name(each): (shape.input_shape, shape.output_shape)
            for each in model.operation_names
            for shape in [model.operation_model(each)]
        }

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        if operation.startswith("_") or operation not in self._shapes:
            raise AttributeError(operation)
        takes, gives = self._shapes[operation]

        def call(**parameters: Any) -> Any:
            report = ParamValidator().validate(parameters, takes)
            assert not report.has_errors(), report.generate_report()
            self.calls.append((operation, copy.deepcopy(parameters)))
            if operation in self.denied:
                raise refuse("AccessDeniedException", f"not authorized to perform: {operation}")
            answer = getattr(self, f"on_{operation}")(**parameters) or {}
            if gives is not None:
                report = ParamValidator().validate(answer, gives)
                assert not report.has_errors(), report.generate_report()
            return copy.deepcopy(answer)

        return call

    def get_paginator(self, operation: str) -> Any:
        service = self

        class Pages:
            def paginate(self, **parameters: Any) -> Iterator[Any]:
                yield getattr(service, operation)(**parameters)

        return Pages()

    def get_waiter(self, name: str) -> Any:
        class Waiter:
            def wait(self, **parameters: Any) -> None:
                return None

        return Waiter()

    def gone(self, what: str) -> ClientError:
        return refuse(self.absent, f"{what} does not exist")


class Lambda(Service):
    """One function, ``demo``."""

    name = "lambda"

    def __init__(self) -> None:
        super().__init__()
        self.configuration: dict[str, Any] | None = None
        self.versions: list[dict[str, Any]] = []
        self.aliases: dict[str, dict[str, Any]] = {}
        self.tags: dict[str, str] = {}
        self.reserved: int | None = None
        self.policies: dict[str, list[dict[str, Any]]] = {}
        self.provisioned: dict[str, dict[str, Any]] = {}
        self.polls = 0
        self.failure = ""
        self.urls: list[dict[str, Any]] = []
        self.mappings: list[dict[str, Any]] = []
        self.asynchronous: list[dict[str, Any]] = []

    # The function

    def on_get_function_configuration(self, FunctionName: str, Qualifier: str = "$LATEST") -> Any:
        if self.configuration is None:
            raise self.gone("function")
        return self.configuration

    def on_create_function(self, Code: Any, Tags: dict[str, str] | None = None, **said: Any) -> Any:
        self.tags = dict(Tags or {})
        self.configuration = {"FunctionArn": ARN, "Version": "$LATEST", "State": "Active"}
        self._set(said)
        self.configuration["CodeSha256"] = _digest(Code)
        return self.configuration

    def on_update_function_configuration(self, **said: Any) -> Any:
        self._set(said)
        return self.configuration

    def on_update_function_code(self, FunctionName: str, Architectures: list[str], **code: Any) -> Any:
        assert self.configuration is not None
        self.configuration |= {"CodeSha256": _digest(code), "Architectures": Architectures}
        return self.configuration

    def _set(self, said: dict[str, Any]) -> None:
        """Take settings as Lambda does: it describes some otherwise than they are sent."""
        seen = self.configuration
        assert seen is not None
        layers = said.pop("Layers", None)
        if layers is not None:
            names = [arn.rpartition(":")[0] for arn in layers]
            if len(set(names)) < len(names):
                raise refuse("InvalidParameterValueException", "Two different versions of the same layer")
            seen["Layers"] = [{"Arn": arn} for arn in layers]
        logging = said.pop("LoggingConfig", None)
        if logging is not None:
            levels = {"ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO"}
            if logging["LogFormat"] == "Text" and logging.keys() & levels.keys():
                raise refuse("InvalidParameterValueException", "levels need JSON")
            default = {"LogGroup": "/aws/lambda/demo"} | (levels if logging["LogFormat"] == "JSON" else {})
            seen["LoggingConfig"] = default | logging
        letters = said.pop("DeadLetterConfig", None)
        if letters is not None:
            seen.pop("DeadLetterConfig", None)
            seen |= {"DeadLetterConfig": letters} if letters["TargetArn"] else {}
        key = said.pop("KMSKeyArn", None)
        if key is not None:
            seen.pop("KMSKeyArn", None)
            seen |= {"KMSKeyArn": key} if key else {}
        network = said.pop("VpcConfig", None)
        if network is not None:
            seen["VpcConfig"] = {**network, "VpcId": "vpc-1" if network["SubnetIds"] else ""}
        seen |= said

    # Versions and aliases

    def on_publish_version(self, FunctionName: str, CodeSha256: str, Description: str) -> Any:
        assert self.configuration is not None and self.configuration["CodeSha256"] == CodeSha256
        number = str(len(self.versions) + 1)
        version = {**copy.deepcopy(self.configuration), "Version": number, "Description": Description}
        self.versions.append(version)
        return version

    def on_list_versions_by_function(self, FunctionName: str) -> Any:
        return {"Versions": [self.configuration, *self.versions]}

    def on_get_alias(self, FunctionName: str, Name: str) -> Any:
        if Name not in self.aliases:
            raise self.gone("alias")
        return self.aliases[Name]

    def on_list_aliases(self, FunctionName: str) -> Any:
        return {"Aliases": list(self.aliases.values())}

    def on_create_alias(self, FunctionName: str, Name: str, FunctionVersion: str) -> Any:
        self.aliases[Name] = {"Name": Name, "FunctionVersion": FunctionVersion}
        return self.aliases[Name]

    def on_update_alias(self, FunctionName: str, Name: str, FunctionVersion: str) -> Any:
        if Name in self.provisioned and FunctionVersion in self.provisioned:
            raise refuse("InvalidParameterValueException", "version has provisioned concurrency of its own")
        if Name in self.provisioned and self._has_snapshot(FunctionVersion):
            raise refuse("InvalidParameterValueException", "Provisioned Concurrency and SnapStart")
        self.aliases[Name]["FunctionVersion"] = FunctionVersion
        return self.aliases[Name]

    # What belongs to the whole function

    def on_list_tags(self, Resource: str) -> Any:
        assert Resource == ARN
        return {"Tags": self.tags}

    def on_tag_resource(self, Resource: str, Tags: dict[str, str]) -> None:
        assert Resource == ARN
        self.tags |= Tags

    def on_get_function_concurrency(self, FunctionName: str) -> Any:
        return {} if self.reserved is None else {"ReservedConcurrentExecutions": self.reserved}

    def on_put_function_concurrency(self, FunctionName: str, ReservedConcurrentExecutions: int) -> Any:
        if ReservedConcurrentExecutions < self._ready():
            raise refuse("InvalidParameterValueException", "less than its provisioned concurrency")
        self.reserved = ReservedConcurrentExecutions
        return {"ReservedConcurrentExecutions": self.reserved}

    def on_get_policy(self, FunctionName: str, Qualifier: str = "") -> Any:
        statements = self.policies.get(Qualifier)
        if not statements:
            raise self.gone("policy")
        return {"Policy": json.dumps({"Version": "2012-10-17", "Statement": statements})}

    def on_add_permission(self, FunctionName: str, StatementId: str, Qualifier: str = "", **said: Any) -> Any:
        if Qualifier and Qualifier not in self.aliases:
            raise self.gone("alias")
        statements = self.policies.setdefault(Qualifier, [])
        if any(each["Sid"] == StatementId for each in statements):
            raise refuse("ResourceConflictException", f"The statement id ({StatementId}) already exists")
        resource = f"{ARN}:{Qualifier}" if Qualifier else ARN
        statements.append({"Sid": StatementId, "Resource": resource, "said": said})

    def on_remove_permission(self, FunctionName: str, StatementId: str, Qualifier: str) -> None:
        kept = [each for each in self.policies[Qualifier] if each["Sid"] != StatementId]
        assert len(kept) < len(self.policies[Qualifier])
        self.policies[Qualifier] = kept

    # Provisioned concurrency

    def _ready(self, but: str = "") -> int:
        return sum(
            each["RequestedProvisionedConcurrentExecutions"]
            for qualifier, each in self.provisioned.items()
            if qualifier != but
        )

    def _has_snapshot(self, version: str) -> bool:
        said = self.versions[int(version) - 1].get("SnapStart", {})
        return bool(said.get("ApplyOn") == "PublishedVersions")

    def on_list_provisioned_concurrency_configs(self, FunctionName: str) -> Any:
        items = [{"FunctionArn": f"{ARN}:{name}", **each} for name, each in self.provisioned.items()]
        return {"ProvisionedConcurrencyConfigs": items}

    def on_get_provisioned_concurrency_config(self, FunctionName: str, Qualifier: str) -> Any:
        seen = self.provisioned.get(Qualifier)
        if seen is None:
            raise refuse("ProvisionedConcurrencyConfigNotFoundException", "no config")
        if seen["Status"] == "IN_PROGRESS":
            self.polls -= 1
            if self.failure:
                seen |= {"Status": "FAILED", "StatusReason": self.failure}
            elif self.polls < 0:
                seen["Status"] = "READY"
        return seen

    def on_put_provisioned_concurrency_config(
        self, FunctionName: str, Qualifier: str, ProvisionedConcurrentExecutions: int
    ) -> Any:
        version = self.aliases.get(Qualifier, {}).get("FunctionVersion", Qualifier)
        rival = next((n for n, each in self.aliases.items() if each["FunctionVersion"] == version), None)
        if (rival if Qualifier == version else version) in self.provisioned:
            raise refuse("InvalidParameterValueException", "Alias and version, one of both")
        if self._has_snapshot(version):
            raise refuse("InvalidParameterValueException", "Provisioned Concurrency and SnapStart")
        if (
            self.reserved is not None
            and self._ready(Qualifier) + ProvisionedConcurrentExecutions > self.reserved
        ):
            raise refuse("InvalidParameterValueException", "exceeds reserved concurrency")
        self.provisioned[Qualifier] = {
            "RequestedProvisionedConcurrentExecutions": ProvisionedConcurrentExecutions,
            "AvailableProvisionedConcurrentExecutions": 0, "Status": "IN_PROGRESS",
        }  # fmt: skip
        return self.provisioned[Qualifier]

    def on_delete_provisioned_concurrency_config(self, FunctionName: str, Qualifier: str) -> None:
        del self.provisioned[Qualifier]

    # What lambdapack does not manage

    def on_list_function_url_configs(self, FunctionName: str) -> Any:
        return {"FunctionUrlConfigs": self.urls}

    def on_list_event_source_mappings(self, FunctionName: str) -> Any:
        return {"EventSourceMappings": self.mappings}

    def on_list_function_event_invoke_configs(self, FunctionName: str) -> Any:
        return {"FunctionEventInvokeConfigs": self.asynchronous}


def _digest(code: dict[str, Any]) -> str:
    return base64.b64encode(hashlib.sha256(code["ZipFile"]).digest()).decode()


class Iam(Service):
    """Roles."""

    name, absent = "iam", "NoSuchEntity"

    def __init__(self) -> None:
        super().__init__()
        self.trust: Any = None
        self.policies: dict[str, Any] = {}

    def on_get_role(self, RoleName: str) -> Any:
        if self.trust is None:
            raise self.gone("role")
        return {"Role": self._role(RoleName)}

    def _role(self, name: str) -> Any:
        arn = f"arn:aws:iam::{ACCOUNT}:role/{name}"
        return {
            "Path": "/", "RoleName": name, "RoleId": "A" * 20, "Arn": arn, "CreateDate": 0,
            "AssumeRolePolicyDocument": json.dumps(self.trust),
        }  # fmt: skip

    def on_create_role(self, RoleName: str, AssumeRolePolicyDocument: str, Description: str) -> Any:
        self.trust = json.loads(AssumeRolePolicyDocument)
        return {"Role": self._role(RoleName)}

    def on_list_role_policies(self, RoleName: str) -> Any:
        return {"PolicyNames": list(self.policies)}

    def on_get_role_policy(self, RoleName: str, PolicyName: str) -> Any:
        document = json.dumps(self.policies[PolicyName])
        return {"RoleName": RoleName, "PolicyName": PolicyName, "PolicyDocument": document}

    def on_put_role_policy(self, RoleName: str, PolicyName: str, PolicyDocument: str) -> None:
        self.policies[PolicyName] = json.loads(PolicyDocument)

    def on_list_attached_role_policies(self, RoleName: str) -> Any:
        return {"AttachedPolicies": []}


class Logs(Service):
    """Log groups."""

    name = "logs"

    def __init__(self) -> None:
        super().__init__()
        self.groups: dict[str, Any] = {}

    def on_describe_log_groups(self, logGroupNamePrefix: str) -> Any:
        return {"logGroups": list(self.groups.values())}

    def on_create_log_group(self, logGroupName: str) -> None:
        self.groups[logGroupName] = {"logGroupName": logGroupName}

    def on_put_retention_policy(self, logGroupName: str, retentionInDays: int) -> None:
        self.groups[logGroupName]["retentionInDays"] = retentionInDays


class Sts(Service):
    """Who asks."""

    name = "sts"

    def on_get_caller_identity(self) -> Any:
        return {"Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/me"}


class S3(Service):
    """A bucket that has every pack."""

    name = "s3"

    def on_head_object(self, Bucket: str, Key: str) -> Any:
        return {}


class World:
    """What stands where ``Clients`` would."""

    region = REGION

    def __init__(self) -> None:
        self.lambda_, self.iam, self.logs = Lambda(), Iam(), Logs()
        self._services: dict[str, Service] = {
            "lambda": self.lambda_, "iam": self.iam, "logs": self.logs, "sts": Sts(), "s3": S3(),
        }  # fmt: skip

    def __getitem__(self, service: str) -> Any:
        return self._services[service]

    def add(self, service: str, operation: str, answer: Callable[..., Any]) -> None:
        """A further service, which knows this one operation."""
        made: Any = type(service, (Service,), {"name": service})()
        setattr(made, f"on_{operation}", answer)
        self._services[service] = made


def spec_of(folder: Path, code: bytes = b"code", **settings: Any) -> FunctionSpec:
    """The function, with a zip of this code."""
    path = folder / f"{code.decode()}.zip"
    if not path.exists():
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(zipfile.ZipInfo("app.py"), code)
    return FunctionSpec("demo", "app.handler", Target("3.12"), path, None, None, FunctionSettings(**settings))


def deploy(world: World, spec: FunctionSpec, told: Told | None = None, **more: Any) -> aws.Deployment:
    """Deploy for real, as far as ``world`` is."""
    return aws.deploy(spec, clients=cast(aws.Clients, world), progress=told or Told(), **more)


def operations(done: aws.Deployment) -> list[str]:
    """The calls that were made, without the looks."""
    return [call.operation for call in done.calls]
