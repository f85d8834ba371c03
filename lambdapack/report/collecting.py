"""What a collection removes, as a table for a terminal."""

from __future__ import annotations

from rich.table import Table

from lambdapack.deploy.gc import GcPlan, KnownLayer, KnownVersion, Thing, size_of
from lambdapack.report.tables import table
from lambdapack.report.units import megabytes
from lambdapack.store import Stored

__all__ = ["kind", "named", "removals_table"]


def kind(thing: Thing) -> str:
    """What the thing is, in one word."""
    if isinstance(thing, KnownVersion):
        return "version"
    return "layer" if isinstance(thing, KnownLayer) else thing.kind


def named(thing: Thing) -> str:
    """The thing's name for people."""
    return thing.name if isinstance(thing, (KnownVersion, KnownLayer)) else thing.url


def _short(thing: Thing, buckets: int) -> str:
    """The thing's name for a table of 80 columns; its bucket only where there are several."""
    if isinstance(thing, KnownVersion):
        return f"version {thing.name}"
    if isinstance(thing, KnownLayer):
        return f"layer {thing.layer[:23]}:{thing.number} in {thing.region}"
    return f"{thing.kind} {thing.digest[:12]}" + (f" in {thing.bucket}" if buckets > 1 else "")


def removals_table(plan: GcPlan) -> Table:
    """What goes, its size and why; names of objects are cut to twelve digits."""
    buckets = {removal.what.bucket for removal in plan.objects if isinstance(removal.what, Stored)}
    rows = table("what", "size", "why")
    for column in rows.columns[::2]:
        column.justify, column.no_wrap, column.overflow = "left", False, "fold"
    for removal in plan.removals:
        size = size_of(removal.what)
        rows.add_row(_short(removal.what, len(buckets)), megabytes(size) if size else "", removal.why)
    return rows
