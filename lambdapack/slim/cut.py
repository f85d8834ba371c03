"""Take out of a tree what a running program does not need."""

from __future__ import annotations

import difflib
import os
import shutil
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lambdapack.errors import ConfigurationError
from lambdapack.memo import NOTHING, Memo, key_of
from lambdapack.model import SlimReport, Trace, Tree
from lambdapack.progress import QUIET, Progress
from lambdapack.python.bytecode import compile_tree
from lambdapack.python.interpreter import Interpreter
from lambdapack.slim.accounts import SOURCES, STRIP, account, changes, owners_of
from lambdapack.slim.files import link, walk
from lambdapack.slim.packages import PACKAGE_RULES
from lambdapack.slim.reading import Read, kept_as_data
from lambdapack.slim.records import write_records
from lambdapack.slim.restoring import Changes, Group
from lambdapack.slim.rules import RULES
from lambdapack.slim.select import cached_name, select, source_name
from lambdapack.slim.stripping import LOAD_WORKER, Loader, Stripped, check_loads, strip_tree

__all__ = ["Cut", "SlimOptions", "check_options", "cut", "kept_as_data", "rule_names"]

_UNCHECKED_HASH = b"\1\0\0\0"
_LOADS = "loads"


@dataclass(frozen=True)
class SlimOptions:
    """What a user may say about slimming.

    Attributes:
        keep: Patterns of files that no rule drops (``slim.globs`` says how they match).
        drop: Patterns of further files to drop. What the trace touched stays all the same.
        disable: Names of rules that do not apply (``rule_names()``).
        strip: Strip shared objects.
        sources: Keep the ``.py`` files. Without them tracebacks have no lines and ``inspect.getsource``
            fails.
    """

    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    disable: tuple[str, ...] = ()
    strip: bool = True
    sources: bool = True


def rule_names() -> tuple[str, ...]:
    """The names that ``disable`` knows."""
    return tuple(rule.name for rule in (*RULES, *PACKAGE_RULES))


@dataclass(frozen=True)
class Cut:
    """A slimmed tree and how it came about.

    Attributes:
        tree: It.
        report: What was done; ``dropped`` adds up to what is missing.
        changes: By rule and distribution, the files of the installed tree that are gone or altered.
        read: Files that rules would have taken but the packages' own code names.
    """

    tree: Tree
    report: SlimReport
    changes: Changes = field(repr=False)
    read: tuple[Read, ...] = ()


def cut(
    tree: Tree,
    destination: Path,
    *,
    trace: Trace,
    interpreter: Interpreter | None,
    options: SlimOptions,
    restore: Collection[Group] = (),
    requested: Collection[str] = (),
    loader: Loader | None = None,
    surroundings: Any = None,
    memo: Memo = NOTHING,
    progress: Progress = QUIET,
) -> Cut:
    """Make a slimmed copy of a tree: rules, stripping, bytecode.

    Nothing that the trace touched is dropped, whatever matches it. Files that do not change are hard links
    to the tree's; none of them is ever written to. A stripped object that no longer loads in the target's
    Python, while its original does, keeps its original bytes.

    Args:
        tree: The installed tree; it stays as it is.
        destination: The folder to make; it must not exist or be empty.
        trace: What the program touched.
        interpreter: The target's Python, where the target can run on this machine. Without it nothing is
            loaded, and bytecode that is missing stays missing.
        options: The user's wishes.
        restore: Rules and the distributions in which they do not apply.
        requested: Distributions that the user asked for.
        loader: Loads stripped objects where the target's Python is, if that is not this machine.
        surroundings: Everything, besides the objects of the tree, that decides whether one loads, as JSON
            has it: the tools, the Python, the system's libraries; ``None`` where nobody can tell.
        memo: Remembers which objects loaded in the same surroundings.
        progress: Told about each step.

    Raises:
        ConfigurationError: ``destination`` is not empty; ``options`` name an unknown rule.
        ToolError: The interpreter failed.
    """
    check_options(options)
    _check_empty(destination)
    destination.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{destination.name}-", dir=destination.parent))
    try:
        part = work / "tree"
        part.mkdir(mode=0o755)
        made = _cut(
            tree,
            part,
            trace,
            interpreter=interpreter,
            options=options,
            restore=restore,
            requested=requested,
            check=_Check(tree.root, interpreter, loader, surroundings, memo, progress),
            progress=progress,
        )
        part.replace(destination)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return replace(made, tree=replace(made.tree, root=destination))


def check_options(options: SlimOptions) -> None:
    """Look whether ``options`` make sense, before anything slow is done.

    Raises:
        ConfigurationError: They name an unknown rule.
    """
    unknown = sorted(set(options.disable) - set(rule_names()))
    if unknown:
        close = difflib.get_close_matches(unknown[0], rule_names(), n=1)
        raise ConfigurationError(
            f"there is no slimming rule {unknown[0]!r} (there are: {', '.join(rule_names())})",
            hint=f"did you mean {close[0]!r}?" if close else None,
        )


