"""Lines of a log, from wherever the user has them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

from lambdapack.cli.session import Session
from lambdapack.errors import ConfigurationError


def log_lines(session: Session, source: str, pattern: str, days: int, region: str | None) -> Iterator[str]:
    """The lines of a file, of stdin (``-``) or, where there is no file of that name, of a log group.

    Args:
        session: Of the command.
        source: As the user names it.
        pattern: CloudWatch's filter for the lines of a group; a file is read whole.
        days: How far back to read a group.
        region: The group's.

    Raises:
        ConfigurationError: The file cannot be read.
    """
    if source == "-":
        yield from sys.stdin
    elif Path(source).is_file():
        try:
            with Path(source).open(encoding="utf-8", errors="replace") as file:
                yield from file
        except OSError as error:
            raise ConfigurationError(f"cannot read {source}: {error}") from None
    else:
        from lambdapack.cli.deployment import clients
        from lambdapack.deploy.aws import log_lines as read_group

        since = datetime.now(timezone.utc) - timedelta(days=days)
        yield from read_group(clients(session, region), source, pattern, since)
