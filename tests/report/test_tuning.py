"""The table of memory settings, as a terminal shows it."""

from __future__ import annotations

import io

from rich.console import Console

from lambdapack.plan.tuning import Recommendation, Setting
from lambdapack.report.tuning import tuning_table

SETTINGS = (
    Setting(128, 1, 128, failure="memory"),
    Setting(256, 1, 90, failure="KeyError"),
    Setting(512, 3, 180, 4200.0, 400.0, 438.0, 3.85),
    Setting(1769, 3, 181, 1400.0, 100.0, 113.0, 3.46),
    Setting(10240, 3, 182, 1300.0, 99.0, 111.0, 18.70),
)


def shown(settings: tuple[Setting, ...], chosen: Recommendation) -> list[str]:
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(tuning_table(settings, chosen, cold=0.01, now=512))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return [line.rstrip() for line in text.splitlines()]


def test_a_line_a_setting_in_eighty_columns() -> None:
    """Durations, memory, cost, a bar in proportion to the time, and which setting is what."""
    lines = shown(SETTINGS, Recommendation(1769, 1769, 1769))
    assert lines[1].split(maxsplit=2) == ["128", "128", "out of memory"]
    assert lines[2].split(maxsplit=2) == ["256", "90", "failed: KeyError"]
    assert lines[3].split() == ["512", "4.20", "s", "400.0", "ms", "180", "$3.85", "█" * 6, "←", "now"]
    assert lines[4].split()[-5:] == ["█▌", "←", "cost,", "time,", "knee"]
    assert "with 1.00% of invocations cold" in " ".join(lines)
    assert lines[-3:] == [
        "least cost  1,769 MB",
        "least time  1,769 MB",
        "knee        1,769 MB: more memory buys less time than it did up to there",
    ]


def test_the_widest_line_is_whole_in_eighty_columns() -> None:
    """A setting that is all of what is recommended, and what the function has, says each of these uncut."""
    widest = (
        Setting(512, 3, 10240, 99_900.0, 123.4, 9999.9, 12345.67),
        Setting(10240, 3, 182, 123.4, 99.9, 111.0, 18.70),
    )
    header, line = shown(widest, Recommendation(512, 512, 512))[:2]
    assert header.split() == ["MB", "cold", "warm", "MB", "used", "a", "million", "time"]
    assert line.endswith("██████  ← cost, time, knee, now") and "…" not in line
    assert "$12,345.67" in line and "10,240" in line


def test_without_a_bend_or_an_answer_nothing_is_made_up() -> None:
    """No knee is said to be none; where nothing answered nothing is recommended."""
    assert shown(SETTINGS, Recommendation(1769, 1769, None))[-1].startswith("knee        none")
    assert "least cost" not in " ".join(shown(SETTINGS[:2], Recommendation(None, None, None)))
