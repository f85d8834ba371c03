"""A cold start: what is fetched, in which order, by whom, and what happens when things go wrong."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import textwrap
import time
from pathlib import Path

import pytest

from lambdapack.local.link import Fault
from lambdapack.python import interpreter
from runtime_shim._fetch import cut
from tests.support.shim_world import BULK, World, grow, vouch

RUNNING = interpreter.find("{}.{}".format(*sys.version_info))
ANSWER = """
    import runtime_shim, heavy, json
    from heavy.second import leaf
    runtime_shim.ready()
    with open(heavy.__file__.replace("__init__.py", "bulk1.bin"), "rb") as file:
        size = len(file.read())
    print(json.dumps({"version": heavy.VERSION, "leaf": leaf.LEAF, "size": size, **runtime_shim.stats()}))
    """


@pytest.fixture(autouse=True)
def cold(world: World) -> None:
    world.forget()
    world.link()


def last_line(text: str) -> dict[str, object]:
    """The answer of ``ANSWER``: the EMF line comes first."""
    answer: dict[str, object] = json.loads(text.strip().splitlines()[-1])
    return answer


def right(answer: dict[str, object]) -> bool:
    return (answer["version"], answer["leaf"], answer["size"]) == ("1.0", "leaf", BULK)


def test_a_cold_start_fetches_the_eager_frames_once_and_nothing_else(world: World) -> None:
    """Each eager frame is fetched exactly once; sources and cold code stay in S3."""
    answer = last_line(world.run(ANSWER))
    index = world.pack.index
    assert right(answer)
    assert answer["frames"] == index.eager < len(index.frame_size)
    assert answer["bytes"] == sum(index.frame_stored[: index.eager]) == sum(e.sent for e in world.log())
    assert answer["role"] == "fetcher"


def test_a_second_process_finds_everything_and_asks_s3_for_nothing(world: World) -> None:
    """The journal outlives the process: a new one in the same environment makes no request."""
    world.run(ANSWER)
    world.log()
    answer = last_line(world.run(ANSWER))
    assert right(answer)
    assert (answer["role"], answer["resumed"]) == ("warm", world.pack.index.eager)
    assert world.log() == []


def test_one_request_gets_all_eager_frames_in_order(world: World) -> None:
    """A function of usual size asks S3 once: frames arrive in the order of their first use."""
    world.run(ANSWER)
    ends = world.pack.index.frame_stored_start
    assert [entry.range for entry in world.log()] == [f"bytes=0-{ends[world.pack.index.eager] - 1}"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["provisioned-concurrency", "snap-start", "lambda-managed-instances"])
def test_a_slow_link_is_waited_for_where_init_may_take_longer(world: World, kind: str) -> None:
    """A frame that takes longer than 10 s is not fetched twice, and nobody says that init ends soon."""
    world.link(bandwidth_mbps=3)
    process = world.popen(ANSWER, AWS_LAMBDA_INITIALIZATION_TYPE=kind)
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0 and right(last_line(out)), err
    index = world.pack.index
    assert sum(entry.sent for entry in world.log()) == sum(index.frame_stored[: index.eager])
    assert "init ends" not in out + err


def test_a_large_function_asks_for_the_first_frames_first_over_several_connections(world: World) -> None:
    """Where the link may be faster than one connection, requests are few and grow."""
    world.run(ANSWER, AWS_LAMBDA_FUNCTION_MEMORY_SIZE="10240")
    starts = [int(entry.range.partition("=")[2].partition("-")[0]) for entry in world.log()]
    expected = cut(list(range(world.pack.index.eager)), world.pack.index.frame_stored)
    assert sorted(starts) == [world.pack.index.frame_stored_start[job[0]] for job in expected]
    assert 1 < len(starts) < world.pack.index.eager


def test_imports_go_on_while_later_frames_are_still_on_their_way(world: World) -> None:
    """A module waits for its own frames only: the import returns long before a slow link is done."""
    world.link(bandwidth_mbps=8)  # 20 s for all of it
    code = """
        import runtime_shim, heavy
        from runtime_shim import _pack
        print(heavy.VERSION, len(_pack.place.missing(0, _pack.eager)) > 0, flush=True)
        import os; os._exit(0)
        """
    assert world.run(code).split() == ["1.0", "True"]


def test_four_processes_do_the_work_once(world: World) -> None:
    """One process fetches, the others import what it places: no byte is fetched twice."""
    world.link(bandwidth_mbps=200)
    processes = [world.popen(ANSWER) for _ in range(4)]
    answers = [last_line(process.communicate(timeout=120)[0]) for process in processes]
    assert all(map(right, answers))
    assert sum(entry.sent for entry in world.log()) == sum(
        world.pack.index.frame_stored[: world.pack.index.eager]
    )
    assert sorted(str(answer["role"]) for answer in answers).count("fetcher") == 1


def test_killed_at_random_moments_the_next_start_answers_and_goes_on(world: World) -> None:
    """After SIGKILL of everything at 20 random moments the next start is right and fetches only the rest."""
    index = world.pack.index
    moments = random.Random(20)
    resumed = []
    for _ in range(20):
        world.forget()
        world.link(bandwidth_mbps=150)
        process = world.popen(ANSWER)
        time.sleep(moments.uniform(0.05, 0.9))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        world.link()
        journals = list(world.root.glob("*/journal"))
        placed = journals[0].read_bytes() if journals else b""
        missing = [frame for frame in range(index.eager) if placed[frame : frame + 1] != b"\1"]
        answer = last_line(world.run(ANSWER))
        assert right(answer)
        assert answer["frames"] == len(missing)
        assert answer["resumed"] == index.eager - len(missing)
        assert answer["bytes"] == sum(index.frame_stored[frame] for frame in missing)
        resumed.append(answer["resumed"])
    assert any(resumed), "no start had anything to resume: the kills came too early to test anything"


def test_the_importing_process_takes_over_when_its_child_is_killed(world: World) -> None:
    """The fetching child is not needed to finish: whoever waits goes on from the journal."""
    world.link(bandwidth_mbps=100)
    kill = "import os, signal, runtime_shim\nos.kill(runtime_shim._pack._fetching.pid, signal.SIGKILL)\n"
    answer = last_line(world.run(kill + textwrap.dedent(ANSWER)))
    assert right(answer)


def test_a_process_with_threads_fetches_without_forking(world: World) -> None:
    """Forking a process that has threads is not safe; threads of its own do the work."""
    code = (
        "    import threading, time\n    threading.Thread(target=time.sleep, args=(5,), daemon=True).start()"
    )
    answer = last_line(world.run(code + ANSWER))
    assert right(answer)
    assert answer["frames"] == world.pack.index.eager


@pytest.mark.parametrize(
    "fault",
    [
        Fault(nth=1, kind="status", status=500, times=2),
        Fault(nth=1, kind="status", status=503, times=6),
        Fault(nth=1, kind="close"),
        Fault(nth=1, kind="reset", after=100),
        Fault(nth=1, kind="truncate", after=5),
        Fault(nth=1, kind="corrupt", after=20),
        Fault(nth=1, kind="stall", after=100, seconds=7.0),
    ],
    ids=lambda fault: f"{fault.kind}{fault.status if fault.kind == 'status' else ''}",
)
def test_a_flaky_link_costs_retries_and_nothing_else(world: World, fault: Fault) -> None:
    """5xx, SlowDown, resets, stalls, short and corrupted bodies are retried from the frame they hit."""
    world.link(faults=[fault])
    answer = last_line(world.run(ANSWER))
    assert right(answer)
    assert answer["retries"] >= 1  # type: ignore[operator]
    assert answer["frames"] == world.pack.index.eager


@pytest.mark.parametrize(
    "fault", [Fault(nth=2, kind="reset", after=100), Fault(nth=3, kind="truncate", after=5)]
)
def test_one_of_several_connections_may_break(world: World, fault: Fault) -> None:
    """A large function's other connections go on; the broken one resumes at its first missing frame."""
    world.link(faults=[fault])
    answer = last_line(world.run(ANSWER, AWS_LAMBDA_FUNCTION_MEMORY_SIZE="10240"))
    assert right(answer)
    assert answer["retries"] == 1
    assert answer["frames"] == world.pack.index.eager


