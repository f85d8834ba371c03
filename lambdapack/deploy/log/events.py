"""One event of a log."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

# "2026/11/26/[3]2f…", and in a log group that several functions share "2026/11/26/hello[3][2f…]".
_VERSION = re.compile(r"\[(\$LATEST|\d+)\]")


@dataclass(frozen=True)
class LogEvent:
    """A line, or a few, that a function or Lambda wrote.

    Attributes:
        time: When, in UTC.
        stream: The log stream: one execution environment's.
        message: The text, without the line's end.
        id: Tells the event from all others of its group; ``""`` where the cloud gives none.
    """

    time: datetime
    stream: str
    message: str
    id: str = ""

    @property
    def version(self) -> str | None:
        """The version that wrote the event, as its stream's name says: ``3`` or ``$LATEST``."""
        match = _VERSION.search(self.stream)
        return match[1] if match else None
