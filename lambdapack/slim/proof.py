"""Slim a tree and prove on it that what worked before still works; what broke it is restored by rule."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import runtime_shim
from lambdapack import install as build_stage
from lambdapack import trace as trace_stage
from lambdapack.errors import CheckError, LambdapackError
from lambdapack.memo import NOTHING, Memo, tool_digest
from lambdapack.model import Distribution, ImportCheck, Lock, SlimReport, Trace, Tree
from lambdapack.progress import Progress
from lambdapack.python.linker import linker_facts
from lambdapack.python.module_names import module_name
from lambdapack.slim import cut as slim_stage
from lambdapack.slim.accounts import SOURCES, STRIP
from lambdapack.slim.cut import Cut, SlimOptions
from lambdapack.slim.importing import Outcome, difference, import_modules
from lambdapack.slim.restoring import Group, Probe, necessary, suspects
from lambdapack.trace import TraceOptions, public_modules

__all__ = ["Runner", "Slimmed", "slim"]

_IMPORT_SECONDS = 120.0
_ROUNDS = 4
_ALTERING = frozenset((STRIP, SOURCES))


class Runner:
    """Runs the traced code on a tree, where the target's Python can run here."""

    def __init__(
        self,
        options: TraceOptions,
        lock: Lock,
        workshop: build_stage.Workshop,
        work: Path,
        progress: Progress,
    ) -> None:
        self.python = workshop.interpreter
        self.native = self.python.machine == lock.target.machine
        # Loading needs the stripped files and the Python in one place.
        self.loads = self.python if self.native and workshop.runs_here else None
        self.loader = workshop.load_elsewhere if self.native else None
        where = dict(workshop.identity) if self.loader else linker_facts(self.python)
        python = [self.python.version, self.python.machine]
        self.surroundings = [tool_digest(), *python, where] if where else None
        self._elsewhere = workshop.ask_elsewhere
        self._options = options
        self.requested = lock.requested
        self.glibc = lock.glibc
        self._work = work
        self._progress = progress
        self._code: str | None = None

    def trace(self, tree: Tree) -> Trace:
        """The files that the code touches; by rule of thumb where it cannot run."""
        if not self.native:
            self._progress.note(
                f"no Python for {tree.target.arch} runs on this machine: files are ordered by the heuristic"
            )
            return trace_stage.heuristic(tree, self.requested)
        if self._code is None:
            self._code = self._what(tree)
        try:
            return trace_stage.run(
                tree,
                self.python,
                self._code,
                search=self._search(),
                assets=self._options.assets,
                environment=self._options.environment,
                timeout=self._options.timeout,
                elsewhere=self._elsewhere,
                progress=self._progress,
            )
        except CheckError as error:
            # The dynamic linker says "No such file" of a library for another machine.
            self.check_binaries(tree, tree, said=f"{error.message}\n{error.detail or ''}")
            raise

    def check_binaries(self, tree: Tree, installed: Tree, said: str = "") -> None:
        """Refuse a tree with a binary for another machine that would be loaded.

        Args:
            tree: It.
            installed: The tree before slimming, which tells how its wheels were named.
            said: What a program that failed said: only binaries that it names are looked at then.
        """
        build_stage.check_binaries(
            tree,
            portable=build_stage.portable_files(installed),
            glibc=self.glibc,
            progress=self._progress,
            said=said,
        )

    def imports(self, root: Path, modules: Sequence[Sequence[str]]) -> dict[str, Outcome]:
        """How the modules of a tree import, where the target's Python can run."""
        return import_modules(
            root,
            modules,
            self.python,
            timeout=_IMPORT_SECONDS,
            environment=self._options.environment,
            elsewhere=self._elsewhere,
            progress=self._progress,
        )

    def _what(self, tree: Tree) -> str:
        if self._options.handler:
            return _call(self._options.handler, self._options.event)
        return self._options.code or trace_stage.default_code(tree, self.requested)

    def _search(self) -> tuple[Path, ...]:
        if self._options.handler is None or self._options.source is None:
            return ()
        # A handler may begin with "import runtime_shim". Without an index it does nothing; alone in a
        # folder it brings no other package of this environment along.
        beside = self._work / "shim"
        if not beside.exists():
            shim = Path(runtime_shim.__file__).parent
            shutil.copytree(shim, beside / shim.name, ignore=shutil.ignore_patterns("__pycache__"))
        return (self._options.source, beside)


