"""What a function costs, as a table."""

from __future__ import annotations

from dataclasses import asdict

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lambdapack.plan import Bill, Costs
from lambdapack.report.tables import table
from lambdapack.report.units import dollars

__all__ = ["costs_table"]

_NO_TRAFFIC = (
    "cost: state invocations and duration in the [traffic] table, and plan says what the function costs "
    "a month"
)


def costs_table(costs: Costs | None) -> RenderableType:
    """The kinds of start side by side, and on what the figures rest; without a traffic, how to state one."""
    if costs is None:
        return Text(_NO_TRAFFIC, style="dim")
    lines = [f"for {'; '.join(costs.assumptions)}"]
    for option in costs.options:
        if option.refused is None:
            lines += [f"{option.kind}: {'; '.join(option.assumptions)}"]
    lines += [f"not verified: {words}" for words in costs.unverified]
    read = ", ".join(f"{page} ({day})" for page, day in costs.sources.items())
    lines.append(f"prices of {costs.region}, {costs.arch}, in US dollars, as read at {read}")
    return Group(_rows(costs), *(Text(line, style="dim") for line in lines))


def _rows(costs: Costs) -> Table:
    rows = table("cost", "a month", "a million invocations", "a cold start")
    rows.add_column("of a month", header_style="dim")
    for option in costs.options:
        if option.refused is not None:
            rows.add_row(option.kind, "", "", "", f"not to be had: {option.refused}")
            continue
        amounts = (option.month, option.million, option.cold_start)
        rows.add_row(option.kind, *map(dollars, amounts), _parts(option.bill))
    return rows


def _parts(bill: Bill) -> str:
    """The parts of a bill that cost anything, the largest first."""
    parts = sorted(asdict(bill).items(), key=lambda part: -part[1])
    return ", ".join(f"{name} {dollars(amount)}" for name, amount in parts if amount)
