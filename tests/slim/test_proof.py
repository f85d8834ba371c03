"""Slimming is proved by imports: what imported before imports after, or its rule is taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdapack.errors import CheckError
from lambdapack.install import LocalWorkshop
from lambdapack.model import Lock, Trace, Tree
from lambdapack.model.target import Target
from lambdapack.pipeline.options import BuildOptions
from lambdapack.progress import QUIET
from lambdapack.python import interpreter
from lambdapack.python.bytecode import compile_tree
from lambdapack.slim import SlimOptions, SlimResult, slim
from lambdapack.slim.importing import Outcome, difference, import_modules
from lambdapack.slim.restoring import Group, Probe, causes, necessary, suspects
from lambdapack.trace import Program, TraceOptions
from tests.support.installed import OWN, make_tree, own

MACHINE_TARGET = Target(OWN, "x86_64" if interpreter.find(OWN).machine == "x86_64" else "arm64")
FOREIGN = Target(OWN, "arm64" if MACHINE_TARGET.arch == "x86_64" else "x86_64")
Files = Mapping[str, str]


def compiled_tree(root: Path, packages: Mapping[str, Files], target: Target = MACHINE_TARGET) -> Tree:
    """``make_tree`` with bytecode."""
    tree = make_tree(root, packages, target)
    compile_tree(root, own(), jobs=1)
    return tree


def outcomes(root: Path, files: Files, *modules: Sequence[str], timeout: float = 60) -> dict[str, Outcome]:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return import_modules(root, modules, own(), timeout=timeout)


def slim_it(
    tree: Tree, work: Path, options: SlimOptions | None = None, code: str = "pass", hot: Sequence[str] = ()
) -> SlimResult:
    """Slim with the checks of a build whose traced code is ``code``."""
    work.mkdir()
    build = BuildOptions((), (), tree.target, work / "out", trace=TraceOptions(code=code))
    lock = Lock(tree.target, (2, 17), (), ())
    program = Program(build.trace, lock, LocalWorkshop(own(), work), work, QUIET)
    trace = Trace(tuple(hot), frozenset(), "traced", code)
    return slim(tree, trace, options or SlimOptions(), program=program, work=work, progress=QUIET)


def files(slimmed: SlimResult) -> set[str]:
    root = slimmed.tree.root
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_an_import_ends_in_one_of_five_ways(tmp_path: Path) -> None:
    """Names, the error, the exit status or the signal are told, and the next module is still imported."""
    found = outcomes(
        tmp_path,
        {
            "good.py": "one, _two = 1, 2\nprint('noise')",
            "bad.py": "import nowhere.at_all",
            "stops.py": "raise SystemExit(3)",
            "ends.py": "import os; os._exit(7)",
            "dies.py": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
            "last.py": "two = 2",
        },
        ["good", "bad", "stops", "ends", "dies", "last"],
    )
    assert found["good"] == Outcome("imported", frozenset({"one"}))
    assert found["bad"].what == "ModuleNotFoundError: No module named 'nowhere'"
    assert found["bad"].wanted == ("nowhere",)
    assert found["stops"].what == "SystemExit: 3"
    assert (found["ends"].kind, found["dies"].kind) == ("exited", "crashed")
    assert found["last"].names == {"two"}


def test_a_module_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    """It is late, with the processes that it started, and those after it are imported."""
    found = outcomes(
        tmp_path, {"slow.py": "import time; time.sleep(600)", "next.py": "x = 1"}, ["slow", "next"], timeout=2
    )
    assert (found["slow"].kind, found["next"].kind) == ("late", "imported")


def test_lists_of_modules_do_not_see_each_other(tmp_path: Path) -> None:
    """Each list is imported by a process of its own, and a message names the tree as ``<tree>``."""
    found = outcomes(
        tmp_path,
        {
            "a.py": "import sys; sys.there = 1",
            "b.py": "import sys; sys.there",
            "c.py": "open(__file__ + 'x')",
        },
        ["a"],
        ["b"],
        ["c"],
    )
    assert found["b"].what == "AttributeError: module 'sys' has no attribute 'there'"
    assert "<tree>/c.pyx" in found["c"].what
    assert str(tmp_path) not in found["c"].what
    assert "c.pyx" in found["c"].wanted


GONE = Outcome("raised", what="ImportError: x")


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        (Outcome("imported", frozenset("ab")), Outcome("imported", frozenset("abc")), True),
        (Outcome("imported", frozenset("ab")), Outcome("imported", frozenset("a")), False),
        (Outcome("imported"), GONE, False),
        (GONE, GONE, True),
        (GONE, Outcome("imported"), True),
        (GONE, Outcome("raised", what="ImportError: y"), False),
        (Outcome("late"), GONE, True),
        (Outcome("crashed"), GONE, True),
        (Outcome("imported"), Outcome("late"), False),
    ],
)
def test_what_counts_as_a_difference(before: Outcome, after: Outcome, same: bool) -> None:
    """A lost name, another exception or message; not what could not be imported before."""
    assert (difference(before, after) is None) == same


CHANGES = {
    ("tests", "a"): ["a/tests/__init__.py", "a/tests/data.py"],
    ("docs", "a"): ["a/docs/text.rst"],
    ("tests", "b"): ["b/tests/__init__.py"],
    ("strip", "b"): ["b/libs/libx.so.1"],
}


@pytest.mark.parametrize(
    ("wanted", "groups"),
    [
        ("a.tests.data", {("tests", "a")}),
        ("a.tests", {("tests", "a")}),
        ("a/docs/text.rst", {("docs", "a")}),
        ("a/docs", {("docs", "a")}),
        ("libx.so.1", {("strip", "b")}),
        ("b.tests.more", set()),
        ("numpy", set()),
    ],
)
def test_an_error_leads_to_the_rule(wanted: str, groups: set[Group]) -> None:
    """By module, path, folder or a library's bare name."""
    assert suspects([wanted], CHANGES) == groups


