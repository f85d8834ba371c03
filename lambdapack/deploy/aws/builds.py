"""The CodeBuild project that builds packs: what it must be, what it lacks, and the calls that mend that.

As for a function: observe, plan, execute. The role may read the sources of builds, write packs beside them
and write the builds' own log, and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lambdapack.deploy.aws import naming
from lambdapack.deploy.aws.clients import Clients
from lambdapack.deploy.aws.errors import errors_of_aws
from lambdapack.deploy.aws.executor import execute
from lambdapack.deploy.aws.models import Account, ApiCall, Result, RoleState
from lambdapack.deploy.aws.observer import account_of, log_group, role_state
from lambdapack.progress import QUIET, Progress

_RETENTION_DAYS = 30
_QUEUED_MINUTES = 60
_MINUTES = 60
"""Bound of a build that names none of its own."""


@dataclass(frozen=True)
class BuildPlace:
    """Where the sources and the results of builds are kept: below ``builds/`` of a store.

    Attributes:
        bucket: The bucket's name.
        prefix: What the store's keys begin with, without slashes at its ends; may be empty.
    """

    bucket: str
    prefix: str

    @property
    def root(self) -> str:
        """What the keys of all that belongs to builds begin with."""
        return f"{self.prefix}/builds/" if self.prefix else "builds/"

    @property
    def sources(self) -> str:
        """What the keys of sources begin with."""
        return f"{self.root}sources/"

    @property
    def output(self) -> str:
        """What the keys of results begin with; the build's own name follows."""
        return f"{self.root}output/"

    @property
    def project(self) -> str:
        """The name of the CodeBuild project."""
        return naming.build_project(self.bucket, self.prefix)


@dataclass(frozen=True)
class BuildProject:
    """The project, ready for builds.

    Attributes:
        name: Its name.
        calls: The calls that made or changed the project and what belongs to it; none where all was right.
    """

    name: str
    calls: tuple[ApiCall, ...]


@dataclass(frozen=True)
class BuildsState:
    """What there is in AWS of a project.

    Attributes:
        account: The account and region that were looked at.
        role: The project's role.
        log_group: Whether the project has its log group.
        retention: Days that the group keeps, ``None`` for ever.
        project: As CodeBuild describes the project; ``None`` where there is none.
    """

    account: Account
    role: RoleState | None = None
    log_group: bool = False
    retention: int | None = None
    project: Mapping[str, Any] | None = None


def prepare_builds(
    place: BuildPlace,
    buildspec: str,
    image: str,
    clients: Clients,
    *,
    dry_run: bool = False,
    progress: Progress = QUIET,
) -> BuildProject:
    """Make the project, its role and its log group what they must be, and call only for what differs.

    Args:
        place: Where sources and results are.
        buildspec: What a build runs.
        image: The image of a new project; each build names its own.
        clients: Whom to call.
        dry_run: Say what would be called.
        progress: Told each call.

    Raises:
        LambdapackError: AWS refused or was not reached; what was made stands, and the next run begins there.
    """
    calls = plan_builds(place, buildspec, image, observe_builds(place, clients))
    if not dry_run:
        execute(calls, clients, progress=progress)
    return BuildProject(place.project, calls)


def observe_builds(place: BuildPlace, clients: Clients) -> BuildsState:
    """Look for the project, its role and its log group."""
    account = account_of(clients)
    name = place.project
    doing = f"looking at the build project {name}"
    with errors_of_aws(doing, action="codebuild:BatchGetProjects", resource=name):
        projects = clients["codebuild"].batch_get_projects(names=[name])["projects"]
    group, retention = log_group(naming.build_log_group(name), clients)
    role = role_state(naming.build_role(name, account.region), clients)
    return BuildsState(account, role, group, retention, projects[0] if projects else None)


def plan_builds(place: BuildPlace, buildspec: str, image: str, observed: BuildsState) -> tuple[ApiCall, ...]:
    """The calls that bring about the project; the project itself comes last, when its role is there."""
    name = place.project
    role = observed.role.arn if observed.role else Result("create_role", "Role.Arn")
    wanted = project_document(place, buildspec, image, role)
    calls = [*_role_calls(place, observed), *_log_calls(name, observed)]
    if observed.project is None:
        calls.append(ApiCall("codebuild", "create_project", wanted, "there is no build project yet"))
    elif changed := [key for key, value in wanted.items() if not _covers(observed.project.get(key), value)]:
        # The image is each build's own: another one in the project is as good.
        calls.append(ApiCall("codebuild", "update_project", wanted, f"it differs: {', '.join(changed)}"))
    return tuple(calls)


