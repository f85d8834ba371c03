"""Bytecode that depends on its source and on the Python version alone."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdapack.errors import ToolError
from lambdapack.python import bytecode, bytecode_worker, interpreter
from lambdapack.python.bytecode import compile_tree
from lambdapack.python.interpreter import Interpreter

# Names that the interpreter uses and names that it does not, sets with None in them, characters of
# Latin-1 as names and as text, constants that repeat: all that marshal looks at.
SOURCES = {
    "names.py": "import os, sys\n\ndef __init__(self, é=1):\n    return os.path, self.encode, 'é', '.', é\n",
    "sets.py": "def f(x):\n    return x in {None, 'a', ..., 7, 'bc', 2.5, b'x', (None, 'q')} "
    "or x in {'b', 'a', 'c'}\n",
    "package/__init__.py": "class A:\n    def f(self):\n"
    "        self.b = self.a = (1 << 70, 'long text here')\n",
    "package/text.py": "X = ['é', '-', 'not a name', 'not a name', 'name', (1 << 70, 'long text here')]\n",
    "package/empty.py": "",
    "latin.py": "# -*- coding: latin-1 -*-\nX = 'ü'\n",
}
VERSIONS = sorted({found.python: found for found in interpreter.installed()}.items())


def make_tree(root: Path) -> Path:
    for name, text in SOURCES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="latin-1" if name == "latin.py" else "utf-8")
    return root


def own() -> Interpreter:
    return interpreter.find(".".join(map(str, sys.version_info[:2])))


def digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*.pyc"))
    }


@pytest.mark.parametrize(("version", "python"), VERSIONS, ids=[version for version, _ in VERSIONS])
def test_every_version_compiles_and_imports(tmp_path: Path, version: str, python: Interpreter) -> None:
    """The target's Python imports from the bytecode, with no source left to compile."""
    root = make_tree(tmp_path / "tree")
    compile_tree(root, python)
    tag = "cpython-" + version.replace(".", "")
    assert len(digests(root)) == len(SOURCES)
    assert all(f".{tag}.pyc" in name for name in digests(root))
    for path in root.rglob("*.py"):
        path.write_text("raise AssertionError('the source was read')\n")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import names, sets, latin, package.text as t;"
        "assert names.__init__.__code__.co_filename.endswith('/names.py');"
        "assert sets.f(None) and sets.f(...) and sets.f((None, 'q')) and sets.f('c') and not sets.f('z');"
        "assert t.X[0] == 'é' and t.X[5] == (1 << 70, 'long text here') and latin.X == 'ü'"
    )
    subprocess.run([python.path, "-I", "-B", "-c", code, root], check=True)


