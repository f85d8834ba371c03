"""What a permission is about: a resource's name in a statement's Sid, and its ARNs for a project."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lambdapack.deploy.aws import naming
from lambdapack.deploy.aws.permissions.project import BUCKET, Project


@dataclass(frozen=True)
class Resource:
    """One kind of resource.

    Attributes:
        noun: Ends the Sid of the statements about it.
        arns: The ARNs that a project's statements name.
        passed_to: For a role that is handed to a service: that service.
        through: For a key that is used through a service alone: that service.
    """

    noun: str
    arns: Callable[[Project], tuple[str, ...]]
    passed_to: str | None = None
    through: str | None = None

    def condition(self, project: Project) -> Mapping[str, Mapping[str, str]]:
        """The condition under which a statement about it holds; empty for none."""
        if self.passed_to:
            return {"StringEquals": {"iam:PassedToService": self.passed_to}}
        if self.through:
            domain = "amazonaws.com.cn" if project.partition == "aws-cn" else "amazonaws.com"
            return {"StringEquals": {"kms:ViaService": f"{self.through}.{project.region}.{domain}"}}
        return {}


def _named(service: str, *rests: str, region: bool = True) -> Callable[[Project], tuple[str, ...]]:
    """ARNs of ``service`` whose last parts hold ``{name}``, the function's name, or ``{region}``."""

    def arns(project: Project) -> tuple[str, ...]:
        words = {"name": project.name, "region": project.region}
        return tuple(project.arn(service, rest.format(**words), region=region) for rest in rests)

    return arns


def _bucket_arns(project: Project) -> tuple[str, ...]:
    names = [bucket for bucket, _ in project.buckets] or [BUCKET]
    return tuple(dict.fromkeys(f"arn:{project.partition}:s3:::{name}" for name in names))


def _below(folder: str) -> Callable[[Project], tuple[str, ...]]:
    """ARNs of the objects in ``folder`` of each place where packs are kept."""

    def arns(project: Project) -> tuple[str, ...]:
        places = project.buckets or ((BUCKET, ""),)
        keys = [f"{bucket}/{f'{prefix}/{folder}'.lstrip('/')}*" for bucket, prefix in places]
        return tuple(dict.fromkeys(f"arn:{project.partition}:s3:::{key}" for key in keys))

    return arns


def _keys(project: Project) -> tuple[str, ...]:
    return project.keys or (project.arn("kms", "key/KEY"),)


def _log_group(project: Project) -> tuple[str, ...]:
    group = project.arn("logs", f"log-group:{naming.log_group(project.name)}")
    return group, f"{group}:*"


def _references(store: str, form: str) -> Callable[[Project], tuple[str, ...]]:
    """ARNs of what the environment's secrets are read from in ``store``."""

    def arns(project: Project) -> tuple[str, ...]:
        ids = sorted({each.id for each in project.settings.secrets.values() if each.store == store})
        return tuple(
            each if each.startswith("arn:") else project.arn(store, form.format(each.lstrip("/")))
            for each in ids
        )

    return arns


def _other_layers(project: Project) -> tuple[str, ...]:
    return tuple(sorted(project.settings.layers))


def _shifting_role(project: Project) -> tuple[str, ...]:
    """The role with which CodeDeploy moves the alias."""
    name = naming.role_name(f"{project.name}-shift", project.region)
    return (project.arn("iam", f"role/{name}", region=False),)


def _role(project: Project) -> tuple[str, ...]:
    return (project.role,)


ANYTHING = Resource("AnyResource", lambda _: ("*",))
"""For actions that IAM takes for no resource in particular."""
FUNCTION = Resource("Function", _named("lambda", "function:{name}", "function:{name}:*"))
PROBE = Resource(
    "Probe", lambda project: (project.arn("lambda", f"function:{naming.probe_name(project.name)}"),)
)
OTHER_LAYERS = Resource("OtherLayers", _other_layers)
LAYERS = Resource("Layers", _named("lambda", "layer:lambdapack-*", "layer:lambdapack-*:*"))
ROLE = Resource("Role", _role)
PASSED_ROLE = Resource("PassRole", _role, "lambda.amazonaws.com")
LOG_GROUP = Resource("LogGroup", _log_group)
OWN_ALARMS = Resource("OwnAlarms", _named("cloudwatch", "alarm:lambdapack-{name}*"))
DASHBOARD = Resource("Dashboard", _named("cloudwatch", "dashboard/lambdapack-{name}*", region=False))
BUCKETS = Resource("Bucket", _bucket_arns)
OBJECTS = Resource("Objects", _below(""))
PACKS = Resource("Packs", _below("packs/"))
STAGED_ZIPS = Resource("StagedZips", _below("functions/"))
LEASES = Resource("Leases", _below("leases/"))
BUILD_FILES = Resource("BuildFiles", _below("builds/"))
KEYS = Resource("Keys", _keys, through="s3")
BUCKET_KEYS = Resource("BucketKeys", _keys)
FUNCTION_KEYS = Resource("FunctionKeys", lambda project: (project.settings.kms_key or "*",), through="lambda")
CODEDEPLOY = Resource(
    "CodeDeploy",
    _named(
        "codedeploy", "application:lambdapack-{name}", "deploymentgroup:lambdapack-{name}/*",
        "deploymentconfig:*",
    ),
)  # fmt: skip
CODEDEPLOY_ROLE = Resource("CodeDeployRole", _shifting_role)
CODEDEPLOY_PASSED = Resource("CodeDeployPassRole", CODEDEPLOY_ROLE.arns, "codedeploy.amazonaws.com")
CODEBUILD = Resource("CodeBuild", _named("codebuild", "project/lambdapack-build-*"))
CODEBUILD_ROLE = Resource("CodeBuildRole", _named("iam", "role/lambdapack-build-*", region=False))
CODEBUILD_PASSED = Resource("CodeBuildPassRole", CODEBUILD_ROLE.arns, "codebuild.amazonaws.com")
CODEBUILD_LOGS = Resource(
    "CodeBuildLogs",
    _named(
        "logs", "log-group:/aws/codebuild/lambdapack-build-*", "log-group:/aws/codebuild/lambdapack-build-*:*"
    ),
)
PARAMETERS = Resource("Parameters", _references("ssm", "parameter/{}"))
# Secrets Manager ends each ARN in six characters of its own.
SECRETS = Resource("Secrets", _references("secretsmanager", "secret:{}-??????"))

__all__ = [
    "ANYTHING", "BUCKETS", "BUCKET_KEYS", "BUILD_FILES", "CODEBUILD", "CODEBUILD_LOGS",
    "CODEBUILD_PASSED", "CODEBUILD_ROLE", "CODEDEPLOY", "CODEDEPLOY_PASSED", "CODEDEPLOY_ROLE", "DASHBOARD",
    "FUNCTION", "FUNCTION_KEYS", "KEYS", "LAYERS", "LEASES", "LOG_GROUP", "OBJECTS", "OTHER_LAYERS",
    "OWN_ALARMS", "PACKS", "PARAMETERS", "PASSED_ROLE", "PROBE", "ROLE", "SECRETS", "STAGED_ZIPS", "Resource",
]  # fmt: skip
