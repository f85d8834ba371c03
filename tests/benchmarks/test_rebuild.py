"""benchmarks.rebuild on ten real distributions: what of a rebuild comes from the cache, never times."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.rebuild import measure

# Four of them native; some need each other.
REQUIREMENTS = (
    *("lxml", "pillow", "pyyaml", "jinja2", "click", "idna"),
    *("certifi", "tabulate", "packaging==24.1"),
)
CHANGED = "packaging==24.2"


@pytest.mark.slow
def test_one_changed_pin_costs_that_pin_alone(tmp_path: Path) -> None:
    """All other distributions come from the cache, and most frames; without a change, everything."""
    found = measure(REQUIREMENTS, CHANGED, tmp_path, "--level", "3")
    assert found.pins == 10
    assert (found.first.distributions, found.first.frames[0]) == ((0, 10), 0)
    assert found.changed.distributions == (9, 10)
    reused, frames = found.changed.frames
    assert frames > 8
    assert reused >= frames / 2
    assert found.same.distributions == (10, 10)
    assert found.same.frames == (frames, frames)
    document = json.loads((tmp_path / "elsewhere" / "build.json").read_text())
    assert document["reuse"]["distributions"] == {"reused": 9, "all": 10}
