"""Slimming: rules, exemptions, the trace's veto, stripping, and a report that adds up."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from importlib.metadata import distributions
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zstandard import backend_c

from lambdapack import elf, trace
from lambdapack.elf.stripping import strip
from lambdapack.errors import ConfigurationError
from lambdapack.memo import NOTHING, Memo
from lambdapack.model import SlimReport, Trace, Tree
from lambdapack.model.target import Target
from lambdapack.pipeline.cache import BuildCache
from lambdapack.progress import QUIET, Progress
from lambdapack.python.bytecode import compile_tree
from lambdapack.slim import stripping
from lambdapack.slim.copy import slim_copy
from lambdapack.slim.loading import TargetPython, check_loads, load_failures
from lambdapack.slim.packages import PACKAGE_RULES
from lambdapack.slim.reading import mention_notes
from lambdapack.slim.rules import RULES, matcher
from lambdapack.slim.select import SlimOptions, rule_names
from tests.support.installed import OWN, make_tree, own
from tests.support.told import Told

TAG = Target(OWN).cache_tag


def touched(*files: str) -> Trace:
    return Trace(files, frozenset(), "traced", "")


def paths(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def size(root: Path) -> int:
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file())


def check_sums(tree: Tree, slimmed: Tree, report: SlimReport) -> None:
    """What every report must satisfy."""
    assert report.installed_bytes == size(tree.root)
    assert report.slimmed_bytes == size(slimmed.root)
    assert report.installed_files == len(paths(tree.root))
    assert report.slimmed_files == len(paths(slimmed.root))
    assert sum(one.bytes for one in report.dropped) == report.installed_bytes - report.slimmed_bytes
    assert sum(before for before, _ in report.sizes.values()) == report.installed_bytes
    assert sum(after for _, after in report.sizes.values()) == report.slimmed_bytes


def slim_it(tree: Tree, out: Path, *hot: str, **options: object) -> tuple[set[str], SlimReport]:
    made = slim_copy(
        tree,
        out,
        trace=touched(*hot),
        python=TargetPython(own()),
        options=SlimOptions(**options),  # type: ignore[arg-type]
    )
    slimmed, report = made.tree, made.report
    check_sums(tree, slimmed, report)
    return {path for path in paths(out) if not path.endswith(".pyc")}, report


BY_RULE = {
    "tests": ["pkg/tests/__init__.py", "pkg/sub/test/data.bin", "pkg/conftest.py"],
    "docs": ["pkg/docs/index.rst", "share/man/man1/pkg.1"],
    "examples": ["pkg/examples/one.py", "pkg/benchmarks/b.py"],
    "headers": ["pkg/include/a.h", "pkg/b.hpp"],
    "native-sources": ["pkg/a.c", "pkg/a.pyx", "pkg/a.pxd", "pkg/lib.rs", "pkg/f.f90", "pkg/u.S"],
    "static-libraries": ["pkg/lib.a"],
    "build-files": ["pkg/CMakeLists.txt", "pkg/lib/pkgconfig/pkg.pc", "pkg/a.o"],
    "stubs": ["pkg/a.pyi", "pkg/py.typed", "pkg-stubs/x.txt"],
    "foreign-binaries": ["pkg/cli.exe", "pkg/x.dll"],
    "installer": [
        "pkg-1.dist-info/INSTALLER",
        "pkg-1.dist-info/direct_url.json",
        "pkg-1.dist-info/sboms/a.json",
    ],
    "scripts": ["bin/pkg"],
    "caches": ["pkg/.DS_Store", "pkg/.mypy_cache/x.json"],
}
CONTENT: dict[str, str | bytes] = {"pkg/lib.a": b"!<arch>\n...", "bin/pkg": "#!/usr/bin/python\n"}
STAYS = [
    "pkg/__init__.py",
    "pkg/data.json",
    "pkg/testing/__init__.py",
    "pkg/contest.py",
    "pkg/bin/helper",
    "pkg/README.md",
    "pkg/notes.a",
    "bin/native",
    "pkg-1.dist-info/entry_points.txt",
    "pkg-1.dist-info/top_level.txt",
    "pkg-1.dist-info/licenses/LICENSE",
    "pkg-1.dist-info/LICENSE.txt",
    "pkg-1.dist-info/WHEEL",
    "nspkg.pth",
]


def full_tree(root: Path) -> Tree:
    names = [*STAYS, *(path for listed in BY_RULE.values() for path in listed)]
    return make_tree(root, {"pkg": {path: CONTENT.get(path, "x = 1\n") for path in names}})


def test_every_rule_is_covered_here() -> None:
    """A new rule needs files in these tests."""
    assert set(BY_RULE) == {rule.name for rule in RULES}
    assert set(rule_names()) == {*BY_RULE, *(rule.name for rule in PACKAGE_RULES)}


def test_rules_drop_what_they_name_and_nothing_else(tmp_path: Path) -> None:
    """Each rule takes its files; dist-info keeps METADATA, RECORD, entry points, licences and WHEEL."""
    tree = full_tree(tmp_path / "tree")
    kept, report = slim_it(tree, tmp_path / "out")
    assert kept == {*STAYS, "pkg-1.dist-info/METADATA", "pkg-1.dist-info/RECORD"}
    by_rule = {one.rule: one.files for one in report.dropped if one.bytes > 0 and one.rule in BY_RULE}
    assert by_rule == {rule: len(listed) for rule, listed in BY_RULE.items()}


def test_every_file_that_is_missing_has_its_rule_and_its_distribution(tmp_path: Path) -> None:
    """Empty files count too; what can be undone are the rules' own files: bytecode follows its source."""
    packages = {
        "a": {
            "a/x.py": "x", f"a/__pycache__/x.{TAG}.pyc": bytes(16),
            "a/tests/__init__.py": "", "a/tests/t.py": "12345",
        },
        "b": {"b/__init__.py": "", "b/docs/x": "123"},
    }  # fmt: skip
    tree, out = make_tree(tmp_path / "tree", packages), tmp_path / "out"
    made = slim_copy(tree, out, trace=touched(), python=TargetPython(), options=SlimOptions())
    assert made.changes == {
        ("tests", "a"): ["a/tests/__init__.py", "a/tests/t.py"],
        ("docs", "b"): ["b/docs/x"],
    }
    dropped = {(each.rule, each.distribution): (each.files, each.bytes) for each in made.report.dropped}
    assert {group: dropped[group] for group in dropped if group[0] != "record"} == {
        ("bytecode", "a"): (1, 16),
        ("tests", "a"): (2, 5),
        ("docs", "b"): (1, 3),
    }
    assert made.report.sizes == {
        each.name: tuple(
            sum((root / path).stat().st_size for path in each.files if (root / path).exists())
            for root in (tree.root, out)
        )
        for each in tree.distributions
    }


