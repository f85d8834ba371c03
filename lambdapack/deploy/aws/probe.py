"""A real read: a function of a few lines, with the role of the user's own, that reads a byte of each pack.

For where IAM does not say what the role may do. The function is made, called once and deleted again; one that
a killed run has left is replaced.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from typing import Any

from lambdapack.deploy.aws import naming
from lambdapack.deploy.aws.clients import Clients
from lambdapack.deploy.aws.errors import errors_of_aws
from lambdapack.deploy.aws.executor import execute
from lambdapack.deploy.aws.models import ApiCall
from lambdapack.deploy.aws.own_role import put_policy
from lambdapack.errors import ConfigurationError, ToolError
from lambdapack.model import FunctionSpec, Location
from lambdapack.progress import QUIET, Progress
from lambdapack.store.aws_errors import code_of

_TIMEOUT = 30
_MEMORY_MB = 512
# Runs in Lambda, whose runtime has boto3.
_CODE = """\
import boto3
from botocore.config import Config

PATIENCE = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 2})


def handler(event, context):
    failed = []
    for bucket, key, region in event["packs"]:
        try:
            s3 = boto3.client("s3", region_name=region, config=PATIENCE)
            s3.get_object(Bucket=bucket, Key=key, Range="bytes=0-0")["Body"].read()
        except Exception as error:
            failed.append([bucket, key, "%s: %s" % (type(error).__name__, error)])
    return {"failed": failed}
"""


def try_reading(
    spec: FunctionSpec, packs: Sequence[Location], clients: Clients, progress: Progress = QUIET
) -> None:
    """Refuse where the role of ``spec`` cannot read the packs; say so where that cannot be tried.

    Raises:
        ConfigurationError: S3 refused a read, or was not reached.
    """
    name = naming.probe_name(spec.name)
    progress.note(
        f"the function {name} tries whether {spec.settings.role} reads the packs, and is deleted then"
    )
    try:
        answer = _answer(name, spec, packs, clients, progress)
    except ToolError as error:
        progress.warn(f"whether {spec.settings.role} reads the packs could not be tried: {error.message}")
        return
    failed = answer.get("failed")
    if failed is None:
        progress.warn(f"{name} gave no answer: {answer.get('errorMessage', answer)}")
    elif failed:
        reasons = "; ".join(f"s3://{bucket}/{key}: {why}" for bucket, key, why in failed)
        raise ConfigurationError(
            f"deploying {spec.name}: with the role {spec.settings.role}, a function cannot read {reasons}",
            hint=put_policy(str(spec.settings.role)),
        )


def _answer(
    name: str, spec: FunctionSpec, packs: Sequence[Location], clients: Clients, progress: Progress
) -> dict[str, Any]:
    _delete(name, clients)
    try:
        execute((_creation(name, spec),), clients, progress=progress)
        event = {"packs": [[pack.bucket, pack.key, pack.region] for pack in packs]}
        with errors_of_aws(f"invoking {name}", action="lambda:InvokeFunction", resource=name):
            said = clients["lambda"].invoke(FunctionName=name, Payload=json.dumps(event).encode())
            answer: dict[str, Any] = json.loads(said["Payload"].read() or b"{}")
            return answer
    except ConfigurationError as error:
        raise ToolError(error.message) from error
    except ValueError as error:
        raise ToolError(f"{name} answered no JSON: {error}") from error
    finally:
        _delete(name, clients)


def _creation(name: str, spec: FunctionSpec) -> ApiCall:
    parameters: dict[str, Any] = {
        "FunctionName": name,
        "Role": spec.settings.role,
        "Runtime": spec.target.runtime,
        "Architectures": [spec.target.arch],
        "Handler": "probe.handler",
        "Timeout": _TIMEOUT,
        "MemorySize": _MEMORY_MB,
        "Description": f"Made by lambdapack, to try a role for {spec.name}; may be deleted",
        "Code": {"ZipFile": _zip()},
    }
    if spec.settings.subnets:
        # The function's own network, so that what is tried is the way that the function will take.
        groups = list(spec.settings.security_groups)
        parameters["VpcConfig"] = {"SubnetIds": list(spec.settings.subnets), "SecurityGroupIds": groups}
    return ApiCall("lambda", "create_function", parameters, "tries the role", "function_active_v2")


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("probe.py")
        info.external_attr = 0o644 << 16
        archive.writestr(info, _CODE)
    return buffer.getvalue()


def _delete(name: str, clients: Clients) -> None:
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow

    with errors_of_aws(f"deleting {name}", action="lambda:DeleteFunction", resource=name):
        try:
            clients["lambda"].delete_function(FunctionName=name)
        except ClientError as error:
            if code_of(error) != "ResourceNotFoundException":
                raise
