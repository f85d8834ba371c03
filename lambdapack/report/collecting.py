"""What a collection removes, as a table for a terminal."""

from __future__ import annotations

from rich.table import Table

from lambdapack.deploy.gc import GcPlan, KnownLayer, KnownVersion, Thing, size_of
from lambdapack.report.tables import table
from lambdapack.report.units import megabytes

__all__ = ["kind", "named", "removals_table"]


def kind(thing: Thing) -> str:
    """What the thing is, in one word."""
    if isinstance(thing, KnownVersion):
        return "version"
    return "layer" if isinstance(thing, KnownLayer) else thing.kind


def named(thing: Thing) -> str:
    """The thing's name for people."""
    return thing.name if isinstance(thing, (KnownVersion, KnownLayer)) else thing.url


def removals_table(plan: GcPlan) -> Table:
    """What goes, its size and why."""
    rows = table("what", "size", "why")
    rows.columns[2].justify = "left"
    for removal in plan.removals:
        size = size_of(removal.what)
        shown = megabytes(size) if size else ""
        rows.add_row(f"{kind(removal.what)} {named(removal.what)}", shown, removal.why)
    return rows
