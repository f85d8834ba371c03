"""Signal handlers of the program, which Python runs in the middle of whatever the main thread does."""

from __future__ import annotations

import json
import signal
import sys
from typing import Any

import pytest

from lambdapack.local.link import Fault
from lambdapack.python import interpreter
from runtime_shim._signals import DeferredSignals
from tests.support.shim_world import World

RUNNING = interpreter.find("{}.{}".format(*sys.version_info))


@pytest.fixture(autouse=True)
def cold(world: World) -> None:
    """Each test begins with an empty folder; the first fetch on demand is slow."""
    world.forget()
    world.link(faults=[Fault(nth=2, kind="stall", after=100, seconds=0.5)])


def answer(world: World, code: str) -> Any:
    return json.loads(world.run(code).splitlines()[-1])


def test_a_handler_sees_the_pack_also_in_the_middle_of_a_fetch(world: World) -> None:
    """It opens a file that is not in place, again and again while another is fetched on demand."""
    code = """
        import json, signal, runtime_shim, heavy
        runtime_shim.ready()
        seen = []
        def handle(number, frame):
            with open(heavy.__file__) as file:
                seen.append(file.readline())
        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
        from heavy import cold
        signal.setitimer(signal.ITIMER_REAL, 0)
        same = signal.getsignal(signal.SIGALRM) is handle
        print(json.dumps([cold.COLD, len(set(seen)), same, runtime_shim.stats()["retries"]]))
        """
    assert answer(world, code) == ["never traced", 1, True, 0]


def test_a_handler_sees_the_pack_also_in_the_middle_of_the_shims_own_imports(world: World) -> None:
    """A module of the shim that is imported late is whole for the handler, or its import is not needed."""
    code = """
        import json, signal, sys, runtime_shim
        seen, modules = [], []
        def handle(number, frame):
            with open(sys.modules["heavy"].__file__.replace("__init__", "cold")) as file:
                seen.append(file.readline())
        def interrupt(event, args):
            if event == "exec" and "/runtime_shim/_" in args[0].co_filename and "heavy" in sys.modules:
                modules.append(args[0].co_filename.rpartition("/")[2])
                signal.raise_signal(signal.SIGALRM)
        signal.signal(signal.SIGALRM, handle)
        sys.addaudithook(interrupt)
        from heavy import cold
        print(json.dumps([cold.COLD, len(set(seen)), "_inprocess.py" in modules]))
        """
    assert answer(world, code) == ["never traced", 1, True]


def test_a_handler_sees_the_pack_also_in_the_middle_of_the_programs_own_imports(world: World) -> None:
    """Whichever module of the standard library a fetch needs: the program may have imported half of it."""
    code = """
        import json, signal, sys, runtime_shim, heavy
        runtime_shim.ready()
        seen, executed, name = [], [], %r
        def handle(number, frame):
            with open(heavy.__file__.replace("__init__", "cold")) as file:
                seen.append(file.readline())
        def watch(event, args):
            if event == "exec" and "/runtime_shim/" not in args[0].co_filename:
                path = args[0].co_filename
                for module in [each for each, is_ in list(sys.modules.items())
                               if getattr(is_, "__file__", None) == path]:
                    executed.append(module)
                    if module == name and executed.count(name) == 1:
                        signal.raise_signal(signal.SIGALRM)
        signal.signal(signal.SIGALRM, handle)
        sys.addaudithook(watch)
        if name:
            __import__(name)
            whole = sys.modules[name]
        from heavy import cold
        ours = [each for each in executed if not each.startswith("heavy")]
        print(json.dumps([cold.COLD, len(seen), bool(name) and len(dir(whole)) > 12, ours]))
        """
    *_, needed = answer(world, code % "")
    assert {"hashlib", "socket"} <= set(needed)
    for name in needed:
        world.forget()
        assert answer(world, code % name)[:3] == ["never traced", 1, True], name


def test_what_a_handler_raises_in_a_fetch_reaches_the_program(world: World) -> None:
    """It is not taken for an error of the network's, which would be retried; a later import finds all."""
    code = """
        import json, signal, runtime_shim, heavy
        runtime_shim.ready()
        def handle(number, frame):
            raise TimeoutError("the program's own")
        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        try:
            from heavy import cold
        except TimeoutError as error:
            said = str(error)
        from heavy import cold
        print(json.dumps([said, cold.COLD, runtime_shim.stats()["retries"]]))
        """
    assert answer(world, code) == ["the program's own", "never traced", 0]


def test_handlers_run_at_the_end_and_are_set_again_whatever_one_raises() -> None:
    """Each signal that came has its handler called once; the first error is the block's."""
    came: list[int] = []

    def raises(number: int, frame: Any) -> None:
        came.append(number)
        raise KeyError(number)

    numbers = [signal.SIGUSR1, signal.SIGUSR2]
    before = [signal.signal(number, raises) for number in numbers]
    try:
        with pytest.raises(KeyError) as caught, DeferredSignals():
            for number in [*numbers, *numbers]:
                signal.raise_signal(number)
            assert came == []
        assert sorted(came) == numbers and caught.value.args == (came[0],)
        assert [signal.getsignal(number) for number in numbers] == [raises, raises]
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
