"""docs/metrics.md and the shim agree: every field of its lines, every metric and its unit."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import runtime_shim
from runtime_shim import _assets
from tests.support.shim_world import World

PAGE = Path(__file__).parents[2] / "docs/metrics.md"
START = "import runtime_shim; runtime_shim.ready()"


def rows(heading: str) -> Iterator[list[str]]:
    """The cells of the table below a heading, without its head."""
    section = PAGE.read_text("utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    yield from ([cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:])


def names(text: str) -> list[str]:
    """The words in backticks."""
    return re.findall(r"`([^`]+)`", text)


def lines(text: str) -> list[dict[str, Any]]:
    """The shim's lines among what a process has printed."""
    found = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [line for line in found if "lambdapack" in line]


def test_the_page_has_every_metric_and_its_unit() -> None:
    """In the order in which the line names them."""
    assert [(names(row[0])[0], row[1]) for row in rows("Metrics")] == list(runtime_shim.METRICS)


def test_the_page_has_every_field_of_the_line(world: World) -> None:
    """Of a real start; the one about a library is there only where one could not be mapped."""
    (line,) = lines(world.run(START))
    (metrics,) = line["_aws"]["CloudWatchMetrics"]
    assert (metrics["Namespace"], metrics["Dimensions"]) == ("lambdapack", [["function"]])
    assert [(each["Name"], each["Unit"]) for each in metrics["Metrics"]] == list(runtime_shim.METRICS)
    told = {names(row[0])[0] for row in [*rows("Metrics"), *rows("The line about a cold start")]}
    assert told == {*line, "library_error"}
    assert len(line["pack"]) == 16 and world.pack.id.startswith(line["pack"])
    (role,) = [row[1] for row in rows("The line about a cold start") if names(row[0]) == ["role"]]
    assert line["role"] in names(role)


def test_the_page_has_the_other_lines() -> None:
    """Their kinds are all that the shim's sources print, and an asset's line has the fields of the page."""
    sources = Path(runtime_shim.__file__).parent.glob("*.py")
    printed = {kind for path in sources for kind in re.findall(r'"lambdapack": "(\w+)"', path.read_text())}
    told = {names(row[0])[0]: names(row[2]) for row in rows("Other lines")}
    assert set(told) == printed
    assert told["asset"] == ["asset", *_assets.TOLD]
