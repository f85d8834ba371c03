"""Measurements in words, as checks, steps and errors say them."""

from __future__ import annotations

from lambdapack import limits
from lambdapack.plan.model import Check

IN_WORDS = ("files", "days", "settings")
"""Units of checks whose note says all."""


def size(bytes_: float) -> str:
    """Bytes for people: ``5.0 MB`` (a megabyte is 1,000,000 bytes), ``28.6 kB``."""
    if abs(bytes_) < limits.MB / 10:
        return f"{bytes_ / 1000:.1f} kB"
    return f"{bytes_ / limits.MB:,.1f} MB"


def amount(value: float, check: Check) -> str:
    """``value`` in the unit of ``check``."""
    if check.unit == "seconds":
        return f"{value:.1f} s"
    if check.unit == "dollars":
        return f"${value:,.2f}"
    return f"{value / limits.MIB:,.1f} MiB" if in_mebibytes(check.name) else size(value)


def in_mebibytes(check: str) -> bool:
    """Whether the check of that name measures what Lambda counts in units of 2**20: /tmp, and memory."""
    return "tmp" in check or check in ("memory", "budget.memory")


def broken(check: Check) -> str:
    """What is measured, against which bound."""
    if check.unit in IN_WORDS:
        return check.note
    return (
        f"{check.name} is {amount(check.measured, check)}, over {amount(check.limit, check)} ({check.note})"
    )
