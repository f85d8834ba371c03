"""Which modules of the standard library may be imported before the program does."""

from __future__ import annotations

from pathlib import Path

import pytest

from lambdapack import trace
from lambdapack.install.local import LocalWorkshop
from lambdapack.model.lock import Lock, Pin
from lambdapack.progress import QUIET
from lambdapack.python import interpreter, worker
from lambdapack.python.interpreter import Interpreter
from lambdapack.trace import tracing
from tests.support.installed import own
from tests.trace.test_trace import PACKAGE, make_tree

VERSIONS = [(found.python, found) for found in interpreter.installed()]
MODULES = {
    "fine": "import colorsys",
    "prints": "print('x')",
    "starts": "import threading, time; threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
    "sets": "import os; os.environ['SET'] = '1'",
    "handles": "import signal; signal.signal(signal.SIGUSR1, print)",
    "opens": "import os; file = os.open('/dev/null', 0)",
    "warns": "import warnings; warnings.warn('old', DeprecationWarning)",
    "hooks": "import sys; sys.meta_path.append(type(sys))",
    "fails": "raise RuntimeError",
    "leaves": "import os; os._exit(3)",
    "unsafe": "",
    "uses": "import fine, sets",
    "tries": "try:\n    import unsafe\nexcept ImportError:\n    pass",
    "last": "import fine",
}


def early(folder: Path, python: Interpreter, *names: str) -> list[str]:
    """What the worker says of modules that stand in for the standard library's."""
    (folder / "modules").mkdir()
    for name, text in MODULES.items():
        (folder / "modules" / f"{name}.py").write_text(text)
    request = {"names": names, "unsafe": ["unsafe"], "log": str(folder / "log")}
    variables = {"PYTHONPATH": str(folder / "modules")}
    (folder / "work").mkdir()
    found = worker.ask(
        python, tracing._STDLIB_WORKER, request, folder / "work",
        seconds=60, doing="testing", environment=variables,
    )  # fmt: skip
    names_of: list[str] = found["early"]
    return names_of


@pytest.mark.parametrize(("version", "python"), VERSIONS, ids=[version for version, _ in VERSIONS])
def test_what_changes_anything_visible_is_left_out(tmp_path: Path, version: str, python: Interpreter) -> None:
    """And so is what imports it, and what would import a module that is never imported early."""
    names = [name for name in MODULES if name != "leaves"]
    assert early(tmp_path, python, *names, "no_such_module") == ["fine", "last"]


def test_a_module_that_ends_the_process_leaves_nothing(tmp_path: Path) -> None:
    """Then nobody knows what is safe."""
    assert early(tmp_path, own(), "fine", "leaves") == []


def test_modules_stand_in_the_order_in_which_they_are_complete(tmp_path: Path) -> None:
    """What a module imports comes before it, and what a package imports of itself comes with it."""
    found = early(tmp_path, own(), "logging.handlers", "asyncio.events", "logging", "asyncio", "socket")
    assert found == ["logging", "socket", "logging.handlers", "asyncio"]


def test_a_trace_names_the_public_modules_of_the_standard_library(tmp_path: Path) -> None:
    """Those that the program imported: not the tree's, not private ones, not what was there before."""
    tree = make_tree(tmp_path, {**PACKAGE, "colorsys.py": ""})
    found = trace.run(tree, own(), "import zeta, colorsys, graphlib, _strptime, xml.dom.minidom, os")
    assert {"graphlib", "xml", "xml.dom", "xml.dom.minidom", "pathlib"} <= set(found.stdlib)
    assert not {"zeta", "alpha", "colorsys", "_strptime", "os", "__main__"} & set(found.stdlib)
    assert found.stdlib.index("pathlib") < found.stdlib.index("graphlib")


@pytest.mark.parametrize(("installed", "expected"), [("zeta", ("graphlib",)), ("gevent", ())])
def test_nothing_comes_before_a_package_that_patches(
    tmp_path: Path, installed: str, expected: tuple[str, ...]
) -> None:
    """gevent replaces parts of the standard library: nothing of it may be imported before."""
    tree = make_tree(tmp_path / "tree", PACKAGE)
    lock = Lock(tree.target, (2, 26), (Pin(installed, "1", ()),), ("zeta",))
    (tmp_path / "work").mkdir()
    workshop = LocalWorkshop(own(), tmp_path / "work")
    program = trace.Program(
        trace.TraceOptions(code="import zeta, graphlib, this"), lock, workshop, tmp_path / "work", QUIET
    )
    found = program.early(program.trace(tree))
    assert "this" not in found.stdlib
    assert tuple(name for name in found.stdlib if name == "graphlib") == expected
    assert bool(found.stdlib) == bool(expected)
