"""Assets in a function: fetched behind the imports, once, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import signal
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lambdapack.local.link import Fault
from lambdapack.python import interpreter
from tests.support.assets_world import LATE, MODEL, SINGLE, AssetsWorld, running_assets_world
from tests.support.shim_world import grow

RUNNING = interpreter.find("{}.{}".format(*sys.version_info))
WANTED = {
    "model/" + name: hashlib.sha256(content).hexdigest()[:16] for name, content in sorted(MODEL.items())
}
WANTED["single.bin"] = hashlib.sha256(SINGLE).hexdigest()[:16]
LOOK = """
    import hashlib, json, os
    import runtime_shim
    def digest(path):
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()[:16]
    def tree(folder):
        return {os.path.relpath(os.path.join(at, name), folder): digest(os.path.join(at, name))
                for at, _, names in os.walk(folder) for name in names}
    """
ALL = (
    textwrap.dedent(LOOK)
    + """
found = {"model/" + name: text for name, text in tree(runtime_shim.path("model")).items()}
single = runtime_shim.path("single")
found[os.path.basename(single)] = digest(single)
runtime_shim.ready()
print(json.dumps({"found": found, "stats": runtime_shim.stats()["assets"]}))
"""
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, lambdapack_cache: Path) -> Iterator[AssetsWorld]:
    with running_assets_world(tmp_path_factory.mktemp("world"), RUNNING, lambdapack_cache) as world:
        yield world


@pytest.fixture(autouse=True)
def cold(request: pytest.FixtureRequest) -> None:
    if "world" in request.fixturenames:
        world = request.getfixturevalue("world")
        world.forget()
        world.link()


def answer(text: str) -> dict[str, dict[str, object]]:
    """The last line: lines of metrics come first."""
    found: dict[str, dict[str, object]] = json.loads(text.strip().splitlines()[-1])
    return found


def stored(world: AssetsWorld, *names: str) -> dict[str, int]:
    return {name: sum(world.index(name).frame_stored) for name in names}


def test_a_file_and_a_folder_are_there_whole(world: AssetsWorld) -> None:
    """path() gives real paths below the root: every file with its bytes, each frame fetched once."""
    got = answer(world.run(ALL))
    assert got["found"] == WANTED
    sent = world.sent()
    assert sent.pop("") == sum(world.pack.index.frame_stored[: world.pack.index.eager])
    assert sent == stored(world, "model", "single")
    assert got["stats"]["model"]["bytes"] == sent["model"]  # type: ignore[index]


@pytest.mark.parametrize("python", [found.python for found in interpreter.installed()])
def test_every_python_that_lambda_had_gets_its_assets(
    python: str, tmp_path: Path, lambdapack_cache: Path
) -> None:
    """The shim's own limits hold here too: Python 3.8 to 3.15, the standard library and the decoder."""
    with running_assets_world(tmp_path, interpreter.find(python), lambdapack_cache) as own:
        assert answer(own.run(ALL))["found"] == WANTED


def test_a_second_process_asks_s3_for_nothing(world: AssetsWorld) -> None:
    """The journal outlives the process."""
    world.run(ALL)
    world.log()
    got = answer(world.run(ALL))
    assert got["found"] == WANTED
    assert world.log() == []


def test_assets_come_behind_what_the_first_invocation_needs(world: AssetsWorld) -> None:
    """Nobody waits for them: the pack has the link to itself, then they come, one after the other."""
    code = textwrap.dedent(LOOK) + textwrap.dedent(
        """
        import time
        runtime_shim.ready()
        places = [asset.place for asset in runtime_shim._function_assets._opened.values()]
        while any(place.missing(0, place.frames) for place in places):
            time.sleep(0.01)
        """
    )
    world.link(bandwidth_mbps=400)
    world.run(code)
    order = [entry.path for entry in world.log()]
    kinds = [0 if world.key in path else 1 if world.asset_key("model") in path else 2 for path in order]
    assert kinds == sorted(kinds)
    assert set(kinds) == {0, 1, 2}


def test_one_that_is_waited_for_overtakes_those_before_it(world: AssetsWorld) -> None:
    """path() puts an asset in front of those that nobody has asked for yet."""
    world.link(bandwidth_mbps=150)  # the model takes a second
    code = textwrap.dedent(LOOK) + textwrap.dedent(
        """
        single = digest(runtime_shim.path("single"))
        model = runtime_shim._function_assets._opened["model"].place
        print(json.dumps({"single": single, "missing": len(model.missing(0, model.frames))}), flush=True)
        os._exit(0)
        """
    )
    got = answer(world.run(code))
    assert got["single"] == WANTED["single.bin"]
    assert got["missing"]


