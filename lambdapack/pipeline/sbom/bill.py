"""The bill of materials of a pack: CycloneDX JSON beside it, described in ``docs/sbom.md``.

It is made from the pack itself and its build report, so a pack that was built before, or somewhere else, gets
the same one. Nothing in it changes from run to run: no time, and a serial number that follows from the ids of
what it lists.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from pathlib import Path

from lambdapack.files import write_bytes
from lambdapack.memo import NOTHING, Memo, key_of
from lambdapack.pack.assets import BuiltAsset
from lambdapack.pipeline.build_json import BuildReport
from lambdapack.pipeline.sbom.metadata import asked_extras

__all__ = ["SPEC_VERSION", "file_name", "write"]

SPEC_VERSION = "1.7"
_NAMESPACE = uuid.UUID("5f1c9f6e-8a3d-5c0b-9d62-6b0f0f5f7c11")
_KIND = "sboms"
_MADE_AS = 2
"""Raised when the same pack is to be described in other words."""


def file_name(pack_id: str) -> str:
    """``<id>.cdx.json``."""
    return f"{pack_id}.cdx.json"


def write(report: BuildReport, assets: Sequence[BuiltAsset], directory: Path, memo: Memo = NOTHING) -> Path:
    """Write the bill of materials of the pack in ``directory``; one that is up to date is left alone.

    Those of other packs are removed, as their packs are. ``memo`` remembers the document.

    Raises:
        CheckError: The pack is not sound.
        ToolError: It cannot be read, or the folder cannot be written to.
    """
    path = directory / file_name(report.pack.id)
    serial = _serial(report, assets)
    if _serial_of(path) != serial.urn:
        write_bytes(path, _document(report, assets, directory, serial, memo))
    for other in directory.glob(f"*{file_name('')}"):
        if other != path:
            other.unlink(missing_ok=True)
    return path


def _document(
    report: BuildReport, assets: Sequence[BuiltAsset], directory: Path, serial: uuid.UUID, memo: Memo
) -> bytes:
    key = key_of(serial.urn)
    kept = memo.get(_KIND, key)
    if kept is None:
        # The library takes a third of a second to import, which a build that is reused has not.
        from lambdapack.pipeline.sbom.document import make  # noqa: PLC0415

        kept = make(report, assets, directory / report.pack.file, serial).encode() + b"\n"
        memo.put(_KIND, key, kept)
    return kept


def _serial(report: BuildReport, assets: Sequence[BuiltAsset]) -> uuid.UUID:
    """Of the pack's id, and of what else is listed that the id does not vouch for."""
    asked = asked_extras(report.requirements)
    listed = {
        "made": [_MADE_AS, SPEC_VERSION, report.tool],
        "pack": report.pack.id,
        "requested": sorted(one.name for one in report.distributions if one.requested),
        "extras": sorted([name, *sorted(extras)] for name, extras in asked.items() if extras),
        "libraries": sorted([one.path, one.sha256, one.package, one.purl] for one in report.libraries),
        "assets": sorted([one.name, one.id] for one in assets),
    }
    return uuid.uuid5(_NAMESPACE, json.dumps(listed, sort_keys=True))


def _serial_of(path: Path) -> str | None:
    """The serial number of a document that is there; ``None`` where there is none or it is damaged."""
    try:
        found = json.loads(path.read_bytes())
        return str(found["serialNumber"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
