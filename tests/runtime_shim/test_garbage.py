"""The garbage collector looks rarely during the imports of a handler, and as before from then on."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from lambdapack.python.interpreter import Interpreter, find
from tests.support.shim_world import World

RUNNING: Interpreter = find("{}.{}".format(*sys.version_info[:2]))
# What Lambda's runtime does: import the handler's module, then get the handler from it.
RUNTIME = """
import gc, importlib, json, os, sys
module = importlib.import_module("app")
during = module.__dict__["during"]
handler = getattr(module, "handler")
print(json.dumps({"during": during, "after": gc.get_threshold(), "young": gc.get_count()[0],
                  "enabled": gc.isenabled(), "frozen": gc.get_freeze_count()}))
"""


def start(world: World, between: str = "", **environment: str) -> dict[str, Any]:
    """What a function's process says whose handler runs ``between`` after its imports."""
    lines = [
        "import runtime_shim",
        "import gc, heavy",
        "during = gc.get_threshold()",
        between,
        "def handler(event, context): return heavy.VERSION",
    ]
    (world.function / "app.py").write_text("\n".join(lines))
    answer = world.run(RUNTIME, _HANDLER="app.handler", **environment).splitlines()[-1]
    said: dict[str, Any] = json.loads(answer)
    return said


def test_collections_are_rare_during_the_imports_and_usual_afterwards(world: World) -> None:
    """The first threshold is large until Lambda asks for the handler, then what it was."""
    usual = json.loads(world.run("import gc, json; print(json.dumps(gc.get_threshold()))"))
    said = start(world)
    assert said["during"] == [500_000, *usual[1:]]
    assert said["after"] == usual
    assert said["enabled"]
    assert said["frozen"] == 0


def test_the_first_invocation_does_not_pay_for_what_the_imports_made(world: World) -> None:
    """What the imports made is old: the first young collection has next to nothing to look at."""
    objects = "kept = [[number] for number in range(20_000)]"
    assert start(world, objects)["young"] < 1_000


def test_a_small_function_waits_with_less_garbage(world: World) -> None:
    """The bound is in proportion to the function's memory."""
    assert start(world, AWS_LAMBDA_FUNCTION_MEMORY_SIZE="128")["during"][0] == 128 * 300


@pytest.mark.parametrize(
    ("between", "after"), [("gc.set_threshold(5, 6, 7)", [5, 6, 7]), ("gc.set_threshold(0)", [0, 10, 10])]
)
def test_thresholds_that_the_function_chooses_stay(world: World, between: str, after: list[int]) -> None:
    """A handler that sets thresholds itself finds its own in its invocations."""
    assert start(world, between)["after"][0] == after[0]


def test_frozen_objects_stay_frozen(world: World) -> None:
    """A handler that freezes what it has imported keeps it so."""
    assert start(world, "gc.freeze()")["frozen"] > 0


def test_a_process_without_a_handler_collects_as_usual(world: World) -> None:
    """A script that imports the shim is never asked for a handler: nothing is postponed."""
    code = "import gc; before = gc.get_threshold(); import runtime_shim; print(gc.get_threshold() == before)"
    assert world.run(code).split() == ["True"]
