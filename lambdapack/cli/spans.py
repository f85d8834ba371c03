"""Moments as a user gives them: ``1h`` ago, or a date."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from lambdapack.errors import ConfigurationError

_SPAN = re.compile(r"(\d+)(s|m|h|d|w)\Z")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(text: str, option: str, now: datetime, *, ahead: bool = False) -> datetime:
    """``30m``, ``1h`` or ``2d`` before ``now`` (or after, where it lies ``ahead``), or a date in ISO 8601.

    A date without a zone is in UTC, as Lambda's own logs are.

    Raises:
        ConfigurationError: The text is neither.
    """
    match = _SPAN.match(text)
    try:
        if match:
            span = timedelta(**{_UNITS[match[2]]: int(match[1])})
            return now + span if ahead else now - span
        # Python 3.10 does not read the Z.
        found = datetime.fromisoformat(text.removesuffix("Z") + "+00:00" * text.endswith("Z"))
    except (ValueError, OverflowError):
        raise ConfigurationError(
            f"{option} {text!r} is neither a span like 30m, 1h or 2d nor a date like 2026-11-26T14:00",
            hint=f"give e.g. {option} 1h (s, m, h, d or w)",
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)
