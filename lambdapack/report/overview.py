"""What runs in AWS, as lines and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from lambdapack.deploy import shifting
from lambdapack.deploy.aws import Overview, StoredPack, VersionOverview
from lambdapack.model import Routing
from lambdapack.progress import ago
from lambdapack.report import logs
from lambdapack.report.units import megabytes, seconds

__all__ = ["overview_document", "overview_lines"]

_HEADS = ("version", "published", "memory", "zip", "pack", "", "last cold start")


def overview_document(found: Overview) -> dict[str, Any]:
    """The document for a machine."""
    routing = found.routing
    return {
        "cloud": "aws",
        "name": found.name,
        "region": found.region,
        "deployed": found.arn is not None,
        "arn": found.arn,
        "state": found.state or None,
        "live": None if routing is None else routing.version,
        "weights": {} if routing is None else routing.shares,
        "note": found.note or None,
        "shift": _shift_document(found.note),
        "provisioned": found.provisioned,
        "versions": [_version(version) for version in found.versions],
        "starts_since": None if found.since is None else found.since.isoformat(),
        "unknown": list(found.unknown),
    }


def _shift_document(text: str) -> dict[str, Any] | None:
    """The shift that the alias's note tells of, in progress or undone."""
    note = shifting.read(text)
    if note is None:
        return None
    return {
        "before": note.before,
        "after": note.after,
        "shift": str(note.shift),
        "step": note.step,
        "since": note.since.isoformat(),
        "undone": note.undone,
    }


def _version(version: VersionOverview) -> dict[str, Any]:
    pack = version.pack
    return {
        "number": version.number,
        "pack": None if pack is None else pack.id,
        "place": None if pack is None else pack.place,
        "bytes": None if pack is None else pack.bytes,
        "missing": pack is not None and pack.missing,
        "assets": {name: asset.id for name, asset in version.assets.items()},
        "asset_bytes": {name: asset.bytes for name, asset in version.assets.items()},
        "snapshot": version.snapshot,
        "weight": version.weight,
        "published": version.published,
        "memory_mb": version.memory_mb,
        "zip_bytes": version.zip_bytes,
        "starts": [logs.start_document(start) for start in version.starts],
    }


def overview_lines(found: Overview, now: datetime) -> Iterator[str]:
    """A line about the function, a row a version with the newest first, and what could not be read."""
    yield f"{found.name} in {found.region}: {found.state}, {_routing(found.routing)}"
    yield f"  {found.arn}"
    yield from _note_lines(found.note)
    if found.provisioned:
        yield f"  provisioned concurrency: {found.provisioned}"
    versions = found.versions[::-1]
    if versions:
        yield ""
        yield from _aligned([_HEADS, *(_row(version, found.routing, now) for version in versions)])
    for version in versions:
        for name, asset in version.assets.items():
            yield f"  version {version.number}: asset {name} {asset.id[:12]} {_size(asset)}".rstrip()
    if found.unknown:
        yield ""
        yield from (f"not known: {why}" for why in found.unknown)


def _note_lines(text: str) -> Iterator[str]:
    note = shifting.read(text)
    others = text if note is None else note.others
    if note is not None:
        way = f"{note.shift} from version {note.before} to {note.after}"
        since = f"{note.since:%Y-%m-%d %H:%M:%S} UTC"
        if note.undone is None:
            yield f"  shifting, {way}: {note.where}, since {since}"
        else:
            yield f"  shift undone, {way}, begun {since}: {note.undone}"
    if others:
        yield f"  note of the alias: {others}"


def _routing(routing: Routing | None) -> str:
    if routing is None:
        return "without an alias"
    shares = " and ".join(f"{share:.0%} to version {version}" for version, share in routing.shares.items())
    return f"live is version {routing.version}" if routing.other is None else f"live sends {shares}"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns two spaces apart. A table of rich's would be cut off at the width of the terminal."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _row(version: VersionOverview, routing: Routing | None, now: datetime) -> tuple[str, ...]:
    pack, live = version.pack, ""
    if version.weight:
        live = "<- live" if routing is None or routing.other is None else f"<- {version.weight:.0%}"
    return (
        version.number, version.published[:16].replace("T", " "), f"{version.memory_mb:,} MB",
        megabytes(version.zip_bytes), "none" if pack is None else f"{pack.id[:12]} {_size(pack)}".rstrip(),
        live, _last_start(version, now),
    )  # fmt: skip


def _last_start(version: VersionOverview, now: datetime) -> str:
    if not version.starts:
        return ""
    start = version.starts[0]
    init = "?" if start.init_ms is None else seconds(start.init_ms)
    kind = {"restore": "restored in", "ahead": "init ahead"}.get(start.kind, "init")
    return f"{kind} {init}, {ago((now - start.time).total_seconds())} ago"


def _size(pack: StoredPack) -> str:
    if pack.missing:
        return "not in S3"
    if pack.bytes is not None:
        return megabytes(pack.bytes)
    return "" if pack.place == "s3" else f"in its {pack.place}"