@pytest.mark.parametrize("rule", sorted(BY_RULE))
def test_a_rule_can_be_disabled(tmp_path: Path, rule: str) -> None:
    """``disable`` keeps the files of that rule and of no other."""
    kept, _ = slim_it(full_tree(tmp_path / "tree"), tmp_path / "out", disable=(rule,))
    assert kept >= set(BY_RULE[rule])
    others = {path for name, listed in BY_RULE.items() if name != rule for path in listed}
    assert kept & others == set()


def test_nothing_that_the_trace_touched_is_dropped(tmp_path: Path) -> None:
    """Not by a rule, not by the user's own pattern; the report says what was spared."""
    hot = [
        "pkg/tests/__init__.py",
        f"pkg/examples/__pycache__/one.{TAG}.pyc",
        "pkg/a.c",
        "pkg/data.json",
    ]
    kept, report = slim_it(full_tree(tmp_path / "tree"), tmp_path / "out", *hot, drop=("*.json",))
    assert kept >= {"pkg/tests/__init__.py", "pkg/examples/one.py", "pkg/a.c", "pkg/data.json"}
    assert report.kept == ("pkg/a.c", "pkg/data.json", "pkg/examples/one.py", "pkg/tests/__init__.py")


def test_keep_and_drop(tmp_path: Path) -> None:
    """``keep`` wins over rules and over ``drop``; ``drop`` takes what no rule would."""
    kept, report = slim_it(
        full_tree(tmp_path / "tree"),
        tmp_path / "out",
        keep=("pkg/tests/**", "*.pyx"),
        drop=("*.json", "pkg/*.pyx"),
    )
    assert kept >= {"pkg/tests/__init__.py", "pkg/a.pyx"}
    assert not kept & {"pkg/data.json", "pkg/a.c"}
    assert any(one.rule == "drop" for one in report.dropped)


