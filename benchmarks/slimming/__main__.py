"""Make docs/slimming.md's table: install, slim, pack, unpack and run each package.

    python -m benchmarks.slimming [--only NAME]... [--work FOLDER]

Trees and figures are kept: a row is measured again where the lock, the rules or the code that packs have
changed. Remove FOLDER/trees/NAME to lock and install a row anew.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from benchmarks.slimming.measure import measure, weigh
from benchmarks.slimming.rows import ROWS
from benchmarks.slimming.table import DOCUMENT, FIGURES, document
from lambdapack.errors import LambdapackError
from lambdapack.report.live import LineProgress

_WORK = Path(".lambdapack/slimming")


@click.command(help=__doc__)
@click.option("--only", multiple=True, type=click.Choice([row.name for row in ROWS]), help="These rows.")
@click.option("--work", type=click.Path(path_type=Path), default=_WORK, show_default=True)
@click.option("--weigh", "weigh_only", is_flag=True, help="Only install and weigh what is not yet.")
def main(only: tuple[str, ...], work: Path, weigh_only: bool) -> None:
    """Measure, write the figures and the document; exit status 1 where a row failed."""
    figures = json.loads(FIGURES.read_text()) if FIGURES.is_file() else {}
    work = work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    failed = []
    for row in ROWS:
        if only and row.name not in only:
            continue
        click.echo(row.name, err=True)
        progress = LineProgress(sys.stderr)
        try:
            if weigh_only:
                weigh(row, work, progress)
                continue
            figures[row.name] = measure(row, work, figures.get(row.name), progress)
        except LambdapackError as error:
            failed.append(row.name)
            click.echo(f"{row.name} failed: {error.message}\n{error.detail or ''}", err=True)
            continue
        ordered = {one.name: figures[one.name] for one in ROWS if one.name in figures}
        FIGURES.write_text(json.dumps(ordered, indent=2) + "\n")
    DOCUMENT.write_text(document(DOCUMENT.read_text(), figures))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
