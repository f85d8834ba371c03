"""``lambdapack cache``."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import click

from lambdapack.cli.session import Session, common
from lambdapack.errors import ToolError


@click.group("cache", short_help="Show or empty the cache.")
def command() -> None:
    """Show or empty the cache: resolved locks, pip-tools and decoders; never a pack.

    \b
    Examples:
      lambdapack cache show
      lambdapack cache prune
    """


@command.command("show")
@common
def show(**given: Any) -> None:
    """Show where the cache is and how big each part of it is."""
    session = Session.open(given["config"], as_json=given["as_json"], quiet=given["quiet"])
    from lambdapack.report.units import megabytes  # noqa: PLC0415 - kept beside its use

    parts = {path.name: _size(path) for path in _parts(session.cache)}
    if session.as_json:
        session.emit("cache", {"path": str(session.cache), "parts": parts, "size": sum(parts.values())})
        return
    click.echo(f"{session.cache}: {megabytes(sum(parts.values()))}")
    for name, size in sorted(parts.items()):
        session.say(f"  {name}: {megabytes(size)}")


@command.command("prune")
@common
def prune(**given: Any) -> None:
    """Empty the cache; what is needed again is made again."""
    session = Session.open(given["config"], as_json=given["as_json"], quiet=given["quiet"])
    from lambdapack.report.units import megabytes  # noqa: PLC0415 - kept beside its use

    freed = 0
    for path in _parts(session.cache):
        size = _size(path)
        try:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        except OSError as error:
            raise ToolError(f"cannot remove {path}: {error.strerror}") from None
        freed += size
    if session.as_json:
        session.emit("cache", {"path": str(session.cache), "freed": freed})
    session.say(f"{session.cache}: freed {megabytes(freed)}")


def _parts(cache: Path) -> list[Path]:
    return sorted(cache.iterdir()) if cache.is_dir() else []


def _size(path: Path) -> int:
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    return sum(one.lstat().st_size for one in path.rglob("*") if not one.is_dir())
