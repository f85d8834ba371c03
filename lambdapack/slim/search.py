"""Which rules took what a module needs to import as before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from lambdapack.slim.importing import Outcome, difference
from lambdapack.slim.restoring import Changes, Group, Probe, necessary, suspects

Importer = Callable[[Path, Sequence[Sequence[str]]], dict[str, Outcome]]
"""How the modules of a tree import: root, lists of modules."""


class Search:
    """The search for what one module needs.

    Args:
        importer: Imports modules in the target's Python.
        probe: The slimmed tree, in which things can be restored.
        changes: What slimming did, by group.
        names: The modules to import in one process; the last is the one that is broken.
        before: How that module imported before slimming.
    """

    def __init__(
        self, importer: Importer, probe: Probe, changes: Changes, names: Sequence[str], before: Outcome
    ) -> None:
        self._importer, self._probe, self._changes = importer, probe, changes
        self._names, self._before = names, before

    def causes(self, after: Outcome, owner: str, known: frozenset[Group]) -> frozenset[Group] | None:
        """The groups that the module needs, ``known`` ones included; ``None`` where nothing helps.

        Args:
            after: How the module imports now.
            owner: Its distribution, whose groups are tried first.
            known: Groups that are restored already.
        """
        groups = sorted(self._changes, key=lambda group: (group[1] != owner, group))
        known &= frozenset(groups)
        restored, outcome = known, after
        while new := suspects(outcome.wanted, self._changes) - restored:
            restored |= new
            outcome = self._import(restored)
            if difference(self._before, outcome) is None:
                return restored
        return necessary(groups, self._works, known)

    def _works(self, groups: frozenset[Group]) -> bool:
        return difference(self._before, self._import(groups)) is None

    def _import(self, groups: frozenset[Group]) -> Outcome:
        with self._probe.with_restored(groups) as root:
            return self._importer(root, [self._names])[self._names[-1]]