def test_a_pack_that_was_tampered_with_is_refused(world: World, tmp_path: Path) -> None:
    """A frame whose digest is wrong is never decompressed or journalled; the message names it."""
    stored = world.stored
    shutil.copy(stored, tmp_path / "sound")
    data = bytearray(stored.read_bytes())
    data[world.pack.index.frame_stored_start[2] + 10] ^= 1
    try:
        stored.write_bytes(data)
        said = world.run(ANSWER, status=1)
    finally:
        shutil.copy(tmp_path / "sound", stored)
    assert "frame 2 of s3://bucket/" in said
    assert "digest" in said
    journal = next(world.root.glob("*/journal")).read_bytes()
    assert journal[2] == 0


def test_a_truncated_pack_is_refused(world: World, tmp_path: Path) -> None:
    """An object that is too short fails at once, with both sizes, instead of retrying for ever."""
    stored = world.stored
    shutil.copy(stored, tmp_path / "sound")
    try:
        os.truncate(stored, 1_000_000)
        said = world.run(ANSWER, status=1)
    finally:
        shutil.copy(tmp_path / "sound", stored)
    assert "not the pack that this function was built with" in said or "shorter than the pack" in said


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "SignatureDoesNotMatch"),
        ({"AWS_ACCESS_KEY_ID": "ASIANOBODY"}, "InvalidAccessKeyId"),
        ({"AWS_ACCESS_KEY_ID": ""}, "no AWS credentials"),
        ({"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}, "127.0.0.1"),
        ({"AWS_ENDPOINT_URL_S3": "nonsense"}, "AWS_ENDPOINT_URL_S3 is not an http(s) URL"),
    ],
    ids=["secret", "key", "none", "unreachable", "endpoint"],
)
def test_what_s3_refuses_is_told_in_one_message(world: World, change: dict[str, str], expected: str) -> None:
    """The last line of the traceback is the whole story."""
    said = world.run(ANSWER, status=1, **change)
    assert expected in said.strip().splitlines()[-1]


