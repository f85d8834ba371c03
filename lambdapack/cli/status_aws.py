"""The half of ``lambdapack status`` that looks into AWS."""

from __future__ import annotations

from datetime import datetime, timezone

from lambdapack.cli.deployment import clients
from lambdapack.cli.session import Session


def show_aws(session: Session, name: str, region: str | None) -> None:
    """Show a function's versions, weights, packs and last cold starts.

    Raises:
        LambdapackError: The function could not be read.
    """
    from lambdapack.deploy import aws
    from lambdapack.report import overview

    found = aws.overview(name, clients(session, region), progress=session.progress)
    if session.as_json:
        session.emit("status", overview.overview_document(found))
    elif found.arn is None:
        session.say(f"{name} is not deployed in {found.region}")
    else:
        for line in overview.overview_lines(found, datetime.now(timezone.utc)):
            session.say(line)
