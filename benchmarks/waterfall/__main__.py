"""Show where each millisecond of a cold start goes: tables, JSON, a picture.

    python -m benchmarks.waterfall [--workload NAME] [--boost] [--output docs/cold-start.svg]
    python -m benchmarks.waterfall --boost --runs 7 --shim-of HEAD~1

Starts the function a few times in the benchmark's rig and tells of the start whose time is the median.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import click
from rich.console import Console

from benchmarks.__main__ import _alone
from benchmarks.artifacts import Kit
from benchmarks.rig import Rig, Setting
from benchmarks.waterfall.account import account, document, median
from benchmarks.waterfall.picture import draw
from benchmarks.waterfall.record import Recording, instrumented, record
from benchmarks.waterfall.show import show
from benchmarks.ways import OURS, prepare, with_shim_of
from benchmarks.workloads import WORKLOADS, Workload
from lambdapack.errors import LambdapackError
from lambdapack.memo import default_cache_dir
from lambdapack.model.target import Target
from lambdapack.report.live import LineProgress

_NAMES = [one.name for one in WORKLOADS]


@click.command(help=__doc__)
@click.option("--workload", type=click.Choice(_NAMES), default=_NAMES[0], show_default=True)
@click.option("--memory", default=1769, show_default=True, metavar="MB", help="Decides the CPU time too.")
@click.option("--boost", is_flag=True, help="At least two CPUs until the handler is imported.")
@click.option("--bandwidth", default=600.0, show_default=True, metavar="MBIT", help="Of the link.")
@click.option("--python", default="3.11", show_default=True, help="Of the function.")
@click.option("--runs", default=5, show_default=True, type=click.IntRange(1))
@click.option(
    "--shim-of", metavar="REVISION", help="By turns the shim of another commit too, on the same pack."
)
@click.option("--reuse", is_flag=True, help="Take a pack of an earlier run as it is.")
@click.option("--cache", type=click.Path(path_type=Path), default=default_cache_dir)
@click.option("--output", type=click.Path(path_type=Path), help="The picture, .svg or .png.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def main(
    *,
    workload: str,
    memory: int,
    boost: bool,
    bandwidth: float,
    python: str,
    runs: int,
    shim_of: str | None,
    reuse: bool,
    cache: Path,
    output: Path | None,
    as_json: bool,
) -> None:
    console = Console(width=max(120, Console().width))
    kit = Kit(cache, Target(python), reuse=reuse, progress=LineProgress(sys.stderr))
    chosen = next(one for one in WORKLOADS if one.name == workload)
    setting = Setting(memory, boost, chosen.tmp_mb[-1])
    try:
        with _alone(cache):
            recordings, *beside = measured(
                kit, chosen, setting, mbit=bandwidth, runs=runs, shim_of=shim_of
            ).values()
    except LambdapackError as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False)
        sys.exit(error.exit_status)
    told = median(recordings)
    found = account(told)
    if as_json:
        print(json.dumps(document(found, told, workload, [one.total_s for one in recordings]), indent=1))
    else:
        show(console, found)
        for others in beside:
            console.print(compared(recordings, others, str(shim_of)), highlight=False)
    if output and not draw(found, told, title(workload, setting, bandwidth), output):
        print("no picture: pip install 'lambdapack[bench]' brings matplotlib", file=sys.stderr)


def measured(
    kit: Kit, workload: Workload, setting: Setting, *, mbit: float, runs: int, shim_of: str | None = None
) -> dict[str, list[Recording]]:
    """Start ``workload`` cold ``runs`` times; by turns also with the shim of the commit ``shim_of``.

    Raises:
        LambdapackError: It cannot be built, or a start failed.
    """
    place = kit.cache / "bench"
    with tempfile.TemporaryDirectory(prefix="waterfall-") as folder, instrumented(kit) as runtime:
        way = prepare(OURS, kit, workload, folder=Path(folder), s3=place / "s3")
        index = kit.material(workload).pack.index
        ways = [way] if shim_of is None else [way, with_shim_of(shim_of, kit, way)]
        recordings: dict[str, list[Recording]] = {way.name: [] for way in ways}
        with Rig(runtime, place / "s3", mbit=mbit, scratch=place / "scratch") as rig:
            for _, way in product(range(runs), ways):
                recordings[way.name].append(record(rig, workload, way, setting, index=index, mbit=mbit))
        return recordings


def compared(ours: Sequence[Recording], others: Sequence[Recording], revision: str) -> str:
    """One line about the medians of both shims."""
    totals = [median(recordings).total_s * 1e3 for recordings in (ours, others)]
    return (
        f"first answer after {totals[0]:.0f} ms, with the shim of {revision} after {totals[1]:.0f} ms: "
        f"{totals[0] - totals[1]:+.0f} ms, medians of {len(ours)}"
    )


def title(workload: str, setting: Setting, mbit: float) -> str:
    """What was started, in words."""
    boost = "on" if setting.boost else "off"
    return f"{workload}, {setting.memory_mb:,} MB of memory, init boost {boost}, {mbit:g} Mbit/s"


if __name__ == "__main__":
    main()
