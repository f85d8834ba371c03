"""What a process does while it waits for a frame."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lambdapack.python import interpreter
from lambdapack.python.interpreter import Interpreter
from tests.support.shim_world import World, make_tree, running_world, vouch

# The oldest and the newest: importlib is another one in each.
PYTHONS = [interpreter.installed()[0], interpreter.installed()[-1]]
# Modules that neither the interpreter nor the shim imports, and that import little.
EARLY = ("colorsys", "quopri", "fractions")
SLOW = 20.0
"""Mbit/s: the first frame is awaited for long enough to import a few small modules."""


@pytest.fixture(scope="module", params=PYTHONS, ids=[python.python for python in PYTHONS])
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, lambdapack_cache: Path
) -> Iterator[World]:
    python: Interpreter = request.param
    folder = tmp_path_factory.mktemp("world")
    tree, trace = make_tree(folder / "tree", python)
    made = tree, replace(trace, stdlib=EARLY)
    with running_world(folder, python, lambdapack_cache, made) as world:
        yield world


@pytest.fixture(autouse=True)
def cold(world: World) -> Iterator[None]:
    world.forget()
    world.link(bandwidth_mbps=SLOW)
    yield
    for name in EARLY:
        (world.function / f"{name}.py").unlink(missing_ok=True)


def early(world: World, before: str = "", **environment: str) -> list[str]:
    """Which modules of ``EARLY`` are there after ``before`` and an import that waits for the first frame."""
    code = f"""\
import sys
{before}
import runtime_shim, heavy
print("EARLY", [name for name in {EARLY!r} if name in sys.modules])
"""
    said = world.run(code, **environment)
    answer: list[str] = json.loads(said.split("EARLY ")[1].splitlines()[0].replace("'", '"'))
    return answer


def test_a_wait_imports_what_the_index_names(world: World) -> None:
    """The modules of the index's ``stdlib`` are imported while the first frame is on its way."""
    assert early(world) == list(EARLY)


def test_it_can_be_switched_off(world: World) -> None:
    """LAMBDAPACK_PREPARE=off leaves a wait idle."""
    assert early(world, LAMBDAPACK_PREPARE="off") == []


def test_a_module_of_the_functions_own_is_not_imported_early(world: World) -> None:
    """Nor is what follows it in the list, which may import it; the program imports both itself."""
    (world.function / f"{EARLY[1]}.py").write_text("print('too early')\n")
    assert early(world) == [EARLY[0]]


def test_nothing_is_imported_within_a_module_that_is_not_complete(world: World) -> None:
    """A module of the list that is in the middle of its import would be seen half."""
    half = f"import {EARLY[0]}; {EARLY[0]}.__spec__._initializing = True"
    assert early(world, half) == [EARLY[0]]


def test_another_thread_than_the_main_one_waits_idly(world: World) -> None:
    """Modules like ``threading`` take the thread that imports them for the main one."""
    other = """\
import threading, runtime_shim
def work():
    import heavy
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""
    assert early(world, other) == []


def test_an_error_of_an_early_import_is_dropped(world: World) -> None:
    """And none is tried after it; the program sees it where it imports the module itself."""
    finder = f"""\
class Finder:
    asked = 0
    def find_spec(self, name, path=None, target=None):
        if name == {EARLY[1]!r}:
            Finder.asked += 1
            raise ImportError("refused")
sys.meta_path.insert(0, Finder())
import runtime_shim, heavy
assert Finder.asked == 1
"""
    assert early(world, finder) == [EARLY[0]]


def test_what_a_signal_handler_raises_reaches_the_program(world: World) -> None:
    """An error that did not come from the import is not the shim's to drop."""
    code = f"""\
        import signal, sys
        class Late(Exception): pass
        def late(*_): raise Late
        signal.signal(signal.SIGALRM, late)
        class Finder:
            def find_spec(self, name, path=None, target=None):
                if name == {EARLY[1]!r}:
                    signal.raise_signal(signal.SIGALRM)
        sys.meta_path.insert(0, Finder())
        import runtime_shim
        try:
            import heavy
        except Late:
            print("LATE")
        """
    assert "LATE" in world.run(code)


def test_bytecode_is_unmarshalled_in_a_wait_and_taken_once(world: World) -> None:
    """The import of a module takes the code that a wait has made; a reload reads the bytecode again."""
    code = """\
        import importlib.util, runtime_shim, heavy
        open(heavy.__file__.replace("__init__.py", "bulk9.bin"), "rb").close()
        pack = runtime_shim._pack
        number = {path: file for file, path in enumerate(pack.index.paths)}[
            importlib.util.cache_from_source("heavy/second.py")]
        made = pack.codes[number]
        assert made is not None
        import heavy.second
        assert heavy.second.leaf.LEAF == "leaf" and pack.codes[number] is None
        assert importlib.reload(heavy.second).leaf.LEAF == "leaf"
        assert heavy.second.__loader__.get_code("heavy.second") is not made
        assert made.co_filename == heavy.second.__file__, made.co_filename
        """
    world.run(code)


def test_a_process_finds_the_packs_without_the_field(world: World) -> None:
    """A pack of an earlier writer names no modules: then there is nothing to import early."""
    index = world.function / "runtime_shim/index.json"
    kept = index.read_bytes()
    document = json.loads(kept)
    assert document.pop("stdlib") == list(EARLY)
    location = index.with_name("location.json")
    known = location.read_bytes()
    try:
        index.write_text(json.dumps(document, sort_keys=True, separators=(",", ":")))
        vouch(index)
        assert early(world) == []
    finally:
        index.write_bytes(kept)
        location.write_bytes(known)
