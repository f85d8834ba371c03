"""Deploying to AWS: a function's specification goes in; the calls that were made come out.

``observe`` only reads, ``plan`` is pure, and a deployment executes the plan; a dry run stops before that.
"""

from lambdapack.deploy.aws.builds import BuildPlace, BuildProject, prepare_builds
from lambdapack.deploy.aws.checkup import CheckUp, check_account, check_permissions
from lambdapack.deploy.aws.clients import Clients
from lambdapack.deploy.aws.deployment import Answer, deploy, destroy, invoke, rollback
from lambdapack.deploy.aws.errors import errors_of_aws
from lambdapack.deploy.aws.findings import Finding
from lambdapack.deploy.aws.logs import (
    LAMBDAS_LINES,
    Clock,
    LogQuery,
    group_of,
    log_events,
    log_lines,
)
from lambdapack.deploy.aws.models import (
    ALIAS,
    Account,
    ApiCall,
    AwsState,
    Deployment,
    FileBytes,
    Result,
    VersionState,
)
from lambdapack.deploy.aws.observer import observe
from lambdapack.deploy.aws.overview import Overview, StoredPack, VersionOverview, overview
from lambdapack.deploy.aws.planner import plan
from lambdapack.deploy.aws.quotas import read_quotas
from lambdapack.deploy.aws.tuning import LATEST, Latest, read_latest, restart, restore
from lambdapack.deploy.aws.watching import Watched, Watching, apply_watching, read_watched, wanted

__all__ = [
    "ALIAS", "LAMBDAS_LINES", "LATEST", "Account", "Answer", "ApiCall", "AwsState", "BuildPlace",
    "BuildProject", "CheckUp", "Clients", "Clock", "Deployment", "FileBytes", "Finding", "Latest",
    "LogQuery", "Overview", "Result", "StoredPack", "VersionOverview", "VersionState", "Watched",
    "Watching", "apply_watching", "check_account", "check_permissions", "deploy", "destroy",
    "errors_of_aws", "group_of", "invoke", "log_events", "log_lines", "observe", "overview", "plan",
    "prepare_builds", "read_latest", "read_quotas", "read_watched", "restart", "restore", "rollback",
    "wanted",
]  # fmt: skip