@pytest.mark.parametrize(
    "statement",
    [
        "from other.tests import helper",
        "import other.tests.helper as h",
        "from other import (\n    tests,\n)\nfrom other.tests.helper import x",
        "def later():\n    from other.tests.helper import x",
    ],
)
def test_a_test_module_that_kept_code_imports_stays(tmp_path: Path, statement: str) -> None:
    """So do its packages and what it imports in turn, but not the rest of the folder."""
    tree = make_tree(
        tmp_path / "tree",
        {
            "one": {"one/__init__.py": statement + "\n"},
            "other": {
                "other/__init__.py": "",
                "other/tests/__init__.py": "",
                "other/tests/helper.py": "from . import deeper\n",
                "other/tests/deeper.py": "",
                "other/tests/test_it.py": "",
            },
        },
    )
    kept, _ = slim_it(tree, tmp_path / "out")
    wanted = {f"other/tests/{name}.py" for name in ("__init__", "helper", "deeper")}
    assert kept >= wanted
    assert "other/tests/test_it.py" not in kept


def test_an_imported_docs_package_stays_whole(tmp_path: Path) -> None:
    """botocore.docs is code with data beside it; boto3.docs is imported relatively."""
    tree = make_tree(
        tmp_path / "tree",
        {
            "lib": {
                "lib/__init__.py": "",
                "lib/api/__init__.py": "from ..docs import make\n",
                "lib/docs/__init__.py": "",
                "lib/docs/make.py": "",
                "lib/docs/templates/a.txt": "",
                "lib/api/docs/page.rst": "",
            }
        },
    )
    kept, _ = slim_it(tree, tmp_path / "out")
    assert kept >= {"lib/docs/__init__.py", "lib/docs/make.py", "lib/docs/templates/a.txt"}
    assert "lib/api/docs/page.rst" not in kept


def test_exemptions(tmp_path: Path) -> None:
    """django.test is public, typeshed is read; lazy_loader reads stubs, where a distribution uses it."""
    tree = make_tree(
        tmp_path / "tree",
        {
            "django": {"django/test/client.py": ""},
            "lazy": {"lazy/__init__.py": "lazy.attach_stub(__name__, __file__)", "lazy/__init__.pyi": ""},
            "eager": {"eager/__init__.py": "", "eager/__init__.pyi": ""},
            "jedi": {"jedi/third/typeshed/stubs/x/docs/a.pyi": ""},
        },
    )
    kept, _ = slim_it(tree, tmp_path / "out")
    assert kept >= {"django/test/client.py", "lazy/__init__.pyi", "jedi/third/typeshed/stubs/x/docs/a.pyi"}
    assert "eager/__init__.pyi" not in kept


