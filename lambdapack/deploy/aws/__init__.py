"""Deploying to AWS: a function's specification goes in; the calls that were made come out.

``observe`` only reads, ``plan`` is pure, and a deployment executes the plan; a dry run stops before that.
"""

from lambdapack.deploy.aws.builds import BuildPlace, BuildProject, prepare_builds
from lambdapack.deploy.aws.clients import Clients
from lambdapack.deploy.aws.deployment import Answer, deploy, destroy, invoke, rollback
from lambdapack.deploy.aws.errors import errors_of_aws
from lambdapack.deploy.aws.logs import log_lines
from lambdapack.deploy.aws.models import (
    ALIAS,
    ApiCall,
    AwsState,
    Deployment,
    FileBytes,
    Result,
    VersionState,
)
from lambdapack.deploy.aws.observer import observe
from lambdapack.deploy.aws.planner import plan
from lambdapack.deploy.aws.quotas import read_quotas
from lambdapack.deploy.aws.tuning import LATEST, Latest, read_latest, restart, restore

__all__ = [
    "ALIAS", "LATEST", "Answer", "ApiCall", "AwsState", "BuildPlace", "BuildProject", "Clients", "Deployment",
    "FileBytes", "Latest", "Result", "VersionState", "deploy", "destroy", "errors_of_aws", "invoke",
    "log_lines", "observe", "plan", "prepare_builds", "read_latest", "read_quotas", "restart", "restore",
    "rollback",
]  # fmt: skip
