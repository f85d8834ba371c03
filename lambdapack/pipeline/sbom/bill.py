"""Write a bill of materials beside its pack, where there is no current one yet."""

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

    The bills of other packs are removed, as their packs are. ``memo`` remembers the document.

    Raises:
        CheckError: The pack is not sound.
        ToolError: It cannot be read, or the folder cannot be written to.
    """
    path = directory / file_name(report.pack.id)
    serial = _serial(report, assets)
    if _serial_of(path) != serial.urn:
        key = key_of(serial.urn)
        document = memo.get(_KIND, key)
        if document is None:
            # The library takes a third of a second to import, which a build that is reused does not spend.
            from lambdapack.pipeline.sbom.document import make  # noqa: PLC0415

            document = make(report, assets, directory / report.pack.file, serial).encode() + b"\n"
            memo.put(_KIND, key, document)
        write_bytes(path, document)
    for other in directory.glob(f"*{file_name('')}"):
        if other != path:
            other.unlink(missing_ok=True)
    return path


def _serial(report: BuildReport, assets: Sequence[BuiltAsset]) -> uuid.UUID:
    """The serial number: of the pack's id, and of all that is listed and that the id does not cover."""
    asked = asked_extras(report.requirements)
    listed = {
        "made": [_MADE_AS, SPEC_VERSION, report.tool],
        "pack": report.pack.id,
        "requested": sorted(
            distribution.name for distribution in report.distributions if distribution.requested
        ),
        "extras": sorted([name, *sorted(extras)] for name, extras in asked.items() if extras),
        "libraries": sorted(
            [library.path, library.sha256, library.package, library.purl] for library in report.libraries
        ),
        "assets": sorted([asset.name, asset.id] for asset in assets),
    }
    return uuid.uuid5(_NAMESPACE, json.dumps(listed, sort_keys=True))


def _serial_of(path: Path) -> str | None:
    """The serial number of the document at ``path``; ``None`` where there is none or it is damaged."""
    try:
        return str(json.loads(path.read_bytes())["serialNumber"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