READ = {
    "check/builtins.pyi": "stub",
    "check/modules.py": "def stub(name): return ROOT + '/' + name + '.pyi'",
    "check/parser.h": "",
    "check/other.h": "",
    "check/deep/grammar.c": "",
    "check/deep/generate.py": "TEMPLATES = sorted(glob('templates/*.c'))",
    "check/native.c": "",
    "check/text.py": '"""Reads "native.c"."""\nINCLUDE = "parser.h"\nLINE = "no such file: api/other.h"',
}


def test_files_that_code_of_the_package_names_stay(tmp_path: Path) -> None:
    """By suffix or by name, in strings; sources by suffix in the module's own folder; it is said why."""
    tree = make_tree(
        tmp_path / "tree", {"check": READ, "other": {"other/builtins.pyi": "", "other/a.py": ""}}
    )
    made = slim_copy(tree, tmp_path / "out", trace=touched(), python=TargetPython(), options=SlimOptions())
    kept = paths(tmp_path / "out")
    assert kept >= {"check/builtins.pyi", "check/parser.h", "check/deep/grammar.c"}
    assert kept.isdisjoint({"check/other.h", "check/native.c", "other/builtins.pyi"})
    check_sums(tree, made.tree, made.report)
    assert [(one.rule, one.name, one.code, one.files) for one in made.mentions] == [
        ("native-sources", "*.c", "check/deep/generate.py", ("check/deep/grammar.c",)),
        ("stubs", "*.pyi", "check/modules.py", ("check/builtins.pyi",)),
        ("headers", "parser.h", "check/text.py", ("check/parser.h",)),
    ]
    (line,) = mention_notes(made.mentions)
    assert line.startswith("check: 3 files stay that 'headers', 'native-sources', 'stubs' would drop")
    assert "check/modules.py names *.pyi" in line


@pytest.mark.parametrize(
    ("code", "stays"),
    [
        ("P = f'{name}.pyi'", True),
        ("P = f'{name}_typed.pyi'", False),
        ("P = f'{name}ins.pyi'", True),
        ("P = '%s.pyi' % name", True),
        ("P = 'stubs/builtins.pyi'", True),
        ("P = 'stubs/other.pyi'", False),
        ("'''Reads .pyi'''", False),
        ("'.pyi'", False),
        ("# '.pyi'", False),
        ("P = ('.py', '.pyi')", True),
        ("P = '.pyi'; broken(", False),
    ],
)
def test_what_counts_as_a_name(tmp_path: Path, code: str, stays: bool) -> None:
    """Suffixes, whole names and ends of names; neither comments, documentation nor other names."""
    tree = make_tree(tmp_path / "tree", {"a": {"a/b.py": code, "a/builtins.pyi": ""}})
    slim_copy(tree, tmp_path / "out", trace=touched(), python=TargetPython(), options=SlimOptions())
    assert (tmp_path / "out/a/builtins.pyi").exists() is stays


def test_code_that_builds_or_goes_keeps_no_sources(tmp_path: Path) -> None:
    """A compiler's caller names ``.h`` and ``.c``, tests name anything: neither gives savings back."""
    files = {
        "a/extension.py": "import os, subprocess\nSUFFIXES = ('.c', 'api.h')",
        "a/tests/test_stubs.py": "STUB = '.pyi'",
        "a/api.h": "",
        "a/a.c": "",
        "a/a.pyi": "",
    }
    kept, _ = slim_it(make_tree(tmp_path / "tree", {"a": files}), tmp_path / "out")
    assert kept.isdisjoint({"a/api.h", "a/a.c", "a/a.pyi"})


def test_the_users_pattern_drops_what_code_names(tmp_path: Path) -> None:
    """``drop`` beats the guess, as it beats exemptions."""
    files = {"a/b.py": "P = '.pyi'", "a/b.pyi": "", "a/typeshed/stdlib/re.pyi": ""}
    kept, _ = slim_it(make_tree(tmp_path / "tree", {"a": files}), tmp_path / "out", drop=("*.pyi",))
    assert not {path for path in kept if path.endswith(".pyi")}


