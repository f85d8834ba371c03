"""A plan's verdict as tables."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lambdapack import limits
from lambdapack.plan import Check, Estimate, SnapshotCost, Verdict, in_mebibytes
from lambdapack.report.cold import cold_start_table
from lambdapack.report.costs import costs_table
from lambdapack.report.tables import table
from lambdapack.report.units import counted, dollars, megabytes

__all__ = ["amount", "verdict_tables"]

_SHOWN = 15


def verdict_tables(verdict: Verdict) -> RenderableType:
    """Bytes by distribution, then every check."""
    failed = verdict.failed
    said = "fits" if verdict.ok else f"does not fit: {', '.join(check.name for check in failed)}"
    head = Text.assemble((f"{verdict.target} ", "bold"), (said, "green" if verdict.ok else "red"))
    if verdict.estimated is not None:
        head = Text.assemble(head, (f"\n{_estimated(verdict.estimated)}", "yellow"))
    assets: list[RenderableType] = [_assets(verdict), ""] if verdict.assets else []
    places: list[RenderableType] = [_places(verdict), ""] if verdict.places else []
    cost: list[RenderableType] = [_snap_start(verdict.snap_start), ""] if verdict.snap_start else []
    cost += [costs_table(verdict.costs), ""]
    start = [cold_start_table(verdict.cold), ""] if verdict.cold else []
    steps: list[RenderableType] = [_steps(verdict), ""] if verdict.steps else []
    parts = (*assets, *places, _checks(verdict), "", *steps, *start, *cost)
    return Group(_rows(verdict), "", *parts, head)


def _estimated(estimate: Estimate) -> str:
    """What an estimate rests on, and how far it may be off."""
    said = (
        f"an estimate, from the directories of {counted(estimate.wheels, 'wheel')}: the pack is usually "
        f"within {estimate.within:.0%}, what is hot may be further off; the function's own code is not in it"
    )
    if estimate.unknown:
        said += f"; unknown, and counted as nothing, as there is no wheel: {', '.join(estimate.unknown)}"
    return said


def _steps(verdict: Verdict) -> Table:
    """What helps, the cheapest first, with what each gains of what is too much."""
    rows = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("", "what helps", "gains", "costs", ""):
        rows.add_column(name)
    checks = {check.name: check for check in verdict.checks}
    for number, step in enumerate(verdict.steps, 1):
        gains = ", ".join(f"{name} {amount(checks[name], gain)}" for name, gain in step.gains.items())
        enough = "suffices" if step.suffices else f"mends {', '.join(step.mends)}" if step.mends else ""
        rows.add_row(f"{number}.", Text(step.words), gains, step.cost, Text(enough, style="green"))
    if verdict.together:
        numbers = " and ".join(str(number + 1) for number in verdict.together)
        rows.add_row("", Text(f"{numbers} together", style="bold"), "", "", Text("suffice", style="green"))
    elif not any(step.suffices for step in verdict.steps):
        rows.add_row("", Text("none of these is enough, nor are three of them together", style="dim"))
    return rows


def _places(verdict: Verdict) -> Table:
    rows = table("place", "fits", "zip and layers", "layers", "cold start")
    rows.add_column("")
    timed = [option for option in verdict.places if option.fits and option.seconds is not None]
    quickest = min(timed, key=lambda option: option.seconds or 0.0, default=None)
    for option in verdict.places:
        seconds = "" if option.seconds is None else f"{option.seconds:.2f} s"
        fits = Text("yes", style="green") if option.fits else Text("no", style="red")
        name = f"{option.place} (as set)" if option.place == verdict.place else option.place
        if option is quickest:
            name += ", fastest"
        layers = str(option.layers or "")
        rows.add_row(name, fits, megabytes(option.unzipped), layers, seconds, option.note)
    best = verdict.fastest
    if best is not None and best.assets and set(best.assets.values()) != {best.pack}:
        places = ", ".join(f"{name} in {place}" for name, place in best.assets.items())
        rows.add_row(
            "each on its own", "", "", "", f"{best.seconds:.2f} s", f"the pack in {best.pack}, {places}"
        )
    return rows


def _snap_start(cost: SnapshotCost) -> str:
    return (
        f"SnapStart costs about ${cost.month:.2f} a month for each published version that exists, and "
        f"${cost.restore * 1_000_000:.0f} for a million restores (at {cost.region}'s "
        f"${cost.gb_second:.10f} a GB and second, ${cost.gb_restore:.10f} a GB restored)"
    )


def _assets(verdict: Verdict) -> Table:
    rows = table("asset", "files", "size", "over the link", "seconds")
    for asset in verdict.assets:
        seconds = f"{asset.stored / limits.LINK_BYTES_PER_SECOND:.1f}"
        name = asset.name if asset.fetch == "start" else f"{asset.name} (when asked for)"
        rows.add_row(name, f"{asset.files:,}", megabytes(asset.size), megabytes(asset.stored), seconds)
    return rows


def _rows(verdict: Verdict) -> Table:
    timed = any(row.import_ms is not None for row in verdict.rows)
    rows = table("distribution", "installed", "slimmed", "in the pack", "hot", *["import"] * timed)
    for row in verdict.rows[:_SHOWN]:
        installed = "" if row.installed is None else megabytes(row.installed)
        name = f"{row.name} {row.version}".strip()
        rows.add_row(name, installed, megabytes(row.slimmed), megabytes(row.stored), megabytes(row.hot),
                     *[f"{row.import_ms or 0:,.0f} ms"] * timed)  # fmt: skip
    rest = verdict.rows[_SHOWN:]
    if rest:
        columns = zip(*((row.installed or 0, row.slimmed, row.stored, row.hot) for row in rest), strict=True)
        imports = [f"{sum(row.import_ms or 0 for row in rest):,.0f} ms"] * timed
        rows.add_row(f"{len(rest)} more", *(megabytes(sum(column)) for column in columns), *imports)
    total = (verdict.installed, verdict.slimmed, verdict.stored, verdict.hot)
    imports = [f"{sum(row.import_ms or 0 for row in verdict.rows):,.0f} ms"] * timed
    sizes = ("" if size is None else megabytes(size) for size in total)
    rows.add_row("total", *sizes, *imports, style="bold")
    return rows


def _checks(verdict: Verdict) -> Table:
    rows = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("", "check", "measured", "at most", "what"):
        rows.add_column(name, justify="right" if name in ("measured", "at most") else "left")
    for check in verdict.checks:
        mark, style = ("ok", "green") if check.ok else ("no", "red")
        if not check.ok and check.kind == "advice":
            mark, style = "advice", "yellow"
        note = check.note if check.fix is None else f"{check.note}: {check.fix}"
        rows.add_row(Text(mark, style=style), check.name, amount(check, check.measured),
                     amount(check, check.limit), Text(note))  # fmt: skip
    return rows


def amount(check: Check, value: float) -> str:
    """``value`` in the check's unit, for people."""
    if check.unit == "seconds":
        return f"{value:.1f} s"
    if check.unit == "dollars":
        return dollars(value)
    if check.unit in ("files", "days", "settings"):
        return f"{value:.0f} {check.unit if value != 1 else check.unit[:-1]}"
    return f"{value / limits.MIB:,.0f} MiB" if in_mebibytes(check.name) else megabytes(value)
