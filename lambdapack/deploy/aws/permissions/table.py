"""Every call that lambdapack makes in AWS: what IAM calls it, what it is made on, for which feature, and why.

What AWS itself does with the caller's rights in answer to a call, e.g. read a layer, has rows of that call's
as well. The names of actions are those of AWS's service authorization reference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from lambdapack.deploy.aws.permissions import resources as r

FEATURES: Final[Mapping[str, str]] = {
    "deploy": "deploy: the function, its role, log group, versions and alias, and its packs",
    "rollback": "point the alias at an earlier version",
    "status": "show what is deployed",
    "invoke": "call the function",
    "shift": "--shift canary or linear: weights on the alias, metrics and alarms between steps",
    "codedeploy": "--shift codedeploy: hand the shift to CodeDeploy",
    "provisioned": "provisioned concurrency on the alias",
    "logs": "read the function's log",
    "report": "draw durations and cold starts from the log",
    "dashboard": "make a dashboard and alarms",
    "tune": "try memory settings on $LATEST",
    "calibrate": "measure real starts",
    "gc": "delete packs and versions that nothing needs",
    "replicate": "keep a copy of each pack in further regions",
    "bucket": "make the bucket for the packs",
    "codebuild": "build packs in CodeBuild",
    "doctor": "look at the account: doctor --cloud aws",
    "destroy": "remove the function and what was made for it",
}
"""Feature -> what it does. An action that several need is in the statement of the first that is asked for."""


@dataclass(frozen=True)
class Row:
    """A call, and one thing that must be allowed for it.

    Attributes:
        service: boto3's name of the service.
        operation: boto3's method.
        actions: What IAM calls it; empty where no permission is needed.
        resource: What it is done to.
        features: What it is needed for, the main feature first.
        why: For people.
        when: The fact of a project (``Project.facts``) without which it is not needed; ``""`` for none.
    """

    service: str
    operation: str
    actions: tuple[str, ...]
    resource: r.Resource
    features: tuple[str, ...]
    why: str
    when: str = ""


# Where IAM's prefix is not boto3's name of the service.
_PREFIXES = {"service-quotas": "servicequotas"}
# Operations of S3 that IAM calls otherwise:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
_ACTIONS = {
    "head_object": "GetObject", "head_bucket": "ListBucket", "list_objects_v2": "ListBucket",
    "list_buckets": "ListAllMyBuckets", "delete_objects": "DeleteObject",
    "create_multipart_upload": "PutObject", "upload_part": "PutObject", "upload_part_copy": "PutObject",
    "complete_multipart_upload": "PutObject", "list_parts": "ListMultipartUploadParts",
    "list_multipart_uploads": "ListBucketMultipartUploads", "copy_object": "PutObject",
    "get_bucket_encryption": "GetEncryptionConfiguration",
    "put_bucket_encryption": "PutEncryptionConfiguration",
    "get_bucket_lifecycle_configuration": "GetLifecycleConfiguration",
    "put_bucket_lifecycle_configuration": "PutLifecycleConfiguration",
    "get_public_access_block": "GetBucketPublicAccessBlock",
    "put_public_access_block": "PutBucketPublicAccessBlock",
    "list_object_versions": "ListBucketVersions",
}  # fmt: skip


def _action(service: str, operation: str) -> str:
    camel = "".join(part.capitalize() for part in operation.split("_"))
    name = _ACTIONS.get(operation, camel) if service == "s3" else camel
    return f"{_PREFIXES.get(service, service)}:{name}"


def _rows(
    calls: str, resource: r.Resource, features: str, why: str, *, when: str = "", action: str = ""
) -> Iterator[Row]:
    """Rows of the calls in ``SERVICE OPERATION OPERATION …``; ``action``: what each needs, if not itself."""
    service, *operations = calls.split()
    for operation in operations:
        needed = (action or _action(service, operation),)
        yield Row(service, operation, needed, resource, tuple(features.split()), why, when)


_LOOKING = "deploy rollback status destroy shift provisioned codedeploy tune calibrate gc logs report doctor"
_PUSH = "deploy"

_LAMBDA = (
    *_rows("lambda get_function_configuration list_versions_by_function get_alias", r.FUNCTION, _LOOKING,
           "see what is deployed"),
    *_rows("lambda get_function", r.FUNCTION, "deploy shift provisioned tune gc doctor",
           "wait until a change of the function has taken effect"),
    *_rows("lambda list_aliases", r.FUNCTION, "gc status shift doctor destroy",
           "versions that an alias points to stay"),
    *_rows("lambda create_function update_function_code publish_version create_alias", r.FUNCTION,
           "deploy", "make the function, a version of it, and its alias"),
    *_rows("lambda update_function_configuration", r.FUNCTION, "deploy tune calibrate",
           "change the function's settings"),
    *_rows("lambda update_alias", r.FUNCTION, "deploy rollback shift codedeploy provisioned",
           "let callers reach another version"),
    *_rows("lambda list_layer_versions", r.ANYTHING, "deploy", "find the layers of an earlier deployment",
           when="layer"),
    *_rows("lambda publish_layer_version", r.LAYERS, "deploy", "make the layers that hold the packs",
           when="layer"),
    *_rows("lambda create_function update_function_configuration", r.LAYERS, "deploy",
           "Lambda reads the layers with the deployer's rights", when="layer",
           action="lambda:GetLayerVersion"),
    *_rows("lambda create_function update_function_configuration", r.OTHER_LAYERS, "deploy",
           "Lambda reads the layers with the deployer's rights", when="layers",
           action="lambda:GetLayerVersion"),
    *_rows("lambda get_layer_version", r.LAYERS, "deploy", "look at the layers", when="layer"),
    *_rows("lambda list_layers", r.ANYTHING, "gc", "find layers that no version has"),
    *_rows("lambda list_layer_versions list_event_source_mappings list_versions_by_function list_aliases "
           "get_policy list_provisioned_concurrency_configs", r.ANYTHING, "gc",
           "learn which packs any function of the account needs"),
    *_rows("lambda get_layer_version get_layer_version_policy", r.LAYERS, "gc",
           "learn how large layers are, and whether others may use them"),
    *_rows("lambda delete_layer_version", r.LAYERS, "gc", "delete layers that no version has"),
    *_rows("lambda create_function update_function_configuration", r.PASSED_ROLE, "deploy",
           "give the function its role", action="iam:PassRole"),
    *_rows("lambda create_function update_function_code", r.STAGED_ZIPS, "deploy",
           "Lambda reads a large zip with the deployer's rights", when="large_zip", action="s3:GetObject"),
    *_rows("lambda get_provisioned_concurrency_config list_provisioned_concurrency_configs list_aliases",
           r.FUNCTION, "deploy provisioned status shift rollback",
           "see how many environments of which versions are kept ready"),
    *_rows("lambda put_provisioned_concurrency_config delete_provisioned_concurrency_config", r.FUNCTION,
           "provisioned", "keep environments of the live version ready"),
    *_rows("lambda put_provisioned_concurrency_config delete_provisioned_concurrency_config", r.FUNCTION,
           "deploy rollback shift", "keep environments of the live version ready", when="provisioned"),
    *_rows("lambda list_tags get_function_concurrency get_policy list_function_event_invoke_configs "
           "list_function_url_configs", r.FUNCTION, "deploy status rollback",
           "compare tags, concurrency and permissions, and say what stays as it is"),
    *_rows("lambda list_event_source_mappings", r.ANYTHING, "deploy status",
           "say which event sources call past the alias"),
    *_rows("lambda create_function", r.FUNCTION, "deploy", "create the function with its tags", when="tags",
           action="lambda:TagResource"),
    *_rows("lambda tag_resource untag_resource", r.FUNCTION, "deploy", "set the function's tags",
           when="tags"),
    *_rows("lambda put_function_concurrency delete_function_concurrency", r.FUNCTION, "deploy",
           "set the function's reserved concurrency", when="reserved_concurrency"),
    *_rows("lambda add_permission remove_permission", r.FUNCTION, "deploy",
           "let the callers call the alias", when="callers"),
    *_rows("lambda invoke", r.FUNCTION, "invoke shift tune calibrate", "call the function",
           action="lambda:InvokeFunction"),
    *_rows("lambda delete_function", r.FUNCTION, "destroy gc", "delete the function, or old versions"),
    *_rows("lambda create_function get_function delete_function", r.PROBE, "deploy",
           "try a role of one's own by a real read", when="role"),
    *_rows("lambda invoke", r.PROBE, "deploy", "try a role of one's own by a real read", when="role",
           action="lambda:InvokeFunction"),
    *_rows("lambda delete_alias", r.FUNCTION, "destroy", "delete the alias"),
    *_rows("lambda get_account_settings list_functions", r.ANYTHING, "doctor gc",
           "see the account's head-room, and which functions there are"),
)  # fmt: skip

_IAM = (
    Row("sts", "get_caller_identity", (), r.ANYTHING, ("deploy",), "see whose the account is"),
    *_rows("iam get_role list_role_policies get_role_policy list_attached_role_policies", r.ROLE,
           "deploy rollback status destroy doctor", "compare the function's role"),
    *_rows("iam create_role update_assume_role_policy", r.ROLE, "deploy", "make the function's role",
           when="own_role"),
    *_rows("iam put_role_policy", r.ROLE, "deploy rollback gc", "let the function read its packs",
           when="own_role"),
    *_rows("iam simulate_principal_policy", r.ROLE, "deploy doctor", "see what a role of one's own lacks",
           when="role"),
    *_rows("iam delete_role_policy detach_role_policy delete_role", r.ROLE, "destroy",
           "delete the function's role", when="own_role"),
)  # fmt: skip

_LOGS = (
    *_rows("logs describe_log_groups", r.ANYTHING, "deploy rollback status destroy logs report",
           "see whether the function has its log group"),
    *_rows("logs create_log_group", r.LOG_GROUP, "deploy", "make the function's log group"),
    *_rows("logs put_retention_policy delete_retention_policy", r.LOG_GROUP, "deploy",
           "set for how long the log is kept", when="log_retention"),
    *_rows("logs filter_log_events", r.LOG_GROUP, "logs report status shift calibrate tune",
           "read the function's log"),
    *_rows("logs get_log_events describe_log_streams start_live_tail", r.LOG_GROUP, "logs",
           "follow the function's log"),
    *_rows("logs delete_log_group", r.LOG_GROUP, "destroy", "delete the function's log"),
)  # fmt: skip

_CLOUDWATCH = (
    *_rows("cloudwatch get_metric_data", r.ANYTHING, "shift status report",
           "see errors and durations of the new version"),
    *_rows("cloudwatch describe_alarms", r.ANYTHING, "shift dashboard",
           "stop the shift where an alarm rings"),
    *_rows("cloudwatch put_metric_alarm delete_alarms", r.OWN_ALARMS, "dashboard",
           "make the function's alarms"),
    *_rows("cloudwatch put_dashboard get_dashboard delete_dashboards", r.DASHBOARD, "dashboard",
           "make the function's dashboard"),
    *_rows("logs put_metric_filter describe_metric_filters delete_metric_filter", r.LOG_GROUP, "dashboard",
           "count starts that the shim gave up"),
)  # fmt: skip

_S3 = (
    *_rows("s3 head_bucket", r.BUCKETS, "deploy gc replicate bucket codebuild doctor",
           "find the bucket's region", when="s3"),
    *_rows("s3 list_objects_v2", r.BUCKETS, "deploy gc doctor", "learn whether a pack is there", when="s3"),
    *_rows("s3 head_object get_object", r.PACKS, "deploy rollback status gc replicate codebuild",
           "see whether a pack is there", when="s3"),
    *_rows("s3 put_object create_multipart_upload upload_part complete_multipart_upload", r.PACKS,
           "deploy replicate", "send the packs", when="s3"),
    *_rows("s3 list_parts abort_multipart_upload", r.PACKS, "deploy gc replicate",
           "resume an upload that was interrupted", when="s3"),
    *_rows("s3 list_multipart_uploads", r.BUCKETS, "deploy gc replicate",
           "resume an upload that was interrupted", when="s3"),
    *_rows("s3 get_bucket_encryption", r.BUCKETS, "deploy rollback doctor bucket",
           "learn the key that the packs are encrypted with", when="s3"),
    *_rows("s3 put_object", r.STAGED_ZIPS, "deploy", "send a zip that is too large for a call",
           when="large_zip"),
    *_rows("s3 put_object", r.KEYS, "deploy", "S3 encrypts what is sent with the bucket's key", when="key",
           action="kms:GenerateDataKey"),
    *_rows("s3 head_object get_object complete_multipart_upload", r.KEYS, "deploy",
           "S3 decrypts with the bucket's key what was sent in parts", when="key", action="kms:Decrypt"),
    *_rows("s3 put_object", r.LEASES, "deploy replicate", "keep a pack from being collected meanwhile",
           when="s3"),
    *_rows("s3 copy_object upload_part_copy", r.PACKS, "replicate", "copy packs between buckets"),
    *_rows("s3 copy_object upload_part_copy", r.PACKS, "replicate", "copy packs between buckets",
           action="s3:GetObject"),
    *_rows("s3 delete_object", r.PACKS, "replicate", "take back a copy that is not whole"),
    *_rows("s3 head_object get_object put_object", r.OBJECTS, "gc",
           "read and write the lists of what is used"),
    *_rows("s3 delete_object delete_objects", r.OBJECTS, "gc", "delete packs that nothing needs"),
    *_rows("s3 create_bucket get_bucket_location put_bucket_encryption put_public_access_block "
           "put_bucket_policy put_bucket_lifecycle_configuration put_bucket_ownership_controls "
           "put_bucket_versioning put_bucket_tagging", r.BUCKETS, "bucket", "make the bucket"),
    *_rows("s3 get_public_access_block get_bucket_policy get_bucket_lifecycle_configuration "
           "get_bucket_ownership_controls get_bucket_versioning get_bucket_tagging", r.BUCKETS,
           "bucket doctor", "see how the bucket is set up"),
    *_rows("kms describe_key", r.BUCKET_KEYS, "deploy", "learn a key's ARN from its alias", when="key"),
)  # fmt: skip

_NETWORK = (
    *_rows("ec2 describe_subnets describe_route_tables describe_vpc_endpoints describe_security_groups",
           r.ANYTHING, "deploy doctor", "see whether the function reaches S3 from its subnets",
           when="subnets"),
    *_rows("lambda create_function update_function_configuration", r.ANYTHING, "deploy",
           "Lambda looks at the network with the deployer's rights", when="subnets",
           action="ec2:DescribeVpcs"),
)  # fmt: skip

_REFERENCES = (
    *_rows("ssm get_parameter", r.PARAMETERS, "deploy", "read what the environment is to have", when="ssm"),
    *_rows("secretsmanager get_secret_value", r.SECRETS, "deploy", "read what the environment is to have",
           when="secretsmanager"),
    *(row for action in ("CreateGrant", "DescribeKey", "Encrypt", "Decrypt", "GenerateDataKey")
      for row in _rows("lambda create_function update_function_configuration", r.FUNCTION_KEYS, "deploy",
                       "Lambda encrypts the environment with the deployer's rights", when="kms_key",
                       action=f"kms:{action}")),
)  # fmt: skip

_CODEDEPLOY = (
    *_rows("codedeploy create_application get_application create_deployment_group get_deployment_group "
           "update_deployment_group create_deployment get_deployment list_deployments "
           "batch_get_deployments create_deployment_config get_deployment_config",
           r.CODEDEPLOY, "codedeploy", "let CodeDeploy shift the calls"),
    *_rows("codedeploy stop_deployment", r.ANYTHING, "codedeploy", "take a shift back"),
    *_rows("codedeploy create_deployment", r.CODEDEPLOY, "codedeploy",
           "CodeDeploy keeps what is to be shifted", action="codedeploy:RegisterApplicationRevision"),
    *_rows("codedeploy create_deployment", r.CODEDEPLOY, "codedeploy",
           "CodeDeploy looks at what is to be shifted", action="codedeploy:GetApplicationRevision"),
    *_rows("codedeploy delete_deployment_group delete_application", r.CODEDEPLOY, "codedeploy",
           "delete what was made in CodeDeploy"),
    *_rows("iam delete_role_policy delete_role", r.CODEDEPLOY_ROLE, "codedeploy",
           "delete what was made for CodeDeploy"),
    *_rows("codedeploy list_deployment_groups", r.CODEDEPLOY, "codedeploy",
           "see what there is in CodeDeploy"),
    *_rows("iam get_role create_role put_role_policy get_role_policy update_assume_role_policy "
           "attach_role_policy list_attached_role_policies list_role_policies", r.CODEDEPLOY_ROLE,
           "codedeploy", "make the role with which CodeDeploy moves the alias"),
    *_rows("codedeploy create_deployment_group update_deployment_group", r.CODEDEPLOY_PASSED, "codedeploy",
           "give CodeDeploy its role", action="iam:PassRole"),
)  # fmt: skip

_CODEBUILD = (
    *_rows("codebuild create_project update_project delete_project batch_get_projects start_build "
           "start_build_batch batch_get_builds batch_get_build_batches stop_build stop_build_batch "
           "list_builds_for_project", r.CODEBUILD, "codebuild", "build packs in CodeBuild"),
    *_rows("iam get_role create_role put_role_policy get_role_policy update_assume_role_policy "
           "delete_role_policy delete_role list_role_policies list_attached_role_policies",
           r.CODEBUILD_ROLE, "codebuild", "make the role with which CodeBuild reads and writes the bucket"),
    *_rows("codebuild create_project update_project", r.CODEBUILD_PASSED, "codebuild",
           "give CodeBuild its role", action="iam:PassRole"),
    *_rows("logs get_log_events filter_log_events describe_log_streams start_live_tail", r.CODEBUILD_LOGS,
           "codebuild", "show a build while it runs"),
    *_rows("logs create_log_group put_retention_policy delete_log_group", r.CODEBUILD_LOGS, "codebuild",
           "keep the log of builds"),
    *_rows("s3 put_object create_multipart_upload upload_part complete_multipart_upload get_object "
           "head_object delete_object delete_objects abort_multipart_upload", r.BUILD_FILES, "codebuild",
           "send sources, and fetch what was built"),
    *_rows("s3 list_objects_v2", r.BUCKETS, "codebuild", "find what was built"),
)  # fmt: skip

_ACCOUNT = (
    *_rows("service-quotas get_service_quota", r.ANYTHING, "doctor", "see the account's quotas"),
    *_rows("cloudwatch get_metric_statistics", r.ANYTHING, "doctor", "see how many environments run"),
)  # fmt: skip

TABLE: Final[tuple[Row, ...]] = (
    *_LAMBDA, *_IAM, *_LOGS, *_CLOUDWATCH, *_S3, *_NETWORK, *_REFERENCES, *_CODEDEPLOY, *_CODEBUILD,
    *_ACCOUNT,
)  # fmt: skip
"""All rows."""


def rows_for_call(service: str, operation: str) -> tuple[Row, ...]:
    """What must be allowed for a call; nothing for a call that lambdapack is not known to make."""
    return tuple(row for row in TABLE if (row.service, row.operation) == (service, operation))


def row_of(action: str, resource: str = "") -> Row | None:
    """The row that an action of IAM belongs to, e.g. ``lambda:CreateFunction``.

    Args:
        action: IAM's name, in any case, as IAM compares names.
        resource: What was acted on, which tells apart the rows of one action: a role that is handed to
            CodeBuild from one that is handed to Lambda.
    """
    rows = [row for row in TABLE if action.lower() in (each.lower() for each in row.actions)]
    fitting = [row for row in rows if _names(row.resource.noun, resource)]
    return next(iter(fitting or rows), None)


# What in a resource's name shows which of several rows of an action was meant.
_SIGNS = {
    "CodeBuild": "lambdapack-build-", "CodeDeploy": "-shift-", "StagedZips": "/functions/",
    "BuildFiles": "/builds/", "Layers": ":layer:", "Packs": "/packs/", "Leases": "/leases/",
}  # fmt: skip


def _names(noun: str, resource: str) -> bool:
    return any(noun.startswith(start) and sign in resource for start, sign in _SIGNS.items())
