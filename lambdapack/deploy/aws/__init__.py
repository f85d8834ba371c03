"""Deploying to AWS: observe, plan, execute.

::

    observe (reads)  ->  plan (pure)  ->  execute (writes)

A dry run is the first two. Nothing is kept between runs: an interrupted deployment is mended by the next
one, which sees how far it came.
"""

from lambdapack.deploy.aws.clients import Clients
from lambdapack.deploy.aws.deployment import Answer, deploy, destroy, invoke, rollback, status
from lambdapack.deploy.aws.models import (
    ALIAS,
    ApiCall,
    Deployment,
    FileBytes,
    Observed,
    Options,
    Result,
    VersionState,
)
from lambdapack.deploy.aws.observer import observe
from lambdapack.deploy.aws.planner import plan

__all__ = [
    "ALIAS",
    "Answer",
    "ApiCall",
    "Clients",
    "Deployment",
    "FileBytes",
    "Observed",
    "Options",
    "Result",
    "VersionState",
    "deploy",
    "destroy",
    "invoke",
    "observe",
    "plan",
    "rollback",
    "status",
]
