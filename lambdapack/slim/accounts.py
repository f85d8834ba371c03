"""The report of a slimming: every byte that is missing has a rule and a distribution."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from lambdapack.model import Dropped, SlimReport, Tree
from lambdapack.slim.files import walk
from lambdapack.slim.select import Selection, source_name
from lambdapack.slim.stripping import Stripped

__all__ = ["SOURCES", "STRIP", "UNOWNED", "account", "changes", "owners_of"]

UNOWNED = "(no distribution)"
STRIP = "strip"
_BYTECODE = "bytecode"
_RECORD = "record"
SOURCES = "sources"


def owners_of(tree: Tree, paths: Sequence[str]) -> dict[str, str]:
    """Path -> the distribution whose RECORD lists it.

    What no RECORD lists (bytecode that we compiled, files that a build left) belongs to whom its source,
    or everything else in its top-level folder, belongs to.
    """
    recorded = {path: one.name for one in tree.distributions for path in one.files}
    top: dict[str, set[str]] = defaultdict(set)
    for path, name in recorded.items():
        top[PurePosixPath(path).parts[0]].add(name)
    owners = {}
    for path in paths:
        owner = recorded.get(path) or recorded.get(source_name(path) or "")
        candidates = top[path.split("/")[0]]
        owners[path] = owner or (next(iter(candidates)) if len(candidates) == 1 else UNOWNED)
    return owners


def account(
    tree: Tree,
    part: Path,
    owners: Mapping[str, str],
    *,
    selection: Selection,
    stripped: Stripped,
) -> SlimReport:
    """Compare the slimmed tree in ``part`` with ``tree``.

    Args:
        tree: The installed tree.
        part: The slimmed tree.
        owners: Path of the installed tree -> distribution.
        selection: What the rules dropped.
        stripped: What stripping did.
    """
    before = {path: (tree.root / path).lstat().st_size for path in owners}
    after = {path: (part / path).lstat().st_size for path in walk(part)}
    files: dict[tuple[str, str], int] = defaultdict(int)
    sizes: dict[tuple[str, str], int] = defaultdict(int)
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for path in sorted({*before, *after}):
        owner = owners.get(path) or _owner_of_new(path, owners)
        old, new = before.get(path, 0), after.get(path, 0)
        totals[owner][0] += old
        totals[owner][1] += new
        if old != new or (path in before) != (path in after):
            rule = _rule(path, selection, stripped)
            files[rule, owner] += 1
            sizes[rule, owner] += old - new
    return SlimReport(
        installed_bytes=sum(before.values()),
        slimmed_bytes=sum(after.values()),
        installed_files=len(before),
        slimmed_files=len(after),
        dropped=tuple(
            Dropped(rule, owner, files[rule, owner], sizes[rule, owner]) for rule, owner in sorted(sizes)
        ),
        reverted=dict(sorted(stripped.reverted.items())),
        kept=selection.spared,
        sizes={owner: (old, new) for owner, (old, new) in sorted(totals.items())},
    )


def changes(
    tree: Tree, part: Path, owners: Mapping[str, str], *, selection: Selection, stripped: Stripped
) -> dict[tuple[str, str], list[str]]:
    """By rule and distribution: the files of ``tree`` that are not in ``part`` or are other ones there.

    Only what can be undone: bytecode follows its source, and a RECORD says what is there.
    """
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path in sorted(owners):
        place = part / path
        if path in stripped.saved or not place.exists():
            rule = _rule(path, selection, stripped)
            if rule not in (_RECORD, _BYTECODE):
                found[rule, owners[path]].append(path)
    return dict(found)


def _rule(path: str, selection: Selection, stripped: Stripped) -> str:
    if path in selection.dropped:
        return selection.dropped[path]
    if path in stripped.saved:
        return STRIP
    if path.endswith(".dist-info/RECORD"):
        return _RECORD
    if path.endswith(".py"):
        return SOURCES
    return _BYTECODE


def _owner_of_new(path: str, owners: Mapping[str, str]) -> str:
    """Whose bytecode that is: in ``__pycache__`` or in the place of its source."""
    source = source_name(path) or path.removesuffix("c")
    return owners.get(source, UNOWNED)
