"""What a build grew by since another one: held to a budget, and told where a budget is broken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from lambdapack import limits
from lambdapack.plan.builds import Change, Comparison
from lambdapack.plan.model import Budget, Check

_SHOWN = 3
_COLUMNS: dict[str, Literal["packed", "hot", "slimmed"]] = {
    "budget.pack": "packed",
    "budget.growth": "packed",
    "budget.hot": "hot",
    "budget.slimmed": "slimmed",
    "budget.tmp": "slimmed",
}
"""Budget -> the sizes of distributions that it is made of."""


def growth_check(growth: Comparison, budget: Budget) -> Iterator[Check]:
    """How much more the pack is, against what the user allows."""
    before, more = growth.old.total.packed, growth.total.packed
    if budget.growth_percent is not None:
        bound, said = before * budget.growth_percent / 100, f"{budget.growth_percent:g} %"
    elif budget.growth is not None:
        bound, said = budget.growth * limits.MB, f"{budget.growth:g} MB"
    else:
        return
    ok = more <= bound
    yield Check(
        "budget.growth", "budget", more, bound, "bytes", ok,
        f"[budget] growth = {said}; the pack was {before / limits.MB:,.1f} MB",
        None if ok else "leave out what came; if it is wanted, measure from this build from now on",
    )  # fmt: skip


def explained_check(check: Check, growth: Comparison) -> Check:
    """The check; of a broken budget, with the distributions that grew the most since the earlier build."""
    column = _COLUMNS.get(check.name)
    if check.ok or column is None:
        return check
    grew = [change for change in growth.changes if getattr(change.sizes, column) > 0]
    grew.sort(key=lambda change: (-getattr(change.sizes, column), change.name))
    if not grew:
        return replace(check, note=f"{check.note}; nothing grew since pack {growth.old.id[:12]}")
    lines = [_grew(change, getattr(change.sizes, column)) for change in grew[:_SHOWN]]
    rest = grew[_SHOWN:]
    if rest:
        lines.append(f"{len(rest)} more {_more(sum(getattr(change.sizes, column) for change in rest))}")
    other = f" (for {growth.old.target})" if growth.old.target != growth.new.target else ""
    note = f"{check.note}; since pack {growth.old.id[:12]}{other} grew: {', '.join(lines)}"
    return replace(check, note=note)


def happened(change: Change) -> str:
    """How a distribution came or went, and what brought the distribution; empty where it did neither.

    ``new, brought in by scikit-learn``
    """
    if change.kind not in ("new", "gone"):
        return ""
    *before, _ = change.chain or ("",)
    if before:
        verb = "brought in" if change.kind == "new" else "was needed"
        return f"{change.kind}, {verb} by {' -> '.join(before)}"
    return (
        f"{change.kind}, {'asked for' if change.kind == 'new' else 'was asked for'}"
        if change.chain
        else change.kind
    )


def _grew(change: Change, size: int) -> str:
    """``scipy 1.15.2 +20.1 MB (new, brought in by scikit-learn)``"""
    how = happened(change) or (f"was {change.old}" if change.kind == "version" else "")
    return f"{change.name} {change.new or ''}".strip() + f" {_more(size)}" + (f" ({how})" if how else "")


def _more(size: float) -> str:
    if size < 1000:
        return f"+{size:.0f} B"
    return f"+{size / limits.MB:,.1f} MB" if size >= limits.MB / 10 else f"+{size / 1000:.1f} kB"
