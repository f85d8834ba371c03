"""Which rule took what an import misses, and trees in which that is tried."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from lambdapack.files import link
from lambdapack.python.module_names import module_name
from lambdapack.slim.importing import Outcome, difference

Group = tuple[str, str]
"""A rule and the distribution that it took something from: what is restored, is restored whole."""
Changes = Mapping[Group, Sequence[str]]
"""Group -> the files of the installed tree that it removed or altered."""
Importer = Callable[[Path, Sequence[Sequence[str]]], Mapping[str, Outcome]]
"""How the modules of a tree import: root, lists of modules."""


def suspects(names: Collection[str], changes: Changes) -> set[Group]:
    """The groups that took what an error names.

    A name may be a path, a folder, a library's bare name, or a module; where a file has just that name,
    files below or beside it are not suspected.
    """
    exact: set[Group] = set()
    near: set[Group] = set()
    for group, paths in changes.items():
        for path in paths:
            module = module_name(path)
            for name in names:
                if name in (path, module) or (".so" in name and path.endswith(f"/{name}")):
                    exact.add(group)
                elif path.startswith(f"{name.rstrip('/')}/") or (module and module.startswith(f"{name}.")):
                    near.add(group)
    return exact or near


def necessary(
    groups: Sequence[Group], works: Callable[[frozenset[Group]], bool], known: Collection[Group] = ()
) -> frozenset[Group] | None:
    """Groups that must be restored for something to work again; ``None`` where all of them do not help.

    Restoring more never breaks what works: so each necessary group is found by bisection.

    Args:
        groups: All that may be restored, the likeliest first.
        works: Whether the thing works with these groups restored.
        known: Groups that are restored in any case.
    """
    rest = [group for group in groups if group not in known]
    fixed = frozenset(known)
    if works(fixed):
        return fixed
    if not works(fixed.union(rest)):
        return None
    while not works(fixed):
        low, high = 0, len(rest)
        while high - low > 1:
            middle = (low + high) // 2
            if works(fixed.union(rest[:middle])):
                high = middle
            else:
                low = middle
        fixed |= {rest[high - 1]}
        rest = rest[: high - 1]
    return fixed


class Probe:
    """A copy of a slimmed tree, by hard links, in which groups are put back and taken away again.

    Args:
        installed: The tree before slimming.
        slimmed: The tree after it.
        changes: What is different.
        place: The folder to make; ``close`` removes it.
    """

    def __init__(self, installed: Path, slimmed: Path, changes: Changes, place: Path) -> None:
        self.root = place
        self.changes = changes
        self._installed = installed
        self._slimmed = slimmed
        shutil.copytree(slimmed, place, copy_function=link)

    def close(self) -> None:
        """Remove the copy."""
        shutil.rmtree(self.root, ignore_errors=True)

    @contextmanager
    def with_restored(self, groups: Collection[Group]) -> Iterator[Path]:
        """The tree as it would be with ``groups`` restored."""
        paths = [path for group in groups for path in self.changes[group]]
        try:
            for path in paths:
                self._put(self._installed / path, path)
            yield self.root
        finally:
            for path in paths:
                self._put(self._slimmed / path, path)

    def _put(self, source: Path, path: str) -> None:
        place = self.root / path
        place.unlink(missing_ok=True)
        if source.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            link(source, place)
            return
        # An empty folder would be a namespace package.
        for folder in place.relative_to(self.root).parents[:-1]:
            if not (self.root / folder).is_dir() or any((self.root / folder).iterdir()):
                break
            (self.root / folder).rmdir()


def causes(
    importer: Importer,
    probe: Probe,
    names: Sequence[str],
    outcomes: tuple[Outcome, Outcome],
    *,
    owner: str,
    known: frozenset[Group],
) -> frozenset[Group] | None:
    """The groups that a module needs to import as before, ``known`` ones included; ``None``: nothing helps.

    Args:
        importer: Imports modules in the target's Python.
        probe: The slimmed tree, in which things can be restored.
        names: The modules to import in one process; the last is the one that is broken.
        outcomes: How that module imported before slimming, and how it does now.
        owner: Its distribution, whose groups are tried first.
        known: Groups that are restored already.
    """
    before, outcome = outcomes

    def restored(groups: frozenset[Group]) -> Outcome:
        with probe.with_restored(groups) as root:
            return importer(root, [names])[names[-1]]

    groups = sorted(probe.changes, key=lambda group: (group[1] != owner, group))
    known &= frozenset(groups)
    fixed = known
    while new := suspects(outcome.wanted, probe.changes) - fixed:
        fixed |= new
        outcome = restored(fixed)
        if difference(before, outcome) is None:
            return fixed
    return necessary(groups, lambda tried: difference(before, restored(tried)) is None, known)
