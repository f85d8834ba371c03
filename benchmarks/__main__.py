"""``python -m benchmarks``: prepare, measure in interleaved rounds, show, keep."""

from __future__ import annotations

import argparse
import fcntl
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from itertools import product
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import overhead, results
from benchmarks.artifacts import Kit
from benchmarks.measure import Measurement, measure
from benchmarks.plot import plot
from benchmarks.rig import Rig, Setting
from benchmarks.show import show, show_limits, show_overheads
from benchmarks.ways import FLOOR, OURS, PLACED, WAYS, Way, prepare, with_shim_of
from benchmarks.workloads import WORKLOADS, Workload
from lambdapack.errors import ConfigurationError, LambdapackError
from lambdapack.memo import default_cache_dir
from lambdapack.model.target import Target
from lambdapack.report.live import LineProgress

_MEMORY = (512, 1769, 3008)
_BASE = 1769
Prepared = dict[str, dict[str, Way]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit status."""
    options = _parser().parse_args(arguments)
    console = Console(width=max(180, Console().width))
    try:
        with _alone(options.cache):
            return run(options, WORKLOADS, console)
    except LambdapackError as error:
        console.print(f"error: {error}", style="red", markup=False)
        return error.exit_status


@contextmanager
def _alone(cache: Path) -> Iterator[None]:
    """Two runs at once would measure each other."""
    place = cache / "bench" / "running"
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigurationError(
                f"another benchmark is running with the cache {cache}",
                hint="wait for it, or name another folder with --cache",
            ) from None
        yield


def run(options: argparse.Namespace, workloads: Sequence[Workload], console: Console) -> int:
    """Prepare, measure, show, keep; status 1 where lambdapack itself gave no right answer.

    Raises:
        LambdapackError: Something that everything needs cannot be had.
    """
    chosen = [one for one in workloads if not options.workload or one.name in options.workload]
    kit = Kit(options.cache, Target(options.python), reuse=options.reuse, progress=LineProgress(sys.stderr))
    place = kit.cache / "bench"
    names = options.way or list(WAYS)
    if options.shim_of and OURS not in names:
        names = [OURS, *names]
    prepared = _prepare(kit, chosen, names, options.shim_of, console)
    packs = {one.name: _pack_facts(kit, one) for one in chosen}
    runs: list[Measurement] = []
    overheads: list[dict[str, Any]] = []
    limited: dict[str, str] = {}
    try:
        with Rig(kit.runtime(), place / "s3", mbit=options.bandwidth, scratch=place / "scratch") as rig:
            limited = rig.limited
            _measure(rig, chosen, prepared, options, runs=runs, console=console)
            for workload in chosen:
                if not options.no_overhead and {OURS, FLOOR} <= prepared[workload.name].keys():
                    overheads += _overheads(rig, workload, prepared[workload.name], options.rounds)
    except KeyboardInterrupt:
        console.print("interrupted: what follows is what was measured until now", style="yellow")
    lines = results.summarise(runs)
    show_limits(console, limited)
    show(console, lines, options.bandwidth)
    show_overheads(console, overheads)
    document = results.document(
        runs, overheads, limited=limited, packs=packs, python=kit.interpreter.version, mbit=options.bandwidth
    )
    _keep(document, lines, options.output, console)
    return 1 if any(line.way in PLACED and line.ok < line.runs for line in lines) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--workload", action="append", choices=[one.name for one in WORKLOADS])
    parser.add_argument("--way", action="append", choices=list(WAYS))
    parser.add_argument(
        "--shim-of",
        action="append",
        default=[],
        metavar="REVISION",
        help="measure the shim of another commit too, on the same pack",
    )
    parser.add_argument("--rounds", type=int, default=5, help="at 1,769 MB without boost  [5]")
    parser.add_argument(
        "--sweep-rounds",
        type=int,
        default=3,
        help="at the other sizes of memory, with and without boost  [3]",
    )
    parser.add_argument("--memory", type=int, action="append", choices=_MEMORY, help="these sizes alone")
    parser.add_argument("--no-overhead", action="store_true", help="leave out warm calls and new processes")
    parser.add_argument("--bandwidth", type=float, default=600.0, metavar="MBIT", help="of the link  [600]")
    parser.add_argument("--python", default="3.11", help="of the functions  [3.11]")
    parser.add_argument("--reuse", action="store_true", help="take packs of earlier runs as they are")
    parser.add_argument("--cache", type=Path, default=default_cache_dir())
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results")
    return parser


def _prepare(
    kit: Kit, workloads: Sequence[Workload], names: Sequence[str], revisions: Sequence[str], console: Console
) -> Prepared:
    prepared: Prepared = {}
    for workload in workloads:
        ways = prepared.setdefault(workload.name, {})
        for name in names:
            try:
                ways[name] = prepare(
                    name, kit, workload, folder=kit.cache / "bench" / "ways", s3=kit.cache / "bench" / "s3"
                )
            except LambdapackError as error:
                if name in (OURS, FLOOR):
                    raise
                console.print(f"{workload.name}: without {name}: {error}", style="yellow", markup=False)
        for revision in revisions:
            way = with_shim_of(revision, kit, ways[OURS])
            ways[way.name] = way
    return prepared


def _pack_facts(kit: Kit, workload: Workload) -> dict[str, Any]:
    material = kit.material(workload)
    index = material.pack.index
    return {
        "id": material.pack.id,
        "bytes": material.pack.path.stat().st_size,
        "eager_bytes": sum(index.frame_stored[: index.eager]),
        "hot_bytes": sum(index.frame_stored[: index.hot]),
        "unpacked_bytes": sum(index.sizes),
        "recipe_zip_bytes": material.recipe_zip.stat().st_size,
        "zappa_tar_bytes": material.zappa_tar.stat().st_size,
    }


def settings(
    workload: Workload, rounds: int, sweep_rounds: int, sizes: Collection[int] = _MEMORY
) -> list[tuple[Setting, int]]:
    """What to measure a workload in, and how often; ``sizes`` of memory alone."""
    found = [(Setting(_BASE, False, tmp), rounds) for tmp in workload.tmp_mb]
    for memory, boost in product(_MEMORY, (False, True)):
        if (memory, boost) != (_BASE, False):
            found.append((Setting(memory, boost, workload.tmp_mb[-1]), sweep_rounds))
    return [(setting, number) for setting, number in found if setting.memory_mb in sizes]


def _measure(
    rig: Rig,
    workloads: Sequence[Workload],
    prepared: Prepared,
    options: argparse.Namespace,
    *,
    runs: list[Measurement],
    console: Console,
) -> None:
    """Interleaved: every way of every case once, then again, each time beginning with another way."""
    cases = [
        (one, *pair)
        for one in workloads
        for pair in settings(one, options.rounds, options.sweep_rounds, options.memory or _MEMORY)
    ]
    for number in range(1, max(options.rounds, options.sweep_rounds) + 1):
        for workload, setting, rounds in cases:
            if number > rounds:
                continue
            ways = list(prepared[workload.name].values())
            turn = number % len(ways)
            for way in ways[turn:] + ways[:turn]:
                found = measure(rig, workload, way, setting, number)
                runs.append(found)
                total = (
                    f"{found.total_s:.2f} s" if found.outcome == "ok" else f"{found.outcome} {found.detail}"
                )
                where = f"{setting.memory_mb} MB{' boost' if setting.boost else ''}, /tmp {setting.tmp_mb} MB"
                text = f"round {number}: {workload.name}, {where}: {way.name}: {total}"
                console.print(text, markup=False, highlight=False)


def _overheads(rig: Rig, workload: Workload, ways: dict[str, Way], rounds: int) -> list[dict[str, Any]]:
    setting = Setting(_BASE, False, workload.tmp_mb[-1])
    found = overhead.new_process(rig, workload, ways, setting, rounds=max(3, rounds))
    return [*found, overhead.warm_system_calls(rig, workload, ways)]


def _keep(document: dict[str, Any], lines: Sequence[results.Line], output: Path, console: Console) -> None:
    if not lines:
        return
    stem = output / f"benchmark-{datetime.now(timezone.utc):%Y%m%d-%H%M%S}"
    results.write(document, stem.with_suffix(".json"))
    console.print(f"wrote {stem}.json")
    if plot(lines, stem.with_suffix(".png")):
        console.print(f"wrote {stem}.png")
    else:
        console.print("no picture: pip install 'lambdapack[bench]' brings matplotlib", markup=False)


if __name__ == "__main__":
    sys.exit(main())
