"""A verdict as a document, and as an error where it is negative."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from lambdapack import limits
from lambdapack.errors import CheckError
from lambdapack.plan.arithmetic import amount
from lambdapack.plan.model import Check, Verdict

VERSION = 1
"""The JSON document's version; rises when a key changes its meaning or goes."""


def document(verdict: Verdict) -> dict[str, Any]:
    """The verdict as a versioned document, ready for ``json.dumps``."""
    return {"document": "lambdapack.plan", "version": VERSION, "ok": verdict.ok, **asdict(verdict)}


def enforce(verdict: Verdict) -> None:
    """Raise where a verdict is negative.

    Raises:
        CheckError: A limit or a budget is broken; every one is in the message, its fix in the hint.
    """
    if verdict.ok:
        return
    broken = "; ".join(map(_broken, verdict.failed))
    fixes = dict.fromkeys(check.fix for check in verdict.failed if check.fix)
    raise CheckError(f"the plan does not fit: {broken}", hint="; ".join(fixes))


def _broken(check: Check) -> str:
    if check.unit == "files":
        return check.note
    return (
        f"{check.name} is {_amount(check.measured, check)}, over {_amount(check.limit, check)} ({check.note})"
    )


def _amount(value: float, check: Check) -> str:
    if check.unit == "seconds":
        return f"{value:.1f} s"
    # Lambda counts /tmp in units of 2**20.
    return f"{value / limits.MIB:,.1f} MiB" if check.name.endswith("tmp") else amount(value)
