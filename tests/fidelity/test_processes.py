"""Processes that a function starts find its pack, on every Python at hand."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from lambdapack.python import interpreter
from tests.support.shim_world import World, running_world

VERSIONS = [found.python for found in interpreter.installed()]


@pytest.fixture(scope="module", params=VERSIONS)
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, lambdapack_cache: Path
) -> Iterator[World]:
    with running_world(
        tmp_path_factory.mktemp("processes" + request.param),
        interpreter.find(request.param),
        lambdapack_cache,
    ) as world:
        yield world


RUN = """
import runtime_shim, os, subprocess, sys
def child(*arguments, **more):
    done = subprocess.run([sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        universal_newlines=True, **more)
    return done.stdout
"""


def test_a_child_imports_where_the_shim_put_the_pack(world: World) -> None:
    """A child, and its own child, import the same files, and the shim leaves no folder of its own behind."""
    code = """
        inner = "import heavy.second, sys; print(heavy.__file__); print([p for p in sys.path if 'shim' in p])"
        outer = "import subprocess, sys; subprocess.run([sys.executable, '-c', %r])" % inner
        import heavy
        assert child("-c", inner).split() == [heavy.__file__, "[]"], child("-c", inner)
        assert child("-c", outer).split() == [heavy.__file__, "[]"], child("-c", outer)
        assert child("-m", "heavy") == "main of heavy\\n"
        assert child(os.path.join(os.path.dirname(heavy.__file__), "__main__.py")) == "main of heavy\\n"
        print("fine")
        """
    world.forget()
    assert run(world, code) == "fine"


def test_a_child_does_not_start_the_handler(world: World) -> None:
    """Where the shim is the handler, a child imports no handler, says nothing and keeps the variable."""
    (world.function / "wrapped.py").write_text("print('wrapped')\nhandler = None\n")
    code = """
        text = child("-c", "import os, heavy; print(os.environ['LAMBDAPACK_HANDLER'])")
        assert text == "wrapped.handler\\n", text
        print("fine")
        """
    assert run(world, code, LAMBDAPACK_HANDLER="wrapped.handler") == "fine"


def test_the_sitecustomize_that_was_there_runs_too(world: World, tmp_path: Path) -> None:
    """The shim's own hides another one on PYTHONPATH and so runs it, with the pack in place."""
    (tmp_path / "sitecustomize.py").write_text("import heavy\nheavy.SEEN = __file__\n")
    code = """
        print(child("-c", "import heavy, sitecustomize; print(heavy.SEEN == sitecustomize.__file__)").strip())
        """
    assert run(world, code, PYTHONPATH=str(tmp_path)) == "True"


def test_a_python_of_another_version_leaves_the_pack_alone(world: World) -> None:
    """It starts without a word and does not find the pack's modules."""
    others = [found for found in interpreter.installed() if found.python != world.interpreter.python]
    if not others:
        others = [world.interpreter]
    code = f"""
        if {others[0] is world.interpreter}:
            os.environ["LAMBDAPACK_TAG"] = "cpython-0"
        sys.executable = {str(others[0].path)!r}
        print(child("-c", "import importlib.util as u; print(u.find_spec('heavy'))").strip())
        """
    assert run(world, code) == "None"


def test_a_fork_during_the_fetch_waits_for_what_its_parent_fetches(world: World) -> None:
    """A process forked while a thread of its parent fetches has every frame, and ends."""
    world.forget()
    world.link(bandwidth_mbps=100)
    try:
        before = "import threading\nstop = threading.Event()\nthreading.Thread(target=stop.wait).start()\n"
        after = """
        child_id = os.fork()
        if not child_id:
            runtime_shim.ready()
            import heavy.cold
            path = os.path.join(os.path.dirname(heavy.__file__), "bulk19.bin")
            os._exit(len(open(path, "rb").read()) >> 20)
        status = os.waitpid(child_id, 0)[1]
        stop.set()
        print(os.WEXITSTATUS(status), runtime_shim.stats()["role"])
        """
        out = world.run(before + RUN + textwrap.dedent(after))
    finally:
        world.link()
    assert out.splitlines()[-1] == "1 fetcher"


def run(world: World, code: str, **environment: str) -> str:
    """The last line that ``code`` prints, with ``child`` at hand."""
    return world.run(RUN + textwrap.dedent(code), **environment).splitlines()[-1]