def test_one_for_later_is_fetched_when_it_is_asked_for(world: AssetsWorld) -> None:
    """fetch = "use": no byte of it before path()."""
    world.run(ALL)
    assert "late" not in world.sent()
    assert (
        answer(world.run(textwrap.dedent(LOOK) + "print(json.dumps(digest(runtime_shim.path('late'))))"))
        == (hashlib.sha256(LATE).hexdigest()[:16])
    )
    assert world.sent() == stored(world, "late")


def test_killed_in_the_middle_the_next_start_fetches_the_rest(world: AssetsWorld) -> None:
    """After SIGKILL of everything while the model is on its way, only what is missing is fetched."""
    moments = random.Random(8)
    index = world.index("model")
    resumed = []
    for _ in range(8):
        world.forget()
        world.link(bandwidth_mbps=250)
        process = world.popen(ALL)
        journal = world.place("model") / "journal"
        while not journal.exists() or journal.read_bytes()[:1] != b"\1":
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.4))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        world.link()
        placed = journal.read_bytes()
        missing = [frame for frame in range(len(index.frame_size)) if placed[frame : frame + 1] != b"\1"]
        got = answer(world.run(ALL))
        assert got["found"] == WANTED
        assert world.sent().get("model", 0) == sum(index.frame_stored[frame] for frame in missing)
        resumed.append(len(missing))
    assert any(resumed), "the model had arrived before each kill: nothing was tested"


def test_the_waiting_process_takes_over_when_its_child_is_killed(world: AssetsWorld) -> None:
    """The fetching child is not needed to finish."""
    world.link(bandwidth_mbps=300)
    kill = """
        import os, signal, runtime_shim
        os.kill(runtime_shim._function_assets._opened["model"].pack._fetching.pid, signal.SIGKILL)
        """
    assert answer(world.run(textwrap.dedent(kill) + ALL))["found"] == WANTED


def test_two_processes_at_once_fetch_once(world: AssetsWorld) -> None:
    """Processes that share one /tmp share the work: no byte twice."""
    world.link(bandwidth_mbps=400)
    processes = [world.popen(ALL) for _ in range(3)]
    answers = [answer(process.communicate(timeout=120)[0]) for process in processes]
    assert all(got["found"] == WANTED for got in answers)
    sent = world.sent()
    assert {name: sent[name] for name in ("model", "single")} == stored(world, "model", "single")


def test_a_process_with_threads_waits_in_all_of_them(world: AssetsWorld) -> None:
    """path() may be called from any thread, also where forking is not safe; each gets the path once."""
    code = textwrap.dedent(LOOK) + textwrap.dedent(
        """
        import threading
        got = []
        threads = [threading.Thread(target=lambda: got.append(digest(runtime_shim.path("late"))))
                   for _ in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(json.dumps(got))
        """
    )
    assert answer(world.run(code)) == [hashlib.sha256(LATE).hexdigest()[:16]] * 4
    assert world.sent()["late"] == stored(world, "late")["late"]


def test_a_forked_child_has_the_assets_too(world: AssetsWorld) -> None:
    """A child forked while the model is on its way waits for its parent's fetch."""
    world.link(bandwidth_mbps=400)
    code = textwrap.dedent(LOOK) + textwrap.dedent(
        """
        reading, writing = os.pipe()
        if not os.fork():
            os.write(writing, digest(runtime_shim.path("single")).encode())
            os._exit(0)
        mine = digest(runtime_shim.path("single"))
        os.wait()
        print(json.dumps([mine, os.read(reading, 100).decode()]))
        """
    )
    assert answer(world.run(code)) == [WANTED["single.bin"]] * 2
    assert world.sent()["single"] == stored(world, "single")["single"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(nth=6, kind="status", status=503, times=3),
        Fault(nth=7, kind="reset", after=100),
        Fault(nth=8, kind="corrupt", after=20),
    ],
    ids=lambda fault: fault.kind,
)
def test_a_flaky_link_costs_retries(world: AssetsWorld, fault: Fault) -> None:
    """As for the pack: what arrives is verified, what fails is asked for again."""
    world.link(faults=[fault])
    assert answer(world.run(ALL))["found"] == WANTED


