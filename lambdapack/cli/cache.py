"""``lambdapack cache``."""

from __future__ import annotations

import re
from dataclasses import asdict

import click

from lambdapack.cli.session import Session, common
from lambdapack.errors import ConfigurationError

_SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_BYTES = {"MB": 1_000_000, "GB": 1_000_000_000}


@click.group("cache", short_help="Show or prune the cache.")
def command() -> None:
    """Show or prune the cache: parts of builds, whole builds, resolved locks, pip-tools, decoders.

    \b
    Examples:
      lambdapack cache show
      lambdapack cache prune --older-than 30d
      lambdapack cache prune --all
    """


@command.command("show")
@common
def show(session: Session) -> None:
    """Show where the cache is, and what is in it, how big and when it was last used."""
    from lambdapack.pipeline import cache as buildcache
    from lambdapack.report.units import megabytes

    folders = buildcache.survey(session.cache)
    size = sum(folder.bytes for folder in folders)
    if session.as_json:
        session.emit(
            "cache",
            {
                "path": str(session.cache),
                "size": size,
                "limit": session.cache_limit,
                "parts": {folder.name: folder.bytes for folder in folders},
                "details": [asdict(folder) for folder in folders],
            },
        )
        return
    click.echo(f"{session.cache}: {megabytes(size)}")
    from lambdapack.report.tables import cache_table

    session.show(cache_table(folders))
    session.say(f"a build prunes builds/ to {megabytes(session.cache_limit)}")


@command.command("prune")
@click.option("--older-than", metavar="AGE", help="What was not used for so long, e.g. 12h or 30d.")
@click.option("--max-size", metavar="SIZE", help="Until no more is left, e.g. 500MB or 2GB.")
@click.option("--all", "everything", is_flag=True, help="Everything.")
@common
def prune(session: Session, older_than: str | None, max_size: str | None, everything: bool) -> None:
    """Remove what was not used for the longest time; a build that needs it makes it again.

    Without options it prunes the build cache to the size that a build leaves it at. A build that runs
    meanwhile is not disturbed.
    """
    from lambdapack.pipeline import cache as buildcache
    from lambdapack.report.units import megabytes

    bounded = older_than is None and max_size is None and not everything
    pruned = buildcache.prune(
        session.cache,
        older_than=_measured(older_than, _SECONDS, "--older-than", "12h or 30d"),
        max_bytes=session.cache_limit
        if bounded
        else _measured(max_size, _BYTES, "--max-size", "500MB or 2GB"),
        everything=everything,
        builds_only=bounded,
    )
    freed = {"freed": pruned.bytes, "entries": pruned.entries, "spared": list(pruned.spared)}
    session.emit("cache", {"path": str(session.cache), **freed})
    session.say(f"{session.cache}: freed {megabytes(pruned.bytes)}, {pruned.entries:,} entries")
    if pruned.spared:
        session.say(f"left for the build that is running: {', '.join(pruned.spared)}")


def _measured(text: str | None, units: dict[str, int], option: str, example: str) -> int | None:
    """``30d`` or ``2GB`` in seconds or bytes."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", text)
    unit = match[2] if match and match[2] in units else match[2].upper() if match else ""
    if not match or unit not in units:
        raise ConfigurationError(f"{option} {text!r} is not like {example}", hint=f"mend {option}")
    return round(float(match[1]) * units[unit])
