"""A small pack with everything that a pack may hold, the function that uses it, and its starts."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sysconfig
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import runtime_shim
from lambdapack.deploy import decoder
from lambdapack.limits import MIB
from lambdapack.model import Distribution, Trace, Tree
from lambdapack.model.target import Target
from lambdapack.pack import assets, frames
from lambdapack.pack.assembly import Pack
from lambdapack.pack.assets import Asset
from lambdapack.pack.write import write
from lambdapack.python import bytecode
from lambdapack.python.interpreter import Interpreter

from .endpoint import Endpoint

__all__ = ["HUNG", "Start", "World", "make_world"]

HUNG = 25.0
"""Seconds after which a start hangs: init ends at 10, and the machine may be busy."""
KIB = 1024
NOISE = {"big.bin": 360 * KIB, "rest.bin": 150 * KIB, "native.bin": 200 * KIB}
_STEPS_ID = itertools.count()


@dataclass
class World:
    """What all runs share.

    Attributes:
        functions: ``plain`` and ``assets`` -> what would be ``/var/task``.
        expected: What an undisturbed process sees in a plain folder.
    """

    interpreter: Interpreter
    pack: Pack
    functions: Mapping[str, Path]
    endpoint: Endpoint
    expected: dict[str, Any]
    folder: Path

    @property
    def key(self) -> str:
        """The pack's object."""
        return f"bucket/packs/{self.pack.id}.tar.zst"

    @property
    def content(self) -> int:
        """Bytes that its real files take, at the least."""
        index = self.pack.index
        sizes = zip(index.classes, index.sizes, strict=True)
        return sum(size for kind, size in sizes if kind not in "csm")

    def requested(self, log: Sequence[tuple[str, int, int]]) -> dict[int, int]:
        """How often each frame of the pack was asked for."""
        starts = self.pack.index.frame_stored_start
        found: dict[int, int] = {}
        for path, first, last in log:
            for frame in range(len(starts) - 1):
                if path == self.key and first <= starts[frame] and starts[frame + 1] - 1 <= last:
                    found[frame] = found.get(frame, 0) + 1
        return found


