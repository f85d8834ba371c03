"""The order of first use: traced, or by rule of thumb."""

from __future__ import annotations

import tempfile
import textwrap
from collections.abc import Mapping
from pathlib import Path

import pytest
from zstandard import backend_c

from lambdapack import trace
from lambdapack.errors import CheckError
from lambdapack.model import Distribution, Tree
from lambdapack.model.target import Target
from lambdapack.python import interpreter
from lambdapack.python.bytecode import compile_tree
from lambdapack.python.interpreter import Interpreter
from lambdapack.trace import trace_worker, tracing
from lambdapack.trace.modules import public_modules
from tests.support.installed import OWN, own
from tests.support.told import Told

VERSIONS = [(found.python, found) for found in interpreter.installed()]

PACKAGE = {
    "zeta/__init__.py": "from . import b\nfrom .a import value\n",
    "zeta/a.py": "import json, pathlib\nvalue = (pathlib.Path(__file__).parent / 'data.txt').read_text()\n",
    "zeta/b.py": "import alpha\n",
    "zeta/unused.py": "",
    "zeta/data.txt": "hello",
    "zeta/cold.txt": "never",
    "alpha.py": "x = 1\n",
}


def make_tree(root: Path, files: Mapping[str, str], *, python: str = OWN) -> Tree:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    tops: dict[str, list[str]] = {}
    for name in sorted(files):
        tops.setdefault(name.split("/")[0].split(".")[0].split("-")[0], []).append(name)
    found = tuple(Distribution(top, "1", tuple(names), (top,)) for top, names in sorted(tops.items()))
    return Tree(root, Target(python), found)


@pytest.mark.parametrize(("version", "python"), VERSIONS, ids=[version for version, _ in VERSIONS])
def test_order_of_first_use(tmp_path: Path, version: str, python: Interpreter) -> None:
    """Files come in the order in which the program first opened them; the others are not there."""
    tree = make_tree(tmp_path, PACKAGE, python=version)
    compile_tree(tmp_path, python)
    tag = tree.target.cache_tag
    found = trace.run(tree, python, "import zeta\nimport zeta.a")
    assert found.files == (
        f"zeta/__pycache__/__init__.{tag}.pyc",
        f"zeta/__pycache__/b.{tag}.pyc",
        f"__pycache__/alpha.{tag}.pyc",
        f"zeta/__pycache__/a.{tag}.pyc",
        "zeta/data.txt",
    )
    assert found.native == frozenset()
    assert found.how == "traced"


def test_a_tree_without_bytecode_names_sources_and_stays_as_it_is(tmp_path: Path) -> None:
    """Python reads the sources then, and nothing is written to the tree."""
    tree = make_tree(tmp_path, PACKAGE)
    found = trace.run(tree, own(), "import zeta")
    assert found.files == ("zeta/__init__.py", "zeta/b.py", "alpha.py", "zeta/a.py", "zeta/data.txt")
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()) == sorted(PACKAGE)


@pytest.mark.parametrize(("version", "python"), VERSIONS, ids=[version for version, _ in VERSIONS])
def test_what_native_code_opens_is_native(tmp_path: Path, version: str, python: Interpreter) -> None:
    """C's fopen is seen and marked; what Python itself opens as well is not."""
    code = """\
        import ctypes, pathlib, zeta
        libc = ctypes.CDLL(None)
        libc.fopen.restype = ctypes.c_void_p
        folder = pathlib.Path(zeta.__file__).parent
        assert libc.fopen(str(folder / "cold.txt").encode(), b"rb")
        assert libc.fopen(str(folder / "data.txt").encode(), b"rb")
    """
    tree = make_tree(tmp_path, PACKAGE, python=version)
    found = trace.run(tree, python, textwrap.dedent(code))
    assert found.native == {"zeta/cold.txt"}
    assert found.files[-1] == "zeta/cold.txt"


def test_shared_objects_and_bytecode_are_never_native(tmp_path: Path) -> None:
    """The dynamic linker's opens and those of a Python that the program starts are not native data."""
    tree = make_tree(tmp_path, {**PACKAGE, "zeta/x.so": ""})
    (tmp_path / "zeta/x.so").write_bytes(Path(backend_c.__file__).read_bytes())
    code = """\
        import ctypes, subprocess, sys
        ctypes.CDLL(sys.path[0] + "/zeta/x.so", mode=1)
        other = "import sys; sys.path.insert(0, sys.argv[1]); import alpha"
        subprocess.run([sys.executable, "-S", "-c", other, sys.path[0]], check=True)
    """
    found = trace.run(tree, own(), textwrap.dedent(code))
    assert set(found.files) == {"zeta/x.so", "alpha.py"}
    assert found.native == frozenset()


