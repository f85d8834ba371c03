"""The report of a slimming: every byte that is missing has a rule and a distribution."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lambdapack.files import walk
from lambdapack.model import RuleSaving, SlimReport, source_of
from lambdapack.slim.restoring import Changes, Group
from lambdapack.slim.select import Selection
from lambdapack.slim.stripping import StripResult

UNOWNED = "(no distribution)"
STRIP = "strip"
SOURCES = "sources"
_BYTECODE = "bytecode"
_RECORD = "record"


@dataclass(frozen=True)
class Account:
    """The installed tree ``root``, its files with their owners, beside its slimmed copy ``part``."""

    root: Path
    part: Path
    owners: Mapping[str, str]
    selection: Selection
    stripped: StripResult

    def report(self) -> SlimReport:
        """What was done, in files and bytes."""
        before = {path: (self.root / path).lstat().st_size for path in self.owners}
        after = {path: (self.part / path).lstat().st_size for path in walk(self.part)}
        files: dict[Group, int] = defaultdict(int)
        saved: dict[Group, int] = defaultdict(int)
        sizes: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
        for path in sorted({*before, *after}):
            # What is new is bytecode, in ``__pycache__`` or in the place of its source.
            owner = self.owners.get(path) or self.owners.get(source_of(path), UNOWNED)
            old, new = before.get(path, 0), after.get(path, 0)
            sizes[owner] = (sizes[owner][0] + old, sizes[owner][1] + new)
            if before.get(path) != after.get(path):
                group = (self._rule(path), owner)
                files[group] += 1
                saved[group] += old - new
        return SlimReport(
            installed_bytes=sum(before.values()),
            slimmed_bytes=sum(after.values()),
            installed_files=len(before),
            slimmed_files=len(after),
            dropped=tuple(RuleSaving(*group, files[group], saved[group]) for group in sorted(saved)),
            reverted=dict(sorted(self.stripped.reverted.items())),
            kept=self.selection.spared,
            sizes=dict(sorted(sizes.items())),
        )

    def changes(self) -> Changes:
        """By rule and distribution: the files of the installed tree that are gone or other ones.

        Only what can be undone: bytecode follows its source, and a RECORD says what is there.
        """
        changed: dict[Group, list[str]] = defaultdict(list)
        for path, owner in self.owners.items():
            if path in self.stripped.saved or not (self.part / path).exists():
                rule = self._rule(path)
                if rule not in (_RECORD, _BYTECODE):
                    changed[rule, owner].append(path)
        return dict(changed)

    def _rule(self, path: str) -> str:
        if path in self.selection.dropped:
            return self.selection.dropped[path]
        if path in self.stripped.saved:
            return STRIP
        if path.endswith(".dist-info/RECORD"):
            return _RECORD
        return SOURCES if path.endswith(".py") else _BYTECODE