def test_the_last_file_of_a_named_namespace_package_stays(tmp_path: Path) -> None:
    """Named by an entry point, an import or a string; what nobody names goes, and so do tests."""
    files = {
        "num/__init__.py": "from num.resources import x\nF = files('num.include'), 'num.half'\n# num.nobody",
        "num/core/lib/pkgconfig/num.pc": "",
        "num/core/lib/libnum.a": "!<arch>\n",
        "num/include/api.h": "",
        "num/include/sub/deep.h": "",
        "num/resources/sub/big.h": "12345",
        "num/resources/sub/small.h": "1",
        "num/nobody/a.h": "",
        "num/half/data.txt": "",
        "num/half/a.h": "",
        "num/tests/data.txt": "",
        "num-1.dist-info/entry_points.txt": "[pkg_config]\nnum = num.core.lib.pkgconfig\n"
        "[x]\ny = num.tests\n",
    }
    kept, _ = slim_it(make_tree(tmp_path / "tree", {"num": files}), tmp_path / "out")
    assert {path for path in kept if path.startswith("num/")} == {
        "num/__init__.py",
        "num/core/lib/pkgconfig/num.pc",
        "num/half/data.txt",
        "num/include/api.h",
        "num/resources/sub/small.h",
    }


def test_inner_namespace_packages_keep_the_outer_ones(tmp_path: Path) -> None:
    """Where both are named, what stays for the inner one is enough for the outer one."""
    files = {
        "num/__init__.py": "A, B = 'num.inc', 'num.inc.sub'",
        "num/inc/sub/a.h": "12345",
        "num/inc/sub/b.h": "12345",
        "num/inc/other/tiny.h": "1",
    }
    kept, _ = slim_it(make_tree(tmp_path / "tree", {"num": files}), tmp_path / "out")
    assert {path for path in kept if path.endswith(".h")} == {"num/inc/sub/a.h", "num/inc/sub/b.h"}


def test_bytecode_is_ours_and_of_this_version_alone(tmp_path: Path) -> None:
    """pip's bytecode is compiled anew, other versions' and orphans go, ours is shared."""
    tree = make_tree(tmp_path / "tree", {"pkg": {"pkg/__init__.py": "", "pkg/a.py": "x = 1\n"}})
    cache = tree.root / "pkg/__pycache__"
    compile_tree(tree.root, own())
    ours = (cache / f"a.{TAG}.pyc").read_bytes()
    pips = ours[:4] + bytes(4) + b"timesize" + ours[16:]
    (cache / f"__init__.{TAG}.pyc").write_bytes(pips)
    for name in ("a.cpython-27.pyc", f"a.{TAG}.opt-1.pyc", f"gone.{TAG}.pyc"):
        (cache / name).write_bytes(ours)
    _, report = slim_it(tree, tmp_path / "out")
    out = tmp_path / "out/pkg/__pycache__"
    assert sorted(path.name for path in out.iterdir()) == [f"__init__.{TAG}.pyc", f"a.{TAG}.pyc"]
    assert all(path.read_bytes()[4:8] == b"\1\0\0\0" for path in out.iterdir())
    assert (out / f"a.{TAG}.pyc").stat().st_ino == (cache / f"a.{TAG}.pyc").stat().st_ino
    assert (cache / f"__init__.{TAG}.pyc").read_bytes() == pips
    assert {one.rule: one.files for one in report.dropped if one.rule == "caches"} == {"caches": 3}


def test_without_sources_modules_still_import(tmp_path: Path) -> None:
    """Bytecode takes its source's place, where Python finds it; RECORD says so."""
    tree = make_tree(
        tmp_path / "tree", {"pkg": {"pkg/__init__.py": "from . import a\n", "pkg/a.py": "x = 1\n"}}
    )
    out = tmp_path / "out"
    made = slim_copy(
        tree, out, trace=touched(), python=TargetPython(own()), options=SlimOptions(sources=False)
    )
    slimmed, report = made.tree, made.report
    check_sums(tree, slimmed, report)
    assert not [path for path in paths(out) if path.endswith(".py")]
    assert not [*out.rglob("__pycache__")]
    found = trace.run(slimmed, own(), "import pkg.a; assert pkg.a.x == 1")
    assert found.files == ("pkg/__init__.pyc", "pkg/a.pyc")
    assert "pkg/a.pyc" in slimmed.distributions[0].files


