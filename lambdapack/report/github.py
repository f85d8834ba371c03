"""A plan's verdict as workflow commands: the annotations that GitHub Actions shows beside a run.

A command ends with its line, so that what would end a line or a property is escaped:
https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

from collections.abc import Iterator

from lambdapack.plan import Check, Verdict
from lambdapack.report.verdict import amount

__all__ = ["command", "workflow_commands"]

_MESSAGE = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY = {**_MESSAGE, **str.maketrans({":": "%3A", ",": "%2C"})}


def workflow_commands(verdict: Verdict) -> Iterator[str]:
    """An error for each limit and budget that is broken, a warning for what it would be well to change."""
    for check in verdict.checks:
        if check.ok:
            continue
        level = "warning" if check.kind == "advice" else "error"
        measured = f"{amount(check, check.measured)}, over {amount(check, check.limit)}: {check.note}"
        said = check.note if check.unit in ("files", "days", "settings") else measured
        lines = [said, check.fix or "", _cheapest(verdict, check)]
        yield command(level, f"lambdapack: {check.name}", "\n".join(filter(None, lines)))


def _cheapest(verdict: Verdict, check: Check) -> str:
    """The first step that mends ``check``, else the first that brings it nearer its bound."""
    steps = [step for step in verdict.steps if check.name in step.gains]
    mending = [step for step in steps if check.name in step.mends] or steps
    return f"cheapest: {mending[0].words} (cost: {mending[0].cost})" if mending else ""


def command(level: str, title: str, message: str) -> str:
    """One workflow command, ``error`` or ``warning``."""
    return f"::{level} title={title.translate(_PROPERTY)}::{message.translate(_MESSAGE)}"
