"""What was measured, in the form of docs/benchmarks.md, and what differed from the local cloud."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from benchmarks.aws_check.measuring import Series
from benchmarks.aws_check.plan import Settings, total
from lambdapack import __version__

__all__ = ["differences", "document", "page"]

VERSION = 1
_FIGURES = ("bytes", "requests", "frames", "retries")
_MUCH = 1.5
"""The factor from which on a time differs."""


def _row(series: Series) -> dict[str, Any]:
    starts, shims = series.starts, [start.shim for start in series.starts if start.shim]
    inits = [start.init_ms for start in starts if start.init_ms is not None]
    return {
        "way": series.way,
        "cloud": series.cloud,
        "starts": len(starts),
        "total_s": round(median(start.total_ms for start in starts) / 1000, 3) if starts else None,
        "init_ms": median(inits) if inits else None,
        "first_ms": median(start.duration_ms or 0.0 for start in starts) if starts else None,
        "warm_ms": median(series.warm_ms) if series.warm_ms else None,
        "wait_ms": median(shim.get("wait_ms", 0.0) for shim in shims) if shims else None,
        **{name: median(shim.get(name, 0) for shim in shims) if shims else None for name in _FIGURES},
    }


def document(
    settings: Settings, series: Sequence[Series], checks: Mapping[str, str], invocations: int
) -> dict[str, Any]:
    """All of it, for a machine. ``checks``: step -> ``ok``, or why not."""
    return {
        "document": "lambdapack.aws-check",
        "version": VERSION,
        "tool": f"lambdapack {__version__}",
        "settings": asdict(settings),
        "most_usd": round(total(settings), 4),
        "invocations": invocations,
        "checks": dict(checks),
        "rows": [_row(each) for each in series],
        "differences": list(differences(series)),
    }


def differences(series: Iterable[Series]) -> Iterator[str]:
    """What AWS did otherwise than the local cloud, a sentence each."""
    by_way: dict[str, dict[str, Series]] = {}
    for each in series:
        by_way.setdefault(each.way, {})[each.cloud] = each
    for way, clouds in by_way.items():
        if len(clouds) == 2:
            yield from _compared(way, clouds["aws"], clouds["local"])


def _compared(way: str, real: Series, local: Series) -> Iterator[str]:
    if real.answers != local.answers:
        yield f"{way}: AWS answers {real.answers}, the local cloud {local.answers}"
    ours, theirs = _row(local), _row(real)
    for name in (*_FIGURES, "total_s", "init_ms", "first_ms", "warm_ms", "wait_ms"):
        a, b = theirs[name], ours[name]
        if a is None or b is None:
            if a != b:
                yield f"{way}: {name} is {a} in AWS and {b} in the local cloud"
        elif name in _FIGURES:
            if a != b:
                yield f"{way}: {name} is {a:,.0f} in AWS and {b:,.0f} in the local cloud"
        elif a and b and max(a / b, b / a) >= _MUCH:
            yield f"{way}: {name} is {a:,.3f} in AWS and {b:,.3f} in the local cloud, {a / b:.2f} times that"
    for name in sorted(real.heads - local.heads):
        yield f"{way}: AWS's log has {name!r}, the local cloud's has not"
    for name in sorted(local.heads - real.heads):
        yield f"{way}: the local cloud's log has {name!r}, AWS's has not"


def page(found: Mapping[str, Any]) -> str:
    """The same for people."""
    given = found["settings"]
    lines = [
        f"# {found['tool']} in {given['region']}",
        "",
        f"{', '.join(given['requirements'])} on Python {given['python']}, {given['arch']}, "
        f"{given['memory_mb']:,} MB. Medians of {given['starts']} cold starts and the warm invocations after "
        f"them; {found['invocations']} invocations in AWS, which cost ${found['most_usd']:.2f} at most.",
        "",
        "| way | " + " | ".join(_HEADS) + " |",
        "|---|" + "---:|" * len(_HEADS),
    ]
    lines += [_line(row) for row in found["rows"]]
    lines += ["", "| checked | result |", "|---|---|"]
    lines += [f"| {name} | {result} |" for name, result in found["checks"].items()]
    lines += ["", "What differed from the local cloud:", ""]
    lines += [f"- {each}" for each in found["differences"]] or ["- nothing that this check looks at"]
    return "\n".join(lines) + "\n"


_HEADS = (
    "first answer, s", "init, ms", "first call, ms", "warm, ms", "waited for the pack, ms", "MB fetched",
    "requests", "retries",
)  # fmt: skip


def _line(row: Mapping[str, Any]) -> str:
    fetched = None if row["bytes"] is None else row["bytes"] / 1e6
    cells = [row["total_s"], row["init_ms"], row["first_ms"], row["warm_ms"], row["wait_ms"], fetched]
    counts = ["" if row[name] is None else f"{row[name]:,.0f}" for name in ("requests", "retries")]
    shown = ["" if cell is None else f"{cell:,.2f}" if cell < 10 else f"{cell:,.0f}" for cell in cells]
    where = "AWS" if row["cloud"] == "aws" else "the local cloud"
    return f"| {row['way']}, {where} | " + " | ".join([*shown, *counts]) + " |"
