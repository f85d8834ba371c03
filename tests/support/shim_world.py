"""A small pack and a function around it, to start the real shim in real processes."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import runtime_shim
from lambdapack.deploy import decoder
from lambdapack.local.endpoint import Endpoint, new_credentials
from lambdapack.local.link import Fault
from lambdapack.local.s3.objects import Entry
from lambdapack.local.s3.sigv4 import Credentials
from lambdapack.model import Distribution, Trace, Tree
from lambdapack.model.target import Target
from lambdapack.pack.assembly import Pack
from lambdapack.pack.write import write
from lambdapack.python import bytecode
from lambdapack.python.interpreter import Interpreter

FILES = {
    "heavy/__init__.py": '''
        """A package."""
        from heavy import first
        VERSION = "1.0"

        class Thing:
            """Pickled by reference."""

            def __init__(self, value):
                self.value = value

        def fail():
            raise ValueError("from the pack")  # this very line
        ''',
    "heavy/first.py": "NAME = __name__\n",
    "heavy/second.py": "from heavy.deep import leaf\n",
    "heavy/cold.py": "COLD = 'never traced'\n",
    "heavy/deep/__init__.py": "",
    "heavy/deep/leaf.py": "LEAF = 'leaf'\n",
    "heavy/__main__.py": "print('main of heavy')\n",
    "heavy/data.txt": "some data\n",
    "heavy/empty.marker": "",
    "heavy/nested/more.txt": "more\n",
    "single.py": "WHERE = __file__\n",
    "space/part/__init__.py": "PART = 'of a namespace'\n",
    "heavy-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: heavy\nVersion: 1.0\n",
    "heavy-1.0.dist-info/entry_points.txt": "[heavy.plugins]\nleaf = heavy.deep.leaf:LEAF\n",
    "heavy-1.0.dist-info/top_level.txt": "heavy\nsingle\nspace\n",
}
TRACED = (
    "heavy/__init__.py",
    "heavy/first.py",
    "heavy/second.py",
    "heavy/deep/__init__.py",
    "heavy/deep/leaf.py",
    "heavy/data.txt",
    *(f"heavy/bulk{number}.bin" for number in range(20)),
)
BULK = 1024 * 1024
"""Incompressible data, so that there are several frames and requests."""


@dataclass
class World:
    """A pack behind an endpoint, and a function folder with the shim and its index.

    Attributes:
        function: What would be ``/var/task``.
        root: The shim's ``LAMBDAPACK_ROOT``.
    """

    interpreter: Interpreter
    pack: Pack
    function: Path
    root: Path
    endpoint: Endpoint
    keys: Credentials
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The pack's key in the bucket."""
        location: dict[str, str] = json.loads((self.function / "runtime_shim/location.json").read_text())
        return location["key"]

    @property
    def stored(self) -> Path:
        """The pack's object, behind the endpoint."""
        return self.function.parent / "s3" / "bucket" / self.key

    @property
    def site(self) -> Path:
        """Where the pack's files appear."""
        return self.root / self.pack.id[:16] / "site"

    def link(self, *, bandwidth_mbps: float | None = None, faults: Iterable[Fault] = ()) -> None:
        """Begin anew with the endpoint: credentials, link and log of their own.

        Requests count from 1, and what an earlier start is still being sent is in nobody's log.
        """
        self.keys = new_credentials()
        self.endpoint.grant(self.keys, [f"bucket/{self.key}"], bandwidth_mbps=bandwidth_mbps, faults=faults)
        self.environment.update(
            AWS_ACCESS_KEY_ID=self.keys.access_key,
            AWS_SECRET_ACCESS_KEY=self.keys.secret_key,
            AWS_SESSION_TOKEN=self.keys.session_token,
        )

    def log(self) -> list[Entry]:
        """The requests since the last call or ``link``."""
        return [entry for entry in self.endpoint.log(clear=True) if entry.access_key == self.keys.access_key]

    def popen(self, code: str, **environment: str) -> subprocess.Popen[str]:
        """Start ``code`` in the function's folder as Lambda would start its handler's module."""
        return subprocess.Popen(
            [str(self.interpreter.path), "-c", textwrap.dedent(code)],
            cwd=self.function,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, code: str, *, status: int = 0, **environment: str) -> str:
        """Run ``code`` to its end and return what it printed (stderr where it is to fail)."""
        process = self.popen(code, **environment)
        out, err = process.communicate(timeout=120)
        assert process.returncode == status, f"{out}\n{err}"
        return err if status else out

    def forget(self) -> None:
        """Empty the shim's folder: the next start is cold."""
        shutil.rmtree(self.root, ignore_errors=True)


