"""Deploying to AWS: a function's specification goes in; the calls that were made come out.

``observe`` only reads, ``plan`` is pure, and a deployment executes the plan; a dry run stops before that.
"""

from lambdapack.deploy.aws.checkup import CheckUp, check_account, check_permissions
from lambdapack.deploy.aws.clients import Clients
from lambdapack.deploy.aws.deployment import Answer, deploy, destroy, invoke, rollback
from lambdapack.deploy.aws.findings import Finding
from lambdapack.deploy.aws.logs import Clock, LogQuery, group_of, log_events, log_lines
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

__all__ = [
    "ALIAS", "LATEST", "Account", "Answer", "ApiCall", "AwsState", "CheckUp", "Clients", "Clock",
    "Deployment", "FileBytes", "Finding", "Latest", "LogQuery", "Overview", "Result", "StoredPack",
    "VersionOverview", "VersionState", "check_account", "check_permissions", "deploy", "destroy",
    "group_of", "invoke", "log_events", "log_lines", "observe", "overview", "plan", "read_latest",
    "read_quotas", "restart", "restore", "rollback",
]  # fmt: skip