def test_metadata_still_works(tmp_path: Path) -> None:
    """importlib.metadata finds the distribution, its version, and the files that are there."""
    tree = make_tree(
        tmp_path / "tree", {"pkg": {"pkg/__init__.py": "", "pkg/tests/a.py": "", "pkg/a,b.txt": ""}}
    )
    out = tmp_path / "out"
    slim_it(tree, out)
    [found] = distributions(path=[str(out)])
    assert (found.metadata["Name"], found.version) == ("pkg", "1")
    assert found.files is not None
    assert all((out / str(path)).is_file() for path in found.files)
    assert "pkg/__init__.py" in map(str, found.files)


def test_the_installed_tree_stays_as_it_is(tmp_path: Path) -> None:
    """Unchanged files are hard links, and none is written through."""
    tree = full_tree(tmp_path / "tree")
    (tree.root / "pkg/lib.so").write_bytes(Path(backend_c.__file__).read_bytes())
    before = {path: hashlib.sha256((tree.root / path).read_bytes()).digest() for path in paths(tree.root)}
    slim_it(tree, tmp_path / "out")
    slim_it(tree, tmp_path / "bare", sources=False)
    after = {path: hashlib.sha256((tree.root / path).read_bytes()).digest() for path in paths(tree.root)}
    assert before == after
    assert (tmp_path / "out/pkg/data.json").stat().st_ino == (tree.root / "pkg/data.json").stat().st_ino


def test_same_tree_twice(tmp_path: Path) -> None:
    """Same tree, same options: the same files with the same bytes and the same report."""
    first_tree, second_tree = full_tree(tmp_path / "a"), full_tree(tmp_path / "other/place")
    _, first = slim_it(first_tree, tmp_path / "out1")
    _, second = slim_it(second_tree, tmp_path / "out2")
    assert first == second
    assert paths(tmp_path / "out1") == paths(tmp_path / "out2")
    for path in paths(tmp_path / "out1"):
        assert (tmp_path / "out1" / path).read_bytes() == (tmp_path / "out2" / path).read_bytes()


def debug_tree(root: Path) -> Tree:
    """A tree with real libraries that have symbols to strip: those of this environment."""
    site = Path(backend_c.__file__).parent.parent
    found = [p for p in sorted(site.rglob("*.so")) if elf.is_elf(p) and strip(p.read_bytes())][:3]
    assert found, "no shared object of this environment can be stripped"
    return make_tree(root, {"libs": {f"libs/{n}/{p.name}": p.read_bytes() for n, p in enumerate(found)}})


def test_stripped_objects_are_loaded(tmp_path: Path) -> None:
    """Each is smaller, keeps its mode and loads; the report counts the bytes under ``strip``."""
    tree = debug_tree(tmp_path / "tree")
    objects = [path for path in paths(tree.root) if path.endswith(".so")]
    (tree.root / objects[0]).chmod(0o755)
    _, report = slim_it(tree, tmp_path / "out")
    assert report.reverted == {}
    saved = sum(one.bytes for one in report.dropped if one.rule == "strip")
    assert saved == sum(
        (tree.root / path).stat().st_size - (tmp_path / "out" / path).stat().st_size for path in objects
    )
    assert saved > 0
    assert (tmp_path / "out" / objects[0]).stat().st_mode & 0o777 == 0o755


