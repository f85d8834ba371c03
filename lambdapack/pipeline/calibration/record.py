"""A calibration in its file, which appears whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from lambdapack.files import write_bytes
from lambdapack.pack import Pack
from lambdapack.plan import cold, typical

__all__ = ["VERSION", "CalibrationRecord", "assumed", "body", "read", "write"]

VERSION = 1
"""The document's; rises when a key changes its meaning or goes."""
_DOCUMENT = "lambdapack.calibration"
_CLOUDS = ("aws", "local")
"""The most telling first."""


@dataclass(frozen=True)
class CalibrationRecord:
    """What was measured of a function in one cloud.

    Attributes:
        cloud: Which.
        function, pack: The function, and the id of its pack.
        linked: Whether the pack came from S3.
        constants: Of the machine.
        work: Of the importing process, in CPU time of a machine whose speed is 1.
        starts: The cold starts that the constants were fitted to.
        error: By what share the model is off for these, in the median.
        max_memory_mb: The highest peak of memory.
        imports: Milliseconds of import by distribution; empty where no start was profiled.
    """

    cloud: Literal["local", "aws"]
    function: str
    pack: str
    linked: bool
    constants: cold.Constants
    work: cold.Work
    starts: tuple[cold.Start, ...]
    error: float
    max_memory_mb: int
    imports: Mapping[str, float]


_ADAPTER = TypeAdapter(CalibrationRecord)


def assumed(function: str, pack: Pack, *, linked: bool) -> CalibrationRecord:
    """What is assumed of a function of which nothing was measured."""
    work, error = typical.work(pack.index), typical.ERROR
    return CalibrationRecord("local", function, pack.id, linked, typical.CONSTANTS, work, (), error, 0, {})


def body(calibration: CalibrationRecord) -> dict[str, Any]:
    """The document without its head, ready for ``json.dumps``."""
    found: dict[str, Any] = _ADAPTER.dump_python(calibration, mode="json")
    return found


def path_of(folder: Path, cloud: str) -> Path:
    """The file in the build folder."""
    return folder / f"calibration-{cloud}.json"


def write(folder: Path, calibration: CalibrationRecord) -> Path:
    """Keep a calibration in the build folder, in the place of an earlier one of the same cloud."""
    path = path_of(folder, calibration.cloud)
    document = {"document": _DOCUMENT, "version": VERSION, **body(calibration)}
    write_bytes(path, json.dumps(document, indent=2).encode() + b"\n")
    return path


def read(folder: Path, clouds: tuple[str, ...] = _CLOUDS) -> CalibrationRecord | None:
    """The first of the ``clouds`` that there is; one of another version, or damaged, is passed over."""
    for cloud in clouds:
        with suppress(OSError, ValueError, KeyError, TypeError):
            document = json.loads(path_of(folder, cloud).read_bytes())
            if (document["document"], document["version"]) == (_DOCUMENT, VERSION):
                return _ADAPTER.validate_python(document)
    return None
