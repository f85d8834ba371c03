"""What memory settings take and cost, as a table with a curve."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import floor

from rich.console import Group, RenderableType
from rich.text import Text

from lambdapack.plan.tuning import Recommendation, Setting
from lambdapack.report.tables import table
from lambdapack.report.units import counted, dollars, seconds

__all__ = ["failure_words", "tuning_table"]

# Of the longest bar: with it, costs and remarks are whole in a terminal of 80 columns.
_WIDTH = 6
_EIGHTHS = " ▏▎▍▌▋▊▉"
_WORDS = {"timeout": "timed out", "memory": "out of memory"}


def tuning_table(
    settings: Sequence[Setting], chosen: Recommendation, *, cold: float, now: int
) -> RenderableType:
    """A line a setting, with its time as a bar, and what is recommended.

    Args:
        settings: By memory.
        chosen: Of these settings.
        cold: The share of invocations that begin with a cold start.
        now: The memory that the function has.
    """
    rows = table("MB", "cold", "warm", "MB used", "a million")
    rows.columns[0].justify = "right"
    rows.add_column("time", header_style="dim", no_wrap=True)
    rows.add_column("", no_wrap=True)
    slowest = max((each.time_ms or 0.0 for each in settings), default=0.0)
    for each in settings:
        begin, used, remarks = f"{each.memory_mb:,}", f"{each.used_mb:,}", _remarks(each, chosen, now)
        if each.cold_ms is None or each.warm_ms is None or each.time_ms is None or each.million is None:
            rows.add_row(begin, "", "", used, "", "", remarks)
            continue
        bar = Text(_bar(each.time_ms, slowest), style="cyan")
        took = (seconds(each.cold_ms), seconds(each.warm_ms))
        rows.add_row(begin, *took, used, dollars(each.million), bar, remarks)
    runs = counted(min((each.runs for each in settings if not each.failure), default=0), "run")
    mixed = (
        f"time and cost of a million: with {cold:.2%} of invocations cold ([traffic] cold), {runs} a setting "
        "or more, requests included, S3's not"
    )
    return Group(rows, Text(mixed, style="dim"), *_advice(chosen))


def failure_words(setting: Setting) -> str:
    """Why a setting does not do."""
    return _WORDS.get(str(setting.failure), f"failed: {setting.failure}")


def _bar(value: float, most: float) -> str:
    """A bar in proportion to ``value``; the longest is ``_WIDTH`` characters."""
    eighths = floor(value / most * _WIDTH * 8) if most else 0
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip() or _EIGHTHS[1]


def _remarks(setting: Setting, chosen: Recommendation, now: int) -> Text:
    names = (("cost", chosen.cost), ("time", chosen.time), ("knee", chosen.knee), ("now", now))
    found = [name for name, memory in names if memory == setting.memory_mb]
    if setting.failure:
        return Text(", ".join([failure_words(setting), *found]), style="yellow")
    return Text(f"← {', '.join(found)}" if found else "", style="bold")


def _advice(chosen: Recommendation) -> Iterable[Text]:
    if chosen.cost is None or chosen.time is None:
        return
    yield Text(f"least cost  {chosen.cost:,} MB")
    yield Text(f"least time  {chosen.time:,} MB")
    if chosen.knee is None:
        yield Text("knee        none: the time falls evenly with memory, or hardly at all")
    else:
        yield Text(f"knee        {chosen.knee:,} MB: more memory buys less time than it did up to there")
