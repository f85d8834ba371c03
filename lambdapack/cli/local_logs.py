"""The log of a function in the embedded cloud, in the form in which AWS's comes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from lambdapack.cli.session import Session

if TYPE_CHECKING:
    from lambdapack.deploy.log import LogEvent

_EVERY = 0.5
"""Seconds between two looks while a log is followed."""


@dataclass(frozen=True)
class Span:
    """What of a log is wanted; the fields are those of ``deploy.aws.LogQuery``."""

    since: datetime
    until: datetime | None = None
    version: str | None = None
    follow: bool = False


def local_events(session: Session, name: str, span: Span) -> Iterator[LogEvent]:
    """The events of a function, by time; of those that come in while they are followed, as they come.

    Raises:
        ConfigurationError: There is no such function.
    """
    from lambdapack.deploy.log import LogEvent
    from lambdapack.local import LocalCloud

    with LocalCloud(session.state, progress=session.progress, cache_dir=session.cache) as local:
        reader = local.log_reader(name, since=span.since, version=span.version)
        try:
            while True:
                looked = datetime.now(timezone.utc)
                for event in reader.read():
                    if span.until is None or event.time <= span.until:
                        yield LogEvent(event.time, event.stream, event.message)
                if not span.follow or (span.until is not None and looked >= span.until):
                    return
                time.sleep(_EVERY)
        finally:
            reader.close()
