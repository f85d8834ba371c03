"""Builders for the tests of packs: trees from a dict, and packs from trees."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from lambdapack.model import Distribution, Trace, Tree
from lambdapack.model.target import Target
from lambdapack.pack import Pack, write

TARGET = Target("3.11", "x86_64")
LOCK = "ab" * 32


def tree(root: Path, files: Mapping[str, bytes], *, executable: Iterable[str] = ()) -> Tree:
    """A tree of ``files``, one distribution for each ``*.dist-info`` and the folder of its name.

    As after an installation: no RECORD lists the bytecode, which is compiled later.
    """
    root.mkdir(parents=True, exist_ok=True)
    for path, content in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    for path in executable:
        (root / path).chmod(0o755)
    tops = {path.split("/")[0] for path in files}
    distributions = [
        Distribution(
            name=info.split("-")[0],
            version=info.split("-")[1].removesuffix(".dist-info"),
            files=tuple(
                path
                for path in files
                if path.split("/")[0] in (info, info.split("-")[0]) and not path.endswith(".pyc")
            ),
            top_level=(info.split("-")[0],),
        )
        for info in sorted(tops)
        if info.endswith(".dist-info")
    ]
    return Tree(root, TARGET, tuple(distributions))


def trace(*files: str, native: Iterable[str] = ()) -> Trace:
    """A trace that touched ``files`` in this order."""
    return Trace(files, frozenset(native), "traced", "import it")


def pack(folder: Path, files: Mapping[str, bytes], *touched: str, level: int = 1) -> Pack:
    """A pack in ``folder``/pack of ``files``, of which ``touched`` are hot."""
    return write(tree(folder / "tree", files), trace(*touched), LOCK, folder / "pack", level=level)


SAMPLE: Mapping[str, bytes] = {
    "demo/__init__.py": b"ANSWER = 42\n",
    "demo/__pycache__/__init__.cpython-311.pyc": b"\xa7\x0d\x0d\x0a" + bytes(12) + b"code" * 99,
    "demo/__pycache__/cold.cpython-311.pyc": b"\xa7\x0d\x0d\x0a" + bytes(12) + b"cold" * 99,
    "demo/cold.py": b"# cold\n",
    "demo/data.bin": bytes(range(256)) * 9000,
    "demo/empty.txt": b"",
    "demo-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n",
    "demo-1.0.dist-info/RECORD": b"demo/__init__.py,,\ndemo/cold.py,,\ndemo/data.bin,,\n",
}
"""A tree with every band."""
SAMPLE_TOUCHED = ("demo/__pycache__/__init__.cpython-311.pyc", "demo/data.bin")


def untar(path: Path, destination: Path) -> None:
    """Unpack with the real tar, and the real zstd where there is one."""
    destination.mkdir()
    command = ["tar", "--zstd", "-xpf", str(path), "-C", str(destination)]
    if shutil.which("zstd") is None:
        script = destination.parent / "unzstd"
        script.write_text(
            f"#!{sys.executable}\nimport sys, zstandard\n"
            "source = zstandard.ZstdDecompressor().stream_reader(sys.stdin.buffer, read_across_frames=True)\n"
            "while data := source.read(1 << 20):\n    sys.stdout.buffer.write(data)\n"
        )
        script.chmod(0o755)
        command[1] = f"--use-compress-program={script}"
    subprocess.run(command, check=True, umask=0o022)