@pytest.mark.parametrize(("version", "python"), VERSIONS, ids=[version for version, _ in VERSIONS])
def test_same_bytes_whatever_the_surroundings(
    tmp_path: Path, version: str, python: Interpreter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folder, jobs, hash seed, time zone, locale, umask and neighbours do not show in the bytes."""
    one = make_tree(tmp_path / "one")
    compile_tree(one, python, jobs=1)
    two = make_tree(tmp_path / "a folder with a longer name" / "é")
    (two / "neighbour.py").write_text("é = 'a name of one character'\n" * 400)
    monkeypatch.setenv("PYTHONHASHSEED", "77")
    monkeypatch.setenv("PYTHONOPTIMIZE", "2")
    monkeypatch.setenv("TZ", "Pacific/Apia")
    monkeypatch.setenv("LC_ALL", "C")
    mask = os.umask(0o077)
    try:
        compile_tree(two, python, jobs=3)
    finally:
        os.umask(mask)
    first, second = digests(one), digests(two)
    assert len(first) == len(SOURCES)
    assert {name: second[name] for name in first} == first
    modes = {path.stat().st_mode & 0o777 for path in two.rglob("*.pyc")}
    assert modes == {0o644}


def test_same_bytes_from_a_process_with_a_history(tmp_path: Path) -> None:
    """What the compiling process did before does not show: this one has imported pytest and more."""
    if sys.version_info < (3, 11):
        sources = {name: text for name, text in SOURCES.items() if name != "sets.py"}
    else:
        sources = SOURCES
    root = make_tree(tmp_path)
    compile_tree(root, own())
    for name in sources:
        cached = root / bytecode_worker._cached(name)
        assert bytecode_worker.bytecode((root / name).read_bytes(), name) == cached.read_bytes()


def test_unchecked_hash_header(tmp_path: Path) -> None:
    """PEP 552: flags say hash-based and unchecked, so that an import never looks at the source."""
    root = make_tree(tmp_path)
    compile_tree(root, own())
    for path in root.rglob("*.pyc"):
        assert path.read_bytes()[4:8] == b"\x01\0\0\0"


def test_replaces_pips_bytecode_and_leaves_none_for_what_does_not_compile(tmp_path: Path) -> None:
    """A stale .pyc beside a source that does not compile would be imported instead of failing."""
    (tmp_path / "good.py").write_text("x = 1\n")
    (tmp_path / "template.py").write_text("import {{ name }}\n")
    (tmp_path / "nul.py").write_bytes(b"x = 1\0\n")
    (tmp_path / "coding.py").write_bytes(b"# coding: no-such-codec\n")
    stale = [tmp_path / bytecode_worker._cached(p.name) for p in tmp_path.glob("*.py")]
    (tmp_path / "__pycache__").mkdir()
    for path in stale:
        path.write_bytes(b"stale")
    compile_tree(tmp_path, own())
    assert [path.name for path in tmp_path.rglob("*.pyc")] == [Path(bytecode_worker._cached("good.py")).name]
    assert b"stale" not in next(tmp_path.rglob("*.pyc")).read_bytes()


def test_a_hard_link_is_not_written_through(tmp_path: Path) -> None:
    """The installed tree shares its files with the slimmed one, and keeps its bytes."""
    root = make_tree(tmp_path / "tree")
    compile_tree(root, own())
    cached = next(root.rglob("*.pyc"))
    other = tmp_path / "other.pyc"
    os.link(cached, other)
    other.write_bytes(b"installed")
    compile_tree(root, own())
    assert other.read_bytes() == b"installed"


def test_a_crash_of_the_compiler_costs_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that kills the compiling process is left without bytecode; the others are compiled."""
    worker = tmp_path / "crashing_worker.py"
    text = Path(bytecode_worker.__file__).read_text()
    crash = '    if b"CRASH" in source:\n        os.abort()\n    code = compile('
    worker.write_text(text.replace("    code = compile(", crash))
    monkeypatch.setattr(bytecode, "WORKER", worker)
    root = make_tree(tmp_path / "tree")
    (root / "crash.py").write_text("# CRASH\n" * 10)
    compile_tree(root, own(), jobs=1)
    assert len(digests(root)) == len(SOURCES)


def test_a_folder_that_cannot_be_written_is_a_tool_error(tmp_path: Path) -> None:
    """The message says which file could not be written."""
    (tmp_path / "a.py").write_text("")
    (tmp_path / "__pycache__").write_text("a file where the folder belongs")
    with pytest.raises(ToolError, match="__pycache__"):
        compile_tree(tmp_path, own())


def test_an_interpreter_that_fails_is_a_tool_error(tmp_path: Path) -> None:
    """The exit status is told."""
    (tmp_path / "a.py").write_text("")
    false = shutil.which("false")
    assert false is not None
    with pytest.raises(ToolError, match="status 1"):
        compile_tree(tmp_path, Interpreter(Path(false), "3.11.0", "x86_64"))


def test_an_empty_tree_is_no_work(tmp_path: Path) -> None:
    """No files, no bytecode, no error."""
    compile_tree(tmp_path, own())
    assert not list(tmp_path.iterdir())


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from(["None", "...", "'a'", "'bc'", "1", "2.5", "b'x'", "True", "(None, 1)"]), min_size=2
    )
)
def test_sets_without_references_load_as_the_same_sets(items: list[str]) -> None:
    """The bytes with sets put in order are the same code."""
    listed = ", ".join(items)
    source = f"def f(x):\n    return x in {{{listed}}}\nr = [f(v) for v in ({listed}, 'z')]\n"
    code = compile(source, "x.py", "exec")
    sets: list[frozenset[object]] = []
    bytecode_worker._walk(code, [], sets)
    body = bytecode_worker._with_sets_in_order(code, sets)
    scope: dict[str, object] = {}
    exec(bytecode_worker.marshal.loads(body), scope)
    assert scope["r"] == [True] * len(items) + [False]