def test_stripping_can_be_switched_off(tmp_path: Path) -> None:
    """``strip=False`` leaves every shared object its bytes."""
    tree = debug_tree(tmp_path / "tree")
    _, report = slim_it(tree, tmp_path / "out", strip=False)
    assert not [one for one in report.dropped if one.rule == "strip"]


def test_an_object_that_no_longer_loads_is_reverted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only that one gets its original bytes back, and the report says why."""
    tree = debug_tree(tmp_path / "tree")
    objects = sorted(path for path in paths(tree.root) if path.endswith(".so"))
    broken = (tree.root / objects[0]).read_bytes()

    def cut_one(data: bytes) -> bytes | None:
        return data[:4096] if data == broken else strip(data)

    monkeypatch.setattr(stripping, "strip", cut_one)
    said = Told()
    made = slim_copy(
        tree,
        tmp_path / "out",
        trace=touched(),
        python=TargetPython(own()),
        options=SlimOptions(),
        progress=said,
    )
    slimmed, report = made.tree, made.report
    check_sums(tree, slimmed, report)
    assert list(report.reverted) == [objects[0]]
    assert (tmp_path / "out" / objects[0]).read_bytes() == broken
    assert any(objects[0] in line for line in said.said)


class Counting:
    """Loads libraries here, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(
        self, root: Path, part: Path, names: Sequence[str], worker: Path, progress: Progress
    ) -> Mapping[str, str]:
        self.asked += 1
        return check_loads(root, part, names, own(), progress)