def test_a_file_of_just_the_name_is_suspected_alone() -> None:
    """And nothing that is only below it."""
    changes = {("tests", "a"): ["a/part/__init__.py"], ("docs", "a"): ["a/part/docs/x.py"]}
    assert suspects(["a.part"], changes) == {("tests", "a")}


def test_where_either_of_two_would_do_the_modules_own_distribution_is_restored(tmp_path: Path) -> None:
    """A search tries the groups of the module's owner first."""
    for owner in "az":
        (tmp_path / "in" / owner).mkdir(parents=True)
        (tmp_path / "in" / owner / "x").touch()
    (tmp_path / "out").mkdir()
    changes = {("docs", "a"): ["a/x"], ("docs", "z"): ["z/x"]}

    def importer(root: Path, modules: Sequence[Sequence[str]]) -> dict[str, Outcome]:
        return {"z": Outcome("imported") if list(root.rglob("x")) else GONE}

    probe = Probe(tmp_path / "in", tmp_path / "out", changes, tmp_path / "probe")
    both = (Outcome("imported"), GONE)
    assert causes(importer, probe, ["z"], both, owner="z", known=frozenset()) == {("docs", "z")}


@given(st.sets(st.integers(0, 30)), st.integers(1, 30))
def test_bisection_finds_what_is_necessary(needed: set[int], count: int) -> None:
    """Exactly the groups that are needed, or nothing where restoring all of them does not help."""
    groups = [(str(number), "x") for number in range(count)]
    wanted = {(str(number), "x") for number in needed}
    found = necessary(groups, wanted.issubset)
    assert found == (wanted if wanted.issubset(groups) else None)