def project_document(place: BuildPlace, buildspec: str, image: str, role: str | Result) -> dict[str, Any]:
    """The project, as the arguments of ``create_project`` and ``update_project``."""
    return {
        "name": place.project,
        "description": "Builds packs for lambdapack",
        "source": {"type": "S3", "location": f"{place.bucket}/{place.sources}", "buildspec": buildspec},
        "artifacts": {
            "type": "S3",
            "location": place.bucket,
            "path": place.output.rstrip("/"),
            "namespaceType": "BUILD_ID",
            "name": "/",
            "packaging": "NONE",
            # The bucket's own encryption is used, instead of a key that another account could not read with.
            "encryptionDisabled": True,
        },
        "environment": {
            "type": "LINUX_CONTAINER",
            "image": image,
            "computeType": "BUILD_GENERAL1_MEDIUM",
            "privilegedMode": False,
            # CodeBuild's own credentials are for its own images and for ECR repositories that trust it.
            "imagePullCredentialsType": "SERVICE_ROLE",
        },
        "serviceRole": role,
        "timeoutInMinutes": _MINUTES,
        "queuedTimeoutInMinutes": _QUEUED_MINUTES,
        "logsConfig": {
            "cloudWatchLogs": {"status": "ENABLED", "groupName": naming.build_log_group(place.project)}
        },
    }


def trust(account: Account, project: str) -> dict[str, Any]:
    """Who may take the role: CodeBuild, on behalf of this one project.

    https://docs.aws.amazon.com/codebuild/latest/userguide/cross-service-confused-deputy-prevention.html
    """
    arn = f"arn:{account.partition}:codebuild:{account.region}:{account.id}:project/{project}"
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "codebuild.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceArn": arn}},
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def policy(account: Account, place: BuildPlace) -> dict[str, Any]:
    """What a build may do.

    https://docs.aws.amazon.com/codebuild/latest/userguide/setting-up-service-role.html
    """
    bucket = f"arn:{account.partition}:s3:::{place.bucket}"
    group = naming.build_log_group(place.project)
    log = f"arn:{account.partition}:logs:{account.region}:{account.id}:log-group:{group}"
    allowed = (
        ("ReadItsSources", ["s3:GetObject", "s3:GetObjectVersion"], f"{bucket}/{place.sources}*"),
        ("WriteItsPack", ["s3:PutObject"], f"{bucket}/{place.output}*"),
        # CodeBuild asks whose the bucket is, and where, before it writes there.
        ("KnowItsBucket", ["s3:GetBucketAcl", "s3:GetBucketLocation"], bucket),
        ("WriteItsLog", ["logs:CreateLogStream", "logs:PutLogEvents"], f"{log}:*"),
    )
    statements = [
        {"Sid": name, "Effect": "Allow", "Action": actions, "Resource": resource}
        for name, actions, resource in allowed
    ]
    return {"Version": "2012-10-17", "Statement": statements}


def _role_calls(place: BuildPlace, observed: BuildsState) -> list[ApiCall]:
    account, role = observed.account, observed.role
    name = naming.build_role(place.project, account.region)
    wanted, allowed = trust(account, place.project), policy(account, place)
    calls = []
    if role is None:
        parameters = {
            "RoleName": name,
            "AssumeRolePolicyDocument": json.dumps(wanted),
            "Description": f"Made by lambdapack for the build project {place.project}",
        }
        calls.append(ApiCall("iam", "create_role", parameters, "the project has no role yet", "role_exists"))
    elif role.trust != wanted:
        parameters = {"RoleName": name, "PolicyDocument": json.dumps(wanted)}
        calls.append(ApiCall("iam", "update_assume_role_policy", parameters, "its trust policy was changed"))
    if role is None or role.policies.get(naming.POLICY) != allowed:
        parameters = {
            "RoleName": name,
            "PolicyName": naming.POLICY,
            "PolicyDocument": json.dumps(allowed),
        }
        why = f"read and write below s3://{place.bucket}/{place.root}, write its own log, nothing else"
        calls.append(ApiCall("iam", "put_role_policy", parameters, why))
    return calls


def _log_calls(project: str, observed: BuildsState) -> list[ApiCall]:
    group = naming.build_log_group(project)
    calls = []
    if not observed.log_group:
        calls.append(ApiCall("logs", "create_log_group", {"logGroupName": group}, "the builds' log"))
    # Days that a person chose stay as they are.
    if observed.retention is None:
        parameters = {"logGroupName": group, "retentionInDays": _RETENTION_DAYS}
        calls.append(ApiCall("logs", "put_retention_policy", parameters, f"kept {_RETENTION_DAYS} days"))
    return calls


def _covers(described: Any, wanted: Any) -> bool:
    """Whether a description says all that is wanted; what it says besides is AWS's own or left alone."""
    if isinstance(wanted, Result):
        return False
    if isinstance(wanted, Mapping):
        there = described if isinstance(described, Mapping) else {}
        return all(key == "image" or _covers(there.get(key), value) for key, value in wanted.items())
    return bool(described == wanted)
