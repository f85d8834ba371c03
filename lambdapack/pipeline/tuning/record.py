"""What was measured, in a file that appears whole after each run."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lambdapack.files import write_bytes
from lambdapack.memo import key_of
from lambdapack.plan import prices, tuning

_DOCUMENT = "lambdapack.tune"
_VERSION = 1
"""Rises when a key of the document changes its meaning or goes."""


@dataclass(frozen=True)
class Subject:
    """The function that is measured.

    Attributes:
        name, cloud: Which function, and whether in the ``local`` cloud or in ``aws``.
        region, arch: Whose prices count.
        memory_mb: The setting that the function has.
        tmp_mb, timeout: Its other settings that count for costs.
        facts: Whatever else a measurement hangs on: code, pack, settings, event, link. JSON.
    """

    name: str
    cloud: str
    region: str
    arch: str
    memory_mb: int
    tmp_mb: int
    timeout: int
    facts: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The same while measurements may be used again: whatever memory the function has meanwhile."""
        return key_of({name: value for name, value in asdict(self).items() if name != "memory_mb"})

    @property
    def prices(self) -> prices.Prices:
        """What AWS asks."""
        return prices.of(self.region, self.arch)


class Record:
    """The measurements of one function in one cloud.

    Args:
        folder: The build folder, which holds the file.
        subject: The function. What the file has of another function, pack or setting is not used.
    """

    def __init__(self, folder: Path, subject: Subject) -> None:
        self.path = folder / f"tune-{subject.cloud}.json"
        self.subject = subject
        self.samples: list[tuning.Sample] = []
        # A file of another version, or one that was damaged, is measured anew.
        with suppress(OSError, ValueError, KeyError, TypeError):
            document = json.loads(self.path.read_bytes())
            if (document["document"], document["version"]) == (_DOCUMENT, _VERSION):
                self.samples = _samples(document["samples"]) if document["key"] == subject.key else []

    def add(self, sample: tuning.Sample, cold: float) -> None:
        """Keep one run, at once; ``cold`` as in ``document``."""
        self.samples.append(sample)
        document = self.document(cold, {each.memory_mb for each in self.samples})
        write_bytes(self.path, json.dumps(document, indent=2).encode() + b"\n")

    def settings(self, cold: float, memories: Collection[int]) -> tuple[tuning.Setting, ...]:
        """What those of the settings ``memories`` that were measured take and cost."""
        chosen = [sample for sample in self.samples if sample.memory_mb in memories]
        subject = self.subject
        return tuning.summarise(chosen, cold=cold, tmp_mb=subject.tmp_mb, prices=subject.prices)

    def document(self, cold: float, memories: Collection[int]) -> dict[str, Any]:
        """The measurements and what follows from them, as a versioned document.

        Args:
            cold: The share of invocations that begin with a cold start.
            memories: The settings to choose between.
        """
        subject, settings = self.subject, self.settings(cold, memories)
        return {
            "document": _DOCUMENT,
            "version": _VERSION,
            "key": subject.key,
            **{name: value for name, value in asdict(subject).items() if name != "facts"},
            "prices_of": subject.prices.region,
            "cold": cold,
            "settings": [asdict(setting) for setting in settings],
            "recommended": asdict(tuning.recommend(settings)),
            "samples": [asdict(sample) for sample in self.samples],
        }


def _samples(rows: list[Any]) -> list[tuning.Sample]:
    return [
        tuning.Sample(row["memory_mb"], tuple(tuning.Measurement(**each) for each in row["invocations"]))
        for row in rows
    ]
