"""Make a copy of a tree without what a running program does not need: rules, stripping, bytecode.

Nothing that the trace touched is dropped, whatever matches it. Files that do not change are hard links to the
installed tree's; none of them is ever written to. A stripped object that no longer loads in the target's
Python, while its original does, keeps its original bytes.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lambdapack.errors import ConfigurationError
from lambdapack.files import link, new_folder, walk
from lambdapack.memo import NOTHING, Memo
from lambdapack.model import Distribution, Owners, SlimReport, Trace, Tree, bytecode_of, is_cached
from lambdapack.progress import QUIET, Progress
from lambdapack.python.bytecode import compile_tree
from lambdapack.slim.accounts import SOURCES, STRIP, UNOWNED, Account
from lambdapack.slim.loading import TargetPython, load_failures
from lambdapack.slim.reading import Mention
from lambdapack.slim.restoring import Changes, Group
from lambdapack.slim.select import SlimOptions, check_options, select
from lambdapack.slim.stripping import StripResult, strip_tree

_RECORD = ".dist-info/RECORD"
_UNCHECKED_HASH = b"\1\0\0\0"


@dataclass(frozen=True)
class SlimCopy:
    """A slimmed tree and how it came about.

    Attributes:
        tree: The slimmed tree.
        report: What was done; ``dropped`` adds up to what is missing.
        changes: By rule and distribution, the files of the installed tree that are gone or altered.
        mentions: Files that rules would have taken but the packages' own code names.
    """

    tree: Tree
    report: SlimReport
    changes: Changes = field(repr=False)
    mentions: tuple[Mention, ...] = ()


def slim_copy(
    tree: Tree,
    destination: Path,
    *,
    trace: Trace,
    options: SlimOptions,
    python: TargetPython,
    restore: Collection[Group] = (),
    requested: Collection[str] = (),
    memo: Memo = NOTHING,
    progress: Progress = QUIET,
) -> SlimCopy:
    """Make a slimmed copy of ``tree`` in the new or empty folder ``destination``.

    Args:
        tree, trace, options: What to slim, what its program touched, and the user's wishes.
        python: The target's Python; where it cannot run, nothing is loaded and nothing compiled.
        restore: Rules and the distributions in which they do not apply.
        requested: Distributions that the user asked for.
        memo: Remembers which objects loaded in the same surroundings.

    Raises:
        ConfigurationError: ``destination`` is not empty; ``options`` name an unknown rule.
    """
    check_options(options)
    _check_empty(destination)
    owned = Owners.installed(tree.distributions)
    owners = {path: owned.of(path) or UNOWNED for path in sorted(walk(tree.root))}
    selection = select(
        tree, owners, touched=trace.files, options=options, restore=restore, requested=requested
    )
    kept = {path: owner for path, owner in owners.items() if path not in selection.dropped}
    with new_folder(destination) as folder:
        writer = _TreeWriter(tree, folder.path, kept, options, frozenset(restore), progress)
        stripped = writer.write(python, memo)
        distributions = _write_records(tree, folder.path)
        account = Account(tree.root, folder.path, owners, selection, stripped)
        report, changes = account.report(), account.changes()
    slimmed = replace(tree, root=destination, distributions=distributions)
    return SlimCopy(slimmed, report, changes, selection.mentions)


def _check_empty(destination: Path) -> None:
    if destination.exists() and any(destination.iterdir()):
        raise ConfigurationError(
            f"{destination} is not empty: slimming into it would mix two trees",
            hint="remove it, or name another folder",
        )


@dataclass(frozen=True)
class _TreeWriter:
    """How the files that stay, ``kept`` with their distributions, get into the slimmed tree ``part``."""

    tree: Tree
    part: Path
    kept: Mapping[str, str]
    options: SlimOptions
    restore: frozenset[Group]
    progress: Progress

    def write(self, python: TargetPython, memo: Memo) -> StripResult:
        """Strip, link and compile; what stripping did, once its objects were loaded."""
        stripped = StripResult()
        if self.options.strip:
            spared = self._restored(STRIP)
            stripped = strip_tree(self.tree.root, self.part, self.kept, self.progress, spared)
        stale = {path for path in self.kept if is_cached(path) and not _is_unchecked(self.tree.root / path)}
        self._link(path for path in self.kept if path not in stripped.saved and path not in stale)
        if stripped.saved:
            failures = load_failures(
                self.tree.root, self.part, stripped, python=python, memo=memo, progress=self.progress
            )
            self._revert(failures)
            stripped = stripped.without(failures)
        missing = [path for path in self.kept if path.endswith(".py") and not self._bytecode(path).exists()]
        if missing and python.interpreter is not None:
            compile_tree(self.part, python.interpreter, only=missing, progress=self.progress)
        if not self.options.sources:
            self._drop_sources()
        return stripped

    def _restored(self, rule: str) -> set[str]:
        """The files to which ``rule`` does not apply."""
        return {path for path, owner in self.kept.items() if (rule, owner) in self.restore}

    def _link(self, paths: Iterable[str]) -> None:
        linked = list(paths)
        for folder in sorted({os.path.dirname(path) for path in linked}):  # noqa: PTH120 - twice as fast
            (self.part / folder).mkdir(parents=True, exist_ok=True)
        for path in linked:
            link(self.tree.root / path, self.part / path)

    def _revert(self, failures: Mapping[str, str]) -> None:
        """Give the objects that do not load stripped their original bytes."""
        for path, reason in failures.items():
            (self.part / path).unlink()
            self.progress.warn(f"{path} keeps its original bytes: stripped, it does not load ({reason})")
        self._link(sorted(failures))

    def _bytecode(self, source: str) -> Path:
        return self.part / bytecode_of(source, self.tree.target)

    def _drop_sources(self) -> None:
        """Put bytecode in its source's place, where an import takes it without one."""
        restored = self._restored(SOURCES)
        for path in sorted(walk(self.part)):
            cached = self._bytecode(path)
            if path.endswith(".py") and path not in restored and cached.exists():
                cached.replace((self.part / path).with_suffix(".pyc"))
                (self.part / path).unlink()
                if not any(cached.parent.iterdir()):
                    cached.parent.rmdir()


def _is_unchecked(path: Path) -> bool:
    """Whether bytecode is of the kind that an import takes without a look at the source."""
    with path.open("rb") as file:
        return file.read(8)[4:] == _UNCHECKED_HASH


def _write_records(tree: Tree, part: Path) -> tuple[Distribution, ...]:
    """Write each distribution's RECORD below ``part``; the distributions with the files that are there.

    ``packages_distributions()`` finds the distributions that have no top_level.txt by it, and so do programs
    that look for a package's version by its module. So it stays, with the files that stayed; hashes and
    sizes, which are optional, are left out: stripping changed many, and nothing at run time reads them.
    """
    slimmed = []
    for distribution in tree.distributions:
        files = tuple(place for path in distribution.files if (place := _place(path, part)))
        for path in files:
            if path.endswith(_RECORD) and path.count("/") == 1:
                (part / path).unlink()
                with (part / path).open("w", encoding="utf-8") as file:
                    rows = ((listed, "", "") for listed in sorted(files))
                    csv.writer(file, lineterminator="\n").writerows(rows)
        slimmed.append(replace(distribution, files=files))
    return tuple(slimmed)


def _place(path: str, part: Path) -> str:
    """The path that holds a recorded file now: a source may have become its bytecode; empty if none does."""
    if (part / path).is_file():
        return path
    if path.endswith(".py") and (part / (path + "c")).is_file():
        return path + "c"
    return ""
