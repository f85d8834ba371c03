"""Moments as a user gives them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from lambdapack.cli.spans import moment
from lambdapack.errors import ConfigurationError

NOW = datetime(2026, 11, 26, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", NOW - timedelta(seconds=90)), ("30m", NOW - timedelta(minutes=30)),
        ("1h", NOW - timedelta(hours=1)), ("2d", NOW - timedelta(days=2)), ("1w", NOW - timedelta(weeks=1)),
        ("2026-11-26", NOW.replace(hour=0)), ("2026-11-26T11:30", NOW.replace(hour=11, minute=30)),
        ("2026-11-26T11:30:00Z", NOW.replace(hour=11, minute=30)),
        ("2026-11-26T11:30:00+01:00", NOW.replace(hour=10, minute=30)),
    ],
)  # fmt: skip
def test_a_span_is_before_now_and_a_date_is_in_utc(text: str, expected: datetime) -> None:
    """Unless the date has a zone of its own."""
    assert moment(text, "--since", NOW) == expected


def test_a_span_may_lie_ahead() -> None:
    """While a log is followed, an end is in the future."""
    assert moment("10m", "--until", NOW, ahead=True) == NOW + timedelta(minutes=10)


@pytest.mark.parametrize("text", ["", "1", "h", "-1h", "1.5h", "1y", "today", "99999999999w", "2026-13-01"])
def test_what_is_neither_is_told(text: str) -> None:
    """With the option and an example."""
    with pytest.raises(ConfigurationError, match="--since") as raised:
        moment(text, "--since", NOW)
    assert "1h" in str(raised.value.hint)
