"""In place is what can still be shown: files removed, cut, planted; processes killed; descriptors closed."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lambdapack.local.link import Fault
from lambdapack.model import Trace, Tree
from lambdapack.python import interpreter
from tests.support.shim_world import World, make_tree, running_world, vouch
from tests.support.users import needs_root

RUNNING = interpreter.find("{}.{}".format(*sys.version_info))
HUGE = 30 * 1024 * 1024
"""Bytes of a file that spans several frames."""

USE = """
    import hashlib, importlib.metadata, importlib.resources, json, os, sys
    import heavy, heavy.cold
    from heavy.second import leaf
    runtime_shim.ready()
    here = os.path.dirname(heavy.__file__)
    with open(here + "/huge.bin", "rb") as file:
        huge = hashlib.sha256(file.read()).hexdigest()
    print(json.dumps({
        "version": importlib.metadata.version("heavy"), "lazy": heavy.cold.COLD, "leaf": leaf.LEAF,
        "data": open(here + "/data.txt").read(),
        "source": open(heavy.__file__).read().count("raise ValueError"),
        "resource": importlib.resources.read_text("heavy", "data.txt"), "huge": huge,
        "listed": "cold.py" in os.listdir(here), "role": runtime_shim.stats()["role"],
    }))
    """


def made(folder: Path) -> tuple[Tree, Trace]:
    """The usual small tree with a file of several frames and a program."""
    tree, trace = make_tree(folder / "tree", RUNNING)
    (tree.root / "heavy/huge.bin").write_bytes(random.Random(5).randbytes(HUGE))
    shutil.copy("/bin/sleep", tree.root / "heavy/tool")
    (tree.root / "heavy/tool").chmod(0o755)
    distribution = tree.distributions[0]
    files = tuple(sorted((*distribution.files, "heavy/huge.bin", "heavy/tool")))
    tree = replace(tree, distributions=(replace(distribution, files=files),))
    return tree, replace(trace, files=("heavy/tool", *trace.files, "heavy/huge.bin"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, lambdapack_cache: Path) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("trust")
    with running_world(folder, RUNNING, lambdapack_cache, made(folder)) as world:
        yield world


@pytest.fixture(autouse=True)
def cold(world: World) -> None:
    world.forget()
    world.link()


def used(world: World, before: str = "", **environment: str) -> dict[str, object]:
    """What ``USE`` says after ``before``, in a process of its own."""
    code = "import runtime_shim\n" + textwrap.dedent(before) + textwrap.dedent(USE)
    answer: dict[str, object] = json.loads(world.run(code, **environment).strip().splitlines()[-1])
    return answer


def right(world: World, answer: dict[str, object]) -> bool:
    huge = hashlib.sha256((world.function.parent / "tree/heavy/huge.bin").read_bytes()).hexdigest()
    return {**answer, "role": ""} == {
        "version": "1.0", "lazy": "never traced", "leaf": "leaf", "data": "some data\n", "source": 1,
        "resource": "some data\n", "huge": huge, "listed": True, "role": "",
    }  # fmt: skip


EMPTY = """
    import heavy, shutil
    runtime_shim.ready()
    shutil.rmtree(os.environ["LAMBDAPACK_ROOT"])
    """


@pytest.mark.parametrize("tools", ["", "import importlib.metadata, importlib.resources, hashlib, json\n"])
def test_a_process_goes_on_after_its_handler_has_emptied_tmp(world: World, tools: str) -> None:
    """Lazy imports, data, sources, resources and metadata answer; what is gone is fetched again."""
    assert right(world, used(world, "import os\n" + tools + textwrap.dedent(EMPTY)))


def _cut(path: Path) -> None:
    os.truncate(path, 0)


def _cut_and_grow(path: Path) -> None:
    size = path.stat().st_size
    os.truncate(path, size // 3)
    os.truncate(path, size)


@pytest.mark.parametrize("damage", [Path.unlink, _cut, _cut_and_grow], ids=["removed", "cut", "cut, grown"])
@pytest.mark.parametrize("name", ["arena", "journal", "lock"])
def test_the_next_process_reads_no_zeros(world: World, name: str, damage: object) -> None:
    """A journal says nothing of another arena, nor of one that was cut, even if it has its old size again."""
    used(world)
    damage(world.site.parent / name)  # type: ignore[operator]
    assert right(world, used(world))


@pytest.mark.parametrize("damage", [Path.unlink, _cut, _cut_and_grow], ids=["removed", "cut", "cut, grown"])
def test_a_living_process_reads_no_zeros(world: World, damage: object) -> None:
    """An arena that is cut under a process that reads from it kills nothing and gives no wrong byte."""
    used(world)
    code = """
        import heavy, os, json, sys
        runtime_shim.ready()
        print(json.dumps(runtime_shim._pack.place.base), flush=True)
        sys.stdin.readline()
        """
    process = subprocess.Popen(
        [str(world.interpreter.path), "-c",
         "import runtime_shim\n" + textwrap.dedent(code) + textwrap.dedent(USE)],
        cwd=world.function, env=world.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    base = next(json.loads(line) for line in lines if line.startswith('"'))
    damage(Path(base) / "arena")  # type: ignore[operator]
    out, _ = process.communicate("\n", timeout=60)
    assert process.returncode == 0
    assert right(world, json.loads(out.strip().splitlines()[-1]))


@pytest.mark.parametrize("left", [(), (0,), (0, 1), (1, 2), (2,)])
def test_a_file_of_several_frames_is_never_made_with_a_hole(world: World, left: tuple[int, ...]) -> None:
    """Whatever the journal says of its frames: a file that is removed is fetched whole."""
    used(world)
    index = world.pack.index
    frames = index.frames_of(index.paths.index("heavy/huge.bin"))
    assert len(frames) > 2
    journal = world.site.parent / "journal"
    data = bytearray(journal.read_bytes())
    for number, frame in enumerate(frames):
        data[frame] = number in left
    journal.write_bytes(data)
    (world.site / "heavy/huge.bin").unlink()
    assert right(world, used(world))


@pytest.mark.parametrize("name", ["second.py", "data.txt", "huge.bin"])
def test_a_file_that_somebody_has_written_to_is_put_back(world: World, name: str) -> None:
    """Cut, grown or changed in place: its time gives it away, to the same process and to the next."""
    code = f"""
        import heavy, os
        runtime_shim.ready()
        path = os.path.join(os.path.dirname(heavy.__file__), {name!r})
        with open(path, "rb") as file:
            before = file.read()
        for size in (3, len(before) + 3, len(before)):
            with open(path, "r+b") as file:
                file.truncate(size)
                file.write(b"X")
            with open(path, "rb") as file:
                assert file.read() == before, size
        with open(path, "r+b") as file:
            file.write(b"X")
        """
    assert right(world, used(world, code))
    assert right(world, used(world))


MID_FETCH = """
    import time
    place = runtime_shim._pack.place
    frames = place.index.frames_of(place.index.paths.index("heavy/huge.bin"))
    while not place.journal[frames[0]]:
        time.sleep(0.0005)
    """


def test_what_has_arrived_of_a_large_file_is_kept(world: World) -> None:
    """Killed in the middle of a file of several frames: the next start fetches the others alone."""
    world.link(bandwidth_mbps=150)
    process = world.popen(
        "import runtime_shim" + textwrap.dedent(MID_FETCH) + "print('there', flush=True); time.sleep(60)"
    )
    assert process.stdout is not None
    process.stdout.readline()
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    journal = (world.site.parent / "journal").read_bytes()
    placed = sum(journal[: world.pack.index.eager])
    assert 0 < placed < world.pack.index.eager
    assert not (world.site / "heavy/huge.bin").exists(), "it must not be seen before it is whole"
    world.link()
    assert right(world, used(world))
    stored = world.pack.index.frame_stored
    fetched = sum(entry.sent for entry in world.log())
    lazy = sum(stored[world.pack.index.eager :])
    assert (
        fetched <= sum(stored[frame] for frame in range(world.pack.index.eager) if not journal[frame]) + lazy
    )


@pytest.mark.parametrize("who", ["the child", "the function", "a handler that raises"])
def test_who_takes_over_in_the_middle_of_a_file_does_not_wait_for_himself(world: World, who: str) -> None:
    """The child killed, the function killed alone, an import that fails: somebody goes on."""
    world.link(bandwidth_mbps=150)
    if who == "the child":
        kill = (
            MID_FETCH
            + "\n    import os, signal\n    os.kill(runtime_shim._pack._fetching.pid, signal.SIGKILL)\n"
        )
        assert right(world, used(world, kill))
        return
    end = (
        "os.kill(os.getpid(), signal.SIGKILL)" if who == "the function" else "raise ImportError('a mistake')"
    )
    code = "import runtime_shim" + textwrap.dedent(MID_FETCH) + "import os, signal\n" + end
    world.popen(code).communicate(timeout=60)
    assert right(world, used(world))


CRASH = "#include <stdlib.h>\nvoid *PyInit_backend_c(void) { abort(); }\n"


def test_a_child_that_dies_again_and_again_is_an_error_that_names_the_signal(
    world: World, tmp_path: Path
) -> None:
    """Three deaths without a frame in place: no more forks, and what ended the last one."""
    moved = World(**{**world.__dict__, "function": tmp_path / "function"})
    shutil.copytree(world.function, moved.function)
    source = tmp_path / "crash.c"
    source.write_text(CRASH)
    decoder = moved.function / "runtime_shim/backend_c.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", decoder, source], check=True)
    said = moved.run("import runtime_shim, heavy", status=1).strip().splitlines()[-1]
    assert "died 3 times" in said
    assert "SIGABRT" in said
    assert len(world.log()) == 3


CLOSED = """
    import heavy, os
    runtime_shim.ready()
    os.closerange(3, 1024)
    mine = os.environ["LAMBDAPACK_ROOT"] + "/../users.db"
    mine = [os.open(mine, os.O_RDWR | os.O_CREAT | os.O_TRUNC) for _ in range(20)]
    os.write(mine[0], b"the user's own bytes")
    """


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("threads", [False, True])
def test_descriptors_that_user_code_closes_are_not_taken_for_ours(
    world: World, when: str, threads: bool
) -> None:
    """``os.closerange`` at any time: the pack works, and files of the user's hold what the user wrote."""
    code = textwrap.dedent(CLOSED)
    if when == "before":
        code = code.replace("runtime_shim.ready()\n", "")
    if threads:
        code = (
            "import threading, time\n"
            "threading.Thread(target=time.sleep, args=(30,), daemon=True).start()\n" + code
        )
    world.link(bandwidth_mbps=300)
    assert right(world, used(world, code))
    assert (world.root.parent / "users.db").read_bytes() == b"the user's own bytes"