def make_tree(root: Path, interpreter: Interpreter) -> tuple[Tree, Trace]:
    """The tree of ``FILES`` plus some bulk, compiled."""
    noise = random.Random(0)
    for path, text in FILES.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
    for number in range(20):
        (root / f"heavy/bulk{number}.bin").write_bytes(noise.randbytes(BULK))
    (root / "heavy/unseen.bin").write_bytes(noise.randbytes(BULK // 4))
    # The last that is fetched at once, in the root as a .pth file is.
    (root / "unseen.dat").write_bytes(noise.randbytes(BULK // 4))
    bytecode.compile_tree(root, interpreter, jobs=1)
    target = Target(interpreter.python)
    tag = target.cache_tag
    files = tuple(sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()))
    tree = Tree(root, target, (Distribution("heavy", "1.0", files, ("heavy", "single", "space")),))
    touched = [compiled(path, tag) for path in TRACED]
    return tree, Trace(tuple(touched), frozenset(), "traced", "import heavy")


def compiled(path: str, tag: str) -> str:
    """Where the bytecode of a source is."""
    if not path.endswith(".py"):
        return path
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}__pycache__/{name[:-3]}.{tag}.pyc"


def vouch(index: Path) -> None:
    """Give an index that a test has changed its new id, as a build would."""
    location = index.with_name("location.json")
    known = json.loads(location.read_text())
    known["id"] = hashlib.sha256(index.read_bytes()).hexdigest()
    location.write_text(json.dumps(known))


def grow(path: Path, by: int) -> None:
    """Have the index beside a shim claim a file of ``by`` bytes more, in frames of an allowed size."""
    index = json.loads(path.read_text())
    frames, files = index["frames"], index["files"]
    for name, value in (("path", "grown"), ("size", by - 1024), ("offset", sum(frames["size"]))):
        files[name].append(value)
    files["class"] += "d"
    for _ in range(-(-by // 2**26)):
        frames["size"].append(2**26)
        frames["stored"].append(1)
        frames["sha256"].append("0" * 64)
    index["eager"] = len(frames["size"])
    path.write_text(json.dumps(index))
    vouch(path)


@contextmanager
def running_world(
    folder: Path, interpreter: Interpreter, cache: Path, made: tuple[Tree, Trace] | None = None
) -> Iterator[World]:
    """``make_world`` with an endpoint of its own, which ends with it."""
    endpoint = Endpoint(folder / "s3")
    try:
        yield make_world(folder, interpreter, cache, endpoint, made)
    finally:
        endpoint.close()


def make_world(
    folder: Path,
    interpreter: Interpreter,
    cache: Path,
    endpoint: Endpoint,
    made: tuple[Tree, Trace] | None = None,
) -> World:
    """Build the pack, put it behind ``endpoint`` (whose root is ``folder / "s3"``), write the function.

    ``made`` is what to pack, instead of ``FILES``.
    """
    tree, trace = made or make_tree(folder / "tree", interpreter)
    pack = write(tree, trace, "0" * 64, folder / "out", level=1)
    key = f"team/packs/{pack.id[:2]}/{pack.id}.tar.zst"
    stored = folder / "s3" / "bucket" / key
    stored.parent.mkdir(parents=True)
    shutil.copy(pack.path, stored)
    function = folder / "function"
    shim = function / "runtime_shim"
    shutil.copytree(Path(runtime_shim.__file__).parent, shim, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(pack.index_path, shim / "index.json")
    location = {"id": pack.id, "bucket": "bucket", "key": key, "region": "us-east-1"}
    (shim / "location.json").write_text(json.dumps(location))
    extension = decoder.extension(tree.target, cache)
    if extension is not None:
        shutil.copy(extension, shim / "backend_c.so")
    root = folder / "root"
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_ENDPOINT_URL_S3": endpoint.url,
        "AWS_REGION": "us-east-1",
        "LAMBDAPACK_ROOT": str(root),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    world = World(interpreter, pack, function, root, endpoint, new_credentials(), environment)
    world.link()
    return world
