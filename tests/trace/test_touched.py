"""What real starts fetched on demand, in the next build."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lambdapack import trace
from lambdapack.errors import ConfigurationError
from lambdapack.install import LocalWorkshop
from lambdapack.model import Lock
from lambdapack.progress import QUIET
from lambdapack.python.bytecode import compile_tree
from tests.support.installed import own
from tests.trace.test_trace import PACKAGE, make_tree

START = json.dumps({"on_demand": 2, "on_demand_files": ["a/b.py", "c.txt"], "lambdapack": "cold_start"})
LATER = '{"lambdapack": "on_demand", "pack": "0", "on_demand_files": ["d.pyc"]}'


def test_the_lines_of_a_log_name_files() -> None:
    """Alone, after a time stamp, or as the message of a log in JSON; other lines are passed over."""
    lines = [
        "START RequestId: x\n",
        f"2026-11-26T03:00:00 {START}\n",
        json.dumps({"timestamp": "now", "message": LATER, "level": "INFO"}),
        '{"on_demand_files": not JSON}',
        '{"lambdapack": "on_demand", "on_demand_files": ["../up", "/etc/passwd", "", 3, "a\\nb"]}',
        '{"lambdapack": "on_demand", "on_demand_files": null}',
        "on_demand_files",
    ]
    assert list(trace.logged(lines)) == ["a/b.py", "c.txt", "d.pyc"]


def test_the_file_of_touched_paths_is_read_as_it_was_written() -> None:
    """Sorted, each once, under a comment; what is no path in a pack is refused."""
    text = trace.write_touched(["b/c", "a", "b/c"])
    assert text.startswith("# ") and trace.read_touched(text) == ("a", "b/c")
    assert trace.read_touched(f"\n  x \n{text}") == ("a", "b/c", "x")
    with pytest.raises(ConfigurationError, match="not a path in a pack"):
        trace.read_touched("a\n../b\n")


def program(folder: Path, options: trace.TraceOptions, lock: Lock) -> trace.Program:
    (folder / "work").mkdir()
    return trace.Program(options, lock, LocalWorkshop(own(), folder / "work"), folder / "work", QUIET)


def test_touched_files_come_after_what_the_trace_saw(tmp_path: Path) -> None:
    """A source with its bytecode, so that the source is hot too; a path that is not there is passed over."""
    tree = make_tree(tmp_path / "tree", PACKAGE)
    compile_tree(tree.root, own())
    options = trace.TraceOptions(code="import alpha", touched=("gone.txt", "zeta/cold.txt", "zeta/a.py"))
    runs = program(tmp_path, options, Lock(tree.target, (2, 26), (), ()))
    tag = tree.target.cache_tag
    found = runs.with_touched(tree, runs.trace(tree))
    assert found.files == (
        f"__pycache__/alpha.{tag}.pyc",
        "zeta/cold.txt",
        f"zeta/__pycache__/a.{tag}.pyc",
        "zeta/a.py",
    )


def test_a_handler_is_called_with_every_event(tmp_path: Path) -> None:
    """In one process, in order: what any call touches is hot."""
    tree = make_tree(tmp_path / "tree", PACKAGE)
    (tmp_path / "source").mkdir()
    (tmp_path / "source/app.py").write_text(
        "def handler(event, context):\n    print(context.function_name)\n    __import__(event['name'])\n"
    )
    events = ({"name": "alpha"}, {"name": "zeta"})
    options = trace.TraceOptions(handler="app.handler", events=events, source=tmp_path / "source")
    runs = program(tmp_path, options, Lock(tree.target, (2, 26), (), ()))
    assert runs.trace(tree).files[:2] == ("alpha.py", "zeta/__init__.py")


def test_the_program_finds_what_it_finds_in_lambda(tmp_path: Path) -> None:
    """Its names and its memory, and neither semaphores nor shared memory: Lambda has no /dev/shm."""
    code = """\
import multiprocessing, multiprocessing.shared_memory, os, zeta
makers = (
    multiprocessing.Lock,
    multiprocessing.Queue,
    lambda: multiprocessing.shared_memory.SharedMemory(create=True, size=10),
)
for make in makers:
    try:
        make()
    except OSError as error:
        assert error.errno == 38, error
    else:
        raise AssertionError(make)
assert os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "512"
assert os.environ["AWS_LAMBDA_FUNCTION_NAME"] == "own"
assert os.environ["AWS_EXECUTION_ENV"].startswith("AWS_Lambda_python3.")
assert os.environ["LAMBDA_TASK_ROOT"] == os.getcwd()
"""
    tree = make_tree(tmp_path / "tree", PACKAGE)
    options = trace.TraceOptions(code=code, memory=512, environment={"AWS_LAMBDA_FUNCTION_NAME": "own"})
    assert program(tmp_path, options, Lock(tree.target, (2, 26), (), ())).trace(tree).how == "traced"
