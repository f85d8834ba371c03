"""The tables behind the pictures: which figures of the document, in which unit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lambdapack.plan import in_mebibytes
from lambdapack.report.page.cells import Cell, Column, Source, Table
from lambdapack.report.page.waterfall import bars

__all__ = [
    "IMPORTS",
    "REMARKS",
    "asset_table",
    "bill_parts",
    "check_table",
    "cold_table",
    "cost_table",
    "import_table",
    "phase_table",
    "place_table",
    "series_table",
    "size_table",
    "step_table",
    "tune_table",
    "wait_table",
]  # fmt: skip

IMPORTS = 24
"""Rows of the waterfall."""
REMARKS = {"cost": "least cost", "time": "least time", "knee": "knee"}


def size_table(source: Source) -> Table:
    """Bytes by distribution, and what their imports take where a profile told."""
    names = ("stored", "hot", "slimmed", "installed")
    timed = any(row.get("import_ms") is not None for row in source.get("/plan/rows"))
    rows = []
    for at in source.places("/plan/rows"):
        sizes = [source.cell(f"{at}/{name}", "bytes") for name in names]
        imports = [source.cell(f"{at}/import_ms", "ms")] if timed else []
        rows.append([source.cell(f"{at}/name"), source.cell(f"{at}/version"), *sizes, *imports])
    total = [source.cell(f"/plan/{name}", "bytes", tone="strong") for name in names]
    rows.append([Cell("together", tone="strong"), Cell(""), *total, *([Cell("")] if timed else [])])
    columns = [
        Column("distribution", False), Column("version", False), Column("in the pack"), Column("of it hot"),
        Column("slimmed"), Column("installed"), *([Column("imports")] if timed else []),
    ]  # fmt: skip
    return Table("Sizes by distribution", columns, rows)


def cold_table(source: Source) -> Table:
    """The parts of the cold start that the plan predicts."""
    at = "/plan/cold/parts"
    names = ("init", "runtime", "waits", "imports", "call")
    row = [*(source.cell(f"{at}/{name}", "s") for name in names), source.cell("/plan/cold/error", "percent")]
    heads = ("init", "of it the runtime", "waits for the pack", "imports", "first call", "usually off by")
    columns = (Column("cold start", False), *map(Column, heads))
    return Table("The predicted cold start", columns, [[Cell("as predicted"), *row]])


def phase_table(source: Source) -> Table:
    """Init and the invocations."""
    names = ("start_ms", "ms", "imports_ms", "waited_ms", "other_ms")
    rows = [
        [source.cell(f"{at}/name"), *(source.cell(f"{at}/{name}", "ms") for name in names)]
        for at in source.places("/profile/phases")
    ]
    heads = ("began", "took", "imports", "waits for the pack", "everything else")
    return Table("Phases of the cold start", (Column("phase", False), *map(Column, heads)), rows)


def import_table(source: Source) -> Table:
    """The imports that the waterfall shows."""
    rows, times = [], ("start_ms", "cumulative_ms", "self_ms", "waited_ms")
    for bar in bars(source.get("/profile/imports"), IMPORTS):
        at = f"/profile/imports/{bar.number}"
        rows.append([
            source.cell(f"{at}/name", indent=bar.depth),
            *(source.cell(f"{at}/{name}", "ms") for name in times),
            source.cell(f"{at}/waited_bytes", "bytes"),
            source.cell(f"{at}/memory_bytes", "bytes"),
            source.cell(f"{at}/origin"),
        ])  # fmt: skip
    heads = ("began", "cumulative", "self", "waited", "for", "memory")
    columns = (Column("import", False), *map(Column, heads), Column("whose", False))
    return Table(f"The {len(rows)} longest imports, in the order in which they began", columns, rows)


def wait_table(source: Source) -> Table:
    """The waits for the pack."""
    rows = []
    for at in source.places("/profile/waits"):
        parent = source.get(f"{at}/parent")
        rows.append([
            Cell("the loader") if parent is None else source.cell(f"/profile/imports/{parent}/name"),
            source.cell(f"{at}/frame", "number"),
            source.cell(f"{at}/bytes", "bytes"),
            source.cell(f"{at}/start_ms", "ms"),
            source.cell(f"{at}/self_ms", "ms"),
        ])  # fmt: skip
    columns = (Column("who waited", False), *map(Column, ("frame", "compressed", "began", "took")))
    return Table("Waits for frames of the pack", columns, rows)


def series_table(source: Source) -> Table:
    """Each invocation; in AWS with what the shim told of the pack."""
    rows = []
    told = any(row.get("wait_ms") is not None for row in source.get("/series/invocations"))
    for at in source.places("/series/invocations"):
        kind = "cold" if source.get(f"{at}/cold") else "warm"
        rows.append([
            source.cell(f"{at}/start", "start"),
            Cell(kind, tone="strong" if kind == "cold" else ""),
            *(source.cell(f"{at}/{name}", "ms") for name in ("init_ms", "duration_ms", "total_ms")),
            source.cell(f"{at}/billed_ms", "ms"),
            source.cell(f"{at}/max_memory_mb", "mb"),
            *((source.cell(f"{at}/wait_ms", "ms"), source.cell(f"{at}/fetched", "bytes")) if told else ()),
        ])  # fmt: skip
    heads = ["Init Duration", "Duration", "together", "billed", "memory used"]
    heads += ["waited for the pack", "fetched"] if told else []
    columns = (Column("environment", False), Column("", False), *map(Column, heads))
    return Table("Invocations, in the order in which they were made", columns, rows)


def tune_table(source: Source, at: str) -> Table:
    """The memory settings that were measured."""
    rows = []
    recommended, now = source.get(f"{at}/recommended") or {}, source.get(f"{at}/memory_mb")
    for setting in source.places(f"{at}/settings"):
        memory = source.get(f"{setting}/memory_mb")
        said = [word for key, word in REMARKS.items() if recommended.get(key) == memory]
        said += ["as set now"] if memory == now else []
        failure = source.get(f"{setting}/failure")
        remark = Cell(", ".join(said), tone="strong")
        rows.append([
            source.cell(f"{setting}/memory_mb", "mb"),
            *(source.cell(f"{setting}/{name}", "ms") for name in ("cold_ms", "warm_ms", "time_ms")),
            source.cell(f"{setting}/million", "usd"),
            source.cell(f"{setting}/used_mb", "mb"),
            source.cell(f"{setting}/runs", "number"),
            source.cell(f"{setting}/failure", tone="bad") if failure else remark,
        ])  # fmt: skip
    heads = ("cold", "warm", "mixed", "a million", "memory used", "runs")
    return Table("Memory settings", (Column("memory"), *map(Column, heads), Column("", False)), rows)


def check_table(source: Source) -> Table:
    """Every check of the plan."""
    places = source.places("/plan/checks")
    mended = any(source.get(f"{at}/fix") for at in places)
    rows = []
    for at in places:
        verdict, tone = _said(source.get(at))
        unit = _unit(source.get(at))
        row = [
            source.cell(f"{at}/name"),
            Cell(verdict, tone=tone),
            source.cell(f"{at}/measured", unit),
            source.cell(f"{at}/limit", unit),
            source.cell(f"{at}/note"),
        ]
        rows.append([*row, source.cell(f"{at}/fix")] if mended else row)
    columns = [
        Column("check", False), Column("verdict", False), Column("measured"), Column("at most"),
        Column("what", words=True), *([Column("what to do", words=True)] if mended else []),
    ]  # fmt: skip
    return Table("Limits of Lambda, budgets and advice", columns, rows)


def _said(check: Mapping[str, Any]) -> tuple[str, str]:
    """The verdict of a check, and its tone."""
    if check["ok"]:
        return "ok", "good"
    return ("advice", "warn") if check["kind"] == "advice" else ("no", "bad")


def _unit(check: Mapping[str, Any]) -> str:
    unit = check.get("unit", "number")
    if unit == "bytes" and in_mebibytes(check["name"]):
        return "mebibytes"
    return {"seconds": "s", "dollars": "usd"}.get(unit, str(unit))


def step_table(source: Source) -> Table:
    """What helps where something is broken, the cheapest first: a row for each check that a step helps."""
    checks = {check["name"]: check for check in source.get("/plan/checks")}
    rows = []
    for at in source.places("/plan/steps"):
        mends, suffices = source.get(f"{at}/mends") or (), source.get(f"{at}/suffices")
        for name in source.get(f"{at}/gains") or {}:
            enough = "fits then" if suffices else "holds then" if name in mends else ""
            gain = f"{at}/gains/{name.replace('~', '~0').replace('/', '~1')}"
            rows.append([
                source.cell(f"{at}/words"), Cell(name), source.cell(gain, _unit(checks.get(name, {}))),
                source.cell(f"{at}/cost"), Cell(enough, tone="good"),
            ])  # fmt: skip
    columns = (
        Column("what helps", words=True), Column("check", False), Column("gains"), Column("costs", False),
        Column("", False),
    )  # fmt: skip
    return Table("What to do, the cheapest first", columns, rows)


def place_table(source: Source) -> Table:
    """Where the pack could be."""
    rows = []
    for at in source.places("/plan/places"):
        fits = source.get(f"{at}/fits")
        is_set = source.get(f"{at}/place") == source.get("/plan/place")
        rows.append([
            source.cell(f"{at}/place", tone="strong" if is_set else ""),
            source.cell(f"{at}/fits", "bool", tone="good" if fits else "bad"),
            source.cell(f"{at}/unzipped", "bytes"),
            source.cell(f"{at}/layers", "number"),
            source.cell(f"{at}/seconds", "s"),
            source.cell(f"{at}/note"),
        ])  # fmt: skip
    columns = (
        Column("place", False), Column("fits", False), Column("zip and layers"), Column("layers"),
        Column("predicted cold start"), Column("what", words=True),
    )  # fmt: skip
    return Table("Where the function could read its pack from", columns, rows)


def asset_table(source: Source) -> Table:
    """The assets."""
    rows = [
        [
            source.cell(f"{at}/name"), source.cell(f"{at}/fetch"), source.cell(f"{at}/files", "number"),
            source.cell(f"{at}/size", "bytes"), source.cell(f"{at}/stored", "bytes"),
            source.cell(f"{at}/place"),
        ]
        for at in source.places("/plan/assets")
    ]  # fmt: skip
    columns = (
        Column("asset", False), Column("fetched at", False), Column("files"), Column("size"),
        Column("over the link"), Column("place", False),
    )  # fmt: skip
    return Table("Assets", columns, rows)


def cost_table(source: Source) -> Table:
    """The kinds of start, and what a month is made of."""
    options = source.places("/plan/costs/options")
    parts = bill_parts(source)
    rows = []
    for at in options:
        refused = source.get(f"{at}/refused")
        amounts = [f"{at}/{name}" for name in ("month", "million", "cold_start")] + [
            f"{at}/bill/{part}" for part in parts
        ]
        rows.append([
            source.cell(f"{at}/kind"),
            *(Cell("") if refused else source.cell(amount, "usd") for amount in amounts),
            source.cell(f"{at}/refused") if refused else Cell(""),
        ])  # fmt: skip
    heads = ("a month", "a million invocations", "a cold start", *(f"of the month: {part}" for part in parts))
    return Table(
        "What the traffic costs by kind of start",
        (Column("start", False), *map(Column, heads), Column("", False)),
        rows,
    )


def bill_parts(source: Source) -> list[str]:
    """The parts of a bill that cost anything with any kind of start that is to be had."""
    bills = [
        source.get(f"{at}/bill")
        for at in source.places("/plan/costs/options")
        if not source.get(f"{at}/refused")
    ]
    return [part for part in (bills[0] if bills else ()) if any(bill[part] for bill in bills)]
