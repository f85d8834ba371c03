"""Several targets' builds as one table and one document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from lambdapack.pipeline.matrix import Outcome
from lambdapack.report.tables import table
from lambdapack.report.units import megabytes

__all__ = ["document", "matrix_table"]

_ID_SHOWN = 12


def matrix_table(outcomes: Sequence[Outcome]) -> Table:
    """A line a target: its pack, how long that took, and whether it is there."""
    rows = table("target", "id", "pack", "seconds", "result")
    for each in outcomes:
        made = each.error is None
        rows.add_row(
            each.target,
            (each.id or "")[:_ID_SHOWN],
            megabytes(each.bytes) if made else "",
            f"{each.seconds:.1f}",
            ("reused" if each.reused else "built") if made else "failed",
        )
    return rows


def document(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The same for a machine."""
    return {"builds": [_one(each) for each in outcomes]}


def _one(each: Outcome) -> dict[str, Any]:
    error = each.error and {
        "message": each.error.message,
        "hint": each.error.hint,
        "detail": each.error.detail,
        "exit_status": each.error.exit_status,
    }
    return {
        "target": each.target,
        "directory": str(each.directory),
        "id": each.id,
        "bytes": each.bytes,
        "seconds": each.seconds,
        "reused": each.reused,
        "error": error,
    }