def _call(handler: str, event: Any) -> str:
    """Code that calls ``handler`` once, with a context like Lambda's."""
    module, _, function = handler.replace("/", ".").rpartition(".")
    return f"""\
import importlib, json, types
context = types.SimpleNamespace(
    function_name="trace", function_version="$LATEST", aws_request_id="trace", memory_limit_in_mb="1769",
    invoked_function_arn="", log_group_name="", log_stream_name="", identity=None, client_context=None,
    get_remaining_time_in_millis=lambda: 300000)
event = json.loads({json.dumps(event)!r})
getattr(importlib.import_module({module!r}), {function!r})(event, context)
"""


@dataclass(frozen=True)
class Slimmed:
    """A slimmed tree that was proved.

    Attributes:
        tree: It.
        report: What slimming did.
        restored: What was taken back, and why, for people.
        imports: What was imported to prove it.
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
    runner: Runner,
    work: Path,
    memo: Memo = NOTHING,
    progress: Progress,
) -> Slimmed:
    """Slim, then import every distribution and run the traced code again, as before slimming.

    A rule without which that fails does not apply to the distribution that needs it. ``memo`` remembers
    which stripped objects loaded.

    Raises:
        LambdapackError: A tool failed; the traced code fails even with everything restored; or a binary
            that would be loaded is for another machine.
    """
    proof = _Proof(tree, trace, options, runner=runner, work=work, memo=memo, progress=progress)
    if not runner.native:
        progress.note(f"no module was imported to check slimming: {tree.target.arch} does not run here")
        imports = ImportCheck("not done: the target does not run on this machine", 0, {})
    else:
        imports = proof.check_imports()
        proof.check_trace()
    made = proof.result(imports)
    runner.check_binaries(made.tree, tree)
    return made


class _Proof:
    """Cuts a tree until what it is checked for works."""

    def __init__(
        self,
        tree: Tree,
        trace: Trace,
        options: SlimOptions,
        *,
        runner: Runner,
        work: Path,
        memo: Memo,
        progress: Progress,
    ) -> None:
        self._memo = memo
        self._tree, self._trace, self._options = tree, trace, options
        self._runner, self._work, self._progress = runner, work, progress
        self._reasons: dict[Group, str] = {}
        self._first = self._made = self._cut()

    def _cut(self) -> Cut:
        return slim_stage.cut(
            self._tree,
            self._work / f"slim{len(self._reasons)}",
            trace=self._trace,
            interpreter=self._runner.loads,
            options=self._options,
            restore=frozenset(self._reasons),
            requested=self._runner.requested,
            loader=self._runner.loader,
            surroundings=self._runner.surroundings,
            memo=self._memo,
            progress=self._progress,
        )

    def result(self, imports: ImportCheck) -> Slimmed:
        """What came out; says what stays for being read as data."""
        for line in slim_stage.kept_as_data(self._made.read):
            self._progress.note(line)
        lines = tuple(self._told(group) for group in sorted(self._reasons))
        return Slimmed(self._made.tree, self._made.report, lines, imports)

    def _told(self, group: Group) -> str:
        rule, name = group
        paths = self._first.changes[group]
        return f"{rule!r} is not applied to {name} ({len(paths):,} files): {self._reasons[group]}"

    def _restore(self, groups: Collection[Group], reason: str) -> None:
        new = sorted(set(groups) - set(self._reasons))
        for group in new:
            self._reasons[group] = reason
            self._progress.warn(self._told(group))

    def check_imports(self) -> ImportCheck:
        """Import the modules of both trees; restore what those need that do not import as before."""
        modules = _modules(self._tree, self._made)
        before = self._runner.imports(self._tree.root, list(modules.values()))
        skipped = {name: outcome.what for name, outcome in before.items() if outcome.kind != "imported"}
        for _ in range(_ROUNDS):
            after = self._runner.imports(self._made.tree.root, list(modules.values()))
            broken = [name for name in before if name not in skipped or before[name].kind == "raised"]
            broken = [name for name in broken if name in after and difference(before[name], after[name])]
            known = len(self._reasons)
            if broken:
                skipped.update(self._mend(broken, before, after, modules))
            if len(self._reasons) == known:
                break
            self._made = self._cut()
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
        """Find what each broken module needs; those that nothing helps, and why."""
        helpless = {}
        with self._probe() as probe:
            for name in broken:
                owner = next(owner for owner, names in modules.items() if name in names)
                names = modules[owner][: modules[owner].index(name) + 1]
                search = _Search(self._runner, probe, self._made, names, before[name])
                found = search.causes(after[name], owner, frozenset(self._reasons))
                lost = difference(before[name], after[name]) or ""
                if found is None:
                    helpless[name] = f"imports otherwise now, whatever is restored: {lost}"
                else:
                    self._restore(found, f"without it, of `import {name}`: {lost}")
        return helpless

    @contextmanager
    def _probe(self) -> Iterator[Probe]:
        probe = Probe(self._tree.root, self._made.tree.root, self._made.changes, self._work / "probe")
        try:
            yield probe
        finally:
            probe.close()

    def check_trace(self) -> None:
        """Run the traced code on the slimmed tree; restore what it needs."""
        try:
            self._runner.trace(self._made.tree)
            return
        except LambdapackError as error:
            reason = error.message
        with self._probe() as probe:

            def works(groups: frozenset[Group]) -> bool:
                with probe.with_restored(groups) as root:
                    try:
                        self._runner.trace(replace(self._made.tree, root=root))
                    except LambdapackError:
                        return False
                    return True

            found = necessary(sorted(self._made.changes), works)
        if found:
            self._restore(found, f"without it, {reason}")
            self._made = self._cut()
        # Nothing to restore: it failed by chance, or it fails now for good, with its own message.
        self._runner.trace(self._made.tree)


class _Search:
    """Looks for what one module needs."""

    def __init__(
        self, runner: Runner, probe: Probe, made: Cut, names: Sequence[str], before: Outcome
    ) -> None:
        self._runner, self._probe, self._made = runner, probe, made
        self._names, self._before = names, before

    def causes(self, after: Outcome, owner: str, known: frozenset[Group]) -> frozenset[Group] | None:
        """The groups that it needs, ``known`` ones included; ``None`` where nothing helps."""
        groups = sorted(self._made.changes, key=lambda group: (group[1] != owner, group))
        fixed = known & frozenset(groups)
        outcome = after
        while new := suspects(outcome.wanted, self._made.changes) - fixed:
            fixed |= new
            outcome = self._import(fixed)
            if difference(self._before, outcome) is None:
                return fixed
        return necessary(groups, self._works, known & frozenset(groups))

    def _works(self, groups: frozenset[Group]) -> bool:
        return difference(self._before, self._import(groups)) is None

    def _import(self, groups: frozenset[Group]) -> Outcome:
        with self._probe.with_restored(groups) as root:
            return self._runner.imports(root, [self._names])[self._names[-1]]


def _modules(tree: Tree, made: Cut) -> dict[str, list[str]]:
    """Distribution -> what to import of it: its public modules and the packages right below them.

    A module that a rule took, its tests say, is not missed for itself.
    """
    gone = {
        module_name(path)
        for (rule, _), paths in made.changes.items()
        if rule not in _ALTERING
        for path in paths
    }
    found = {}
    for one in tree.distributions:
        names = dict.fromkeys([*public_modules(one), *one.top_level, *_below(one)])
        found[one.name] = [name for name in names if name not in gone]
    return {owner: names for owner, names in found.items() if names}


def _below(distribution: Distribution) -> list[str]:
    packages = {module_name(path) for path in distribution.files if path.endswith("/__init__.py")}
    found = {name for name in packages if name and name.count(".") == 1 and "._" not in name}
    return sorted(name for name in found if name.partition(".")[0] in packages)
