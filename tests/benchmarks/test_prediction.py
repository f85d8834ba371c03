"""The table of predicted and measured cold starts."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from benchmarks.prediction import Row, show
from benchmarks.workloads import HEAVY
from lambdapack.plan import cold

BASELINE = Path(__file__).parents[2] / "benchmarks/baseline/prediction.json"
PAGE = Path(__file__).parents[2] / "docs/prediction.md"


def shown(rows: list[Row]) -> str:
    stream = io.StringIO()
    show(rows, Console(file=stream, width=120))
    return stream.getvalue()


def test_the_table_has_both_errors_and_their_medians() -> None:
    """Of the calibrated model and of the typical constants, each against the same measurement."""
    rows = [Row("a", 512, True, 2.0, 2.2, 1.0), Row("b", 1769, False, 1.0, 0.9, 1.3)]
    lines = [line.split() for line in shown(rows).splitlines()]
    assert lines[1] == ["a", "512", "MB", "on", "2.00", "s", "2.20", "s", "+10%", "1.00", "s", "-50%"]
    assert lines[2] == ["b", "1,769", "MB", "off", "1.00", "s", "0.90", "s", "-10%", "1.30", "s", "+30%"]
    assert "median error 10% calibrated, 40% from typical constants" in shown(rows)


def test_the_page_says_what_the_kept_rows_say() -> None:
    """Every workload at three settings, with the boost and without; the medians of the page are theirs."""
    rows = [Row(**row) for row in json.loads(BASELINE.read_text())]
    settings = {(row.workload, row.memory_mb, row.boost) for row in rows}
    assert settings == {(each.name, m, b) for each in HEAVY for m in (512, 1769, 3008) for b in (True, False)}
    page = " ".join(PAGE.read_text("utf-8").split())
    for row in rows:
        assert f"{row.measured:.2f} → {row.calibrated:.2f}" in page, asdict(row)
    boosted = cold.error(row.calibrated / row.measured for row in rows if row.boost)
    whole = cold.error(row.calibrated / row.measured for row in rows)
    typical = cold.error(row.typical / row.measured for row in rows)
    assert f"median error is {boosted * 100:.0f} % with the boost on" in page
    assert (
        f"{whole * 100:.0f} % with all" in page and f"median error is {typical * 100:.0f} % of these" in page
    )
