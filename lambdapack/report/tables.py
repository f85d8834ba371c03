"""Results as tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lambdapack.model import SlimReport
from lambdapack.pack.assets import BuiltAsset
from lambdapack.pipeline import BuildReport
from lambdapack.pipeline.cache import FolderUsage
from lambdapack.progress import ago
from lambdapack.report.units import megabytes

__all__ = ["assets_table", "build_table", "cache_table", "table"]

_SHOWN = 12


def table(*columns: str, title: str | None = None) -> Table:
    """A plain table: the first column is text, the others are numbers."""
    made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for number, name in enumerate(columns):
        made.add_column(name, justify="left" if number == 0 else "right", header_style="dim", no_wrap=True)
    return made


def build_table(report: BuildReport, directory: Path, assets: Sequence[BuiltAsset] = ()) -> RenderableType:
    """What a build did: sizes by distribution, what was dropped, the pack."""
    parts: list[RenderableType] = [
        "",
        _distributions(report),
        "",
        _dropped(report.slim),
        "",
        _steps(report),
        "",
    ]
    for path, reason in sorted(report.slim.reverted.items()):
        parts.append(Text(f"kept unstripped: {path} ({reason})", style="dim"))
    parts += [Text(f"warning: {line}", style="yellow") for line in report.restored]
    if assets:
        parts += [assets_table(assets), ""]
    parts.append(Text.assemble(("pack ", "bold"), str(directory / report.pack.file)))
    parts.append(Text.assemble(("id   ", "bold"), report.pack.id))
    return Group(*parts)


def _distributions(report: BuildReport) -> Table:
    made = table("distribution", "version", "installed", "slimmed")
    ordered = sorted(report.distributions, key=lambda one: -one.slimmed_bytes)
    for one in ordered[:_SHOWN]:
        name = Text(one.name, style="bold" if one.requested else "")
        made.add_row(name, one.version, megabytes(one.installed_bytes), megabytes(one.slimmed_bytes))
    rest = ordered[_SHOWN:]
    if rest:
        before, after = (
            sum(getattr(one, f"{when}_bytes") for one in rest) for when in ("installed", "slimmed")
        )
        made.add_row(f"{len(rest)} more", "", megabytes(before), megabytes(after))
    return made


def _dropped(report: SlimReport) -> Table:
    made = table("slimming", "files", "saved")
    rules: dict[str, tuple[int, int]] = {}
    for one in report.dropped:
        files, size = rules.get(one.rule, (0, 0))
        rules[one.rule] = (files + one.files, size + one.bytes)
    for rule, (files, size) in sorted(rules.items(), key=lambda item: -item[1][1]):
        made.add_row(rule, f"{files:,}", megabytes(size))
    return made


def assets_table(assets: Sequence[BuiltAsset]) -> Table:
    """One line an asset."""
    made = table("asset", "files", "size", "pack")
    for one in assets:
        made.add_row(one.name, f"{one.files:,}", megabytes(one.unpacked_bytes), megabytes(one.bytes))
    return made


def _steps(report: BuildReport) -> Table:
    pack = report.pack
    made = table("size", "bytes", "files")
    made.add_row("installed", megabytes(report.slim.installed_bytes), f"{report.slim.installed_files:,}")
    made.add_row("slimmed", megabytes(report.slim.slimmed_bytes), f"{report.slim.slimmed_files:,}")
    made.add_row("pack", megabytes(pack.bytes), f"{pack.files:,}")
    made.add_row("of it hot, fetched first", megabytes(pack.hot_bytes), f"{pack.hot_frames} frames")
    made.add_row("before the first invocation", megabytes(pack.eager_bytes), f"{pack.eager_frames} frames")
    made.add_row("/tmp needed", megabytes(pack.disk_bytes + pack.arena_bytes), "")
    return made


def cache_table(folders: Sequence[FolderUsage]) -> Table:
    """What the cache holds."""
    made = table("part", "entries", "bytes", "last used", "unused for up to")
    for folder in folders:
        made.add_row(
            folder.name,
            f"{folder.entries:,}",
            megabytes(folder.bytes),
            f"{ago(folder.newest)} ago",
            ago(folder.oldest),
        )
    return made