def test_a_probe_is_as_it_was(tmp_path: Path) -> None:
    """What was put back is taken away again, with its folders; neither tree is written to."""
    for name, text in {"in/a/b/x.py": "old", "in/y.py": "whole", "out/y.py": "part"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    changes = {("r", "d"): ["a/b/x.py", "y.py"]}
    probe = Probe(tmp_path / "in", tmp_path / "out", changes, tmp_path / "probe")
    with probe.with_restored([("r", "d")]) as root:
        assert ((root / "a/b/x.py").read_text(), (root / "y.py").read_text()) == ("old", "whole")
    assert {path.name: path.read_text() for path in root.iterdir()} == {"y.py": "part"}
    assert (tmp_path / "out/y.py").read_text() == "part"
    probe.close()
    assert not root.exists()


LISTS = "import os\nif not os.listdir(os.path.join(os.path.dirname(__file__), 'docs')): raise ValueError"
HIDES = "import os\nif not os.path.exists(__file__[:-11] + 'docs/x'): raise RuntimeError('incomplete')\n"
# Said by a string: there is no import statement to follow.
TOLERANT = """\
import importlib
try:
    more = importlib.import_module('other' + '.tests')
except ImportError:
    pass
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import os\ntext = open(os.path.dirname(__file__) + '/docs/x').read()", "FileNotFoundError"),
        (LISTS, "FileNotFoundError"),
        (HIDES, "RuntimeError: incomplete"),
        ("import os\nif os.path.isdir(os.path.dirname(__file__) + '/docs'):\n    extra = 1", "lacks extra"),
    ],
)
def test_a_rule_that_breaks_an_import_is_taken_back(tmp_path: Path, text: str, said: str) -> None:
    """For that distribution alone, whole, with the reason; other rules and distributions are slimmed."""
    packages = {
        "needs": {
            "needs/__init__.py": text,
            "needs/docs/x": "x",
            "needs/docs/y": "y",
            "needs/tests/t.py": "",
        },
        "other": {"other/__init__.py": "", "other/docs/x": "x"},
    }
    slimmed = slim_it(compiled_tree(tmp_path / "in", packages), tmp_path / "work")
    assert {"needs/docs/x", "needs/docs/y"} <= files(slimmed)
    assert not {"needs/tests/t.py", "other/docs/x"} & files(slimmed)
    (line,) = slimmed.restored
    assert line.startswith("'docs' is not applied to needs (2 files): without it, of `import needs`: ")
    assert said in line


def test_a_rule_is_blamed_in_another_distribution(tmp_path: Path) -> None:
    """Of a name that is gone, the distribution that had it gets its files back."""
    packages = {
        "needs": {"needs/__init__.py": TOLERANT, "needs/docs/x": ""},
        "other": {"other/__init__.py": "", "other/docs/x": "", "other/tests/__init__.py": ""},
    }
    slimmed = slim_it(compiled_tree(tmp_path / "in", packages), tmp_path / "work")
    assert "other/tests/__init__.py" in files(slimmed)
    assert not {"other/docs/x", "needs/docs/x"} & files(slimmed)
    assert len(slimmed.restored) == 1


def test_a_module_that_failed_before_must_fail_as_before(tmp_path: Path) -> None:
    """It cannot be compared by its names; but another error than before is slimming's doing."""
    text = "import os\nopen(os.path.dirname(__file__) + '/docs/x').close()\nraise ValueError('always')"
    packages = {"bad": {"bad/__init__.py": text, "bad/docs/x": "x"}}
    slimmed = slim_it(compiled_tree(tmp_path / "in", packages), tmp_path / "work")
    assert "bad/docs/x" in files(slimmed)
    assert slimmed.imports.skipped == {"bad": "ValueError: always"}


def test_public_packages_right_below_the_top_are_imported_too(tmp_path: Path) -> None:
    """Neither private ones nor what lies deeper: its package imports what it needs."""
    names = ("a", "a/open", "a/_private", "a/open/deep")
    packages = {"a": {f"{name}/__init__.py": "" for name in names}}
    slimmed = slim_it(compiled_tree(tmp_path / "in", packages), tmp_path / "work")
    assert slimmed.imports.modules == 2


def test_the_same_code_is_traced_before_and_after(tmp_path: Path) -> None:
    """What slimming leaves of the distributions does not decide what is run."""
    (tmp_path / "work").mkdir()
    tree = compiled_tree(tmp_path / "in", {"a": {"a/__init__.py": ""}})
    lock = Lock(tree.target, (2, 17), (), ("a",))
    program = Program(TraceOptions(), lock, LocalWorkshop(own(), tmp_path), tmp_path / "work", QUIET)
    assert program.trace(tree).code == "import a"
    assert program.trace(replace(tree, distributions=())).code == "import a"


def test_what_fails_anyway_is_noted(tmp_path: Path) -> None:
    """A module that never imported is not held against slimming, and nothing is kept for it."""
    packages = {"bad": {"bad/__init__.py": "import nowhere", "bad/docs/x": "x"}}
    slimmed = slim_it(compiled_tree(tmp_path / "in", packages), tmp_path / "work")
    assert slimmed.restored == ()
    assert "bad/docs/x" not in files(slimmed)
    assert slimmed.imports.modules == 1
    assert slimmed.imports.skipped == {"bad": "ModuleNotFoundError: No module named 'nowhere'"}


def test_sources_are_kept_where_they_are_read(tmp_path: Path) -> None:
    """``sources = false`` is a rule too: a module that reads its source at import keeps it."""
    packages = {
        "reads": {"reads/__init__.py": "import inspect\ndef f(): pass\ntext = inspect.getsource(f)"},
        "plain": {"plain/__init__.py": ""},
    }
    tree = compiled_tree(tmp_path / "in", packages)
    slimmed = slim_it(tree, tmp_path / "work", SlimOptions(sources=False))
    assert "reads/__init__.py" in files(slimmed)
    assert "plain/__init__.py" not in files(slimmed)


def test_the_traced_code_gets_back_what_it_needs(tmp_path: Path) -> None:
    """Code that fails on the slimmed tree, though every module imports, is searched for its rule too."""
    packages = {
        "a": {"a/__init__.py": "", "a/docs/x": "x", "a/tests/t": "t"},
        "b": {"b/__init__.py": "", "b/docs/x": "x"},
    }
    code = "import a, os\nassert os.path.exists(os.path.dirname(a.__file__) + '/docs/x'), 'no docs'"
    slimmed = slim_it(compiled_tree(tmp_path / "in", packages), tmp_path / "work", code=code)
    assert "a/docs/x" in files(slimmed)
    assert not {"a/tests/t", "b/docs/x"} & files(slimmed)
    assert "'docs' is not applied to a" in slimmed.restored[0]


def test_code_that_fails_for_good_is_an_error(tmp_path: Path) -> None:
    """Where restoring everything does not help, the traced code's own error is the build's."""
    tree = compiled_tree(tmp_path / "in", {"a": {"a/__init__.py": "", "a/docs/x": "x"}})
    with pytest.raises(CheckError, match="raise SystemExit"):
        slim_it(tree, tmp_path / "work", code="raise SystemExit(4)")


def test_a_foreign_target_is_not_imported(tmp_path: Path) -> None:
    """Nothing runs, nothing is restored, and the report says that nothing was checked."""
    tree = compiled_tree(tmp_path / "in", {"a": {"a/__init__.py": "raise SystemExit"}}, FOREIGN)
    slimmed = slim_it(tree, tmp_path / "work")
    assert slimmed.imports.how.startswith("not done")
    assert (slimmed.imports.modules, slimmed.restored) == (0, ())