def test_a_missing_pack_names_its_url_and_the_command(world: World) -> None:
    """404: which object, and how to get it there."""
    stored = world.stored
    stored.rename(stored.with_suffix(".away"))
    try:
        said = world.run(ANSWER, status=1).strip().splitlines()[-1]
    finally:
        stored.with_suffix(".away").rename(stored)
    assert world.key in said
    assert "lambdapack push" in said or "s3:GetObject" in said


def test_files_that_a_handler_deleted_are_fetched_again(world: World) -> None:
    """A file that is gone from /tmp is not trusted to the journal."""
    world.run(ANSWER)
    (world.site / "heavy/bulk1.bin").unlink()
    world.log()
    answer = last_line(world.run(ANSWER))
    assert right(answer)
    assert 0 < answer["frames"] < world.pack.index.eager  # type: ignore[operator]


def test_disk_mode_unpacks_every_file(world: World) -> None:
    """LAMBDAPACK_MODE=disk makes a plain directory: the same files, the same bytes, no importer of ours."""
    code = ANSWER.replace("print(", "print(type(heavy.__loader__).__name__); print(")
    out = world.run(code, LAMBDAPACK_MODE="disk")
    assert "SourceFileLoader" in out
    tree = world.function.parent / "tree"
    site = world.root / (world.pack.id[:16] + "-disk") / "site"
    for file in world.pack.index.paths:
        assert (site / file).read_bytes() == (tree / file).read_bytes()


def test_without_an_index_the_shim_does_nothing(world: World, tmp_path: Path) -> None:
    """A handler runs unchanged in a unit test: no thread, no file, no hook, no message."""
    shutil.copytree(world.function / "runtime_shim", tmp_path / "runtime_shim")
    (tmp_path / "runtime_shim/index.json").unlink()
    code = """
        import os, sys
        before = (os.stat, list(sys.path), list(sys.path_hooks), len(os.listdir("/proc/self/task")))
        import runtime_shim
        after = (os.stat, list(sys.path), list(sys.path_hooks), len(os.listdir("/proc/self/task")))
        print(before == after, runtime_shim.stats(), runtime_shim.ready())
        """
    moved = World(**{**world.__dict__, "function": tmp_path})
    assert moved.run(code, LAMBDAPACK_ROOT=str(tmp_path / "r")) == "True {} None\n"
    assert not (tmp_path / "r").exists()


def test_a_pack_for_another_python_is_refused(world: World, tmp_path: Path) -> None:
    """The message names both targets and the command that builds for this one."""
    shutil.copytree(world.function / "runtime_shim", tmp_path / "runtime_shim")
    index = tmp_path / "runtime_shim/index.json"
    index.write_text(index.read_text().replace(world.pack.index.target, "python3.9/arm64"))
    vouch(index)
    moved = World(**{**world.__dict__, "function": tmp_path})
    said = moved.run("import runtime_shim", status=1)
    assert "python3.9/arm64" in said
    assert world.pack.index.target in said
    assert "lambdapack build --python" in said


