"""``python -m benchmarks.rebuild``: what one changed pin costs, in CPU time, beside the first build.

Locks about fifty distributions, builds them with an empty cache, changes one pin and builds again. CPU time
is that of all processes: of lambdapack, pip, the resolver, the compilers, the traced code.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["CHANGED", "REQUIREMENTS", "Cost", "Rebuild", "main", "measure"]

REQUIREMENTS = (
    *("aiohttp", "beautifulsoup4", "cryptography", "fastapi", "httpx", "jinja2", "jsonschema", "lxml"),
    *("networkx", "openpyxl", "pandas", "pillow", "pydantic-settings", "pyyaml", "redis", "requests"),
    *("rich==14.0.0", "sqlalchemy", "tabulate", "typer", "uvicorn"),
)
CHANGED = "rich==14.1.0"
GOAL = 0.25
"""The largest part of the first build's CPU time that a rebuild may take."""


@dataclass(frozen=True)
class Cost:
    """One build.

    Attributes:
        cpu, seconds: CPU time of all processes, user and system; time by the clock.
        distributions, frames: How many came from the cache, and how many there are.
        bytes: The pack's.
    """

    cpu: float
    seconds: float
    distributions: tuple[int, int]
    frames: tuple[int, int]
    bytes: int


@dataclass(frozen=True)
class Rebuild:
    """The builds before and after the change, and once more without any."""

    pins: int
    first: Cost
    changed: Cost
    same: Cost

    @property
    def ratio(self) -> float:
        """CPU time of the rebuild over that of the first build."""
        return self.changed.cpu / self.first.cpu


def measure(requirements: Sequence[str], changed: str, folder: Path, *options: str) -> Rebuild:
    """Build ``requirements``, then with one pin ``changed``, then the same in another folder.

    Args:
        requirements: What to lock; the builds then have every distribution pinned.
        changed: ``name==version`` of one of them.
        folder: An empty folder for everything, the cache included.
        options: Further options of ``lambdapack build``.
    """
    locked = _build(folder, [*requirements, *options, "--level", "1", "--no-strip"], cache="lock")
    pins = {one["name"]: one["version"] for one in locked[0]["distributions"]}
    requested = [f"{name}=={version}" for name, version in sorted(pins.items())]
    name, _, version = changed.partition("==")
    other = [f"{name}=={version}" if pin.startswith(f"{name}==") else pin for pin in requested]
    if other == requested:
        raise SystemExit(f"{changed} is what is locked, or not in the lock: nothing would change")
    first = _build(folder, [*requested, *options])
    second = _build(folder, [*other, *options])
    same = _build(folder, [*other, "--output", "elsewhere", *options])
    return Rebuild(len(pins), first[1], second[1], same[1])


def _build(folder: Path, arguments: Sequence[str], cache: str = "cache") -> tuple[Mapping[str, Any], Cost]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = os.times().elapsed
    done = subprocess.run(
        [sys.executable, "-m", "lambdapack", "build", *arguments, "--json"],
        cwd=folder,
        env={**os.environ, "LAMBDAPACK_CACHE": str(folder / cache)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"the build ended with status {done.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = json.loads(done.stdout)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    reuse = {name: (one["reused"], one["all"]) for name, one in report["reuse"].items()}
    if report["reused"]:
        reuse = {name: (count, count) for name, (_, count) in reuse.items()}
    return report, Cost(
        cpu, os.times().elapsed - begun, reuse["distributions"], reuse["frames"], report["pack"]["bytes"]
    )


def _table(found: Rebuild) -> str:
    lines = [
        f"{found.pins} distributions, {found.first.bytes / 1e6:.1f} MB packed",
        "",
        f"{'build':<24}{'CPU':>9}{'clock':>9}{'distributions':>24}{'frames':>24}",
    ]
    builds = {
        "first, empty cache": found.first,
        "one pin changed": found.changed,
        "again, another folder": found.same,
    }
    for name, cost in builds.items():
        reuse = (f"{reused} of {count} cached" for reused, count in (cost.distributions, cost.frames))
        lines.append(
            f"{name:<24}{cost.cpu:>7.1f} s{cost.seconds:>7.1f} s" + "".join(f"{one:>24}" for one in reuse)
        )
    lines += ["", f"one changed pin: {found.ratio:.0%} of the first build's CPU time (at most {GOAL:.0%})"]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and show; 1 where a rebuild costs too much."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rebuild", description=__doc__)
    parser.add_argument("requirements", nargs="*", default=list(REQUIREMENTS), metavar="REQ")
    parser.add_argument("--change", default=CHANGED, metavar="NAME==VERSION", help="the pin of the rebuild")
    parser.add_argument("--level", default="19", help="zstd level")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="lambdapack-rebuild-") as folder:
        found = measure(options.requirements, options.change, Path(folder), "--level", options.level)
    if options.json:
        print(json.dumps({**asdict(found), "ratio": found.ratio}, indent=2))
    else:
        print(_table(found))
    return int(found.ratio > GOAL)


if __name__ == "__main__":
    sys.exit(main())