def _check_empty(destination: Path) -> None:
    if destination.exists() and any(destination.iterdir()):
        raise ConfigurationError(
            f"{destination} is not empty: slimming into it would mix two trees",
            hint="remove it, or name another folder",
        )


def _cut(
    tree: Tree,
    part: Path,
    trace: Trace,
    *,
    interpreter: Interpreter | None,
    options: SlimOptions,
    restore: Collection[Group],
    requested: Collection[str],
    check: _Check,
    progress: Progress,
) -> Cut:
    root, tag = tree.root, tree.target.cache_tag
    paths = sorted(walk(root))
    owners = owners_of(tree, paths)
    selection = select(
        root,
        paths,
        owners=owners,
        touched=trace.files,
        tag=tag,
        keep=options.keep,
        drop=options.drop,
        disable=options.disable,
        restore=restore,
        requested=requested,
    )
    kept = [path for path in paths if path not in selection.dropped]
    stripped = Stripped()
    if options.strip:
        spared = {path for path in kept if (STRIP, owners[path]) in restore}
        stripped = strip_tree(root, part, kept, progress, spared)
    stale = {path for path in kept if source_name(path) is not None and not _is_unchecked(root / path)}
    _link(root, part, [path for path in kept if path not in stripped.saved and path not in stale])
    if stripped.saved:
        check(part, stripped)
    _compile(part, kept, tag, interpreter, progress)
    if not options.sources:
        _drop_sources(part, tag, {path for path in kept if (SOURCES, owners[path]) in restore})
    slimmed = write_records(tree, part)
    return Cut(
        replace(tree, root=part, distributions=slimmed),
        account(tree, part, owners, selection=selection, stripped=stripped),
        changes(tree, part, owners, selection=selection, stripped=stripped),
        selection.read,
    )


def _is_unchecked(path: Path) -> bool:
    """Whether bytecode is of the kind that an import takes without a look at the source."""
    with path.open("rb") as file:
        return file.read(8)[4:] == _UNCHECKED_HASH


def _link(root: Path, part: Path, paths: Sequence[str]) -> None:
    for folder in sorted({os.path.dirname(path) for path in paths}):  # noqa: PTH120 - twice as fast
        (part / folder).mkdir(parents=True, exist_ok=True)
    for path in paths:
        link(root / path, part / path)


@dataclass(frozen=True)
class _Check:
    """Loads what was stripped; what no longer loads gets its original bytes back.

    Attributes:
        root: The tree with the originals.
        interpreter, loader, surroundings, memo, progress: As for ``cut``.
    """

    root: Path
    interpreter: Interpreter | None
    loader: Loader | None
    surroundings: Any
    memo: Memo
    progress: Progress

    def __call__(self, part: Path, stripped: Stripped) -> None:
        if self.interpreter is None and self.loader is None:
            self.progress.note(
                f"{len(stripped.saved)} shared objects were stripped; every mapped byte was compared, but "
                "none was loaded: the target cannot run on this machine"
            )
            return
        # One may need any other: what is known holds for the objects of a tree together.
        key = key_of(self.surroundings, stripped.objects, stripped.saved)
        if self.surroundings is None or self.memo.get(_LOADS, key) is None:
            failed = self._load(part, sorted(stripped.saved))
            if not failed and self.surroundings is not None:
                # A failure is not remembered: it may have been the machine's.
                self.memo.put(_LOADS, key, b"")
            self._revert(part, stripped, failed)
        stripped.loaded = len(stripped.saved)

    def _load(self, part: Path, paths: Sequence[str]) -> Mapping[str, str]:
        if self.loader is not None:
            return self.loader(self.root, part, paths, LOAD_WORKER, self.progress)
        assert self.interpreter is not None
        return check_loads(self.root, part, paths, self.interpreter, self.progress)

    def _revert(self, part: Path, stripped: Stripped, failed: Mapping[str, str]) -> None:
        for path, reason in failed.items():
            (part / path).unlink()
            del stripped.saved[path]
            stripped.reverted[path] = reason
            self.progress.warn(f"{path} keeps its original bytes: stripped, it does not load ({reason})")
        _link(self.root, part, sorted(failed))


def _compile(
    part: Path, kept: Sequence[str], tag: str, interpreter: Interpreter | None, progress: Progress
) -> None:
    missing = [p for p in kept if p.endswith(".py") and not (part / cached_name(p, tag)).exists()]
    if missing and interpreter is not None:
        compile_tree(part, interpreter, only=missing, progress=progress)


def _drop_sources(part: Path, tag: str, keep: Collection[str]) -> None:
    """Put bytecode in its source's place, where an import takes it without one."""
    for path in sorted(walk(part)):
        cached = part / cached_name(path, tag)
        if path.endswith(".py") and path not in keep and cached.exists():
            cached.replace((part / path).with_suffix(".pyc"))
            (part / path).unlink()
            if not any(cached.parent.iterdir()):
                cached.parent.rmdir()