def test_too_little_space_fails_before_anything_is_fetched(world: World, tmp_path: Path) -> None:
    """The message gives what is needed, what is free and the setting; no request was made."""
    shutil.copytree(world.function / "runtime_shim", tmp_path / "runtime_shim")
    grow(tmp_path / "runtime_shim/index.json", 10**12)
    moved = World(**{**world.__dict__, "function": tmp_path})
    said = moved.run("import runtime_shim", status=1)
    assert "ephemeral storage (lambdapack deploy --tmp " in said
    assert world.log() == []


def test_the_emf_line_is_one_json_document(world: World) -> None:
    """CloudWatch parses the line: every metric it declares is in it, as a number."""
    line = json.loads(world.run(ANSWER).splitlines()[0])
    declared = [m["Name"] for d in line["_aws"]["CloudWatchMetrics"] for m in d["Metrics"]]
    assert declared
    assert all(isinstance(line[name], (int, float)) for name in declared)


def test_the_log_names_what_was_fetched_on_demand(world: World) -> None:
    """The line of the start has the files that were asked for until then; later ones get their own lines."""
    code = """
        import inspect, runtime_shim, heavy
        from heavy import cold
        runtime_shim.ready()
        for module in (heavy.first, heavy.first, cold, heavy):
            inspect.getsource(module)
        """
    process = world.popen(code)
    out, err = process.communicate(timeout=120)
    tag = sys.implementation.cache_tag
    start, later = json.loads(out), [json.loads(line) for line in err.splitlines()]
    assert start["on_demand_files"] == [f"heavy/__pycache__/cold.{tag}.pyc"]
    files = [line["on_demand_files"] for line in later]
    # All three are in one frame, which was fetched once.
    assert files == [["heavy/first.py"], ["heavy/cold.py"], ["heavy/__init__.py"]]
    assert {line["pack"] for line in later} == {start["pack"]}


HANDLER = """
    import sys
    sys.path.insert(0, ".")
    from importlib import import_module
    module = import_module("{module}")
    handler = getattr(module, "handler")
    from runtime_shim import _pack
    print(_pack.place.missing(0, _pack.eager), type(module).__name__, handler({{}}, None))
    """


def test_lambdas_first_look_at_the_handler_waits_for_the_rest(world: World) -> None:
    """Between importing the handler's module and calling it nothing is missing, and the module is plain."""
    (world.function / "app.py").write_text(
        "import runtime_shim\nimport heavy\ndef handler(event, context):\n    return heavy.VERSION\n"
    )
    world.link(bandwidth_mbps=200)
    out = world.run(HANDLER.format(module="app"), _HANDLER="app.handler").splitlines()[-1]
    assert out == "[] module 1.0"


def test_a_handler_that_does_not_know_the_shim_is_wrapped(world: World) -> None:
    """runtime_shim.handler imports the real one, named by LAMBDAPACK_HANDLER, once all is there."""
    (world.function / "plain.py").write_text(
        "import heavy\ndef handler(event, context):\n    return heavy.VERSION\n"
    )
    out = world.run(
        HANDLER.format(module="runtime_shim"),
        _HANDLER="runtime_shim.handler",
        LAMBDAPACK_HANDLER="plain.handler",
    ).splitlines()[-1]
    assert out == "[] module 1.0"


def test_the_wrapped_handler_without_its_name_says_so(world: World) -> None:
    """runtime_shim.handler without LAMBDAPACK_HANDLER names the variable."""
    said = world.run("import runtime_shim\nruntime_shim.handler", status=1)
    assert "LAMBDAPACK_HANDLER" in said


def test_listing_the_packs_root_waits_for_nothing(world: World) -> None:
    """importlib.metadata lists the root during imports: names, sizes and kinds are there before the files."""
    world.link(bandwidth_mbps=8)
    code = """
        import os, runtime_shim
        from runtime_shim import _pack
        site = _pack.place.site
        names = sorted(os.listdir(site))
        entries = {entry.name: (entry.is_file(), entry.is_file() and entry.stat().st_size)
                   for entry in os.scandir(site)}
        waited = _pack.waited
        there = {name: (os.path.isfile(site + "/" + name), os.path.isfile(site + "/" + name)
                        and os.stat(site + "/" + name).st_size) for name in names}
        print(waited, len(names) == len(set(names)), sorted(entries) == names, entries == there, flush=True)
        os._exit(0)
        """
    waited, *right = world.run(code).split()
    assert float(waited) == 0
    assert right == ["True", "True", "True"]
