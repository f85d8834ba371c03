"""The JSON Schemas of the documents that commands print, made from the types that the documents are made of.

``python -m lambdapack.report.schemas docs/schemas`` writes them. A schema lets keys through that it does not
know: new ones may come without a new version.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from lambdapack.local.profiling import Profile
from lambdapack.pipeline import calibration
from lambdapack.plan import VERSION as PLAN_VERSION
from lambdapack.plan import Change, Share, Sizes, Verdict, tuning
from lambdapack.report import page

__all__ = ["Difference", "Distribution", "Report", "Side", "Tune", "Why", "schema", "schemas"]


@dataclass(frozen=True)
class Tune:
    """Measurements at several memory settings, and what follows from them.

    Attributes:
        key: The same for as long as the measurements may be used again.
        name, cloud: The function, and whether in the ``local`` cloud or in ``aws``.
        region, arch: Where the function is, and its architecture.
        memory_mb: The setting that the function has.
        tmp_mb, timeout: Its other settings that count for costs.
        prices_of: The region whose prices were taken.
        cold: The share of invocations that begin with a cold start.
        settings: By memory.
        recommended: Of these settings.
        samples: What was measured.
    """

    key: str
    name: str
    cloud: str
    region: str
    arch: str
    memory_mb: int
    tmp_mb: int
    timeout: int
    prices_of: str
    cold: float
    settings: tuple[tuning.Setting, ...]
    recommended: tuning.Recommendation
    samples: tuple[tuning.Sample, ...]


@dataclass(frozen=True)
class Distribution:
    """A distribution in the pack."""

    name: str
    version: str


@dataclass(frozen=True)
class Why:
    """Why a distribution is in the pack.

    Attributes:
        id: The pack's.
        asked: Whether the user asks for the distribution.
        needed_by: Who needs the distribution, and in which versions.
        chains: Shortest ways from what the user asks for.
        sizes, pack: Its bytes, and those of the pack.
        goes: What nothing else in the pack needs.
        only_asked: What nothing else needs, but the user asks for.
        saved: The distribution with all that goes.
    """

    id: str
    distribution: Distribution
    asked: bool
    needed_by: Mapping[str, str]
    chains: tuple[tuple[str, ...], ...]
    sizes: Sizes
    pack: Sizes
    goes: tuple[Share, ...]
    only_asked: tuple[Share, ...]
    saved: Sizes


@dataclass(frozen=True)
class Side:
    """One of two builds.

    Attributes:
        id: The pack's.
        tool: What made the pack.
        target, python: E.g. ``python3.12/x86_64``, and the full version; empty where that is unknown.
        total: Its bytes.
    """

    id: str
    tool: str
    target: str
    python: str
    total: Sizes


@dataclass(frozen=True)
class Difference:
    """Two builds side by side.

    Attributes:
        old, new: The builds.
        changes: The largest change of the pack first.
        total: How many bytes the new build has more.
    """

    old: Side
    new: Side
    changes: tuple[Change, ...]
    total: Sizes


@dataclass(frozen=True)
class Report:
    """What the page of ``lambdapack report`` shows.

    Attributes:
        name: The function.
        tool: What made the document.
        made: When, in UTC.
        pack: The pack's id.
        plan: What ``lambdapack plan`` says.
        profile: What ``lambdapack profile`` says; ``None`` where that is missing.
        series: Invocations in the local cloud, or out of a log of AWS's; ``None`` where they are missing.
        tune: What ``lambdapack tune`` kept.
        absent: Which parts are missing, and why.
        notes: What else to know, a sentence each.
    """

    name: str
    tool: str
    made: str
    pack: str
    plan: Verdict
    profile: Profile | None
    series: page.Series | None
    tune: tuple[Tune, ...]
    absent: tuple[page.Absent, ...]
    notes: tuple[str, ...]


_TYPES: Mapping[str, tuple[type, int]] = {
    "calibration": (calibration.CalibrationRecord, calibration.VERSION),
    "diff": (Difference, 1),
    "plan": (Verdict, PLAN_VERSION),
    "profile": (Profile, 1),
    "report": (Report, page.VERSION),
    "tune": (Tune, 1),
    "why": (Why, 1),
}
_HEADS = {made.__name__: (kind, version) for kind, (made, version) in _TYPES.items()}
_MILLISECONDS = ("Package", "UnusedImport")
"""Whose microseconds are written as milliseconds."""


def schemas() -> dict[str, str]:
    """File name -> content, of every document."""
    return {
        f"{kind}-{version}.json": json.dumps(schema(kind), indent=2) + "\n"
        for kind, (_, version) in _TYPES.items()
    }


def schema(kind: str) -> dict[str, Any]:
    """The schema of the document ``lambdapack.KIND``."""
    made, version = _TYPES[kind]
    found = TypeAdapter(made).json_schema(mode="serialization")
    for part in (found, *found.get("$defs", {}).values()):
        _mend(part)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:lambdapack:{kind}:{version}",
        **found,
    }


def _mend(part: dict[str, Any]) -> None:
    """Give an object what its type does not tell: its head, computed keys, a sentence each key."""
    name, properties = part.get("title"), part.get("properties")
    if properties is None:
        return
    if name in _MILLISECONDS:
        properties = {re.sub("_us$", "_ms", key): value for key, value in properties.items()}
        for key in [key for key in properties if key.endswith("_ms")]:
            properties[key] = {"type": "number"}
    if name == "Change":
        properties["kind"] = {"enum": ["new", "gone", "version", "size"]}
    if name == "Verdict":
        properties["ok"] = {"type": "boolean", "description": "Whether every limit and every budget is kept."}
        said = "Whether the sizes are an estimate, before a build."
        properties["estimate"] = {"type": "boolean", "description": said}
    if name in _HEADS:
        kind, version = _HEADS[name]
        head = {"document": {"const": f"lambdapack.{kind}"}, "version": {"const": version}}
        properties = {**head, **properties}
    said = part.pop("description", "")
    part["description"], words = _told(said)
    for key, value in properties.items():
        value.pop("title", None)
        value.pop("default", None)
        if key in words or key.replace("_ms", "_us") in words:
            value.setdefault("description", words.get(key) or words[key.replace("_ms", "_us")])
    # What is written has every key.
    part["properties"], part["required"] = properties, sorted(properties)


def _told(docstring: str) -> tuple[str, dict[str, str]]:
    """The sentence that a docstring begins with, and what the docstring says of each attribute."""
    docstring = docstring.replace("``None``", "null").replace("``", "`")
    first, _, attributes = docstring.partition("Attributes:\n")
    words: dict[str, str] = {}
    for entry in re.split(r"\n\s{4,8}(?=\w[\w, ]*: )", "\n    " + attributes.strip()):
        names, colon, text = entry.strip().partition(": ")
        if colon:
            words |= dict.fromkeys(names.split(", "), " ".join(text.split()))
    return " ".join(first.split()), words


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    for file, content in schemas().items():
        (folder / file).write_text(content, encoding="utf-8")
