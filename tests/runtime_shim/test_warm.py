"""What a process pays that finds everything in place: counted in modules and system calls, not in seconds."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from lambdapack.python.interpreter import Interpreter, find
from tests.support.shim_world import World, running_world

RUNNING: Interpreter = find("{}.{}".format(*sys.version_info[:2]))
SHIM = {"", "._disk", "._guard", "._importer", "._index", "._journal", "._signals", "._start", "._views"}
STANDARD = {
    "__future__",
    "_bisect",
    "_json",
    "_stat",
    "bisect",
    "errno",
    "posixpath",
    "stat",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, lambdapack_cache: Path) -> Iterator[World]:
    with running_world(tmp_path_factory.mktemp("world"), RUNNING, lambdapack_cache) as world:
        world.run("import runtime_shim; runtime_shim.ready()")
        yield world


@pytest.fixture(scope="module")
def strace() -> str:
    found = shutil.which("strace")
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs strace")
    return found


def calls(strace: str, world: World, code: str) -> list[str]:
    """The system calls of a Python that runs ``code`` in the function's folder, one a line."""
    log = world.root.parent / "calls"
    subprocess.run(
        [strace, "-f", "-o", log, world.interpreter.path, "-c", textwrap.dedent(code)],
        cwd=world.function,
        env=world.environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return log.read_text().splitlines()


def names(lines: list[str]) -> set[str]:
    return {found[1] for line in lines if (found := re.match(r"\d+\s+(\w+)\(", line))}


def test_a_warm_start_imports_the_shim_and_next_to_nothing_else(world: World) -> None:
    """No socket, no hashes, no decoder, no json: a process that has nothing to fetch loads none of them."""
    code = "import sys; before = set(sys.modules); import runtime_shim; after = set(sys.modules) - before"
    loaded = set(json.loads(world.run(f"{code}; import json; print(json.dumps(sorted(after)))")))
    assert loaded <= {f"runtime_shim{name}" for name in SHIM} | STANDARD
    assert "runtime_shim._importer" in loaded


def test_a_warm_start_makes_few_system_calls(world: World, strace: str) -> None:
    """A warm start looks at the index, the journal and the files that may have been removed; it starts
    no process, opens no connection and lists no folder of the pack."""
    bare = calls(strace, world, "pass")
    warm = calls(strace, world, "import runtime_shim")
    files = sum(kind not in "csm" for kind in world.pack.index.classes)
    # Most of it is what Python does to import the shim's eight modules.
    assert len(warm) - len(bare) <= 300 + files
    new = names(warm) - names(bare)
    assert not new & {"fork", "vfork", "clone", "clone3", "socket", "connect", "statfs", "flock"}


def test_an_invocation_makes_no_system_call_of_the_shim(world: World, strace: str) -> None:
    """Between two invocations of an empty handler there is nothing: no hook, no look at a clock."""
    code = """
        import os, runtime_shim, heavy
        runtime_shim.ready()
        def handler(event, context): return heavy.VERSION
        handler(None, None)
        os.write(1, b"begin")
        for _ in range(100): handler(None, None)
        os.write(1, b"end")
        """
    lines = calls(strace, world, code)
    begin = next(number for number, line in enumerate(lines) if '"begin"' in line)
    assert '"end"' in lines[begin + 1]
