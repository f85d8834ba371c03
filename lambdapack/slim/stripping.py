"""Strip the shared objects of a tree and prove that the results still load."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from lambdapack import elf
from lambdapack.elf import strip, without_gpu_code
from lambdapack.errors import ToolError
from lambdapack.files import scratch_folder
from lambdapack.progress import Progress
from lambdapack.python import worker
from lambdapack.python.interpreter import Interpreter
from lambdapack.python.worker import end_group

__all__ = ["LOAD_WORKER", "Loader", "Stripped", "check_loads", "strip_tree"]

LOAD_WORKER = Path(__file__).with_name("load_worker.py")
Loader = Callable[[Path, Path, Sequence[str], Path, Progress], Mapping[str, str]]
"""``check_loads`` where the target's Python is: originals, stripped, paths, ``LOAD_WORKER``, progress."""
_FAILED = "! "


@dataclass
class Stripped:
    """What stripping did.

    Attributes:
        saved: Path -> bytes that it lost.
        reverted: Path -> why it has its original bytes again.
        loaded: How many of the stripped objects were loaded; ``None`` where the target cannot run here.
        objects: Path -> SHA-256 of the original, of every shared object and program.
    """

    saved: dict[str, int] = field(default_factory=dict)
    reverted: dict[str, str] = field(default_factory=dict)
    loaded: int | None = None
    objects: dict[str, str] = field(default_factory=dict)


def strip_tree(
    root: Path,
    destination: Path,
    paths: Iterable[str],
    progress: Progress,
    spared: Collection[str] = (),
) -> Stripped:
    """Write a stripped copy, below ``destination``, of each object that gets smaller by it and is not spared.

    Code for GPUs is filled with zeros on the way: the file keeps its length, and a pack nothing of them.

    Nothing is remembered of an earlier build: to strip a file takes as long as to prove two digests.
    """
    result = Stripped()
    found = [path for path in paths if elf.is_elf(root / path)]
    with progress.step("strip", total=len(found), unit="files") as advance:
        for path in found:
            original = root / path
            content = original.read_bytes()
            result.objects[path] = hashlib.sha256(content).hexdigest()
            data = None if path in spared else _smaller(content)
            if data is not None:
                _write(destination / path, data, original.stat().st_mode & 0o777)
                result.saved[path] = len(content) - len(data)
            advance()
    return result


def _smaller(content: bytes) -> bytes | None:
    """What is left to compress of a shared object, ``None`` where that is all of it."""
    blank = without_gpu_code(content)
    return strip(blank or content) or blank


def _write(path: Path, data: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)


def check_loads(
    root: Path, destination: Path, paths: Sequence[str], interpreter: Interpreter, progress: Progress
) -> Mapping[str, str]:
    """Load each stripped object in the target's Python.

    Args:
        root: The tree with the originals.
        destination: The slimmed tree, complete, so that libraries find those that they need.
        paths: The stripped objects.
        interpreter: The target's Python.
        progress: Advances by one a file.

    Returns:
        Path -> why it does not load, where the original does.

    Raises:
        ToolError: The interpreter failed.
    """
    failed: dict[str, str] = {}
    with (
        tempfile.TemporaryFile() as request,
        progress.step("load", total=len(paths), unit="files") as advance,
    ):
        for path in paths:
            for folder in (destination, root):
                request.write(os.fsencode(folder.resolve() / path) + b"\0")
        request.seek(0)
        with _worker(interpreter, request) as answers:
            for path, line in zip(paths, answers, strict=False):
                if line.startswith(_FAILED.encode()):
                    failed[path] = line[len(_FAILED) :].decode(errors="replace").strip()
                advance()
    return failed


@contextmanager
def _worker(interpreter: Interpreter, request: IO[bytes]) -> Iterator[IO[bytes]]:
    """Start the worker; yield its answers, one line a library."""
    with (
        scratch_folder() as folder,
        subprocess.Popen(
            worker.command(interpreter.path, LOAD_WORKER),
            stdin=request,
            stdout=subprocess.PIPE,
            cwd=folder,
            env={"HOME": f"{folder}", "TMPDIR": f"{folder}", "LC_ALL": "C.UTF-8", **worker.library_path()},
            # A library's own start may hang: the process that tries it is ended with the worker.
            start_new_session=True,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            yield process.stdout
        except BaseException:
            end_group(process)
            raise
    if process.returncode:
        raise ToolError(
            f"loading the stripped libraries failed: {interpreter.path} ended with status "
            f"{process.returncode}"
        )
