"""Reading a function's log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from lambdapack.deploy.aws.clients import Clients
from lambdapack.deploy.aws.errors import errors_of_aws


def log_lines(clients: Clients, group: str, pattern: str, since: datetime) -> Iterator[str]:
    """The messages of a log group that match CloudWatch's filter ``pattern``, oldest first.

    Raises:
        LambdapackError: There is no such group, or it may not be read.
    """
    with errors_of_aws(f"reading the log group {group}", action="logs:FilterLogEvents", resource=group):
        pages = (
            clients["logs"]
            .get_paginator("filter_log_events")
            .paginate(logGroupName=group, filterPattern=pattern, startTime=int(since.timestamp() * 1000))
        )
        for page in pages:
            yield from (event["message"] for event in page["events"])
