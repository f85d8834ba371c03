"""What ``lambdapack report --from-aws`` reads."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from lambdapack.cli.deployment import clients
from lambdapack.cli.session import Session
from lambdapack.cli.spans import moment

if TYPE_CHECKING:
    from lambdapack.report.page import Series


def logged(
    session: Session, name: str, since: str, version: str | None, region: str | None
) -> tuple[Series | None, list[str]]:
    """The series out of a function's log in AWS, and what to know of it; no series without calls.

    Raises:
        LambdapackError: The log could not be read.
    """
    from lambdapack.deploy import aws
    from lambdapack.deploy.log import invocations
    from lambdapack.report.page import logged_series

    api = clients(session, region)
    begin = moment(since, "--since", datetime.now(timezone.utc))
    query = aws.LogQuery(aws.group_of(name, api), begin, pattern=aws.LAMBDAS_LINES, version=version)
    with session.progress.step(f"read {query.group}"):
        return logged_series(invocations(aws.log_events(api, query)))
