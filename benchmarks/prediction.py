"""``python -m benchmarks.prediction``: predicted against measured cold starts, in the local cloud.

For each workload a project is built, deployed and calibrated as a user does that; then the function is
started cold with other settings, with and without the boost of init, in interleaved rounds. Two predictions
stand beside each median: of the calibrated model, and of the typical constants that `lambdapack plan` has
before.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from rich.console import Console

from benchmarks.workloads import HEAVY, Workload
from lambdapack import pack
from lambdapack.errors import ToolError
from lambdapack.files import write_bytes
from lambdapack.local import LocalCloud
from lambdapack.memo import default_cache_dir
from lambdapack.pipeline import calibration
from lambdapack.plan import cold, typical
from lambdapack.report.live import LineProgress
from lambdapack.report.tables import table

_MEMORIES = (512, 1769, 3008)
_LINK_MBPS = 600


@dataclass(frozen=True)
class Row:
    """One setting of one workload; times in seconds.

    Attributes:
        workload, memory_mb, boost: Which.
        measured: The median of its cold starts, until the first answer.
        calibrated, typical: Both predictions.
    """

    workload: str
    memory_mb: int
    boost: bool
    measured: float
    calibrated: float
    typical: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, show and keep."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prediction", description=__doc__)
    parser.add_argument("--workload", action="append", choices=[each.name for each in HEAVY])
    parser.add_argument("--runs", type=int, default=5, help="cold starts of each setting (default: 5)")
    parser.add_argument("--cache", type=Path, default=default_cache_dir())
    parser.add_argument("--output", type=Path, help="keep the rows as JSON")
    options = parser.parse_args(arguments)
    chosen = [each for each in HEAVY if not options.workload or each.name in options.workload]
    rows = [row for each in chosen for row in rows_of(each, options.cache, options.runs)]
    show(rows, Console(width=max(100, Console().width)))
    if options.output:
        write_bytes(options.output, json.dumps([asdict(row) for row in rows], indent=2).encode() + b"\n")
    return 0


def rows_of(workload: Workload, cache: Path, runs: int) -> Iterator[Row]:
    """Make, calibrate and measure a workload."""
    project = cache / "bench" / "prediction" / workload.name
    prepare(project, workload)
    made = pack.load(project / ".lambdapack" / "build")
    found = calibration.read(made.path.parent, ("local",))
    assert found is not None and found.pack == made.id
    frames = cold.Frames.of(made.index)
    guess = typical.work(made.index)
    for (memory, boost), measured in starts(project, workload, runs).items():
        predicted = (
            cold.predict(constants, frames, work, memory_mb=memory, boost=boost).total
            for constants, work in ((found.constants, found.work), (typical.CONSTANTS, guess))
        )
        yield Row(workload.name, memory, boost, median(measured), *predicted)


def prepare(project: Path, workload: Workload) -> None:
    """Write the project, build, deploy and calibrate."""
    project.mkdir(parents=True, exist_ok=True)
    source = workload.source.read_text(encoding="utf-8").replace("import mark", "# import mark")
    (project / "app.py").write_text(f"import runtime_shim\n{source}", encoding="utf-8")
    glibc = f'glibc = "{workload.glibc[0]}.{workload.glibc[1]}"\n' if workload.glibc else ""
    (project / "lambdapack.toml").write_text(
        f"[build]\nrequirements = {json.dumps(workload.requirements)}\n{glibc}"
        '[trace]\nhandler = "app.handler"\n'
        f'[function]\nname = "{workload.name}"\nhandler = "app.handler"\nmemory = 1769\ntimeout = 60\n'
        f"tmp = 2048\n[local]\nbandwidth = {_LINK_MBPS}\n",
        encoding="utf-8",
    )
    for command in ("build", "deploy", "calibrate"):
        done = subprocess.run(
            [sys.executable, "-m", "lambdapack", command, "--quiet"], cwd=project, check=False
        )
        if done.returncode:
            raise ToolError(f"lambdapack {command} of {workload.name} failed", hint=f"cd {project}")


def starts(project: Path, workload: Workload, runs: int) -> dict[tuple[int, bool], list[float]]:
    """Seconds of the cold starts, by memory and boost."""
    settings = [(memory, boost) for memory in _MEMORIES for boost in (True, False)]
    seconds: dict[tuple[int, bool], list[float]] = {setting: [] for setting in settings}
    progress = LineProgress(sys.stderr)
    clouds = {
        boost: LocalCloud(project / ".lambdapack" / "local", use_server=False, boost=boost)
        for boost in (True, False)
    }
    try:
        for number in range(runs):
            with progress.step(f"{workload.name}: round {number + 1} of {runs}"):
                for memory, boost in settings:
                    seconds[memory, boost].append(_start(clouds[boost], workload, memory))
    finally:
        for cloud in clouds.values():
            cloud.close()
    return seconds


def _start(cloud: LocalCloud, workload: Workload, memory_mb: int) -> float:
    done = cloud.invoke(workload.name, b"{}", cold=True, memory_mb=memory_mb, bandwidth_mbps=_LINK_MBPS)
    if done.error or json.loads(done.payload) != workload.answer:
        raise ToolError(f"{workload.name} answered {done.payload!r}", detail=done.log[-2000:])
    return ((done.init_ms or 0.0) + done.duration_ms) / 1000


def show(rows: Sequence[Row], console: Console) -> None:
    """The rows, and the median of both errors."""
    shown = table("workload", "memory", "boost", "measured", "predicted", "off by", "uncalibrated", "off by")
    for row in rows:
        shown.add_row(
            row.workload, f"{row.memory_mb:,} MB", "on" if row.boost else "off", f"{row.measured:.2f} s",
            f"{row.calibrated:.2f} s", f"{row.calibrated / row.measured - 1:+.0%}",
            f"{row.typical:.2f} s", f"{row.typical / row.measured - 1:+.0%}",
        )  # fmt: skip
    console.print(shown)
    ours = cold.error(row.calibrated / row.measured for row in rows)
    guess = cold.error(row.typical / row.measured for row in rows)
    console.print(f"median error {ours:.0%} calibrated, {guess:.0%} from typical constants", style="bold")


if __name__ == "__main__":
    sys.exit(main())
