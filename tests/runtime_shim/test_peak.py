"""A cold start needs room for what it leaves and next to nothing besides."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdapack.deploy import decoder
from lambdapack.limits import MIB
from lambdapack.model import Distribution, Trace, Tree
from lambdapack.model.target import Target
from lambdapack.python import bytecode
from lambdapack.python.interpreter import Interpreter, find
from runtime_shim._index import ARENA
from runtime_shim._space import BLOCK, ENTRY, SPARE, bytes_on_disk
from tests.plan.test_plan import make_index
from tests.support.shim_world import World, compiled, running_world

RUNNING: Interpreter = find("{}.{}".format(*sys.version_info[:2]))
ROOMY = 1024 * MIB
EXTRA = 16_000_000
"""What a cold start may need at most beside what it leaves."""
SMALL = 4500
"""Files of a block each: what is counted for each of them by mistake adds up."""
NAMESPACE = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else [])]
MOUNT = 'mount -t tmpfs -o "mode=0700,size=$SIZE" tmpfs "$LAMBDAPACK_ROOT" && "$@"'
AGAIN = ' && find "$LAMBDAPACK_ROOT" -path "*/small/7/*7" -delete && "$@"'

PROGRAM = """
    import ctypes, hashlib, json, os, posix
    import runtime_shim
    import heavy.hot0

    def taken(folder):
        found = 0
        for name in posix.listdir(folder):
            state = posix.lstat(folder + "/" + name)
            found += state.st_blocks * 512
            if state.st_mode & 0o170000 == 0o040000:
                found += taken(folder + "/" + name)
        return found

    root = os.environ["LAMBDAPACK_ROOT"]
    started = 0
    if WAITS:
        runtime_shim.ready()
        started = taken(root)
    site = runtime_shim._pack.place.site
    wrong = []
    for path, digest in json.load(open(os.environ["WANTED"])).items():
        with open(site + "/" + path, "rb") as file:
            if hashlib.sha256(file.read()).hexdigest() != digest:
                wrong.append(path)
    ctypes.CDLL(site + "/heavy/lib0.so")
    from heavy import cold0
    print(json.dumps({"started": started, "left": taken(root), "wrong": wrong}))
    """


@given(
    files=st.lists(st.tuples(st.sampled_from("csmxldn"), st.integers(0, 30_000)), min_size=1, max_size=30),
    frames=st.integers(1, 9),
    in_arena=st.sampled_from([ARENA, frozenset()]),
)
def test_what_is_counted_is_what_is_written(
    files: list[tuple[str, int]], frames: int, in_arena: frozenset[str]
) -> None:
    """A block for each that is touched, and no more besides than one for each folder and each cut."""
    named = [(f"a/{number}", kind, size) for number, (kind, size) in enumerate(files)]
    index = make_index(named, [1] * frames)
    touched = set()
    for (path, kind, size), offset in zip(named, index.offsets, strict=True):
        where, begin = ("arena", offset) if kind in in_arena else (path, 0)
        touched |= {(where, block) for block in range(begin // BLOCK, -(-(begin + size) // BLOCK)) if size}
    counted = bytes_on_disk(index, in_arena, range(frames)) - SPARE * BLOCK
    assert len(touched) * BLOCK <= counted <= (len(touched) + 1 + frames) * BLOCK + len(files) * ENTRY


def make(root: Path, cache: Path) -> tuple[Tree, Trace]:
    """Files over several frames, small ones, shared objects and code, nearly all of it incompressible."""
    noise = random.Random(1)
    target = Target(RUNNING.python)
    library = decoder.extension(target, cache).read_bytes()

    def module() -> bytes:
        return b"NOISE = '%s'\n" % noise.randbytes(MIB // 8).hex().encode()

    files = {
        "heavy/__init__.py": b"",
        "heavy/first.bin": noise.randbytes(20 * MIB + 1),
        "heavy/rest.bin": noise.randbytes(9 * MIB + 4095),
        "heavy/empty": b"",
        **{f"heavy/lib{number}.so": library + b"%d" % number for number in range(3)},
        **{f"heavy/small/{number % 50}/{number}": noise.randbytes(4096) for number in range(SMALL)},
        **{f"heavy/{kind}{number}.py": module() for kind in ("hot", "cold") for number in range(8)},
    }
    for path, content in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    bytecode.compile_tree(root, RUNNING, jobs=1)
    found = tuple(sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()))
    tree = Tree(root, target, (Distribution("heavy", "1.0", found, ("heavy",)),))
    hot = ["heavy/__init__.py", *(f"heavy/hot{number}.py" for number in range(8)), "heavy/first.bin"]
    # Code between files, and files between code.
    hot[2:2] = [f"heavy/small/{number % 50}/{number}" for number in range(0, SMALL, 3)]
    touched = tuple(compiled(path, target.cache_tag) for path in (*hot, "heavy/lib0.so"))
    return tree, Trace(touched, frozenset(), "traced", "import heavy")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, lambdapack_cache: Path) -> Iterator[World]:
    if subprocess.run([*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], check=False).returncode:
        pytest.skip("mounting needs root or user namespaces")
    folder = tmp_path_factory.mktemp("world")
    made = make(folder / "tree", lambdapack_cache)
    wanted = {
        path: hashlib.sha256((folder / "tree" / path).read_bytes()).hexdigest()
        for path in made[0].distributions[0].files
    }
    (folder / "wanted").write_text(json.dumps(wanted))
    with running_world(folder, RUNNING, lambdapack_cache, made) as world:
        world.environment["WANTED"] = str(folder / "wanted")
        world.root.mkdir()
        yield world


def start(world: World, size: int, mode: str, waits: bool, then: str = "") -> dict[str, int]:
    """A cold start in a file system of so many bytes, then every file: what each of them left."""
    world.link()
    code = f"WAITS = {waits}\n" + textwrap.dedent(PROGRAM)
    done = subprocess.run(
        [*NAMESPACE, "sh", "-c", MOUNT + then, "sh", str(world.interpreter.path), "-c", code],
        cwd=world.function,
        env={**world.environment, "LAMBDAPACK_MODE": mode, "SIZE": str(size)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    said = json.loads(done.stdout.splitlines()[-1])
    assert said.pop("wrong") == []
    return dict(said)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["stream", "disk"])
@pytest.mark.parametrize("waits", [True, False], ids=["streamed", "on demand"])
def test_a_cold_start_needs_little_more_than_it_leaves(world: World, mode: str, waits: bool) -> None:
    """With room for what is there afterwards and 16 MB it succeeds, and every file can be read."""
    usual = start(world, ROOMY, mode, waits)
    if waits:
        start(world, usual["started"] + EXTRA, mode, waits)
    start(world, usual["left"] + EXTRA, mode, waits)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["stream", "disk"])
def test_what_was_removed_needs_its_own_room_alone(world: World, mode: str) -> None:
    """A start that finds some files gone has room for them, not for all of their frames."""
    usual = start(world, ROOMY, mode, True)
    start(world, usual["left"] + 5 * MIB, mode, True, AGAIN)