def test_what_loaded_is_not_loaded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a memory, in the same surroundings, all objects the same; what failed is tried again. The tree
    is the same with the memory and without it."""
    tree, load = debug_tree(tmp_path / "tree"), Counting()
    store = BuildCache(tmp_path / "cache")

    def again(surroundings: object = "here", memo: Memo = store) -> tuple[int, dict[str, bytes]]:
        before, out = load.asked, tmp_path / "out"
        shutil.rmtree(out, ignore_errors=True)
        slim_copy(
            tree, out, trace=touched(), options=SlimOptions(), memo=memo,
            python=TargetPython(own(), load, surroundings),
        )  # fmt: skip
        return load.asked - before, {path: (out / path).read_bytes() for path in paths(out)}

    bare = again(memo=NOTHING)[1]
    assert again() == (1, bare)
    assert again() == (0, bare)
    assert again("elsewhere")[0] == again(None)[0] == again(None)[0] == 1
    [broken, other, *_] = sorted(path for path in paths(tree.root) if path.endswith(".so"))
    (tree.root / other).write_bytes((tree.root / other).read_bytes() + b"more")
    assert [again()[0], again()[0]] == [1, 0]
    whole = (tree.root / broken).read_bytes()
    monkeypatch.setattr(stripping, "strip", lambda data: data[:4096] if data == whole else strip(data))
    first, second = again(), again()
    assert first == second
    assert first[0] == 1
    assert first[1][broken] == whole


def test_what_loaded_is_remembered_of_the_very_same_objects(tmp_path: Path) -> None:
    """Originals that are others, of which stripping took as much, are loaded."""
    asked = []

    def load(root: Path, part: Path, names: Sequence[str], *rest: object) -> Mapping[str, str]:
        asked.append(list(names))
        return {}

    python, store = TargetPython(None, load, "here"), BuildCache(tmp_path / "cache")
    for digest in ("a", "a", "b"):
        stripped = stripping.StripResult({"x.so": 5}, {}, {"x.so": digest})
        found = load_failures(tmp_path, tmp_path, stripped, python=python, memo=store, progress=QUIET)
        assert found == {}
    assert asked == [["x.so"], ["x.so"]]


def test_rules_that_are_restored_do_not_apply_to_that_distribution(tmp_path: Path) -> None:
    """Stripping and bytecode of other versions are rules too."""
    tree = debug_tree(tmp_path / "tree")
    cache = tree.root / "libs/__pycache__"
    cache.mkdir()
    (tree.root / "libs/x.py").touch()
    (cache / "x.cpython-27.pyc").write_bytes(b"1234\1\0\0\0")
    groups = {("strip", "libs"), ("caches", "libs")}
    for restore in (set(), groups):
        made = slim_copy(
            tree, tmp_path / f"out{len(restore)}", trace=touched(), python=TargetPython(),
            options=SlimOptions(), restore=restore,
        )  # fmt: skip
        assert groups & set(made.changes) == groups - restore
        assert (made.tree.root / "libs/__pycache__/x.cpython-27.pyc").exists() is bool(restore)


def test_what_did_not_load_before_is_not_held_against_stripping(tmp_path: Path) -> None:
    """A library that needs others to be loaded first fails both ways and stays stripped."""
    tree = debug_tree(tmp_path / "tree")
    [path] = sorted(path for path in paths(tree.root) if path.endswith(".so"))[:1]
    data = (tree.root / path).read_bytes()
    assert b"libc.so.6\0" in data
    (tree.root / path).write_bytes(data.replace(b"libc.so.6\0", b"nolib.so6\0"))
    _, report = slim_it(tree, tmp_path / "out")
    assert report.reverted == {}
    assert (tmp_path / "out" / path).stat().st_size < len(data)


def test_a_target_that_cannot_run_here(tmp_path: Path) -> None:
    """Without an interpreter nothing is loaded or compiled, and that is said."""
    tree = debug_tree(tmp_path / "tree")
    said = Told()
    made = slim_copy(
        tree, tmp_path / "out", trace=touched(), python=TargetPython(), options=SlimOptions(), progress=said
    )
    slimmed, report = made.tree, made.report
    check_sums(tree, slimmed, report)
    assert report.reverted == {}
    assert any("cannot run on this machine" in line for line in said.said)


def test_bad_input(tmp_path: Path) -> None:
    """An unknown rule and a destination with something in it are the user's to mend."""
    tree = full_tree(tmp_path / "tree")
    with pytest.raises(ConfigurationError, match="no slimming rule 'test'") as caught:
        slim_it(tree, tmp_path / "out", disable=("test",))
    assert caught.value.hint == "did you mean 'tests'?"
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").write_text("")
    with pytest.raises(ConfigurationError, match="not empty"):
        slim_it(tree, tmp_path / "full")


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted half way, there is neither a destination nor anything beside it."""

    def interrupted(data: bytes) -> bytes | None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stripping, "strip", interrupted)
    tree = debug_tree(tmp_path / "tree")
    with pytest.raises(KeyboardInterrupt):
        slim_it(tree, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("*.pyx", ["a.pyx", "a/b/c.pyx"], ["a.py", "a.pyx/b"]),
        ("a/*.txt", ["a/b.txt"], ["a/b/c.txt", "b/a/c.txt"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "b/a/c"]),
        ("a/", ["a/b/c"], ["a"]),
        ("**/tests/**", ["tests/a", "x/y/tests/a/b"], ["mytests/a", "x/tests"]),
        ("**", ["a", "a/b/c"], []),
        ("a?.py", ["ab.py"], ["a/.py", "abc.py"]),
        ("a[1].txt", ["a[1].txt"], ["a1.txt"]),
    ],
)
def test_patterns(pattern: str, matching: list[str], other: list[str]) -> None:
    """``*`` stays in its folder, ``**`` does not, and a bare name is looked for everywhere."""
    matches = matcher([pattern])
    assert [path for path in matching + other if matches(path)] == matching


@given(st.lists(st.text("ab*?/.[](+", min_size=1, max_size=8)), st.text("ab/.[](+", max_size=8))
def test_any_pattern_is_a_pattern(patterns: list[str], path: str) -> None:
    """No pattern is an error, and one without wildcards matches itself."""
    matcher(patterns)(path)
    if path and not path.startswith("/") and not path.endswith("/"):
        assert matcher([path])(path)
