"""A thousand cold starts at once against S3's request limit: ``python -m benchmarks.scale``.

docs/scale.md says what it means. The shim's own fetching code runs unchanged, twice: in virtual time with
real sizes, link and latencies (the table), and over real sockets against an endpoint that holds the limit
(``--loopback``). Nothing leaves this machine.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.scale_loopback import run
from benchmarks.scale_pack import SPACY, TORCH
from benchmarks.scale_world import Outcome, Scenario, requests_of_one, simulate
from lambdapack import limits
from runtime_shim._index import decode

__all__ = ["main"]

RATE = limits.S3_GET_PER_SECOND
NEW_PREFIX = RATE // 5


def scenarios(stored: tuple[int, ...]) -> dict[str, Scenario]:
    """What the table shows, by name."""
    return {
        "1": Scenario(1, stored=stored),
        "100 at once": Scenario(100, stored=stored),
        "1,000 at once, no limit": Scenario(1000, rate=None, stored=stored),
        "1,000 at once": Scenario(1000, stored=stored),
        "1,000 at once, limit counted over 0.1 s": Scenario(1000, window=0.1, stored=stored),
        "1,000 over 1 s, limit counted over 0.1 s": Scenario(1000, spread=1, window=0.1, stored=stored),
        f"1,000 at once, {NEW_PREFIX:,}/s": Scenario(1000, rate=NEW_PREFIX, stored=stored),
        "3,000 at once": Scenario(3000, stored=stored),
        "10,000 at once": Scenario(10000, stored=stored),
        "10,000 over 10 s": Scenario(10000, spread=10, stored=stored),
    }


def row(name: str, scenario: Scenario, outcome: Outcome) -> dict[str, Any]:
    """One line of the table, as data."""
    return {
        "starts": name,
        "scenario": {key: value for key, value in asdict(scenario).items() if key != "stored"},
        "failed": len(outcome.failed),
        "verified": outcome.verified,
        "requests": outcome.requests,
        "refused": outcome.refused,
        "most_requests": outcome.most,
        "seconds": {str(share): round(outcome.percentile(share), 3) for share in (0.5, 0.99, 1.0)},
    }


def show(line: dict[str, Any]) -> None:
    """The same for people, as a row of a Markdown table."""
    p50, p99, longest = line["seconds"].values()
    print(
        f"| {line['starts']} | {line['failed']:,} | {line['requests']:,} | {line['refused']:,} "
        f"| {line['most_requests']} | {p50:.2f} | {p99:.2f} | {longest:.2f} |",
        flush=True,
    )


def virtual(stored: tuple[int, ...], most: int) -> list[dict[str, Any]]:
    """Simulate and print; one row a scenario of at most ``most`` starts."""
    size = sum(stored) / 1e6
    print(f"\n{size:.1f} MB in {len(stored)} frames: {requests_of_one(stored)} requests a start\n")
    print("| starts | failed | requests | 503s | most requests of one | p50 s | p99 s | longest s |")
    print("|---|---|---|---|---|---|---|---|")
    rows = []
    for name, scenario in scenarios(stored).items():
        if scenario.starts <= most:
            rows.append(row(name, scenario, simulate(scenario)))
            show(rows[-1])
    return rows


def loopback(starts: int, rate: float) -> dict[str, Any]:
    """Run over real sockets and print."""
    outcome = run(starts, rate)
    print(
        f"\n{starts:,} starts over real sockets, {rate:,.0f} GET/s: {outcome.succeeded:,} succeeded, "
        f"{outcome.requests:,} requests, {outcome.refused:,} answered 503, at most {outcome.most} a start, "
        f"{outcome.peak:,} in the busiest second, {outcome.seconds:.1f} s on this machine"
    )
    return {"rate": rate, "starts": starts, **asdict(outcome)}


def main() -> None:
    """Print the tables; write them as JSON where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument(
        "--index", type=Path, metavar="FILE", help="a pack's index instead of the built-in ones"
    )
    parser.add_argument("--most", type=int, default=10000, metavar="N", help="leave out what has more starts")
    parser.add_argument("--loopback", action="store_true", help="also over real sockets")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    options = parser.parse_args()
    packs = {"spacy": SPACY, "torch": TORCH}
    if options.index:
        index = decode(options.index.read_bytes())
        packs = {options.index.name: tuple(index.frame_stored[: index.eager])}
    results: dict[str, Any] = {"version": 1, "packs": {}}
    for name, stored in packs.items():
        print(f"\n## {name}")
        results["packs"][name] = virtual(stored, options.most)
    if options.loopback:
        results["loopback"] = [loopback(1000, RATE), loopback(1000, NEW_PREFIX)]
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
