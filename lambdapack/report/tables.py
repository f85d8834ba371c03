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


def table(*columns: str) -> Table:
    """A plain table: the first column is text, the others are numbers."""
    empty = Table(box=None, pad_edge=False)
    for number, name in enumerate(columns):
        empty.add_column(name, justify="left" if number == 0 else "right", header_style="dim", no_wrap=True)
    return empty


def build_table(report: BuildReport, directory: Path, assets: Sequence[BuiltAsset] = ()) -> RenderableType:
    """What a build did: sizes by distribution, what was dropped, the pack."""
    parts: list[RenderableType] = ["", _distributions(report), "", _dropped(report.slim), ""]
    parts += [_steps(report), ""]
    for path, reason in sorted(report.slim.reverted.items()):
        parts.append(Text(f"kept unstripped: {path} ({reason})", style="dim"))
    parts += [Text(f"warning: {line}", style="yellow") for line in report.restored]
    if assets:
        parts += [assets_table(assets), ""]
    parts.append(Text.assemble(("pack ", "bold"), str(directory / report.pack.file)))
    parts.append(Text.assemble(("id   ", "bold"), report.pack.id))
    return Group(*parts)


def _distributions(report: BuildReport) -> Table:
    rows = table("distribution", "version", "installed", "slimmed")
    ordered = sorted(report.distributions, key=lambda each: -each.slimmed_bytes)
    for each in ordered[:_SHOWN]:
        name = Text(each.name, style="bold" if each.requested else "")
        rows.add_row(name, each.version, megabytes(each.installed_bytes), megabytes(each.slimmed_bytes))
    rest = ordered[_SHOWN:]
    if rest:
        before, after = sum(r.installed_bytes for r in rest), sum(r.slimmed_bytes for r in rest)
        rows.add_row(f"{len(rest)} more", "", megabytes(before), megabytes(after))
    return rows


def _dropped(report: SlimReport) -> Table:
    rows = table("slimming", "files", "saved")
    rules: dict[str, tuple[int, int]] = {}
    for dropped in report.dropped:
        files, size = rules.get(dropped.rule, (0, 0))
        rules[dropped.rule] = (files + dropped.files, size + dropped.bytes)
    for rule, (files, size) in sorted(rules.items(), key=lambda item: -item[1][1]):
        rows.add_row(rule, f"{files:,}", megabytes(size))
    return rows


def assets_table(assets: Sequence[BuiltAsset]) -> Table:
    """A line an asset: files, size unpacked, size of the pack."""
    rows = table("asset", "files", "size", "pack")
    for asset in assets:
        rows.add_row(asset.name, f"{asset.files:,}", megabytes(asset.unpacked_bytes), megabytes(asset.bytes))
    return rows


def _steps(report: BuildReport) -> Table:
    pack = report.pack
    rows = table("size", "bytes", "files")
    rows.add_row("installed", megabytes(report.slim.installed_bytes), f"{report.slim.installed_files:,}")
    rows.add_row("slimmed", megabytes(report.slim.slimmed_bytes), f"{report.slim.slimmed_files:,}")
    rows.add_row("pack", megabytes(pack.bytes), f"{pack.files:,}")
    rows.add_row("of it hot, fetched first", megabytes(pack.hot_bytes), f"{pack.hot_frames} frames")
    rows.add_row("before the first invocation", megabytes(pack.eager_bytes), f"{pack.eager_frames} frames")
    rows.add_row("/tmp needed", megabytes(pack.disk_bytes + pack.arena_bytes), "")
    return rows


def cache_table(folders: Sequence[FolderUsage]) -> Table:
    """What the cache holds."""
    rows = table("part", "entries", "bytes", "last used", "unused for up to")
    for folder in folders:
        rows.add_row(
            folder.name,
            f"{folder.entries:,}",
            megabytes(folder.bytes),
            f"{ago(folder.newest)} ago",
            ago(folder.oldest),
        )
    return rows
