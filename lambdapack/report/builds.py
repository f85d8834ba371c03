"""Two builds side by side, and the reason for one distribution: as tables and as documents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lambdapack.plan import Build, Change, Comparison, Reason, Share, Sizes, happened, sum_of
from lambdapack.report.tables import table
from lambdapack.report.units import counted, megabytes

__all__ = ["comparison_document", "comparison_table", "reason_document", "reason_table"]

_SHOWN = 15
_COLUMNS = ("installed", "slimmed", "in the pack", "hot")
_SHORT = 12


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """The body of ``lambdapack diff --json``. Sizes in bytes; those of changes are new minus old."""
    return {
        "old": _side(comparison.old),
        "new": _side(comparison.new),
        "changes": [{"kind": change.kind, **asdict(change)} for change in comparison.changes],
        "total": asdict(comparison.total),
    }


def _side(build: Build) -> dict[str, Any]:
    return {
        "id": build.id,
        "tool": build.tool,
        "target": build.target,
        "python": build.python,
        "total": asdict(build.total),
    }


def comparison_table(comparison: Comparison) -> RenderableType:
    """What came, went and changed, the largest change of the pack first; targets that differ."""
    old, new, changes = comparison.old, comparison.new, comparison.changes
    if old == new:
        return Text(f"nothing changed: both are pack {new.id}")
    rows = table("distribution", *_COLUMNS)
    rows.add_column("")
    for change in changes[:_SHOWN]:
        name = f"{change.name} {_versions(change)}".strip()
        rows.add_row(Text(name, style=_style(change)), *_more(change.sizes), Text(happened(change)))
    rest = changes[_SHOWN:]
    if rest:
        rows.add_row(f"{len(rest)} more", *_more(sum_of(change.sizes for change in rest)))
    rows.add_row("together", *_more(comparison.total), style="bold")
    rows.add_row(f"old  {old.id[:_SHORT]}", *_sizes(old.total), style="dim")
    rows.add_row(f"new  {new.id[:_SHORT]}", *_sizes(new.total), style="dim")
    lines: list[RenderableType] = [Text(line, style="yellow") for line in _settings(comparison)]
    return Group(rows, "", *lines) if lines else rows


def _settings(comparison: Comparison) -> Iterator[str]:
    old, new = comparison.old, comparison.new
    for name, was, now in (
        ("target", old.target, new.target),
        ("Python", old.python, new.python),
        ("built by", old.tool, new.tool),
    ):
        if was != now:
            yield f"{name}: {was or 'unknown'} -> {now or 'unknown'}"


def _versions(change: Change) -> str:
    if change.kind == "version":
        return f"{change.old} -> {change.new}"
    return str(change.old if change.new is None else change.new)


def _style(change: Change) -> str:
    return {"new": "yellow", "gone": "green"}.get(change.kind, "")


def _more(sizes: Sizes) -> Iterator[str]:
    values = (sizes.installed, sizes.slimmed, sizes.packed, sizes.hot)
    return (f"+{megabytes(value)}" if value > 0 else megabytes(value) if value else "" for value in values)


def _sizes(sizes: Sizes) -> Iterator[str]:
    return map(megabytes, (sizes.installed, sizes.slimmed, sizes.packed, sizes.hot))


def reason_document(reason: Reason) -> dict[str, Any]:
    """The body of ``lambdapack why --json``. Sizes in bytes; ``saved`` is with all that goes."""
    return {
        "distribution": {"name": reason.share.name, "version": reason.share.version},
        "asked": reason.asked,
        "needed_by": dict(reason.needed_by),
        "chains": [list(chain) for chain in reason.chains],
        "sizes": asdict(reason.share.sizes),
        "pack": asdict(reason.total),
        "goes": [asdict(share) for share in reason.goes],
        "only_asked": [asdict(share) for share in reason.only_asked],
        "saved": asdict(reason.saved),
    }


def reason_table(reason: Reason) -> RenderableType:
    """Who needs a distribution, its bytes, and what would go as well."""
    share = reason.share
    head = Text.assemble((f"{share.name} {share.version}".strip(), "bold"), ": ", _why(reason))
    lines: list[RenderableType] = [head, *(Text(f"  {line}") for line in _chains(reason)), ""]
    lines += [_costs(reason), ""]
    kept = ", ".join(f"{each.name} ({megabytes(each.sizes.packed)})" for each in reason.only_asked)
    if kept:
        lines.append(Text(f"nothing else needs, but you ask for it as well: {kept}"))
    return Group(*lines[: None if kept else -1])


def _why(reason: Reason) -> str:
    parents = len(reason.needed_by)
    needed = f"needed by {counted(parents, 'distribution')}" if parents else ""
    said = "you ask for it" if reason.asked else ""
    return " and it is ".join(filter(None, (said, needed))) or "no distribution in the pack needs it"


def _chains(reason: Reason) -> Iterator[str]:
    for chain in reason.chains:
        if len(chain) > 1:
            parent = chain[-2].partition("[")[0]
            yield " -> ".join(chain) + reason.needed_by.get(parent, "")
    shown = {chain[-2].partition("[")[0] for chain in reason.chains if len(chain) > 1}
    for name in reason.needed_by.keys() - shown:
        yield f"{name}, which is there only for {reason.share.name}"


def _costs(reason: Reason) -> Table:
    rows = table("", *_COLUMNS)
    rows.add_row("itself", *_sizes(reason.share.sizes))
    for share in reason.goes[:_SHOWN]:
        rows.add_row(f"goes with it: {_named(share)}", *_sizes(share.sizes))
    rest = reason.goes[_SHOWN:]
    if rest:
        rows.add_row(f"and {len(rest)} more", *_sizes(sum_of(share.sizes for share in rest)))
    if reason.goes:
        rows.add_row("together", *_sizes(reason.saved), style="bold")
    rows.add_row("the whole pack", *_sizes(reason.total), style="dim")
    rows.add_row("of which", *_shares(reason.saved, reason.total), style="dim")
    return rows


def _named(share: Share) -> str:
    return f"{share.name} {share.version}".strip()


def _shares(part: Sizes, whole: Sizes) -> Iterator[str]:
    for own, total in zip(asdict(part).values(), asdict(whole).values(), strict=True):
        yield f"{100 * own / total:.1f} %" if total else ""