def test_a_program_of_the_pack_may_run_while_its_frame_is_fetched_again(world: World) -> None:
    """What is in place is not written to: no "text file busy"."""
    code = """
        import heavy, os, subprocess, sys
        runtime_shim.ready()
        tool = subprocess.Popen([os.path.dirname(heavy.__file__) + "/tool", "30"])
        print("runs", flush=True)
        tool.wait()
        """
    process = world.popen("import runtime_shim\n" + textwrap.dedent(code))
    assert process.stdout is not None
    while process.stdout.readline() != "runs\n":
        pass
    try:
        (world.site / "heavy/data.txt").unlink()
        assert right(world, used(world))
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_a_failure_that_has_passed_is_forgotten(world: World) -> None:
    """An import that failed may succeed when it is tried again."""
    world.link(faults=[Fault(nth=1, kind="status", status=404, times=1)])
    code = """
        try:
            import heavy
        except RuntimeError as error:
            print("failed", type(error).__name__)
        """
    out = world.run("import runtime_shim\n" + textwrap.dedent(code) + textwrap.dedent(USE)).splitlines()
    assert out[0] == "failed PackError"
    assert right(world, json.loads(out[-1]))


def test_no_memory_to_fetch_with_is_said_and_may_pass(world: World) -> None:
    """A MemoryError of the shim's own says what helps; with memory, the same import succeeds."""
    code = """
        class Meagre:
            def __init__(self, size):
                raise MemoryError
        runtime_shim.ready()
        from runtime_shim import _fetch
        plain, _fetch.Slot = _fetch.Slot, Meagre
        try:
            import heavy.cold
        except RuntimeError as error:
            print("failed", type(error).__name__, error)
        _fetch.Slot = plain
        """
    out = world.run("import runtime_shim\n" + textwrap.dedent(code) + textwrap.dedent(USE)).splitlines()
    (said,) = [line for line in out if line.startswith("failed")]
    assert said.startswith("failed PackError")
    assert "there is no more memory; give the function more" in said
    assert right(world, json.loads(out[-1]))