@dataclass
class Start:
    """One process of the function, in a session of its own, its output in files."""

    process: subprocess.Popen[bytes]
    folder: Path
    began: float
    seconds: float = 0.0
    seen: int = 0
    notes: list[str] = field(default_factory=list)

    def waiting(self, limit: float = HUNG) -> bool:
        """Wait until it waits (once more); False where it ended or hangs instead."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            if self.out.count("WAITING\n") > self.seen:
                self.seen += 1
                return True
            if self.process.poll() is not None:
                return False
            time.sleep(0.002)
        return False

    def go(self) -> None:
        """Let it go on."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.write(b"g")
            self.process.stdin.flush()

    def end(self, limit: float = HUNG) -> int | None:
        """Wait for its end; its exit status, None where it hangs. Whatever is left of it is killed."""
        try:
            return self.process.wait(max(0.1, limit - (time.monotonic() - self.began)))
        except subprocess.TimeoutExpired:
            self.notes.append(f"hung for {limit:.0f} s")
            return None
        finally:
            self.seconds = time.monotonic() - self.began
            if self.process.poll() is None:
                self.kill()

    def kill(self) -> None:
        """Kill the whole group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def signal(self, number: int) -> None:
        """Send a signal to the whole group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def children(self) -> list[int]:
        """Its children, whatever they are for."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError, ValueError):
                    after = (entry / "stat").read_text().rpartition(")")[2].split()
                    if int(after[1]) == self.process.pid and after[0] != "Z":
                        found.append(int(entry.name))
        return found

    @property
    def out(self) -> str:
        """Its output so far."""
        return (self.folder / "out").read_text(errors="replace")

    @property
    def err(self) -> str:
        """What it wrote to its log so far."""
        return (self.folder / "err").read_text(errors="replace")


_PASSED_ON = ("FAULTS_VERBOSE", "PYTHON_LAZY_IMPORTS")


def start(
    world: World,
    root: Path,
    steps: Sequence[Sequence[Any]],
    *,
    environment: Mapping[str, str],
    folder: Path,
    function: str = "plain",
    prefix: Sequence[str] = (),
) -> Start:
    """Start a process that does ``steps``; ``root`` is the loader's folder, ``folder`` the process's."""
    temporary, folder = folder, folder / f"start{next(_STEPS_ID)}"
    (folder / "own").mkdir(parents=True)
    task = world.functions[function]
    variables = {
        "PATH": os.environ["PATH"],
        "AWS_REGION": "us-east-1",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_ENDPOINT_URL_S3": world.endpoint.url,
        "LAMBDAPACK_ROOT": str(root),
        "TMPDIR": str(temporary),
        "FAULTS_OWN": str(folder / "own"),
        "FAULTS_STEPS": json.dumps(steps),
        **{name: value for name, value in os.environ.items() if name in _PASSED_ON},
        **environment,
    }
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen(
            # Without site: 10 ms less for each of thousands of starts.
            [*prefix, str(world.interpreter.path), "-S", "-s", "-B", str(task / "program.py")],
            cwd=task,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
    return Start(process, folder, time.monotonic())


def make_world(folder: Path, interpreter: Interpreter, cache: Path) -> World:
    """Build the pack, offer it, and write the functions."""
    tree, trace = _tree(folder / "tree", interpreter)
    with _small_frames():
        pack = write(tree, trace, "0" * 64, folder / "out", level=1)
    key = f"packs/{pack.id}.tar.zst"
    objects = {f"bucket/{key}": pack.path.read_bytes()}
    plain = folder / "plain"
    shutil.copytree(
        Path(runtime_shim.__file__).parent,
        plain / "runtime_shim",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    shutil.copy(pack.index_path, plain / "runtime_shim/index.json")
    location = {"id": pack.id, "bucket": "bucket", "key": key, "region": "us-east-1"}
    (plain / "runtime_shim/location.json").write_text(json.dumps(location))
    extension = decoder.extension(tree.target, cache)
    if extension is not None:
        shutil.copy(extension, plain / "runtime_shim/backend_c.so")
    shutil.copy(Path(__file__).with_name("program.py"), plain)
    bytecode.compile_tree(plain, interpreter, jobs=1)
    with_assets = folder / "with-assets"
    shutil.copytree(plain, with_assets)
    expected = _add_assets(folder, with_assets, location, objects)
    functions = {"plain": plain, "assets": with_assets}
    world = World(interpreter, pack, functions, Endpoint(objects, folder), expected, folder)
    world.expected.update(_undisturbed(world, tree.root))
    return world


def _undisturbed(world: World, tree: Path) -> dict[str, Any]:
    folder = world.folder / "undisturbed"
    steps = [["load"], ["observe", True]]
    began = start(world, folder / "root", steps, environment={"FAULTS_PLAIN": str(tree)}, folder=folder)
    assert began.end() == 0, began.out + began.err
    line = next(line for line in began.out.splitlines() if line.startswith("RESULT "))
    found: dict[str, Any] = json.loads(line.partition(" ")[2])
    return found


def _add_assets(
    folder: Path, function: Path, location: Mapping[str, str], objects: dict[str, bytes]
) -> dict[str, Any]:
    noise = random.Random(7)
    files = {
        "model/weights.bin": noise.randbytes(150 * KIB),
        "model/words.txt": b"a word\n" * 100,
        "late/table.bin": noise.randbytes(60 * KIB),
    }
    for name, content in files.items():
        path = folder / "assets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    wanted = [
        Asset("model", folder / "assets/model", level=1),
        Asset("late", folder / "assets/late", fetch="use", level=1),
    ]
    for one in assets.build(wanted, folder / "built"):
        key = f"packs/{one.id}.tar.zst"
        objects[f"bucket/{key}"] = (folder / "built" / one.pack).read_bytes()
        inside = function / "runtime_shim/assets" / one.name
        inside.mkdir(parents=True)
        shutil.copy(folder / "built" / one.index, inside / "index.json")
        where = {"id": one.id, "bucket": "bucket", "key": key, "region": "us-east-1", "file": one.file}
        (inside / "location.json").write_text(json.dumps(where))
    path = function / "runtime_shim/location.json"
    path.write_text(json.dumps({**location, "assets": ["model"]}))
    return {f"asset {name}": f"{len(data)}:{zlib.crc32(data):08x}" for name, data in files.items()}


@contextlib.contextmanager
def _small_frames() -> Iterator[None]:
    """Cut as if a pack of a megabyte were one of a hundred: files over several frames, many frames."""

    def sizes(least: int, most: int) -> frames.Sizes:
        return frames.Sizes(least * KIB, most * KIB)

    with (
        mock.patch.object(frames, "FIRST_SIZES", (sizes(16, 32),)),
        mock.patch.object(frames, "HOT_SIZES", sizes(32, 80)),
        mock.patch.object(frames, "COLD_SIZES", sizes(24, 60)),
        mock.patch.object(frames, "LARGE", 100 * KIB),
        mock.patch.object(frames, "PIECE_MAX", 90 * KIB),
    ):
        assert frames.LARGE < MIB
        yield


def _tree(root: Path, interpreter: Interpreter) -> tuple[Tree, Trace]:
    """A distribution with a file of every class, and those that the trace touched."""
    target = Target(interpreter.python)
    noise = random.Random(0)

    def module(bytes_: int) -> bytes:
        return b'"""Of the pack."""\nVALUE = "%s"\n' % noise.randbytes(bytes_ // 2).hex().encode()

    files = {
        "torture/__init__.py": module(2 * KIB),
        "torture/first.py": module(20 * KIB),
        "torture/sub/__init__.py": b"",
        "torture/sub/second.py": module(30 * KIB),
        **{f"torture/lazy{number}.py": module(24 * KIB) for number in range(4)},
        "torture/data.txt": b"some data\n",
        "torture/empty": b"",
        "torture/nested/more.txt": b"more\n" * 1000,
        "torture-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: torture\nVersion: 1.0\n",
        "torture-1.0.dist-info/entry_points.txt": b"[plugins]\nfirst = torture.first:VALUE\n",
        **{f"torture/{name}": noise.randbytes(size) for name, size in NOISE.items()},
        f"torture/_ext{_suffix(interpreter)}": _extension(interpreter),
    }
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    bytecode.compile_tree(root, interpreter, jobs=1)
    found = tuple(sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()))
    tree = Tree(root, target, (Distribution("torture", "1.0", found, ("torture",)),))
    tag = target.cache_tag
    touched = (
        "torture/native.bin",
        f"torture/__pycache__/__init__.{tag}.pyc",
        f"torture/__pycache__/first.{tag}.pyc",
        # Code waits for what comes after a file of several frames, too.
        "torture/big.bin",
        f"torture/sub/__pycache__/__init__.{tag}.pyc",
        f"torture/sub/__pycache__/second.{tag}.pyc",
        f"torture/_ext{_suffix(interpreter)}",
        "torture/data.txt",
    )
    return tree, Trace(touched, frozenset({"torture/native.bin"}), "traced", "import torture")


def _suffix(interpreter: Interpreter) -> str:
    return f".{Target(interpreter.python).cache_tag}-{interpreter.machine}-linux-gnu.so"


def _extension(interpreter: Interpreter) -> bytes:
    """An extension module named ``_ext``: a small one, compiled with the first compiler that is there."""
    source = (
        "#include <Python.h>\n"
        'static struct PyModuleDef it = {PyModuleDef_HEAD_INIT, "_ext", 0, -1, 0};\n'
        "PyMODINIT_FUNC PyInit__ext(void) { return PyModule_Create(&it); }\n"
    )
    query = "import sysconfig; print(sysconfig.get_path('include'))"
    include = subprocess.run(
        [interpreter.path, "-c", query], capture_output=True, text=True, check=True
    ).stdout.strip()
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    compiler = next(name for name in (compiler, "cc", "gcc", "clang") if shutil.which(name))
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "made.so"
        command = [compiler, "-shared", "-fPIC", "-O1", "-s", "-x", "c", f"-I{include}", "-", "-o", str(made)]
        subprocess.run(command, input=source.encode(), check=True)
        return made.read_bytes()
