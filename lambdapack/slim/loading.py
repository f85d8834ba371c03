"""Prove that stripped shared objects still load in the target's Python, wherever that runs."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from lambdapack.errors import ToolError
from lambdapack.files import scratch_folder
from lambdapack.memo import Memo, key_of
from lambdapack.progress import Progress
from lambdapack.python import worker
from lambdapack.python.interpreter import Interpreter
from lambdapack.python.worker import end_group
from lambdapack.slim.stripping import StripResult

LOAD_WORKER = Path(__file__).with_name("load_worker.py")
Loader = Callable[[Path, Path, Sequence[str], Path, Progress], Mapping[str, str]]
"""``check_loads`` where the target's Python is: originals, stripped, paths, ``LOAD_WORKER``, progress."""
_FAILED = b"! "
_KIND = "loads"


@dataclass(frozen=True)
class TargetPython:
    """Where the target's Python can run; without arguments nowhere.

    Attributes:
        interpreter: The Python of this machine, where the target runs here.
        loader: Loads objects where the Python is, if that is not this machine.
        surroundings: Everything, besides the objects of a tree, that decides whether one loads, as JSON has
            it: the tools, the Python, the system's libraries; ``None`` where that is not known.
    """

    interpreter: Interpreter | None = None
    loader: Loader | None = None
    surroundings: Any = None


def load_failures(
    root: Path, part: Path, stripped: StripResult, *, python: TargetPython, memo: Memo, progress: Progress
) -> Mapping[str, str]:
    """Load what was stripped.

    Args:
        root: The tree with the originals.
        part: The slimmed tree, complete, so that objects find those that they need.
        stripped: What was stripped.
        python: What loads the objects.
        memo: Remembers which objects loaded in the same surroundings.
        progress: Told where nothing can be loaded.

    Returns:
        Path -> why the stripped object does not load, though its original does.
    """
    if python.interpreter is None and python.loader is None:
        progress.note(
            f"{len(stripped.saved)} shared objects were stripped; every mapped byte was compared, but "
            "none was loaded: the target cannot run on this machine"
        )
        return {}
    # An object may need any other: what is remembered holds for the objects of a tree together.
    key = key_of(python.surroundings, stripped.objects, stripped.saved)
    remembered = python.surroundings is not None
    if remembered and memo.get(_KIND, key) is not None:
        return {}
    paths = sorted(stripped.saved)
    if python.loader is not None:
        failures = python.loader(root, part, paths, LOAD_WORKER, progress)
    else:
        assert python.interpreter is not None
        failures = check_loads(root, part, paths, python.interpreter, progress)
    # A failure is not remembered: it may have been the machine's.
    if remembered and not failures:
        memo.put(_KIND, key, b"")
    return failures


def check_loads(
    root: Path, part: Path, paths: Sequence[str], interpreter: Interpreter, progress: Progress
) -> Mapping[str, str]:
    """Load the stripped objects ``paths`` in a Python of this machine; gives what ``load_failures`` does."""
    failures: dict[str, str] = {}
    with (
        tempfile.TemporaryFile() as request,
        progress.step("load", total=len(paths), unit="files") as advance,
    ):
        for path in paths:
            for folder in (part, root):
                request.write(os.fsencode(folder.resolve() / path) + b"\0")
        request.seek(0)
        with _worker(interpreter, request) as answers:
            for path, line in zip(paths, answers, strict=False):
                if line.startswith(_FAILED):
                    failures[path] = line.removeprefix(_FAILED).decode(errors="replace").strip()
                advance()
    return failures


@contextmanager
def _worker(interpreter: Interpreter, request: IO[bytes]) -> Iterator[IO[bytes]]:
    """Start the worker; yield its answers, a line an object."""
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


_CACHE = Path("/etc/ld.so.cache")
_SETTINGS = ("LD_LIBRARY_PATH", "LD_PRELOAD")


def linker_facts(
    python: Interpreter, environment: Mapping[str, str] = os.environ, cache: Path = _CACHE
) -> list[object] | None:
    """The interpreter, and size and time of the linker's cache, which is written when libraries come and go.

    Returns:
        Values for ``memo.key_of``; ``None`` where variables make the linker look elsewhere too.
    """
    if any(environment.get(name) for name in _SETTINGS):
        return None
    try:
        files = [path.stat() for path in (python.path, cache)]
    except OSError:
        return None
    kernel = os.uname()
    return [
        *(kernel.nodename, kernel.release, str(python.path)),
        *((file.st_size, file.st_mtime_ns, file.st_ino) for file in files),
    ]