def test_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home and a temporary folder of its own, given variables, no other packages, a folder to start in."""
    monkeypatch.setenv("SECRET_OF_THIS_PROCESS", "x")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "elsewhere"))
    tree = make_tree(tmp_path / "tree", PACKAGE)
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "app.py").write_text("import zeta\n")
    code = f"""\
        import os, sys, tempfile, app
        task = os.environ["LAMBDA_TASK_ROOT"]
        assert os.path.samefile(task, {str(tmp_path / "source")!r})
        assert os.listdir() == (["app.py"] if task == "/var/task" else [])
        assert os.environ["GIVEN"] == "1" and "SECRET_OF_THIS_PROCESS" not in os.environ
        assert os.path.expanduser("~") != {str(Path.home())!r}
        assert tempfile.gettempdir() == os.environ["TMPDIR"]
        assert sys.path[:2] == [{str(tree.root)!r}, task], sys.path
        assert not any("site-packages" in path or "elsewhere" in path for path in sys.path), sys.path
        assert __name__ == "__main__" and sys.argv == ["-c"]
        exit(0)
    """
    search, options = [tmp_path / "source"], trace.TraceOptions(environment={"GIVEN": "1"})
    found = trace.run(tree, own(), textwrap.dedent(code), search=search, options=options)
    assert "zeta/data.txt" in found.files


@pytest.mark.parametrize(
    ("code", "how", "detail"),
    [
        ("import zeta\n1 / 0", "ended with status 1", "ZeroDivisionError"),
        ("import no_such_module", "ended with status 1", "No module named 'no_such_module'"),
        ("raise SystemExit('no key')", "ended with status 1", "no key"),
        ("import sys; sys.exit(7)", "ended with status 7", None),
        ("import os; os.abort()", "crashed with SIGABRT", None),
        ("syntax error", "ended with status 1", "SyntaxError"),
    ],
)
def test_a_failure_is_a_check_error_with_its_last_lines(
    tmp_path: Path, code: str, how: str, detail: str | None
) -> None:
    """The message says how the code ended, ``detail`` what it printed; no line of the harness's own."""
    tree = make_tree(tmp_path, PACKAGE)
    with pytest.raises(CheckError, match=how) as caught:
        trace.run(tree, own(), code)
    if detail:
        assert caught.value.detail is not None
        assert detail in caught.value.detail
        assert "worker.py" not in caught.value.detail


def test_a_timeout_ends_the_code_and_what_it_started(tmp_path: Path) -> None:
    """Neither the program nor its children outlive the trace."""
    tree = make_tree(tmp_path / "tree", PACKAGE)
    pids = tmp_path / "pids"
    code = f"""\
        import os, time
        child = os.fork()
        open({str(pids)!r}, "a").write(f"{{os.getpid()}}\\n")
        time.sleep(600)
    """
    with pytest.raises(CheckError, match=r"longer than 1 s"):
        trace.run(tree, own(), textwrap.dedent(code), options=trace.TraceOptions(timeout=1))
    for pid in pids.read_text().split():
        stat = Path(f"/proc/{pid}/stat")
        assert not stat.exists() or stat.read_text().split()[2] == "Z"


def test_same_order_every_time(tmp_path: Path) -> None:
    """The order is part of a pack's bytes: sets of names do not shuffle it."""
    files = {f"m{number}.py": "" for number in range(30)}
    files["all.py"] = f"for name in { {f'm{n}' for n in range(30)} }:\n    __import__(name)\n"
    tree = make_tree(tmp_path, files)
    found = [trace.run(tree, own(), "import all").files for _ in range(3)]
    assert len(found[0]) == 31
    assert found[0] == found[1] == found[2]


def test_without_inotify_the_hook_and_the_maps_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No inotify: Python's opens and mapped libraries are known, and the user is told what is not."""
    text = Path(trace_worker.__file__).read_text()
    broken = tmp_path / "broken_worker.py"
    broken.write_text(text.replace("self._fd = libc.inotify_init1(_IN_NONBLOCK)", "self._fd = -1"))
    assert "self._fd = -1" in broken.read_text()
    monkeypatch.setattr(tracing, "_WORKER", broken)
    told = Told()
    tree = make_tree(tmp_path / "tree", PACKAGE)
    found = trace.run(tree, own(), "import zeta", progress=told)
    assert found.files == ("zeta/__init__.py", "zeta/b.py", "alpha.py", "zeta/a.py", "zeta/data.txt")
    assert "inotify" in told.warnings[0]


