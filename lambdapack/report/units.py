"""Numbers as people read them."""

from __future__ import annotations

from math import floor, log10

from lambdapack.limits import MB

__all__ = ["counted", "dollars", "megabytes", "seconds"]


def megabytes(size: float) -> str:
    """``50_300_000`` -> ``50.3 MB`` (a megabyte is 1,000,000 bytes); small sizes in kB and B."""
    if abs(size) < 1000:
        return f"{size:.0f} B"
    if abs(size) < MB / 10:
        return f"{size / 1000:.1f} kB"
    return f"{size / MB:,.1f} MB"


def seconds(milliseconds: float) -> str:
    """``1234.5`` -> ``1.23 s``; below a second in milliseconds."""
    return f"{milliseconds / 1000:.2f} s" if milliseconds >= 1000 else f"{milliseconds:.1f} ms"


def dollars(amount: float) -> str:
    """``1234.5`` -> ``$1,234.50``; what is less than a cent with two significant digits, ``$0.000012``."""
    if amount == 0 or amount >= 0.005:
        return f"${amount:,.2f}"
    digits = 1 - floor(log10(amount))
    return f"${amount:.{digits}f}"


def counted(number: int, noun: str) -> str:
    """``1 frame``, ``2 frames``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