def test_a_tampered_asset_is_refused_and_a_mended_one_taken(world: AssetsWorld, tmp_path: Path) -> None:
    """A wrong digest is an error in path() alone; the next call tries again."""
    path = world.asset_stored("late")
    shutil.copy(path, tmp_path / "sound")
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    code = textwrap.dedent(LOOK) + textwrap.dedent(
        f"""
        import shutil
        said = ""
        try:
            runtime_shim.path("late")
        except runtime_shim.PackError as error:
            said = str(error)
        shutil.copy({str(tmp_path / "sound")!r}, {str(path)!r})
        print(json.dumps([said, digest(runtime_shim.path("late"))]))
        """
    )
    try:
        path.write_bytes(data)
        said, digest = answer(world.run(code))
    finally:
        shutil.copy(tmp_path / "sound", path)
    assert "frame 0 of s3://bucket/" in said
    assert digest == hashlib.sha256(LATE).hexdigest()[:16]


def test_a_file_that_was_deleted_is_fetched_again(world: AssetsWorld) -> None:
    """Handlers that tidy /tmp exist: a later process does not trust the journal alone."""
    world.run(ALL)
    (world.place("single") / "site/single.bin").unlink()
    world.log()
    assert answer(world.run(ALL))["found"] == WANTED
    assert world.sent() == stored(world, "single")


def _grow(world: AssetsWorld, name: str, by: int) -> None:
    grow(world.folder(name) / "index.json", by)


def test_too_little_space_fails_at_the_start(world: AssetsWorld, tmp_path: Path) -> None:
    """Before a byte of it is asked for; with the asset's name, what it needs and the setting."""
    moved = world.moved(tmp_path / "function")
    _grow(moved, "model", 10**12)
    said = moved.run("import runtime_shim", status=1).strip().splitlines()[-1]
    assert re.search(r"the asset model \(with what else is on its way\) needs 10000\d\d MB more in", said)
    assert "lambdapack deploy --tmp " in said
    assert "model" not in moved.sent()


def test_assets_that_fit_alone_but_not_together_fail_too(world: AssetsWorld, tmp_path: Path) -> None:
    """What is on its way has not taken its room yet: it is added up."""
    moved = world.moved(tmp_path / "function")
    world.root.mkdir(exist_ok=True)
    room = os.statvfs(world.root)
    for name in ("model", "single"):
        _grow(moved, name, int(room.f_bavail * room.f_frsize * 0.6))
    said = moved.run("import runtime_shim", status=1).strip().splitlines()[-1]
    assert "the asset single (with what else is on its way) needs" in said


def test_an_unknown_asset_names_those_that_there_are(world: AssetsWorld) -> None:
    """A typing error is answered with the names."""
    said = world.run("import runtime_shim\nruntime_shim.path('modle')", status=1).strip().splitlines()[-1]
    assert "no asset modle (it has: late, model, single)" in said


def test_a_start_without_assets_does_not_know_of_them(world: AssetsWorld, tmp_path: Path) -> None:
    """Neither the module nor one look at a folder: a function without assets pays nothing."""
    moved = world.moved(tmp_path / "function")
    path = moved.function / "runtime_shim/location.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "assets"}))
    code = """
        import sys
        seen = []
        sys.addaudithook(lambda event, args: seen.append(str(args)) if event[:2] in ("op", "os") else None)
        import runtime_shim, heavy
        runtime_shim.ready()
        print("runtime_shim._assets" in sys.modules, [one for one in seen if "/assets" in one])
        """
    assert moved.run(code).splitlines()[-1] == "False []"


def test_without_a_pack_the_environment_says_where_assets_are(world: AssetsWorld, tmp_path: Path) -> None:
    """In a unit test: a relative path is of the working folder; a wrong or missing one is explained."""
    shutil.copytree(world.function / "runtime_shim", tmp_path / "runtime_shim")
    for name in ("index.json", "location.json", "assets"):
        path = tmp_path / "runtime_shim" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (tmp_path / "words.txt").write_text("hello")
    moved = AssetsWorld(**{**world.__dict__, "function": tmp_path})
    code = "import runtime_shim\nprint(open(runtime_shim.path('words')).read())"
    assert moved.run(code, LAMBDAPACK_ASSETS="other=x:words=words.txt") == "hello\n"
    said = moved.run(code, status=1, LAMBDAPACK_ASSETS="words=gone.txt")
    assert "LAMBDAPACK_ASSETS names gone.txt, which does not exist" in said
    said = moved.run(code, status=1)
    assert "set LAMBDAPACK_ASSETS=words=PATH" in said


def test_a_damaged_zip_says_so(world: AssetsWorld, tmp_path: Path) -> None:
    """The name of the asset and the command that helps."""
    moved = world.moved(tmp_path / "function")
    (moved.folder("model") / "location.json").write_text("{}")
    said = moved.run("import runtime_shim", status=1).strip().splitlines()[-1]
    assert "asset model" in said
    assert "lambdapack package" in said