@pytest.mark.parametrize("error", ["ENOLCK", "ENOSYS"])
def test_a_file_system_without_locks_is_no_lock_that_is_taken(world: World, error: str) -> None:
    """Where flock is not to be had, everybody fetches."""
    strace = shutil.which("strace")
    if strace is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs strace")
    done = subprocess.run(
        [strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace=flock", "-e", f"inject=flock:error={error}",
         world.interpreter.path, "-c", "import runtime_shim, heavy; print(heavy.VERSION)"],
        cwd=world.function, env=world.environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout == "1.0\n", done.stderr


def test_the_wall_clock_may_be_set_back(world: World) -> None:
    """Waiting goes by the monotonic clock alone."""
    back = """
        import os, signal, time
        os.kill(runtime_shim._pack._fetching.pid, signal.SIGKILL)
        now = time.time
        time.time = lambda: now() - 60
        """
    assert right(world, used(world, back))


def test_the_functions_own_wait_sees_its_own_children_alone(world: World) -> None:
    """``os.wait()`` and SIGCHLD are the user's: who fetches is nobody's child there."""
    world.link(bandwidth_mbps=100)
    code = """
        import os, signal
        seen = []
        signal.signal(signal.SIGCHLD, lambda *_: seen.append(1))
        import heavy.first
        try:
            os.wait()
            print("there was a child")
        except ChildProcessError:
            print("no child", seen)
        runtime_shim.ready()
        """
    assert "no child []" in world.run("import runtime_shim\n" + textwrap.dedent(code)).splitlines()


@pytest.mark.parametrize("threads", [False, True])
@pytest.mark.parametrize("endpoint", ["", "nonsense"])
def test_a_fork_by_user_code_finds_no_lock_that_stays_locked(
    world: World, threads: bool, endpoint: str
) -> None:
    """In mid-fetch, in threads or not, after a start that failed: the fork returns and can use the pack."""
    world.link(bandwidth_mbps=100)
    code = """
        import os
        try:
            import runtime_shim
        except RuntimeError as error:
            print(error)
        pid = os.fork()
        if not pid:
            if os.environ["AWS_ENDPOINT_URL_S3"] != "nonsense":
                import heavy
                open(os.path.dirname(heavy.__file__) + "/bulk19.bin").close()
            os._exit(17)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
        os._exit(0)
        """
    code = textwrap.dedent(code)
    if threads:
        code = (
            "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
            + code
        )
    environment = {"AWS_ENDPOINT_URL_S3": endpoint} if endpoint else {}
    out = world.run(code, **environment).splitlines()[-1]
    assert out.split()[0] == "17"


def test_a_shim_that_cannot_be_imported_says_so(world: World) -> None:
    """Also where the part that fails is the one that all others stand on."""
    code = """
        import sys
        class Refusing:
            def find_spec(self, name, path, target=None):
                if name == "runtime_shim._disk":
                    raise ModuleNotFoundError("No module named %r" % name)
        sys.meta_path.insert(0, Refusing())
        import runtime_shim
        """
    said = world.run(code, status=1).strip().splitlines()[-1]
    assert said.startswith(
        "runtime_shim.PackError: lambdapack: the pack cannot be put in place: ModuleNotFound"
    )


def test_an_error_is_a_pack_error_after_the_shim_was_loaded_again(world: World) -> None:
    """What a program caught before, it catches after ``importlib.reload``."""
    code = """
        import importlib, runtime_shim
        from runtime_shim import PackError
        importlib.reload(runtime_shim)
        import runtime_shim._disk
        assert runtime_shim.PackError is PackError is runtime_shim._disk.PackError
        """
    world.run(code)


class TestPlanted:
    """What is in the shim's folder before it."""

    @needs_root
    @pytest.mark.parametrize("which", ["root", "base", "site"])
    def test_a_folder_of_another_user_is_refused(self, world: World, which: str) -> None:
        """Who it belongs to, who this is, and what to do: nothing in it is imported."""
        used(world)
        folder = {"root": world.root, "base": world.site.parent, "site": world.site}[which]
        os.chown(folder, 65534, 65534)
        said = world.run("import runtime_shim", status=1).strip().splitlines()[-1]
        assert f"{folder} belongs to user 65534, and this function runs as user 0" in said
        assert "LAMBDAPACK_ROOT" in said

    @pytest.mark.parametrize("which", ["root", "base"])
    def test_a_folder_that_others_can_write_to_is_refused(self, world: World, which: str) -> None:
        """What was put there by whom cannot be told."""
        used(world)
        folder = {"root": world.root, "base": world.site.parent}[which]
        folder.chmod(0o777)
        said = world.run("import runtime_shim", status=1).strip().splitlines()[-1]
        assert "can be written to by others (mode 777)" in said

    def test_folders_are_made_for_their_user_alone(self, world: World) -> None:
        """0700, whatever the umask."""
        used(world, "import os; os.umask(0)\n")
        modes = {folder.stat().st_mode & 0o777 for folder in (world.root, world.site.parent, world.site)}
        assert modes == {0o700}

    @pytest.mark.parametrize("name", ["arena", "journal", "lock"])
    def test_our_own_files_are_not_followed_through_a_link(
        self, world: World, tmp_path: Path, name: str
    ) -> None:
        """A link in their place: the file that it leads to keeps its bytes."""
        used(world)
        victim = tmp_path / "victim"
        victim.write_text("precious")
        path = world.site.parent / name
        path.unlink()
        path.symlink_to(victim)
        process = world.popen("import runtime_shim\n" + textwrap.dedent(USE))
        out, err = process.communicate(timeout=60)
        assert victim.read_text() == "precious"
        assert process.returncode == 0 or "PackError" in err.strip().splitlines()[-1], out

    @pytest.mark.parametrize("place", ["heavy/data.txt", "heavy", "heavy/nested"])
    def test_a_link_in_the_place_of_a_file_or_a_folder_is_replaced(
        self, world: World, tmp_path: Path, place: str
    ) -> None:
        """Nothing is written outside, and the pack is right."""
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "data.txt").write_text("precious")
        for folder in (world.root, world.site.parent, world.site):
            folder.mkdir(0o700)
        (world.site / place).parent.mkdir(exist_ok=True)
        (world.site / place).symlink_to(outside / "data.txt" if place.endswith("txt") else outside)
        assert right(world, used(world))
        assert {path.name: path.read_text() for path in outside.iterdir()} == {"data.txt": "precious"}

    def test_a_root_that_is_a_link_is_refused(self, world: World, tmp_path: Path) -> None:
        """Whoever made it decides where it leads."""
        world.root.symlink_to(tmp_path)
        try:
            said = world.run("import runtime_shim", status=1).strip().splitlines()[-1]
        finally:
            world.root.unlink()
        assert "is not a folder (a link or a file)" in said
        assert list(tmp_path.iterdir()) == []


