"""Slim a tree and prove on it that what worked before still works; what broke it is restored by rule."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from lambdapack.errors import LambdapackError
from lambdapack.install import check_binaries, portable_files
from lambdapack.memo import NOTHING, Memo, tool_digest
from lambdapack.model import Distribution, ImportCheck, SlimReport, Trace, Tree
from lambdapack.progress import Progress
from lambdapack.python.module_names import module_name
from lambdapack.slim.accounts import SOURCES, STRIP
from lambdapack.slim.copy import SlimCopy, slim_copy
from lambdapack.slim.importing import Outcome, difference, import_modules
from lambdapack.slim.loading import TargetPython, linker_facts
from lambdapack.slim.reading import mention_notes
from lambdapack.slim.restoring import Group, Probe, causes, necessary
from lambdapack.slim.select import SlimOptions
from lambdapack.trace import Program, public_modules

_IMPORT_SECONDS = 120.0
_ROUNDS = 4
_ALTERING = frozenset((STRIP, SOURCES))


@dataclass(frozen=True)
class SlimResult:
    """A slimmed tree that was proved to work.

    Attributes:
        tree: The slimmed tree.
        report: What slimming did.
        restored: What was taken back, and why, for people.
        imports: What was imported to prove that the tree works.
    """

    tree: Tree
    report: SlimReport
    restored: tuple[str, ...]
    imports: ImportCheck


def slim(
    tree: Tree,
    trace: Trace,
    options: SlimOptions,
    *,
    program: Program,
    work: Path,
    memo: Memo = NOTHING,
    progress: Progress,
) -> SlimResult:
    """Slim, then import every distribution and run the traced program again, as before slimming.

    A rule without which that fails does not apply to the distribution that needs it.

    Args:
        tree: The installed tree; it stays as it is.
        trace: What the program touched of it.
        options: The user's wishes.
        program: The program that was traced.
        work: The folder that slimmed trees are made in.
        memo: Remembers which stripped objects loaded.
        progress: Told what was proved, and what was taken back.

    Raises:
        LambdapackError: A tool failed; the program fails even with everything restored; or a binary
            that would be loaded is for another machine.
    """
    proof = _Proof(tree, trace, options, program, work, memo, progress)
    if not program.native:
        progress.note(f"no module was imported to check slimming: {tree.target.arch} does not run here")
        imports = ImportCheck("not done: the target does not run on this machine", 0, {})
    else:
        imports = proof.check_imports()
        proof.check_trace()
    result = proof.result(imports)
    portable, glibc = portable_files(tree), program.lock.glibc
    check_binaries(result.tree, portable=portable, glibc=glibc, progress=progress)
    return result


def _target_python(program: Program) -> TargetPython:
    """What can load stripped objects: loading needs them and the Python in one place."""
    if not program.native:
        return TargetPython()
    workshop = program.workshop
    python, loader = workshop.interpreter, workshop.load_elsewhere
    where = dict(workshop.identity) if loader else linker_facts(python)
    surroundings = [tool_digest(), python.version, python.machine, where] if where else None
    return TargetPython(None if loader else python, loader, surroundings)


@dataclass
class _Proof:
    """Slims a tree anew until what worked on the installed one works on the slimmed one."""

    _tree: Tree
    _trace: Trace
    _options: SlimOptions
    _program: Program
    _work: Path
    _memo: Memo
    _progress: Progress

    def __post_init__(self) -> None:
        self._python = _target_python(self._program)
        self._reasons: dict[Group, str] = {}
        self._first = self._copy = self._slim()

    def _slim(self) -> SlimCopy:
        return slim_copy(
            self._tree,
            self._work / f"slim{len(self._reasons)}",
            trace=self._trace,
            options=self._options,
            python=self._python,
            restore=frozenset(self._reasons),
            requested=self._program.lock.requested,
            memo=self._memo,
            progress=self._progress,
        )

    def result(self, imports: ImportCheck) -> SlimResult:
        """The last slimmed tree; says which files stay for being read as data."""
        for line in mention_notes(self._copy.mentions):
            self._progress.note(line)
        lines = tuple(self._told(group) for group in sorted(self._reasons))
        return SlimResult(self._copy.tree, self._copy.report, lines, imports)

    def _told(self, group: Group) -> str:
        rule, name = group
        paths = self._first.changes[group]
        return f"{rule!r} is not applied to {name} ({len(paths):,} files): {self._reasons[group]}"

    def _restore(self, groups: Collection[Group], reason: str) -> None:
        for group in sorted(set(groups) - set(self._reasons)):
            self._reasons[group] = reason
            self._progress.warn(self._told(group))

    def _import(self, root: Path, modules: Sequence[Sequence[str]]) -> dict[str, Outcome]:
        """How the modules of a tree import."""
        return import_modules(
            root,
            modules,
            self._program.workshop.interpreter,
            timeout=_IMPORT_SECONDS,
            environment=self._program.options.environment,
            elsewhere=self._program.workshop.ask_elsewhere,
            progress=self._progress,
        )

    def check_imports(self) -> ImportCheck:
        """Import the modules of both trees; restore what those need that do not import as before."""
        modules = _modules(self._tree, self._copy)
        before = self._import(self._tree.root, list(modules.values()))
        skipped = {name: outcome.what for name, outcome in before.items() if outcome.kind != "imported"}
        for _ in range(_ROUNDS):
            after = self._import(self._copy.tree.root, list(modules.values()))
            broken = [name for name in before if name not in skipped or before[name].kind == "raised"]
            broken = [name for name in broken if name in after and difference(before[name], after[name])]
            known = len(self._reasons)
            if broken:
                skipped.update(self._mend(broken, before, after, modules))
            if len(self._reasons) == known:
                break
            self._copy = self._slim()
        self._progress.note(
            f"{len(before) - len(skipped)} modules import as before slimming"
            + (f"; {len(skipped)} could not be compared (build.json says why)" if skipped else "")
        )
        return ImportCheck("imported before and after slimming", len(before), dict(sorted(skipped.items())))

    def _mend(
        self,
        broken: Collection[str],
        before: Mapping[str, Outcome],
        after: Mapping[str, Outcome],
        modules: Mapping[str, Sequence[str]],
    ) -> dict[str, str]:
        """Restore what each broken module needs; the modules that nothing helps, and why."""
        helpless = {}
        with self._probe() as probe:
            for name in broken:
                owner = next(owner for owner, names in modules.items() if name in names)
                names = modules[owner][: modules[owner].index(name) + 1]
                outcomes = (before[name], after[name])
                known = frozenset(self._reasons)
                groups = causes(self._import, probe, names, outcomes, owner=owner, known=known)
                lost = difference(before[name], after[name]) or ""
                if groups is None:
                    helpless[name] = f"imports otherwise now, whatever is restored: {lost}"
                else:
                    self._restore(groups, f"without it, of `import {name}`: {lost}")
        return helpless

    @contextmanager
    def _probe(self) -> Iterator[Probe]:
        probe = Probe(self._tree.root, self._copy.tree.root, self._copy.changes, self._work / "probe")
        try:
            yield probe
        finally:
            probe.close()

    def check_trace(self) -> None:
        """Run the traced program on the slimmed tree; restore what it needs."""
        try:
            self._program.trace(self._copy.tree)
            return
        except LambdapackError as error:
            reason = error.message
        with self._probe() as probe:

            def works(groups: frozenset[Group]) -> bool:
                with probe.with_restored(groups) as root:
                    try:
                        self._program.trace(replace(self._copy.tree, root=root))
                    except LambdapackError:
                        return False
                    return True

            groups = necessary(sorted(self._copy.changes), works)
        if groups:
            self._restore(groups, f"without it, {reason}")
            self._copy = self._slim()
        # Nothing to restore: the program failed by chance, or it fails now for good, with its own message.
        self._program.trace(self._copy.tree)


def _modules(tree: Tree, copy: SlimCopy) -> dict[str, list[str]]:
    """Distribution -> what to import of it: its public modules and the packages right below them.

    A module that a rule took, a test say, is not missed for itself.
    """
    gone = {
        module_name(path)
        for (rule, _), paths in copy.changes.items()
        if rule not in _ALTERING
        for path in paths
    }
    modules = {}
    for each in tree.distributions:
        names = dict.fromkeys([*public_modules(each), *each.top_level, *_packages_below(each)])
        modules[each.name] = [name for name in names if name not in gone]
    return {owner: names for owner, names in modules.items() if names}


def _packages_below(distribution: Distribution) -> list[str]:
    """The public packages right below the distribution's top-level ones."""
    packages = {module_name(path) for path in distribution.files if path.endswith("/__init__.py")}
    names = {name for name in packages if name and name.count(".") == 1 and "._" not in name}
    return sorted(name for name in names if name.partition(".")[0] in packages)