def test_many_files_at_once(tmp_path: Path) -> None:
    """As many opens as a large import makes are all seen, in order."""
    files = {f"data/{number:05}.txt": "x" for number in range(5000)}
    tree = make_tree(tmp_path, files)
    code = "import os, sys\nfor n in range(5000):\n    os.close(os.open(f'{sys.path[0]}/data/{n:05}.txt', 0))"
    assert trace.run(tree, own(), code).files == tuple(sorted(files))


def test_default_code_imports_what_was_asked_for(tmp_path: Path) -> None:
    """One line a module; a package that an entry point declares a model is loaded too."""
    files = {
        "zeta/__init__.py": "",
        "_zeta_c.py": "",
        "model_x/__init__.py": "def load(): ...\n",
        "model_x-1.dist-info/entry_points.txt": "[spacy_models]\nmodel_x = model_x\n",
    }
    tree = make_tree(tmp_path, files)
    assert trace.default_code(tree, {"zeta"}) == "import zeta"
    assert trace.default_code(tree, {"zeta", "model_x"}) == "import model_x\nimport zeta\nmodel_x.load()"
    assert trace.default_code(tree, ()) == ""


@pytest.mark.parametrize(
    ("name", "files", "expected"),
    [
        ("scikit-learn", ["sklearn/__init__.py", "sklearn/a.py"], ["sklearn"]),
        ("torch", ["torch/__init__.py", "functorch/__init__.py", "torchgen/__init__.py"], ["torch"]),
        ("pyyaml", ["yaml/__init__.py", "_yaml/__init__.py"], ["yaml"]),
        ("cffi-only", ["_cffi_backend.cpython-311-x86_64-linux-gnu.so"], ["_cffi_backend"]),
        ("google-cloud-storage", ["google/cloud/storage/__init__.py", "google/cloud/storage/x.py"], None),
        ("six", ["six.py"], ["six"]),
        ("bad", ["bad/__init__.py", "tests/__init__.py", "docs/__init__.py"], ["bad"]),
        ("types-x", ["x-stubs/__init__.pyi"], []),
    ],
)
def test_public_modules(name: str, files: list[str], expected: list[str] | None) -> None:
    """What a user would import: not the private, not tests, below a namespace not the namespace."""
    found = public_modules(Distribution(name, "1", tuple(files), ()))
    assert found == (["google.cloud.storage"] if expected is None else expected)


def test_heuristic_follows_imports_as_python_would(tmp_path: Path) -> None:
    """Same order as a trace of the same modules; not what only functions or type checkers import."""
    files = {
        **PACKAGE,
        "zeta/b.py": (
            "from typing import TYPE_CHECKING\nimport alpha\nif TYPE_CHECKING:\n    from . import unused\n"
            "def f():\n    from . import unused\ntry:\n    import absent\nexcept ImportError:\n    pass\n"
        ),
    }
    tree = make_tree(tmp_path, files)
    found = trace.heuristic(tree, ["zeta"])
    traced = trace.run(tree, own(), trace.default_code(tree, ["zeta"]))
    assert found.files == tuple(path for path in traced.files if path.endswith(".py"))
    assert found.how == "heuristic"
    assert found.code == "import zeta"


def test_heuristic_takes_the_shared_objects_of_what_it_reached(tmp_path: Path) -> None:
    """What compiled modules import cannot be read, so all of a reached distribution's come along."""
    files = {
        **PACKAGE,
        "zeta/_c.abi3.so": "",
        "zeta/lib.so.1": "",
        "other/_c.so": "",
        "other/__init__.py": "",
    }
    tree = make_tree(tmp_path, files)
    found = trace.heuristic(tree, ["zeta"]).files
    assert found[-2:] == ("zeta/_c.abi3.so", "zeta/lib.so.1")
    assert not any(path.startswith("other/") for path in found)


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code's home, its temporary files and the recordings are gone afterwards."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    code = "import os, pathlib\npathlib.Path(os.environ['TMPDIR'], 'left').write_text('x')"
    trace.run(make_tree(tmp_path / "tree", PACKAGE), own(), code)
    assert list(scratch.iterdir()) == []