class TestIndex:
    """The index beside the shim."""

    @pytest.fixture
    def moved(self, world: World, tmp_path: Path) -> World:
        """The same world with a function folder of its own."""
        shutil.copytree(world.function, tmp_path / "function")
        return World(**{**world.__dict__, "function": tmp_path / "function"})

    def test_an_index_of_another_id_is_refused(self, moved: World) -> None:
        """One byte more, and the start says which pack it is not."""
        path = moved.function / "runtime_shim/index.json"
        path.write_text(path.read_text() + " ")
        said = moved.run("import runtime_shim", status=1).strip().splitlines()[-1]
        assert "the function's zip is damaged" in said
        assert moved.pack.id in said
        assert not moved.root.exists()

    def test_a_path_that_leaves_the_pack_is_refused_although_the_id_is_right(self, moved: World) -> None:
        """Whoever can change the zip decides what runs, but a mistake there writes nowhere else."""
        path = moved.function / "runtime_shim/index.json"
        path.write_text(path.read_text().replace('"heavy/data.txt"', '"../../../outside.txt"'))
        vouch(path)
        said = moved.run("import runtime_shim", status=1).strip().splitlines()[-1]
        assert "the function's zip is damaged" in said
        assert not moved.root.exists()
        assert not (moved.root.parent / "outside.txt").exists()

    @pytest.mark.parametrize("how", ["in place", "by rename", "with its old times"])
    def test_an_index_that_changed_after_it_was_checked_is_checked_again(
        self, moved: World, how: str
    ) -> None:
        """A start that was right leaves a seal of that very file: no other file or content has it."""
        moved.run("import runtime_shim; runtime_shim.ready()")
        assert list(moved.root.glob("*/seal"))
        path = moved.function / "runtime_shim/index.json"
        before = path.stat()
        changed = path.read_text().replace('"heavy/data.txt"', '"heavy/atad.txt"')
        if how == "by rename":
            (moved.function / "new").write_text(changed)
            (moved.function / "new").rename(path)
        else:
            path.write_text(changed)
        if how == "with its old times":
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert path.stat().st_size == before.st_size
        said = moved.run("import runtime_shim", status=1).strip().splitlines()[-1]
        assert "the function's zip is damaged" in said

    def test_a_seal_is_nothing_that_a_start_needs(self, moved: World) -> None:
        """One that cannot be written, or says nothing, costs a check."""
        moved.run("import runtime_shim; runtime_shim.ready()")
        (seal,) = moved.root.glob("*/seal")
        for spoil in (
            seal.unlink,
            lambda: seal.write_bytes(b"\0" * 600),
            lambda: (seal.unlink(), seal.mkdir()),
        ):
            spoil()
            assert moved.run("import runtime_shim, heavy; print(heavy.VERSION)").split()[-1]
        assert seal.is_dir()
